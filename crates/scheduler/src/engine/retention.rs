//! Runs that are over are removed, when they have been so for long enough.
//!
//! A run goes as a whole, with all its groups: half a run would be a run of which nobody can say
//! how it ended. The time counts from the end of the last of its groups. The task goes through the
//! runs from the oldest on, a page at a time, and holds the engine only while it looks at one.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use jobwright_core::{
    Deployment, DeploymentId, Executor, Kind, Query, Retention, Run, RunId, Status, StoreError,
    Timestamp,
};
use tokio_util::task::TaskTracker;

use super::{Engine, Inner};

/// How long after the start the runs are gone through for the first time, and how long after each
/// time they are again.
const FIRST: Duration = Duration::from_secs(5 * 60);
const EVERY: Duration = Duration::from_secs(60 * 60);

/// How many runs are looked at together.
const PAGE: u32 = 128;

/// How many groups are removed in one go: few enough that whoever writes beside it hardly waits.
const GROUPS: u32 = 64;

/// How many runs are removed together, so that small ones share the wait for the disk.
const TOGETHER: usize = 16;

/// How long others have the store for themselves between two goes.
const PAUSE: Duration = Duration::from_millis(20);

/// How long runs are kept, by deployment.
struct Kept {
    default: Retention,
    by_deployment: HashMap<DeploymentId, Retention>,
}

impl Kept {
    /// From when on runs stay: those that ended before may go. None where none may.
    fn limit(&self, of: DeploymentId, now: Timestamp) -> Option<Timestamp> {
        let retention = self.by_deployment.get(&of).copied().unwrap_or(self.default);
        before(retention, now)
    }

    /// What was accepted after this stays, whatever its deployment.
    fn newest(&self, now: Timestamp) -> Option<Timestamp> {
        let all = self.by_deployment.values().chain([&self.default]);
        all.filter_map(|retention| before(*retention, now)).max()
    }
}

fn before(retention: Retention, now: Timestamp) -> Option<Timestamp> {
    let millis = i64::try_from(retention.duration()?.as_millis()).unwrap_or(i64::MAX);
    Some(Timestamp::from_millis(now.as_millis().saturating_sub(millis)))
}

/// Removes what is over for long enough, until the engine ends.
pub(super) fn keep(inner: &Arc<Inner>, default: Retention, executors: Vec<Arc<dyn Executor>>) {
    let weak = Arc::downgrade(inner);
    TaskTracker::new().spawn(attend(weak, default, executors.into()));
}

async fn attend(inner: Weak<Inner>, default: Retention, executors: Arc<[Arc<dyn Executor>]>) {
    tokio::time::sleep(FIRST).await;
    loop {
        let swept = std::panic::AssertUnwindSafe(sweep(&inner, default, &executors));
        match swept.catch_unwind().await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return,
            Ok(Err(error)) => tracing::warn!(%error, "runs that are over cannot be removed now"),
            Err(_) => tracing::error!("removing runs that are over panicked, which is a bug"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Goes through all runs once; false when the engine has ended.
async fn sweep(
    inner: &Weak<Inner>,
    default: Retention,
    executors: &[Arc<dyn Executor>],
) -> Result<bool, StoreError> {
    let (mut after, mut gone) = (None, 0);
    loop {
        let Some(engine) = inner.upgrade().map(|inner| Engine(inner, None)) else {
            return Ok(false);
        };
        if engine.0.end.get().is_some() {
            return Ok(false);
        }
        let (due, last) = engine.due(default, after).await?;
        drop(engine);
        for runs in due.chunks(TOGETHER) {
            let Some(engine) = inner.upgrade().map(|inner| Engine(inner, None)) else {
                return Ok(false);
            };
            gone += engine.forget(runs, executors).await?;
        }
        match last {
            Some(last) => after = Some(last),
            None => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    if gone > 0 {
        tracing::info!(job_groups = gone, "job groups that ended long ago are removed");
    }
    Ok(true)
}

impl Engine {
    /// The runs of a page that may go, and where the next page begins; none where there is no more
    /// to look at.
    async fn due(
        &self,
        default: Retention,
        after: Option<i64>,
    ) -> Result<(Vec<RunId>, Option<i64>), StoreError> {
        let now = self.now();
        let kept = self.kept(default).await?;
        let Some(newest) = kept.newest(now) else { return Ok((Vec::new(), None)) };
        let query = Query { after, limit: PAGE, ..Query::all(Kind::Run) };
        let runs = self.list::<Run>(query).await?;
        let is_last = runs.len() < PAGE as usize;
        let mut due = Vec::new();
        for run in &runs {
            // Ids grow with time: what comes behind is younger still.
            if run.created_at > newest {
                return Ok((due, None));
            }
            let Some(limit) = kept.limit(run.deployment, now) else { continue };
            if run.created_at <= limit && self.ended_before(run.id, limit).await? {
                due.push(run.id);
            }
        }
        let last = runs.last().map(|run| run.id.get()).filter(|_| !is_last);
        Ok((due, last))
    }

    async fn kept(&self, default: Retention) -> Result<Kept, StoreError> {
        let all = self.list_all::<Deployment>(Query::all(Kind::Deployment)).await?;
        let own = all.into_iter().filter_map(|it| Some((it.id, it.retention?)));
        Ok(Kept { default, by_deployment: own.collect() })
    }

    async fn ended_before(&self, run: RunId, limit: Timestamp) -> Result<bool, StoreError> {
        let groups = self.groups(run).await?;
        let is_over = |status: Status| status.is_terminal();
        Ok(groups.iter().all(|it| is_over(it.status) && it.updated_at <= limit))
    }

    /// Removes runs that are over, and what executors keep of them. Returns how many groups went.
    async fn forget(
        &self,
        runs: &[RunId],
        executors: &[Arc<dyn Executor>],
    ) -> Result<u64, StoreError> {
        // First: if the engine ends between the two, the runs are found again and both repeated.
        for run in runs {
            let groups = self.groups(*run).await?;
            self.0.statuses.forget(groups.iter().map(|group| group.id));
            for group in groups {
                for executor in executors {
                    executor.forget(group.id).await;
                }
            }
        }
        let mut gone = 0;
        loop {
            let pruned = self.0.store.prune(runs, GROUPS).await?;
            gone += pruned.groups;
            if !pruned.more {
                return Ok(gone);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
