//! Secrets: packages and values name them, a source knows them, and only an executor sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
pub use secrecy::ExposeSecret;
pub use secrecy::SecretString;
use thiserror::Error;

/// Where the contents of secrets come from. They are fetched at dispatch and never stored.
#[async_trait]
pub trait SecretSource: Send + Sync + 'static {
    /// Fetches the content of a secret. Called once per attempt and secret; cancel safe.
    ///
    /// # Errors
    /// [`SecretError::Unknown`] fails the attempt for good, [`SecretError::Unavailable`] leads to
    /// another attempt. Neither may hold the content.
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError>;
}

/// Why a secret could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is none of that name.
    #[error("no secret is named `{0}`")]
    Unknown(String),
    /// The source did not answer.
    #[error("secret `{name}` cannot be fetched now: {reason}")]
    Unavailable {
        /// The secret.
        name: String,
        /// Why, in words without secrets.
        reason: String,
    },
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
