//! Secrets: packages and values name them, a source knows them, and only an executor sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
pub use secrecy::ExposeSecret;
pub use secrecy::SecretString;
use thiserror::Error;

/// The least bytes of a secret's content. What is shorter turns up in harmless text: masking it
/// would spoil logs, and tell what it is. An engine refuses it before an executor sees it.
pub const MIN_SECRET: usize = 6;

/// The most bytes of a secret's content: longer than any key, and all its forms fit into a line of
/// a log.
pub const MAX_SECRET: usize = 16 * 1024;

/// Where the contents of secrets come from. They are fetched at dispatch and never stored.
#[async_trait]
pub trait SecretSource: Send + Sync + 'static {
    /// Fetches the content of a secret. Called once per attempt and secret; cancel safe.
    ///
    /// # Errors
    /// [`SecretError::Unavailable`] leads to another attempt, all others fail the attempt for good.
    /// None may hold the content.
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError>;
}

/// Why a secret could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is none of that name.
    #[error("no secret is named `{0}`")]
    Unknown(String),
    /// It could not be kept out of logs.
    #[error(
        "secret `{0}` has fewer than {MIN_SECRET} bytes, too few to be kept out of logs: use a \
         longer one, or a parameter if it is not secret"
    )]
    TooShort(String),
    /// It could not be kept out of logs.
    #[error("secret `{0}` has more than {MAX_SECRET} bytes, too many to be kept out of logs")]
    TooLong(String),
    /// It is there, and must not be used as it is.
    #[error("secret `{name}` is refused: {reason}")]
    Refused {
        /// The secret.
        name: String,
        /// Why, in words without secrets.
        reason: String,
    },
    /// The source did not answer.
    #[error("secret `{name}` cannot be fetched now: {reason}")]
    Unavailable {
        /// The secret.
        name: String,
        /// Why, in words without secrets.
        reason: String,
    },
}

/// Tells whether a content can be masked wherever it turns up.
///
/// # Errors
/// It is shorter than [`MIN_SECRET`] or longer than [`MAX_SECRET`].
pub fn check(name: &str, content: &SecretString) -> Result<(), SecretError> {
    match content.expose_secret().len() {
        ..MIN_SECRET => Err(SecretError::TooShort(name.to_owned())),
        MIN_SECRET..=MAX_SECRET => Ok(()),
        _ => Err(SecretError::TooLong(name.to_owned())),
    }
}

impl SecretError {
    /// Tells whether asking again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Unknown(_) | Self::TooShort(_) | Self::TooLong(_) | Self::Refused { .. } => false,
        }
    }
}

/// The secrets of one attempt, by name. Shows only how many there are.
#[derive(Clone, Default)]
pub struct Secrets(Option<Arc<BTreeMap<String, SecretString>>>);

impl Secrets {
    /// No secrets.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Takes fetched contents by name.
    #[must_use]
    pub fn new(contents: BTreeMap<String, SecretString>) -> Self {
        Self((!contents.is_empty()).then(|| Arc::new(contents)))
    }

    /// Finds a content by the secret's name.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<&SecretString> {
        self.0.as_ref()?.get(name)
    }

    /// Goes through names and contents, for those who mask.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().flat_map(|all| all.iter().map(|(name, content)| (name.as_str(), content)))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.as_ref().map_or(0, |all| all.len()))
    }
}
