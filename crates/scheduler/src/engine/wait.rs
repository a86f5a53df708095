//! Waiting for the end of groups and runs.

use jobwright_core::{GroupId, GroupSummary, Status, StoreError, Verdict};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Ended, Engine, RunHandle};
use crate::driver::Message;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOutcome {
    /// Failed if a group failed, else cancelled if one was cancelled, else succeeded.
    pub verdict: Verdict,
    /// How each group ended.
    pub groups: Vec<(GroupId, Verdict)>,
}

/// Why nobody can say how a group ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WaitError {
    /// There is no such group.
    #[error("job group {0} does not exist")]
    NotFound(GroupId),
    /// The group has not ended and this engine does not drive it.
    #[error(
        "job group {0} is not driven by this engine: another one has it, or its journal cannot be \
         read"
    )]
    NotDriven(GroupId),
    /// The engine ended first; the next one takes the group up.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Waits until a group has ended. Cancel safe.
    ///
    /// # Errors
    /// There is no such group, this engine does not drive it, the engine ends first, or the store
    /// fails.
    pub async fn wait(&self, group: GroupId) -> Result<Verdict, WaitError> {
        if let Some(verdict) = self.verdict(group).await? {
            return Ok(verdict);
        }
        let (waiter, ended) = oneshot::channel();
        self.send(Message::Wait { group, waiter }).await?;
        if let Ok(verdict) = ended.await {
            return Ok(verdict);
        }
        // The loop does not drive it, or not any more: it may have ended between the two looks.
        match self.verdict(group).await {
            Ok(Some(verdict)) => Ok(verdict),
            _ if self.0.sender.is_closed() => Err(self.ended().into()),
            Ok(None) => Err(WaitError::NotDriven(group)),
            Err(error) => Err(error),
        }
    }

    /// How a group ended; none if it has not.
    async fn verdict(&self, group: GroupId) -> Result<Option<Verdict>, WaitError> {
        let found = self.find::<GroupSummary>(group).await?;
        let (summary, _) = found.ok_or(WaitError::NotFound(group))?;
        Ok(match summary.status {
            Status::Complete => Some(Verdict::Succeeded),
            Status::Failed => Some(Verdict::Failed),
            Status::Canceled => Some(Verdict::Cancelled),
            Status::Created | Status::InProgress => None,
        })
    }
}

impl RunHandle {
    /// Waits until all groups of the run have ended. Cancel safe.
    ///
    /// # Errors
    /// The engine ends first, or the store fails.
    pub async fn wait(&self) -> Result<RunOutcome, WaitError> {
        let mut groups = Vec::with_capacity(self.run().groups.len());
        // The last one first: when it has ended most others have, and need not be waited for.
        for group in self.run().groups.iter().rev() {
            groups.push((group.id, self.engine.wait(group.id).await?));
        }
        groups.reverse();
        let any = |verdict| groups.iter().any(|(_, it)| *it == verdict);
        let verdict = if any(Verdict::Failed) {
            Verdict::Failed
        } else if any(Verdict::Cancelled) {
            Verdict::Cancelled
        } else {
            Verdict::Succeeded
        };
        Ok(RunOutcome { verdict, groups })
    }
}
