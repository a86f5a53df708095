//! Secrets that are known beforehand.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jobwright_core::secret::{SecretError, SecretSource, SecretString};

/// Knows a fixed set of secrets: for tests, and for programs that have them already.
#[derive(Clone, Default)]
pub struct StaticSecrets(BTreeMap<String, SecretString>);

impl StaticSecrets {
    /// Knows no secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret, or replaces it.
    #[must_use]
    pub fn with(mut self, name: &str, content: &str) -> Self {
        self.0.insert(name.to_owned(), content.to_owned().into());
        self
    }
}

impl fmt::Debug for StaticSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[async_trait]
impl SecretSource for StaticSecrets {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        self.0.get(name).cloned().ok_or_else(|| SecretError::Unknown(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use jobwright_core::secret::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn what_is_given_is_known() {
        let source = StaticSecrets::new().with("a", "content");
        assert_eq!(source.fetch("a").await.unwrap().expose_secret(), "content");
        assert!(source.fetch("b").await.is_err());
        assert_eq!(format!("{source:?}"), r#"{"a"}"#);
    }
}
