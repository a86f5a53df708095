//! The secret of an access token: 256 random bits with a prefix and a checksum, so that scanners
//! find it in texts and a cut one is told from a wrong one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jobwright_core::Digest;
use thiserror::Error;

/// What every secret begins with.
const PREFIX: &str = "jw_";

/// How many bytes are random, and how many check them.
const RANDOM: usize = 32;
const CHECK: usize = 4;

/// The secret of an access token. Shows itself only where it is asked to.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a text is no secret of a token, or none can be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It does not look like one.
    #[error("an access token begins with `{PREFIX}` and has {} characters", PREFIX.len() + 48)]
    Form,
    /// Some of it is missing or mistyped.
    #[error("the access token is mistyped: its checksum does not fit")]
    Checksum,
    /// The operating system gives no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
}

impl Secret {
    /// Draws a secret.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn draw() -> Result<Self, SecretError> {
        let mut bytes = [0; RANDOM];
        getrandom::fill(&mut bytes).map_err(|error| SecretError::Random(error.to_string()))?;
        Ok(Self::of(bytes))
    }

    fn of(random: [u8; RANDOM]) -> Self {
        let mut bytes = random.to_vec();
        bytes.extend_from_slice(&Digest::of(&random).as_bytes()[..CHECK]);
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Takes a text as a secret.
    ///
    /// # Errors
    /// It has another form, or its checksum does not fit.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let body = text.strip_prefix(PREFIX).ok_or(SecretError::Form)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| SecretError::Form)?;
        let random: [u8; RANDOM] = bytes
            .get(..RANDOM)
            .filter(|_| bytes.len() == RANDOM + CHECK)
            .and_then(|random| random.try_into().ok())
            .ok_or(SecretError::Form)?;
        let secret = Self::of(random);
        if secret.0 == text { Ok(secret) } else { Err(SecretError::Checksum) }
    }

    /// Returns the text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the hash under which the token is kept.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_itself_or_nothing() {
        let drawn = Secret::draw().unwrap();
        assert_eq!(Secret::parse(drawn.reveal()), Ok(drawn.clone()));
        assert_ne!(Secret::draw().unwrap(), drawn);
        assert_eq!(format!("{drawn:?}"), "Secret(…)");
        let known = Secret::of([7; RANDOM]);
        let check = |text: &str, expect: SecretError| {
            assert_eq!(Secret::parse(text), Err(expect), "{text}");
        };
        check("", SecretError::Form);
        check("jw_", SecretError::Form);
        check(&known.reveal()[3..], SecretError::Form);
        check(&known.reveal()[..50], SecretError::Form);
        check(&format!("{}A", known.reveal()), SecretError::Form);
        check(&known.reveal().replacen("Bw", "Bx", 1), SecretError::Checksum);
    }
}
