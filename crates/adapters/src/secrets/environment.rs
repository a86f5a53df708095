//! Secrets in the environment of this process.

use std::collections::BTreeSet;

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
    only: Option<BTreeSet<String>>,
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
        Self { prefix: prefix.to_owned(), only: None }
    }

    /// Knows these secrets alone, whatever else the environment has.
    #[must_use]
    pub fn only<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        Self { only: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    fn variable(&self, name: &str) -> String {
        format!("{}{}", self.prefix, spelling::variable(name))
    }
}

#[async_trait]
impl SecretSource for EnvSecrets {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        let unknown = || SecretError::Unknown(name.to_owned());
        if name.is_empty() || self.only.as_ref().is_some_and(|only| !only.contains(name)) {
            return Err(unknown());
        }
        let variable = self.variable(name);
        let content = std::env::var_os(&variable).ok_or_else(unknown)?;
        let content = content.into_string().map_err(|_| SecretError::Refused {
            name: name.to_owned(),
            reason: format!("the variable `{variable}` is not UTF-8"),
        })?;
        Ok(content.into())
    }
}

#[cfg(test)]
mod tests {
    use jobwright_core::secret::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn variables_are_found_by_their_names() {
        // Cargo gives every test this variable: tests cannot set one without unsafe code.
        let source = EnvSecrets::new("CARGO_PKG_");
        let found = source.fetch("name").await.unwrap();
        assert_eq!(found.expose_secret(), "jobwright-adapters");
        let only = |name: &str| source.clone().only([name]);
        assert!(only("name").fetch("name").await.is_ok());
        for (source, unknown) in
            [(source.clone(), ""), (source.clone(), "no such secret"), (only("version"), "name")]
        {
            let error = source.fetch(unknown).await.unwrap_err();
            assert_eq!(error, SecretError::Unknown(unknown.to_owned()));
        }
        assert_eq!(EnvSecrets::default().variable("api-key 2"), "JOBWRIGHT_SECRET_API_KEY_2");
    }
}
