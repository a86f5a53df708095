//! The observer port: what is told of an engine's work to those who count and measure it.

use std::time::Duration;

use crate::event::{CancelReason, Cause, Next, StopReason, Verdict};
use crate::id::{AttemptId, Epoch, GroupId, JobIndex};
use crate::name::ExecutorName;
use crate::outcome::{Handle, Outcome};
use crate::plan::{Plan, PlannedJob};
use crate::store::StoreError;
use crate::time::Timestamp;

/// What is told of an engine's work: for metrics, traces, and the like. Open to implement; every
/// method does nothing by default.
///
/// The engine's promises: what is told is durable; it is told once a turn for everything that
/// happened in it, after the turn's effects, in the order in which it happened; the facts of one
/// group are told in the order of its journal. After a restart nothing is told anew.
///
/// What the engine needs: the methods are called in its loop, so they must not block, wait, or do
/// input or output; they count, or put what they are told into a bounded queue of their own and
/// drop it when that is full. A panic is caught, reported once, and ends the observer: it is told
/// nothing more. An observer is no place for what must not be lost: a crash comes between a commit
/// and the telling of it. Read journals for that.
pub trait Observer: Send + Sync + 'static {
    /// An engine begins. Told once for each engine, before everything else.
    fn began(&self, engine: &EngineProfile<'_>) {
        let _ = engine;
    }

    /// A turn has been performed.
    fn turn(&self, turn: &TurnReport<'_>) {
        let _ = turn;
    }

    /// The store did not take a commit. If it may take it later, the engine asks again until it
    /// does, and tells each time; if not, the engine ends.
    fn commit_failed(&self, error: &StoreError) {
        let _ = error;
    }
}

/// What an engine is made of, as observers see it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EngineProfile<'a> {
    /// Its executors, each with its slots.
    pub slots: &'a [Slots<'a>],
}

impl<'a> EngineProfile<'a> {
    /// Describes an engine with these executors.
    #[must_use]
    pub fn new(slots: &'a [Slots<'a>]) -> Self {
        Self { slots }
    }
}

/// The slots of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots<'a> {
    /// The executor.
    pub executor: &'a ExecutorName,
    /// How many attempts it may have; no limit where absent.
    pub limit: Option<u32>,
    /// How many it has.
    pub busy: u64,
}

/// What happened in one turn of an engine's loop.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct TurnReport<'a> {
    /// When: the one timestamp of the turn.
    pub at: Timestamp,
    /// The facts that observers are told of, in order.
    pub facts: &'a [Fact<'a>],
    /// How many events became durable, those included of which no fact is made.
    pub events: u64,
    /// The highest epoch among them: above 1, a group was taken up after a crash or a shutdown.
    pub epoch: Epoch,
    /// How long the machine took to decide.
    pub step: Duration,
    /// How long the store took to make the turn durable; absent if there was nothing to keep.
    pub append: Option<Duration>,
    /// How late the earliest deadline was acted on, if one was due.
    pub lag: Option<Duration>,
    /// The groups that are live after the turn.
    pub groups: u64,
    /// Where their jobs are.
    pub jobs: JobCounts,
    /// The slots of all executors after the turn.
    pub slots: &'a [Slots<'a>],
}

impl<'a> TurnReport<'a> {
    /// Reports a turn in which nothing happened but these facts.
    #[must_use]
    pub fn new(at: Timestamp, facts: &'a [Fact<'a>]) -> Self {
        Self {
            at,
            facts,
            events: 0,
            epoch: Epoch(0),
            step: Duration::ZERO,
            append: None,
            lag: None,
            groups: 0,
            jobs: JobCounts::default(),
            slots: &[],
        }
    }
}

/// How many jobs of live groups are where; those that ended are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JobCounts {
    /// They wait for jobs that they need.
    pub waiting: u64,
    /// They wait for a slot.
    pub ready: u64,
    /// They have a live attempt.
    pub running: u64,
    /// Their attempt was asked to stop.
    pub stopping: u64,
    /// They wait for their next attempt.
    pub backing_off: u64,
}

/// One thing that happened to a group. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// The group.
    pub group: GroupId,
    /// Its plan, with the run.
    pub plan: &'a Plan,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What happened.
    pub what: Happened<'a>,
}

impl<'a> Fact<'a> {
    /// Returns a job of the group.
    #[must_use]
    pub fn planned(&self, job: JobIndex) -> &'a PlannedJob {
        &self.plan.jobs[job.at()]
    }

    /// Returns the id of an attempt at a job of the group.
    #[must_use]
    pub fn attempt_id(&self, job: JobIndex, number: u32) -> AttemptId {
        AttemptId { job: self.plan.job_id(job), number }
    }
}

/// What happened to a group.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Happened<'a> {
    /// The group exists.
    Accepted,
    /// The engine took it up after another one.
    Adopted {
        /// The new fence.
        epoch: Epoch,
    },
    /// Its first attempt was requested; told before that.
    Begun,
    /// It is being cancelled.
    Cancelling {
        /// Why.
        reason: &'a CancelReason,
    },
    /// It ended, so long after it was accepted.
    Ended {
        /// How.
        verdict: Verdict,
        /// After how long.
        took: Duration,
    },
    /// A job waits for a slot.
    JobReady {
        /// The job.
        job: JobIndex,
    },
    /// An attempt was handed to its executor.
    Requested {
        /// The job.
        job: JobIndex,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// How long the job waited for a slot.
        queued: Duration,
    },
    /// The executor took the attempt and named it.
    Started {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The executor's own name for it.
        handle: Option<&'a Handle>,
    },
    /// An attempt was asked to stop.
    Stopping {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// Why.
        reason: &'a StopReason,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: &'a Outcome,
        /// What becomes of the job.
        next: &'a Next,
        /// When the attempt was requested.
        requested_at: Timestamp,
        /// How long it was live.
        took: Duration,
    },
    /// A job ended; told after the end of its last attempt, if it had one.
    JobEnded {
        /// The job.
        job: JobIndex,
        /// How.
        verdict: Verdict,
        /// Why.
        cause: Cause,
    },
}
