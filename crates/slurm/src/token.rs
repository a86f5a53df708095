//! The token with which the cluster is asked. It has an end, so it is fetched again: now and then,
//! and after every request that did not go well, since an old token and a cluster that is away look
//! the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobwright_adapters::remote::{Trouble, instant};
use jobwright_core::secret::{SecretSource, SecretString};
use tokio::time::Instant;

/// How long a token is used before it is fetched again.
const FRESH: Duration = Duration::from_secs(60);

pub(crate) struct Token {
    source: Arc<dyn SecretSource>,
    name: String,
    known: Mutex<Option<(SecretString, Instant)>>,
}

impl Token {
    pub(crate) fn new(source: Arc<dyn SecretSource>, name: String) -> Self {
        Self { source, name, known: Mutex::new(None) }
    }

    pub(crate) async fn get(&self) -> Result<SecretString, Trouble> {
        let now = instant();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((token, until)) = known
            && until > now
        {
            return Ok(token);
        }
        let token = self.source.fetch(&self.name).await;
        let token = token.map_err(|error| match error.is_retryable() {
            true => Trouble::Unsent(error.to_string()),
            false => Trouble::Denied(error.to_string()),
        })?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((token.clone(), now + FRESH));
        Ok(token)
    }

    /// A request did not go well: it may be the token's end.
    pub(crate) fn doubt(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
