//! The oracle: a small model of its own that reads durable events only, and says when one of them
//! breaks a promise. It shares no code with the machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    CancelReason, Cause, Epoch, Event, FailurePolicy, GroupId, Handle, JobIndex, Plan, RunId,
    RunPolicy, Status, StopReason, Timeout, Timestamp, Trigger, Verdict,
};

use crate::rules;

/// What is known of all groups.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) groups: BTreeMap<GroupId, Model>,
    pub(crate) events: u64,
}

/// What is known of one group.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) plan: Arc<Plan>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) cancel: Option<CancelReason>,
    pub(crate) ended: Option<Verdict>,
    pub(crate) status: Status,
    /// Under which the group was last adopted.
    pub(crate) epoch: Epoch,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) lost: u32,
    pub(crate) rejected: u32,
    pub(crate) first_ready: Option<Timestamp>,
    pub(crate) total_by: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) enum State {
    Waiting,
    Ready { since: Timestamp, queue_by: Timestamp },
    Live(Live),
    BackingOff { until: Timestamp },
    Done(Verdict),
}

#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) number: u32,
    pub(crate) end_by: Timestamp,
    pub(crate) beat_by: Option<Timestamp>,
    pub(crate) stopping: Option<(StopReason, Timestamp)>,
    /// When it last gave a sign of life, or could not give one.
    pub(crate) heard_at: Timestamp,
    /// The executor's own name for it, once that is durable.
    pub(crate) handle: Option<Handle>,
}

impl Oracle {
    /// Takes a durable event.
    pub(crate) fn take(&mut self, id: GroupId, event: &Event, at: Timestamp) {
        self.events += 1;
        if let Event::Accepted { plan } = event {
            let was = self.groups.insert(id, Model::new(plan));
            assert!(was.is_none(), "group {id} is accepted once");
            return;
        }
        let model = self.groups.get_mut(&id).expect("a group's first event is its acceptance");
        assert!(model.ended.is_none(), "nothing follows the end of group {id}: {event:?}");
        model.take(event, at);
    }

    /// The live groups of runs of the same deployment before this one.
    pub(crate) fn ahead(&self, of: &Model) -> Vec<(RunId, GroupId)> {
        let run = &of.plan.run;
        let earlier = self.groups.iter().filter(|(_, it)| {
            let other = &it.plan.run;
            other.deployment == run.deployment && other.run < run.run && it.ended.is_none()
        });
        earlier.map(|(id, it)| (it.plan.run.run, *id)).collect()
    }
}

impl Model {
    fn new(plan: &Arc<Plan>) -> Self {
        let job = Job {
            state: State::Waiting,
            attempts: 0,
            failures: 0,
            lost: 0,
            rejected: 0,
            first_ready: None,
            total_by: Timestamp::NEVER,
        };
        let mut jobs = vec![job; plan.jobs.len()];
        for it in &plan.carried {
            jobs[it.job.at()].state = State::Done(Verdict::Succeeded);
        }
        Self {
            jobs,
            plan: Arc::clone(plan),
            cancel: None,
            ended: None,
            status: Status::Created,
            epoch: Epoch(1),
        }
    }

    fn take(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Accepted { .. } => {}
            Event::Adopted { epoch, .. } => {
                assert!(*epoch > self.epoch, "epochs grow");
                self.epoch = *epoch;
                for job in &mut self.jobs {
                    if let State::Live(live) = &mut job.state {
                        live.heard_at = at;
                    }
                }
            }
            Event::Ready { job, queue_by, total_by } => self.ready(*job, *queue_by, *total_by, at),
            Event::Requested { job, attempt, end_by, beat_by } => {
                let live = Live {
                    number: *attempt,
                    end_by: *end_by,
                    beat_by: *beat_by,
                    stopping: None,
                    heard_at: at,
                    handle: None,
                };
                self.requested(*job, live, at);
            }
            Event::Started { job, attempt, handle } => {
                let live = self.live(*job, *attempt);
                live.handle = handle.clone().or(live.handle.take());
            }
            Event::Beat { job, attempt, beat_by } => {
                let live = self.live(*job, *attempt);
                live.beat_by = Some(*beat_by);
                live.heard_at = at;
            }
            Event::Stopping { job, attempt, reason, kill_by } => {
                self.stopping(*job, *attempt, reason, *kill_by, at);
            }
            Event::AttemptEnded { job, attempt, outcome, next } => {
                self.live(*job, *attempt);
                rules::attempt_ended(self, *job, outcome, next, at);
            }
            Event::JobEnded { job, verdict, cause } => self.job_ended(*job, *verdict, *cause, at),
            Event::CancelRequested { reason } => {
                let is_first = matches!(self.cancel, None | Some(CancelReason::FailFast { .. }));
                assert!(is_first, "a group is cancelled once");
                self.cancel = Some(reason.clone());
            }
            Event::GroupEnded { verdict } => {
                assert_eq!(*verdict, self.verdict(), "the group's verdict follows from its jobs");
                self.ended = Some(*verdict);
                self.status = match verdict {
                    Verdict::Succeeded => Status::Complete,
                    Verdict::Failed => Status::Failed,
                    Verdict::Skipped | Verdict::Cancelled => Status::Canceled,
                };
            }
        }
    }

    fn ready(&mut self, job: JobIndex, queue_by: Timestamp, total_by: Timestamp, at: Timestamp) {
        assert!(self.needs_met(job), "job {} is ready when its needs are met", job.0);
        assert!(!self.cancels(job), "job {} is not ready in a cancelled group", job.0);
        let timeouts = self.plan.jobs[job.at()].policy.timeouts.clone();
        let it = &mut self.jobs[job.at()];
        match it.state {
            State::Waiting => it.first_ready = Some(at),
            State::BackingOff { until } => assert!(at >= until, "job {} waits its time", job.0),
            State::Ready { .. } | State::Live(_) | State::Done(_) => {
                panic!("job {} cannot become ready: {:?}", job.0, it.state)
            }
        }
        let first = it.first_ready.expect("set when it was first ready");
        let last = Timestamp::from_millis(i64::MAX - 1);
        let total = (first + timeouts.total).min(last);
        assert_eq!(total_by, total, "job {} has one total time", job.0);
        assert_eq!(queue_by, at + timeouts.queue, "job {} has time to wait", job.0);
        it.total_by = total_by;
        it.state = State::Ready { since: at, queue_by };
    }

    fn requested(&mut self, job: JobIndex, live: Live, at: Timestamp) {
        assert!(self.needs_met(job), "job {} starts when its needs are met", job.0);
        assert!(!self.cancels(job), "job {} does not start in a cancelled group", job.0);
        let policy = self.plan.jobs[job.at()].policy.clone();
        let it = &mut self.jobs[job.at()];
        assert!(matches!(it.state, State::Ready { .. }), "job {} starts when ready", job.0);
        assert_eq!(live.number, it.attempts + 1, "attempts of job {} have no gap", job.0);
        assert!(it.failures < policy.retry.max_attempts.max(1), "job {} may be tried", job.0);
        assert!(it.lost <= policy.crash_limit.0, "job {} may be tried after a loss", job.0);
        assert!(at < it.total_by, "job {} has time left", job.0);
        assert_eq!(live.end_by, at + policy.timeouts.attempt);
        assert_eq!(
            live.beat_by,
            policy.timeouts.heartbeat.map(|period| at + period.saturating_mul(3) / 2)
        );
        it.attempts += 1;
        it.state = State::Live(live);
        self.status = Status::InProgress;
    }

    fn stopping(
        &mut self,
        job: JobIndex,
        attempt: u32,
        reason: &StopReason,
        kill_by: Timestamp,
        at: Timestamp,
    ) {
        let total_by = self.jobs[job.at()].total_by;
        let cancels = self.cancels(job);
        let policy = self.plan.jobs[job.at()].policy.clone();
        let grace = policy.grace.0;
        let live = self.live(job, attempt);
        assert!(
            kill_by >= at + grace || grace == Duration::MAX,
            "job {} is given its grace",
            job.0
        );
        match &live.stopping {
            // An engine that adopts asks anew, for the same reason and with a new grace.
            Some((before, _)) => assert_eq!(before, reason, "job {} is stopped once", job.0),
            None => match reason {
                StopReason::Cancelled { .. } => assert!(cancels, "job {} is cancelled", job.0),
                StopReason::TimedOut(Timeout::Attempt) => assert!(at >= live.end_by),
                StopReason::TimedOut(Timeout::Total) => assert!(at >= total_by),
                StopReason::TimedOut(Timeout::Heartbeat) => {
                    assert!(live.beat_by.is_some_and(|by| at >= by), "job {} is silent", job.0);
                    let period = policy.timeouts.heartbeat.unwrap_or_default();
                    assert!(at >= live.heard_at + period, "job {} could be heard", job.0);
                }
                StopReason::Shutdown => {}
                StopReason::GivenUp => panic!("no journal says that an attempt was given up"),
            },
        }
        live.stopping = Some((reason.clone(), kill_by));
    }

    fn job_ended(&mut self, job: JobIndex, verdict: Verdict, cause: Cause, at: Timestamp) {
        let it = &self.jobs[job.at()];
        let is_right = match (cause, &it.state) {
            (Cause::Need { job: need, was }, State::Waiting) => {
                let needs = &self.plan.jobs[job.at()].needs;
                let is_unmet = needs.iter().any(|it| it.job == need && !meets(it.when, was));
                let is_true = matches!(self.jobs[need.at()].state, State::Done(v) if v == was);
                is_unmet && is_true && verdict == Verdict::Skipped
            }
            (Cause::QueueTimeout, State::Ready { queue_by, .. }) => {
                at >= *queue_by && verdict == Verdict::Failed
            }
            (Cause::TotalTimeout, State::Ready { .. } | State::BackingOff { .. }) => {
                at >= it.total_by && verdict == Verdict::Failed
            }
            (
                Cause::GroupCancelled,
                State::Waiting | State::Ready { .. } | State::BackingOff { .. },
            ) => self.cancels(job) && verdict == Verdict::Cancelled,
            _ => false,
        };
        assert!(is_right, "job {} ends {verdict:?} by {cause:?} from {:?}", job.0, it.state);
        self.jobs[job.at()].state = State::Done(verdict);
    }

    /// The live attempt of a job.
    pub(crate) fn live(&mut self, job: JobIndex, attempt: u32) -> &mut Live {
        let state = &mut self.jobs[job.at()].state;
        let is_live = matches!(state, State::Live(live) if live.number == attempt);
        assert!(is_live, "attempt {attempt} of job {} is not live: {state:?}", job.0);
        let State::Live(live) = state else { unreachable!("just asked") };
        live
    }

    pub(crate) fn needs_met(&self, job: JobIndex) -> bool {
        self.plan.jobs[job.at()].needs.iter().all(|need| {
            matches!(self.jobs[need.job.at()].state, State::Done(was) if meets(need.when, was))
        })
    }

    fn needs_unmet(&self, job: JobIndex) -> bool {
        self.plan.jobs[job.at()].needs.iter().any(|need| {
            matches!(self.jobs[need.job.at()].state, State::Done(was) if !meets(need.when, was))
        })
    }

    /// Whether the group's cancellation means the job: `fail_fast` spares what waits for ends.
    pub(crate) fn cancels(&self, job: JobIndex) -> bool {
        let needs = &self.plan.jobs[job.at()].needs;
        match &self.cancel {
            None => false,
            Some(CancelReason::FailFast { .. }) => {
                needs.is_empty() || needs.iter().any(|need| need.when == Trigger::Succeeded)
            }
            Some(CancelReason::Requested(_) | CancelReason::Superseded) => true,
        }
    }

    fn verdict(&self) -> Verdict {
        let ended = |verdict: Verdict| {
            let jobs = self.jobs.iter().zip(&self.plan.jobs);
            jobs.filter(move |(job, _)| matches!(job.state, State::Done(v) if v == verdict))
        };
        let all = self.jobs.iter().all(|job| matches!(job.state, State::Done(_)));
        assert!(all, "a group ends when its jobs have: {self:?}");
        if ended(Verdict::Failed).any(|(_, planned)| !planned.optional) {
            Verdict::Failed
        } else if self.cancel.is_some() && ended(Verdict::Cancelled).next().is_some() {
            Verdict::Cancelled
        } else {
            Verdict::Succeeded
        }
    }

    /// What must have become a fact by the end of every turn in which the group is driven.
    pub(crate) fn check_settled(&self, id: GroupId, is_held: bool, now: Timestamp) {
        if self.ended.is_some() {
            return;
        }
        let mut failed = false;
        let mut open = false;
        for (at, it) in self.jobs.iter().enumerate() {
            let job = JobIndex::from(at);
            let due = match &it.state {
                State::Waiting => {
                    assert!(!self.cancels(job), "job {id}.{at} is cancelled with its group");
                    assert!(is_held || !self.needs_unmet(job), "job {id}.{at} is skipped");
                    assert!(is_held || !self.needs_met(job), "job {id}.{at} is ready");
                    Timestamp::NEVER
                }
                State::Ready { queue_by, .. } => it.total_by.min(*queue_by),
                State::BackingOff { until } => it.total_by.min(*until),
                State::Live(live) => match &live.stopping {
                    Some((_, kill_by)) => *kill_by,
                    None => {
                        assert!(!self.cancels(job), "job {id}.{at} is stopped with its group");
                        let beat_by = live.beat_by.unwrap_or(Timestamp::NEVER);
                        it.total_by.min(live.end_by).min(beat_by)
                    }
                },
                State::Done(verdict) => {
                    failed |= *verdict == Verdict::Failed && !self.plan.jobs[at].optional;
                    continue;
                }
            };
            open = true;
            assert!(due > now, "job {id}.{at} is not left behind its time: {:?}", it.state);
        }
        assert!(open, "group {id} ends with its last job");
        if self.plan.on_failure == FailurePolicy::FailFast && failed {
            assert!(self.cancel.is_some(), "group {id} fails fast");
        }
    }

    /// Whether earlier runs hold this group back.
    pub(crate) fn queues(&self) -> bool {
        matches!(self.plan.run.policy, RunPolicy::Queue | RunPolicy::CancelPrevious)
    }
}

/// Tells whether a need is met by a job that ended so.
pub(crate) fn meets(when: Trigger, was: Verdict) -> bool {
    use {Trigger as T, Verdict as V};
    match (when, was) {
        (T::Always, _)
        | (T::Succeeded, V::Succeeded)
        | (T::Failed, V::Failed)
        | (T::Done, V::Succeeded | V::Failed) => true,
        (T::Succeeded, V::Failed | V::Skipped | V::Cancelled)
        | (T::Failed, V::Succeeded | V::Skipped | V::Cancelled)
        | (T::Done, V::Skipped | V::Cancelled) => false,
    }
}
