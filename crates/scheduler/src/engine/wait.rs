//! Waiting for the end of groups and runs.

use std::collections::BTreeMap;

use jobwright_core::{GroupId, GroupSummary, Kind, Query, RunId, Status, StoreError, Verdict};
use thiserror::Error;
use tokio::sync::oneshot;

use super::lookout::{LOOK, hint};
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
    /// Waits until a group has ended, whichever engine on the store drives it. Cancel safe.
    ///
    /// # Errors
    /// There is no such group, no engine drives it, this engine ends first, or the store fails.
    pub async fn wait(&self, group: GroupId) -> Result<Verdict, WaitError> {
        let mut woken = self.0.lookout.as_ref().map(|lookout| lookout.wakes());
        loop {
            if let Some(verdict) = self.verdict(group).await? {
                return Ok(verdict);
            }
            let (waiter, ended) = oneshot::channel();
            self.send(Message::Wait { group, waiter }).await?;
            if let Ok(verdict) = ended.await {
                return Ok(verdict);
            }
            // The loop does not drive it, or not any more: it may have ended between the two looks.
            match (self.verdict(group).await, &mut woken) {
                (Ok(Some(verdict)), _) => return Ok(verdict),
                _ if self.0.sender.is_closed() => return Err(self.ended().into()),
                (Ok(None), None) => return Err(WaitError::NotDriven(group)),
                (Ok(None), Some(woken)) => hint(woken, LOOK).await,
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// How a group ended; none if it has not.
    async fn verdict(&self, group: GroupId) -> Result<Option<Verdict>, WaitError> {
        let found = self.find::<GroupSummary>(group).await?;
        let (summary, _) = found.ok_or(WaitError::NotFound(group))?;
        Ok(verdict_of(summary.status))
    }

    /// How the groups of a run ended that have, the others without.
    async fn verdicts(&self, run: RunId) -> Result<BTreeMap<GroupId, Option<Verdict>>, StoreError> {
        let groups: Vec<GroupSummary> =
            self.list_all(Query::all(Kind::Group).parent(run.get())).await?;
        Ok(groups.into_iter().map(|it| (it.id, verdict_of(it.status))).collect())
    }
}

impl RunHandle {
    /// Waits until all groups of the run have ended. Cancel safe.
    ///
    /// # Errors
    /// The engine ends first, or the store fails.
    pub async fn wait(&self) -> Result<RunOutcome, WaitError> {
        // Most groups end while another is waited for, so the store is asked for all of them
        // together, and not before one was waited for: a run that has just begun has nothing to
        // show. With each look twice as many are waited for: there are few looks, in whatever order
        // the groups end.
        let mut open: Vec<_> = self.groups().collect();
        let mut between_looks = 1;
        let ended = loop {
            // The last one first: when it has ended most others have.
            for group in open.iter().rev().take(between_looks) {
                self.engine.wait(*group).await?;
            }
            between_looks *= 2;
            let verdicts = self.engine.verdicts(self.id()).await?;
            open.retain(|group| verdicts.get(group).is_none_or(Option::is_none));
            if open.is_empty() {
                break verdicts;
            }
        };
        let verdict = |group| Some((group, ended.get(&group).copied().flatten()?));
        let groups: Vec<_> = self.groups().filter_map(verdict).collect();
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

fn verdict_of(status: Status) -> Option<Verdict> {
    match status {
        Status::Complete => Some(Verdict::Succeeded),
        Status::Failed => Some(Verdict::Failed),
        Status::Canceled => Some(Verdict::Cancelled),
        Status::Created | Status::InProgress => None,
    }
}
