//! What enters the machine and what leaves it. Both are closed: whoever drives the machine needs
//! no other way in or out.

use std::sync::Arc;

use jobwright_core::webhook::Announcement;
use jobwright_core::{
    AttemptId, CancelReason, Epoch, Event, ExecutorName, GroupId, GroupSummary, Handle, JobIndex,
    Left, NodeId, Outcome, Plan, RunId, Seq, Stop, Verdict,
};

/// Something that happened outside, at the moment that is given with it.
#[derive(Debug, Clone)]
pub enum Input {
    /// A run begins: all its groups, in the order of their ids.
    Submit {
        /// The groups, each with its plan. All plans share one run.
        groups: Vec<(GroupId, Arc<Plan>)>,
        /// The fence under which they are driven.
        epoch: Epoch,
    },
    /// A group that was replayed is driven from now on: its live attempts are taken up again.
    Adopt {
        /// The group.
        group: GroupId,
        /// The new fence.
        epoch: Epoch,
        /// The engine that drives it.
        node: NodeId,
    },
    /// Somebody wants a group to end.
    Cancel {
        /// The group; nothing happens if it has ended.
        group: GroupId,
        /// Why.
        reason: CancelReason,
    },
    /// An executor says something about an attempt.
    Report {
        /// The attempt; a report for another one than the live one changes nothing.
        attempt: AttemptKey,
        /// What it says.
        report: Report,
    },
    /// The group is driven by another engine: it is dropped, without an event or effect.
    Forget {
        /// The group.
        group: GroupId,
    },
    /// An executor may have so many attempts from now on; those beyond it go on.
    Limit {
        /// The executor.
        executor: ExecutorName,
        /// How many.
        limit: u32,
    },
    /// No attempt begins from now on.
    Drain,
    /// Every live attempt is asked to stop; its job is left for the next engine.
    Halt,
    /// Time has gone by.
    Tick,
}

/// What the jobs of one machine have and need of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// So many attempts are live.
    pub busy: u32,
    /// So many jobs wait for a slot, or a few more.
    pub waiting: u32,
}

/// What an executor says about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// It was taken.
    Started(Option<Handle>),
    /// It is alive. Nothing times out in the step that takes a beat in: a turn that has beats gives
    /// them first and ends with another input, so that none times out another that came with it.
    Beat,
    /// It ended.
    Ended(Outcome),
}

/// Names an attempt to the machine, with a hint where its group lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The group.
    pub group: GroupId,
    /// Where the group lies, if it still does.
    pub slot: u32,
    /// The job.
    pub job: JobIndex,
    /// The number of the attempt.
    pub number: u32,
}

/// Something to do, once the events of the same step are durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Hand the attempt to its executor.
    Dispatch(Order),
    /// Ask the executor to take the attempt up again.
    Reattach(Order),
    /// Ask the attempt to stop.
    Stop {
        /// The attempt.
        attempt: AttemptKey,
        /// Why, and how long it may take.
        stop: Stop,
    },
    /// Give the attempt up: it did not stop in time.
    Abandon {
        /// The attempt.
        attempt: AttemptKey,
    },
    /// Tell those who wait that the group has ended.
    Announce {
        /// The group.
        group: GroupId,
        /// How it ended.
        verdict: Verdict,
    },
    /// Tell the caller that the run was refused: its deployment is already running and its policy
    /// is `skip`. Nothing of it exists.
    Refuse {
        /// The run that was asked for.
        run: RunId,
        /// The run that goes on.
        running: RunId,
    },
}

impl Effect {
    /// Returns the group that the effect is about.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Self::Dispatch(order) | Self::Reattach(order) => Some(order.attempt.group),
            Self::Stop { attempt, .. } | Self::Abandon { attempt } => Some(attempt.group),
            Self::Announce { group, .. } => Some(*group),
            Self::Refuse { .. } => None,
        }
    }
}

/// An attempt to hand over, with everything that the machine knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The attempt.
    pub attempt: AttemptKey,
    /// The place of its executor among those of the capacity; beyond them there is none.
    pub executor: u32,
    /// The plan of its group.
    pub plan: Arc<Plan>,
    /// When it is stopped if it has not ended.
    pub end_by: jobwright_core::Timestamp,
    /// How the needed jobs ended and what they left, but for those that succeeded and left nothing.
    pub inputs: Vec<Left>,
    /// On reattachment: the executor's own name for it.
    pub handle: Option<Handle>,
}

impl Order {
    /// Returns the id of the attempt.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId { job: self.plan.job_id(self.attempt.job), number: self.attempt.number }
    }
}

/// What one turn led to: the steps that share a timestamp and become durable together.
#[derive(Debug, Default)]
pub struct StepResult {
    /// New events, one entry per group, in the order in which groups were first touched.
    pub journal: Vec<GroupEvents>,
    /// What webhooks are to be told, to be kept with the events.
    pub announcements: Vec<Announcement>,
    /// What to do when they are durable, in order.
    pub effects: Vec<Effect>,
    /// More attempts could be requested at once: the next turn, with a [`Input::Tick`] if with
    /// nothing else, should follow without waiting.
    pub more: bool,
    pub(super) requested: u32,
    pub(super) turn: u64,
    /// Empty vectors of events, kept for their room.
    spare: Vec<Vec<Event>>,
}

impl StepResult {
    /// Begins the next turn, keeping the room of this one.
    pub fn clear(&mut self) {
        for mut entry in self.journal.drain(..) {
            if self.spare.len() < SPARE {
                entry.events.clear();
                self.spare.push(entry.events);
            }
        }
        self.effects.clear();
        self.announcements.clear();
        self.more = false;
        self.requested = 0;
        self.turn += 1;
    }
}

/// How many empty vectors are kept: some more than groups are touched in a busy turn.
const SPARE: usize = 2048;

impl StepResult {
    /// A vector with its first event.
    pub(super) fn events(&mut self, first: Event) -> Vec<Event> {
        let mut events = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(4));
        events.push(first);
        events
    }
}

/// The new events of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupEvents {
    /// The group.
    pub group: GroupId,
    /// The fence under which they happened.
    pub epoch: Epoch,
    /// The position of the first.
    pub first: Seq,
    /// The events.
    pub events: Vec<Event>,
    /// The group's summary, if its status changed.
    pub summary: Option<GroupSummary>,
}
