//! Waiting for the end of groups and runs.

use jobwright_core::{GroupId, GroupSummary, Status, StoreError, Verdict};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Ended, Engine, RunHandle};

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
    /// There is no such group, the engine ends first, or the store fails.
    pub async fn wait(&self, group: GroupId) -> Result<Verdict, WaitError> {
        let (sender, ended) = oneshot::channel();
        // First listen, then look: an end between the two is heard.
        {
            let mut waiters = self.0.waiters.entry(group).or_default();
            waiters.retain(|waiter| !waiter.is_closed());
            waiters.push(sender);
        }
        let found = self.find::<GroupSummary>(group).await?;
        let status = found.map(|(summary, _)| summary.status);
        match status {
            Some(Status::Complete) => Ok(Verdict::Succeeded),
            Some(Status::Failed) => Ok(Verdict::Failed),
            Some(Status::Canceled) => Ok(Verdict::Cancelled),
            Some(Status::Created | Status::InProgress) => {
                if self.0.sender.is_closed() {
                    return Err(self.ended().into());
                }
                ended.await.map_err(|_| self.ended().into())
            }
            None => {
                self.0.waiters.remove(&group);
                Err(WaitError::NotFound(group))
            }
        }
    }
}

impl RunHandle {
    /// Waits until all groups of the run have ended. Cancel safe.
    ///
    /// # Errors
    /// The engine ends first, or the store fails.
    pub async fn wait(&self) -> Result<RunOutcome, WaitError> {
        let mut groups = Vec::with_capacity(self.run().groups.len());
        for group in self.groups() {
            groups.push((group, self.engine.wait(group).await?));
        }
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
