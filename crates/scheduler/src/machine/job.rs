//! The state of one job: one enum with its data inside.
//!
//! ```text
//! Waiting ─► Ready ─► Requested ─► Running ─┐
//!    │         ▲ │        │   └► Stopping ◄─┤
//!    │         │ │        ▼          │      ▼
//!    │         └─┼──── BackingOff ◄──┴──────┤
//!    └───────────┴───────────────────► Done ◄
//! ```
//!
//! Every state but `Done` has a timer or waits for another job that has one.

use jobwright_core::{
    Failure, FailureClass, Handle, Outcome, Status, StopReason, Success, Timeout, Timestamp,
    Verdict,
};

/// A job of a group, without what the plan says of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub(super) state: JobState,
    /// How its attempts ended so far.
    pub(super) tally: Tally,
    /// When it fails if it has not ended; `NEVER` until it is first ready.
    pub(super) total_by: Timestamp,
}

/// Where a job is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JobState {
    /// Some of its needs have not ended; the timers are theirs.
    Waiting { needs: u32, unmet: bool },
    /// It waits for a slot.
    Ready { since: Timestamp, queue_by: Timestamp },
    /// Its attempt was handed over, or is about to be.
    Requested(Live),
    /// The executor took its attempt.
    Running(Live),
    /// Its attempt was asked to stop.
    Stopping(Box<Stopping>),
    /// It waits for the next attempt.
    BackingOff { until: Timestamp },
    /// It ended.
    Done { verdict: Verdict, result: Success },
}

/// A live attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Live {
    pub(super) number: u32,
    pub(super) end_by: Timestamp,
    pub(super) beat_by: Timestamp,
    pub(super) handle: Option<Handle>,
}

/// A live attempt that was asked to stop.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stopping {
    pub(super) live: Live,
    pub(super) reason: StopReason,
    pub(super) kill_by: Timestamp,
}

/// How the attempts of a job ended so far. Interrupted attempts count nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) lost: u32,
    pub(super) rejected: u32,
}

impl Tally {
    pub(super) fn count(&mut self, attempt: u32, outcome: &Outcome) {
        self.attempts = attempt;
        match outcome {
            Outcome::Succeeded(_) => {}
            Outcome::Failed(failure) => match failure.class {
                FailureClass::Retryable | FailureClass::Permanent | FailureClass::TimedOut => {
                    self.failures += 1;
                }
                FailureClass::Lost => self.lost += 1,
                FailureClass::Rejected => self.rejected += 1,
                FailureClass::Cancelled => {}
            },
        }
    }
}

impl Job {
    pub(super) fn new(needs: usize) -> Self {
        Self {
            state: JobState::Waiting { needs: needs as u32, unmet: false },
            tally: Tally::default(),
            total_by: Timestamp::NEVER,
        }
    }

    /// The live attempt, also while it stops.
    pub(super) fn live(&self) -> Option<&Live> {
        match &self.state {
            JobState::Requested(live) | JobState::Running(live) => Some(live),
            JobState::Stopping(stopping) => Some(&stopping.live),
            JobState::Waiting { .. }
            | JobState::Ready { .. }
            | JobState::BackingOff { .. }
            | JobState::Done { .. } => None,
        }
    }

    pub(super) fn verdict(&self) -> Option<Verdict> {
        match &self.state {
            JobState::Done { verdict, .. } => Some(*verdict),
            JobState::Waiting { .. }
            | JobState::Ready { .. }
            | JobState::Requested(_)
            | JobState::Running(_)
            | JobState::Stopping(_)
            | JobState::BackingOff { .. } => None,
        }
    }

    /// When something must happen to the job if nothing else does.
    pub(super) fn deadline(&self) -> Timestamp {
        match &self.state {
            JobState::Waiting { .. } | JobState::Done { .. } => Timestamp::NEVER,
            JobState::Ready { queue_by, .. } => self.total_by.min(*queue_by),
            JobState::Requested(live) | JobState::Running(live) => {
                self.total_by.min(live.end_by).min(live.beat_by)
            }
            JobState::Stopping(stopping) => stopping.kill_by,
            JobState::BackingOff { until } => self.total_by.min(*until),
        }
    }

    /// Which of a live attempt's times has run out.
    pub(super) fn timeout(&self, live: &Live, now: Timestamp) -> Option<Timeout> {
        if self.total_by <= now {
            Some(Timeout::Total)
        } else if live.end_by <= now {
            Some(Timeout::Attempt)
        } else if live.beat_by <= now {
            Some(Timeout::Heartbeat)
        } else {
            None
        }
    }
}

/// Returns the wire's word for a verdict.
#[must_use]
pub(crate) fn status_of(verdict: Verdict) -> Status {
    match verdict {
        Verdict::Succeeded => Status::Complete,
        Verdict::Failed => Status::Failed,
        Verdict::Skipped | Verdict::Cancelled => Status::Canceled,
    }
}

/// What an attempt's outcome is worth when it was asked to stop: a success stays one, everything
/// else takes the class of the reason and keeps the executor's words.
pub(super) fn stopped_outcome(reason: &StopReason, outcome: Outcome) -> Outcome {
    let Outcome::Failed(mut failure) = outcome else { return outcome };
    let (class, code) = match reason {
        StopReason::Cancelled { .. } => (FailureClass::Cancelled, "cancelled"),
        StopReason::Shutdown | StopReason::GivenUp => (FailureClass::Cancelled, "shutdown"),
        StopReason::TimedOut(Timeout::Attempt) => (FailureClass::TimedOut, "attempt_timeout"),
        StopReason::TimedOut(Timeout::Total) => (FailureClass::TimedOut, "total_timeout"),
        StopReason::TimedOut(Timeout::Heartbeat) => (FailureClass::TimedOut, "heartbeat_timeout"),
    };
    failure.class = class;
    failure.code = code.into();
    Outcome::Failed(failure)
}

/// The outcome of an attempt that did not stop when it was asked to and was given up.
pub(super) fn abandoned() -> Outcome {
    let message = "the executor did not report the end of the attempt in time; it was given up";
    Outcome::Failed(Box::new(Failure::lost(message)))
}
