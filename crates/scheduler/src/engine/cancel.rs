//! Cancelling groups and runs.

use jobwright_core::{CancelReason, Deed, GroupId, GroupSummary, StoreError, Verb};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Ended, Engine, RunHandle};
use crate::driver::Message;

/// Why a group could not be cancelled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CancelError {
    /// There is no such group.
    #[error("job group {0} does not exist")]
    NotFound(GroupId),
    /// The engine has ended.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Cancels a group: what has not begun never does, live attempts are asked to stop, and after
    /// each step's grace they are killed. Returns when the request is durable, not when the group
    /// has ended. Does nothing to a group that has ended; cancelling twice is the same as once.
    /// Cancel safe: the request may or may not have been made.
    ///
    /// # Errors
    /// There is no such group, the engine has ended, or the store fails.
    pub async fn cancel(&self, group: GroupId, reason: &str) -> Result<(), CancelError> {
        if self.find::<GroupSummary>(group).await?.is_none() {
            return Err(CancelError::NotFound(group));
        }
        // Before the deed, since the driver's commit knows nobody.
        self.record(Deed::new(Verb::Cancel, group)).await?;
        let (answer, done) = oneshot::channel();
        let reason = CancelReason::Requested(reason.into());
        self.send(Message::Cancel { group, reason, answer }).await?;
        done.await.map_err(|_| self.ended().into())
    }
}

impl RunHandle {
    /// Cancels all groups of the run, see [`Engine::cancel`].
    ///
    /// # Errors
    /// As for [`Engine::cancel`].
    pub async fn cancel(&self, reason: &str) -> Result<(), CancelError> {
        for group in self.groups() {
            self.engine.cancel(group, reason).await?;
        }
        Ok(())
    }
}
