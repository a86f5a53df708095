//! Cancelling groups and runs.

use futures_util::future::try_join_all;
use jobwright_core::{
    CancelOrder, CancelReason, Change, Deed, Document, GroupId, GroupSummary, StoreError, Verb,
};
use thiserror::Error;
use tokio::sync::oneshot;

use super::catalog::WriteError;
use super::{Ended, Engine, RunHandle};
use crate::driver::Message;

/// Why a group could not be cancelled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CancelError {
    /// There is no such group.
    #[error("job group {0} does not exist")]
    NotFound(GroupId),
    /// The group has not ended and this engine does not drive it. Nothing was done.
    #[error(
        "job group {0} is not driven by this engine: another one has it, or its journal cannot be \
         read"
    )]
    NotDriven(GroupId),
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
    /// has ended; an engine on the same store that drives the group finds the request within a
    /// second. Does nothing to a group that has ended; cancelling twice is the same as once.
    /// Cancel safe: the request may or may not have been made.
    ///
    /// # Errors
    /// There is no such group, no engine drives it, the engine has ended, or the store fails.
    pub async fn cancel(&self, group: GroupId, reason: &str) -> Result<(), CancelError> {
        if self.has_ended(group).await? {
            return Ok(());
        }
        let record = self.audited(vec![Deed::new(Verb::Cancel, group)]).await?.map(Box::new);
        let (answer, done) = oneshot::channel();
        let reason = CancelReason::Requested(reason.into());
        let message = Message::Cancel { group, reason: reason.clone(), record, answer };
        self.send(message).await?;
        if done.await.is_ok() {
            return Ok(());
        }
        match self.has_ended(group).await {
            Ok(true) => Ok(()),
            _ if self.0.sender.is_closed() => Err(self.ended().into()),
            Ok(false) if self.0.lookout.is_some() => self.order_cancel(group, reason).await,
            Ok(false) => Err(CancelError::NotDriven(group)),
            Err(error) => Err(error),
        }
    }

    /// Asks whoever drives a group to cancel it. The request is durable when this returns, and is
    /// found by whoever drives the group then.
    async fn order_cancel(&self, group: GroupId, reason: CancelReason) -> Result<(), CancelError> {
        let CancelReason::Requested(reason) = reason else { return Ok(()) };
        let (by, at) = (self.actor(), self.0.clock.now());
        let order = CancelOrder { group, reason, by, at };
        let mut changes = vec![Change::insert(Document::CancelOrder(order))];
        changes.extend(self.audited(vec![Deed::new(Verb::Cancel, group)]).await?);
        match self.commit(changes, Vec::new()).await {
            // Who comes second cancels nothing.
            Ok(()) | Err(WriteError::Changed | WriteError::Taken(_)) => Ok(()),
            Err(WriteError::Store(error)) => Err(error.into()),
        }
    }

    async fn has_ended(&self, group: GroupId) -> Result<bool, CancelError> {
        let found = self.find::<GroupSummary>(group).await?;
        let (summary, _) = found.ok_or(CancelError::NotFound(group))?;
        Ok(summary.status.is_terminal())
    }
}

impl RunHandle {
    /// Cancels all groups of the run at once, see [`Engine::cancel`].
    ///
    /// # Errors
    /// As for [`Engine::cancel`].
    pub async fn cancel(&self, reason: &str) -> Result<(), CancelError> {
        let groups = self.groups().map(|group| self.engine.cancel(group, reason));
        try_join_all(groups).await.map(drop)
    }
}
