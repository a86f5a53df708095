//! Sources of secrets: the process's environment, and a fixed map.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jobwright_core::secret::{SecretError, SecretSource, SecretString};

use crate::spelling;

/// Finds secrets in the environment of this process: `api-key` is the variable
/// `JOBWRIGHT_SECRET_API_KEY`. Letters become upper case; what is neither a letter nor a digit
/// becomes `_`, so `api-key` and `api_key` are the same secret.
///
/// Local processes never inherit these variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSecrets {
    prefix: String,
}

impl Default for EnvSecrets {
    fn default() -> Self {
        Self::new("JOBWRIGHT_SECRET_")
    }
}

impl EnvSecrets {
    /// Sets what the variables' names begin with.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn variable(&self, name: &str) -> String {
        format!("{}{}", self.prefix, spelling::variable(name))
    }
}

#[async_trait]
impl SecretSource for EnvSecrets {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        let unknown = || SecretError::Unknown(name.to_owned());
        if name.is_empty() {
            return Err(unknown());
        }
        let variable = self.variable(name);
        let content = std::env::var_os(&variable).ok_or_else(unknown)?;
        let content = content.into_string().map_err(|_| SecretError::Unavailable {
            name: name.to_owned(),
            reason: format!("the variable `{variable}` is not UTF-8"),
        })?;
        Ok(content.into())
    }
}

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
    async fn sources_find_what_they_know() {
        // Cargo gives every test this variable: tests cannot set one without unsafe code.
        let source = EnvSecrets::new("CARGO_PKG_");
        let found = source.fetch("name").await.unwrap();
        assert_eq!(found.expose_secret(), "jobwright-adapters");
        for unknown in ["", "no such secret"] {
            let error = source.fetch(unknown).await.unwrap_err();
            assert_eq!(error, SecretError::Unknown(unknown.to_owned()));
        }
        assert_eq!(EnvSecrets::default().variable("api-key 2"), "JOBWRIGHT_SECRET_API_KEY_2");

        let source = StaticSecrets::new().with("a", "content");
        assert_eq!(source.fetch("a").await.unwrap().expose_secret(), "content");
        assert!(source.fetch("b").await.is_err());
        assert_eq!(format!("{source:?}"), r#"{"a"}"#);
    }
}
