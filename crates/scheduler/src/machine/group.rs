//! The state of one group, and [`Group::apply`]: the one function that changes it, live and in
//! replay. It consults no policy and no clock; what it needs to know is in the event.

use std::sync::Arc;

use jobwright_core::webhook::Announcement;
use jobwright_core::{
    CancelReason, Epoch, Event, GroupId, GroupSummary, JobIndex, Left, Next, Plan, PlannedJob, Seq,
    Status, Success, Timestamp, Trigger, Verdict,
};

use super::graph::Dependents;
use super::job::{Job, JobState, Live, Stopping, Tally, status_of};

/// A group that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(super) id: GroupId,
    pub(super) epoch: Epoch,
    pub(super) plan: Arc<Plan>,
    pub(super) dependents: Dependents,
    pub(super) jobs: Vec<Job>,
    /// Jobs that are not done.
    pub(super) open: u32,
    pub(super) failed: u32,
    pub(super) cancelled: u32,
    /// Why the group is being cancelled.
    pub(super) cancel: Option<CancelReason>,
    pub(super) ended: Option<Verdict>,
    pub(super) begun: bool,
    /// Some job did not just succeed and leave nothing: only then are there inputs to look for.
    leaves: bool,
    /// The position of the next event.
    pub(super) next: Seq,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

impl Group {
    /// A group just accepted: the state after its first event.
    pub(super) fn accepted(id: GroupId, epoch: Epoch, plan: Arc<Plan>, at: Timestamp) -> Self {
        let jobs: Vec<_> = plan.jobs.iter().map(|job| Job::new(job.needs.len())).collect();
        let done = Arc::clone(&plan);
        let mut group = Self {
            id,
            epoch,
            dependents: Dependents::of(&plan),
            open: jobs.len() as u32,
            jobs,
            plan,
            failed: 0,
            cancelled: 0,
            cancel: None,
            ended: None,
            begun: false,
            leaves: false,
            next: Seq(2),
            created_at: at,
            updated_at: at,
        };
        for it in &done.carried {
            group.end_job(it.job, Verdict::Succeeded, it.result.clone());
        }
        group
    }

    /// Changes the state by one event that happened at `at`.
    pub(super) fn apply(&mut self, event: &Event, at: Timestamp) {
        self.next.0 += 1;
        match event {
            Event::Accepted { .. } => {}
            Event::Adopted { epoch, .. } => self.epoch = *epoch,
            Event::Ready { job, queue_by, total_by } => {
                let job = &mut self.jobs[job.at()];
                job.total_by = *total_by;
                job.state = JobState::Ready { since: at, queue_by: *queue_by };
            }
            Event::Requested { job, attempt, end_by, beat_by } => {
                if !self.begun {
                    self.begun = true;
                    self.updated_at = at;
                }
                let beat_by = beat_by.unwrap_or(Timestamp::NEVER);
                let live = Live { number: *attempt, end_by: *end_by, beat_by, handle: None };
                self.jobs[job.at()].state = JobState::Requested(live);
            }
            Event::Started { job, handle, .. } => self.apply_started(*job, handle.as_ref()),
            Event::Beat { job, beat_by, .. } => {
                if let Some(live) = self.live_mut(*job) {
                    live.beat_by = *beat_by;
                }
            }
            Event::Stopping { job, reason, kill_by, .. } => {
                let job = &mut self.jobs[job.at()];
                if let Some(live) = job.live().cloned() {
                    let stopping = Stopping { live, reason: reason.clone(), kill_by: *kill_by };
                    job.state = JobState::Stopping(Box::new(stopping));
                }
            }
            Event::AttemptEnded { job, attempt, outcome, next } => {
                self.jobs[job.at()].tally.count(*attempt, outcome);
                match next {
                    Next::Retry { at } => {
                        self.jobs[job.at()].state = JobState::BackingOff { until: *at };
                    }
                    Next::End { verdict, .. } => {
                        let result = match outcome {
                            jobwright_core::Outcome::Succeeded(success) => success.clone(),
                            jobwright_core::Outcome::Failed(_) => Success::empty(),
                        };
                        self.end_job(*job, *verdict, result);
                    }
                }
            }
            Event::JobEnded { job, verdict, .. } => {
                self.end_job(*job, *verdict, Success::empty());
            }
            Event::CancelRequested { reason } => self.cancel = Some(reason.clone()),
            Event::GroupEnded { verdict } => {
                self.ended = Some(*verdict);
                self.updated_at = at;
            }
        }
    }

    fn apply_started(&mut self, job: JobIndex, handle: Option<&jobwright_core::Handle>) {
        if let Some(live) = self.live_mut(job) {
            live.handle = handle.cloned();
        }
        let job = &mut self.jobs[job.at()];
        if let JobState::Requested(live) = &mut job.state {
            let handle = live.handle.take();
            job.state = JobState::Running(Live { handle, ..*live });
        }
    }

    fn live_mut(&mut self, job: JobIndex) -> Option<&mut Live> {
        match &mut self.jobs[job.at()].state {
            JobState::Requested(live) | JobState::Running(live) => Some(live),
            JobState::Stopping(stopping) => Some(&mut stopping.live),
            JobState::Waiting { .. }
            | JobState::Ready { .. }
            | JobState::BackingOff { .. }
            | JobState::Done { .. } => None,
        }
    }

    /// Ends a job and tells those that need it; who is ready or to be skipped by that shows in
    /// their state, and becomes a fact by an event of its own.
    fn end_job(&mut self, job: JobIndex, verdict: Verdict, result: Success) {
        self.leaves |= verdict != Verdict::Succeeded || result.result().is_some();
        self.jobs[job.at()].state = JobState::Done { verdict, result };
        self.open -= 1;
        match verdict {
            Verdict::Failed if !self.plan.jobs[job.at()].optional => self.failed += 1,
            Verdict::Cancelled => self.cancelled += 1,
            Verdict::Failed | Verdict::Succeeded | Verdict::Skipped => {}
        }
        for edge in self.dependents.of_job(job) {
            if let JobState::Waiting { needs, unmet } = &mut self.jobs[edge.job.at()].state {
                if accepts(edge.when, verdict) {
                    *needs -= 1;
                } else {
                    *unmet = true;
                }
            }
        }
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The position of the next event.
    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    pub(super) fn job(&self, job: JobIndex) -> &Job {
        &self.jobs[job.at()]
    }

    pub(super) fn planned(&self, job: JobIndex) -> &PlannedJob {
        &self.plan.jobs[job.at()]
    }

    /// How the needed jobs ended and what they left, but for those that succeeded and left nothing.
    pub(super) fn inputs(&self, job: JobIndex) -> Vec<Left> {
        let mut inputs = Vec::new();
        if !self.leaves {
            return inputs;
        }
        for (place, need) in self.planned(job).needs.iter().enumerate() {
            match &self.job(need.job).state {
                JobState::Done { verdict: Verdict::Succeeded, result }
                    if result.result().is_none() => {}
                JobState::Done { verdict, result } => inputs.push(Left {
                    need: place as u32,
                    verdict: *verdict,
                    result: result.result().cloned(),
                }),
                JobState::Waiting { .. }
                | JobState::Ready { .. }
                | JobState::Requested(_)
                | JobState::Running(_)
                | JobState::Stopping(_)
                | JobState::BackingOff { .. } => {}
            }
        }
        inputs
    }

    /// How the group ends when its last job has.
    pub(super) fn verdict(&self) -> Verdict {
        if self.failed > 0 {
            Verdict::Failed
        } else if self.cancel.is_some() && self.cancelled > 0 {
            Verdict::Cancelled
        } else {
            Verdict::Succeeded
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self.ended {
            Some(verdict) => status_of(verdict),
            None if self.begun => Status::InProgress,
            None => Status::Created,
        }
    }

    pub(super) fn summary(&self) -> GroupSummary {
        GroupSummary {
            id: self.id,
            run: self.plan.run.run,
            deployment: self.plan.run.deployment,
            release: self.plan.run.release,
            status: self.status(),
            jobs: self.jobs.len() as u32,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// What webhooks are to be told of the group's end.
    pub(super) fn announcement(&self, verdict: Verdict, at: Timestamp) -> Announcement {
        let run = &self.plan.run;
        Announcement {
            group: self.id,
            run: run.run,
            session: run.session,
            deployment: run.deployment,
            release: run.release,
            outputs: self.plan.outputs.clone(),
            status: status_of(verdict),
            at,
        }
    }

    /// Whether every need of the job waits for an end that may be a failure: such jobs clean up
    /// or tell somebody, and survive `fail_fast`.
    pub(super) fn is_follow_up(&self, job: JobIndex) -> bool {
        let needs = &self.planned(job).needs;
        !needs.is_empty() && needs.iter().all(|need| need.when != Trigger::Succeeded)
    }

    /// The first need that the job can no longer have met, and how the needed job ended.
    pub(super) fn unmet_need(&self, job: JobIndex) -> Option<(JobIndex, Verdict)> {
        self.planned(job).needs.iter().find_map(|need| {
            let was = self.job(need.job).verdict()?;
            (!accepts(need.when, was)).then_some((need.job, was))
        })
    }

    pub(super) fn indexes(&self) -> impl Iterator<Item = JobIndex> + use<> {
        (0..self.jobs.len() as u32).map(JobIndex)
    }

    pub(super) fn tally(&self, job: JobIndex) -> Tally {
        self.jobs[job.at()].tally
    }
}

/// Tells whether a trigger is met by a needed job that ended so.
pub(super) fn accepts(when: Trigger, verdict: Verdict) -> bool {
    match when {
        Trigger::Succeeded => verdict == Verdict::Succeeded,
        Trigger::Failed => verdict == Verdict::Failed,
        Trigger::Done => matches!(verdict, Verdict::Succeeded | Verdict::Failed),
        Trigger::Always => true,
    }
}
