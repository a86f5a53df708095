//! How groups begin: accepted, held behind earlier runs of their deployment, or refused.

use std::sync::Arc;

use jobwright_core::{
    CancelReason, DeploymentId, Epoch, Event, GroupId, JobIndex, Plan, PlannedJob, RunContext,
    RunId, RunPolicy, Timestamp,
};
use smallvec::SmallVec;

use super::classes::Class;
use super::group::Group;
use super::io::{Effect, GroupEvents, StepResult};
use super::job::JobState;
use super::limits::Use;
use super::timers::deadline;
use super::{FEW, Scheduler};

impl Scheduler {
    pub(super) fn submit(
        &mut self,
        groups: Vec<(GroupId, Arc<Plan>)>,
        epoch: Epoch,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let Some((_, plan)) = groups.first() else { return };
        let run = Arc::clone(&plan.run);
        if let Some(running) = self.runs.first(run.deployment) {
            match run.policy {
                RunPolicy::Allow | RunPolicy::Queue => {}
                RunPolicy::Skip => {
                    out.effects.push(Effect::Refuse { run: run.run, running });
                    return;
                }
                RunPolicy::CancelPrevious => self.supersede(&run, now, out),
            }
        }
        self.slots.reserve(groups.len().saturating_sub(self.free.len()));
        out.journal.reserve(groups.len());
        for (id, plan) in groups {
            self.accept(id, epoch, plan, now, out);
        }
    }

    fn accept(
        &mut self,
        id: GroupId,
        epoch: Epoch,
        plan: Arc<Plan>,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let group = Group::accepted(id, epoch, Arc::clone(&plan), now);
        let summary = Some(group.summary());
        let entry = (out.turn, out.journal.len());
        let events = out.events(Event::Accepted { plan });
        let first = jobwright_core::Seq(1);
        out.journal.push(GroupEvents { group: id, epoch, first, events, summary });
        let slot = self.insert(group, entry);
        self.start(slot, now, out);
    }

    /// Skips the jobs that no longer can have what they need.
    pub(super) fn skip_unmet(&mut self, slot: u32, now: Timestamp, out: &mut StepResult) {
        for job in self.group(slot).indexes() {
            if let JobState::Waiting { unmet: true, .. } = self.group(slot).job(job).state {
                self.skip(slot, job, now, out);
            }
        }
    }

    /// Cancels the earlier runs of a deployment.
    fn supersede(&mut self, run: &RunContext, now: Timestamp, out: &mut StepResult) {
        for group in self.runs.earlier(run.deployment, run.run) {
            self.cancel(group, &CancelReason::Superseded, now, out);
        }
    }

    /// The earlier run that a group has to wait for.
    pub(super) fn run_ahead(&self, run: &RunContext) -> Option<RunId> {
        match run.policy {
            RunPolicy::Allow | RunPolicy::Skip => None,
            RunPolicy::Queue | RunPolicy::CancelPrevious => {
                self.runs.first(run.deployment).filter(|first| *first < run.run)
            }
        }
    }

    /// Makes the jobs of a group ready that need nothing more, unless an earlier run is ahead.
    pub(super) fn start(&mut self, slot: u32, now: Timestamp, out: &mut StepResult) {
        if self.slot(slot).stands || self.run_ahead(&self.group(slot).plan.run).is_some() {
            return;
        }
        if !self.group(slot).plan.carried.is_empty() {
            self.skip_unmet(slot, now, out);
        }
        for job in self.group(slot).indexes() {
            if let JobState::Waiting { needs: 0, unmet: false } = self.group(slot).job(job).state {
                self.make_ready(slot, job, now, out);
            }
        }
    }

    /// Lets the groups of a run begin that is now the first of its deployment.
    pub(super) fn start_run(
        &mut self,
        (deployment, run): (DeploymentId, RunId),
        now: Timestamp,
        out: &mut StepResult,
    ) {
        for group in self.runs.groups(deployment, run).to_vec() {
            if let Some(slot) = self.by_id.get(&group).copied() {
                self.start(slot, now, out);
            }
        }
    }

    pub(super) fn make_ready(
        &mut self,
        slot: u32,
        job: JobIndex,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let timeouts = &self.class(slot, job).timeouts;
        let total_by = match self.group(slot).job(job).total_by {
            Timestamp::NEVER => deadline(now, timeouts.total),
            known => known,
        };
        let queue_by = now + timeouts.queue;
        self.record(slot, Event::Ready { job, queue_by, total_by }, now, out);
    }

    /// The class of each job of a group.
    pub(super) fn classes_of(&mut self, group: &Group) -> SmallVec<[u32; FEW]> {
        let run = &group.plan.run;
        let deployment = run.deployment_limit.map(|_| run.deployment);
        let mut known: Option<(&PlannedJob, u32)> = None;
        let classes = group.plan.jobs.iter().map(|job| {
            if let Some((like, class)) = known
                && like.executor == job.executor
                && (Arc::ptr_eq(&like.policy, &job.policy) || like.policy == job.policy)
            {
                return class;
            }
            let executor = self.limits.executor_index(&job.executor);
            let policy = &job.policy;
            let pool = policy.pool.as_ref();
            let pool = pool.map(|share| (self.limits.pool_index(&share.name), share.weight.max(1)));
            let lane = self.lanes.lane(Use { executor, pool, deployment });
            let (priority, timeouts) = (policy.priority, policy.timeouts.clone());
            let class = self.classes.class(Class { lane, priority, timeouts });
            known = Some((job, class));
            class
        });
        classes.collect()
    }
}
