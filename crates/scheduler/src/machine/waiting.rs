//! "Why is it not running?", answered from the state.

use jobwright_core::{
    DeploymentId, ExecutorName, GroupId, JobIndex, NodeId, PoolName, RunId, StopReason, Timestamp,
};

use super::Scheduler;
use super::job::JobState;
use super::limits::Limit;

/// The exact cause why a job is where it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WaitReason {
    /// These jobs that it needs have not ended.
    Needs(Vec<JobIndex>),
    /// An earlier run of its deployment is live, and the deployment runs one after the other.
    RunAhead(RunId),
    /// The engine has no executor of that name.
    NoExecutor(ExecutorName),
    /// All slots of its executor are used.
    ExecutorFull {
        /// The executor.
        executor: ExecutorName,
        /// Its slots.
        limit: u32,
    },
    /// Its pool has not enough left.
    PoolFull {
        /// The pool.
        pool: PoolName,
        /// How much there is.
        limit: u32,
        /// How much is used; more than the limit while a larger share is live.
        used: u64,
    },
    /// Its deployment has as many live attempts as it may have.
    DeploymentFull {
        /// The deployment.
        deployment: DeploymentId,
        /// How many it may have.
        limit: u32,
    },
    /// Others that are ready go first.
    Turn,
    /// Another engine drives its group: the one that took the group up last, if it ever changed
    /// hands. That one knows more.
    Elsewhere(Option<NodeId>),
    /// The engine shuts down and begins nothing.
    Draining,
    /// An attempt failed; the next one comes then.
    BackingOff(Timestamp),
    /// It was handed over and the executor has not said that it took it.
    Requested {
        /// When the attempt is stopped.
        end_by: Timestamp,
    },
    /// It runs.
    Running {
        /// When the attempt is stopped.
        end_by: Timestamp,
    },
    /// It was asked to stop.
    Stopping {
        /// Why.
        reason: StopReason,
        /// When it is given up.
        kill_by: Timestamp,
    },
}

impl Scheduler {
    /// Says why a job is where it is; none if it has ended or the machine does not drive it.
    #[must_use]
    pub fn waiting(&self, group: GroupId, job: JobIndex) -> Option<WaitReason> {
        let slot = *self.by_id.get(&group)?;
        let it = self.slot(slot);
        let reason = match &it.group.jobs.get(job.at())?.state {
            JobState::Done { .. } => return None,
            JobState::Waiting { .. } => {
                let needs = it.group.planned(job).needs.iter().map(|need| need.job);
                let open = needs.filter(|need| it.group.job(*need).verdict().is_none());
                let open: Vec<_> = open.collect();
                match self.run_ahead(&it.group.plan.run) {
                    Some(run) if open.is_empty() => WaitReason::RunAhead(run),
                    Some(_) | None => WaitReason::Needs(open),
                }
            }
            JobState::Ready { .. } if self.draining => WaitReason::Draining,
            JobState::Ready { .. } => self.blocked_by(self.lane(slot, job)),
            JobState::Requested(live) => WaitReason::Requested { end_by: live.end_by },
            JobState::Running(live) => WaitReason::Running { end_by: live.end_by },
            JobState::Stopping(stopping) => {
                WaitReason::Stopping { reason: stopping.reason.clone(), kill_by: stopping.kill_by }
            }
            JobState::BackingOff { until } => WaitReason::BackingOff(*until),
        };
        Some(reason)
    }

    /// Says why each open job of a group is where it is; nothing if the machine does not drive it.
    #[must_use]
    pub fn waiting_jobs(&self, group: GroupId) -> Vec<(JobIndex, WaitReason)> {
        let Some(slot) = self.by_id.get(&group) else { return Vec::new() };
        let jobs = self.group(*slot).indexes();
        jobs.filter_map(|job| Some((job, self.waiting(group, job)?))).collect()
    }

    fn blocked_by(&self, lane: u32) -> WaitReason {
        match self.limits.blocks(self.lanes.uses(lane)) {
            None => WaitReason::Turn,
            Some(Limit::Executor(index)) => {
                let (name, gauge) = self.limits.executor_gauge(index);
                match gauge.limit {
                    0 => WaitReason::NoExecutor(name.clone()),
                    limit => WaitReason::ExecutorFull { executor: name.clone(), limit },
                }
            }
            Some(Limit::Pool(index)) => {
                let (name, gauge) = self.limits.pool_gauge(index);
                WaitReason::PoolFull { pool: name.clone(), limit: gauge.limit, used: gauge.used }
            }
            Some(Limit::Deployment(deployment)) => {
                let limit = self.limits.deployment_gauge(deployment).map_or(0, |it| it.limit);
                WaitReason::DeploymentFull { deployment, limit }
            }
        }
    }
}
