//! Sources of secrets, one after the other.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jobwright_core::secret::{SecretError, SecretSource, SecretString};

/// Asks several sources, in order: the first that knows a secret answers. One that is away, or that
/// refuses a secret, is not passed over: another secret of the same name may stand behind it.
#[derive(Clone, Default)]
pub struct ChainSecrets(Vec<Arc<dyn SecretSource>>);

impl ChainSecrets {
    /// Knows no secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks this source where those before it do not know a secret.
    #[must_use]
    pub fn then(mut self, source: impl SecretSource) -> Self {
        self.0.push(Arc::new(source));
        self
    }
}

impl fmt::Debug for ChainSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sources of secrets", self.0.len())
    }
}

#[async_trait]
impl SecretSource for ChainSecrets {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        for source in &self.0 {
            match source.fetch(name).await {
                Err(SecretError::Unknown(_)) => {}
                answer => return answer,
            }
        }
        Err(SecretError::Unknown(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use jobwright_core::secret::ExposeSecret;

    use super::*;
    use crate::StaticSecrets;

    struct Away;

    #[async_trait]
    impl SecretSource for Away {
        async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
            Err(super::super::unavailable(name, "it is away"))
        }
    }

    #[tokio::test]
    async fn the_first_that_knows_answers() {
        let first = StaticSecrets::new().with("a", "of the first");
        let second = StaticSecrets::new().with("a", "of the second").with("b", "of the second");
        let chain = ChainSecrets::new().then(first).then(second);
        assert_eq!(chain.fetch("a").await.unwrap().expose_secret(), "of the first");
        assert_eq!(chain.fetch("b").await.unwrap().expose_secret(), "of the second");
        assert_eq!(chain.fetch("c").await.unwrap_err(), SecretError::Unknown("c".to_owned()));
        let chain = ChainSecrets::new().then(Away).then(chain);
        assert!(matches!(chain.fetch("a").await, Err(SecretError::Unavailable { .. })));
    }
}
