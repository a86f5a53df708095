//! The machine: what becomes of groups, decided without I/O, clock, randomness or waiting.
//!
//! An input enters together with the time; events (facts to keep) and effects (things to do) come
//! out. All state changes go through [`Group::apply`](group::Group::apply); the indexes here
//! (lanes, limits, timers, runs) are derived from that state and follow it in `record`.
//!
//! ```text
//! step ─► submit │ adopt │ cancel │ report │ forget │ limit │ drain │ halt ─► expire ─► dispatch
//!                  └────────── record(event) = apply + indexes + journal ─────────┘
//! ```

mod attempt;
mod cancel;
mod classes;
mod dispatch;
mod graph;
mod group;
mod invariants;
mod io;
mod job;
mod lanes;
mod limits;
mod replay;
mod retry;
mod runs;
mod submit;
mod timers;
mod waiting;

use std::collections::BTreeMap;

use jobwright_core::{
    CancelReason, DeploymentId, Event, ExecutorName, GroupId, JobIndex, PoolName, RunId, Slots,
    Status, Timestamp,
};
use smallvec::{SmallVec, smallvec};

pub(crate) use group::Group;
pub use io::{AttemptKey, Demand, Effect, GroupEvents, Input, Order, Report, StepResult};
pub(crate) use job::status_of;
pub use replay::ReplayError;
pub use waiting::WaitReason;

use classes::{Class, Classes};
use job::JobState;
use lanes::{Lanes, Waiter};
use limits::{Limit, Limits};
use runs::Runs;
use timers::{BLOCK, Place, Timers};

/// What an engine allows at a time.
#[derive(Debug, Clone, Default)]
pub struct Capacity {
    /// The executors, with how many attempts each may have; no limit where absent. Attempts for an
    /// executor that is not here wait.
    pub executors: Vec<(ExecutorName, Option<u32>)>,
    /// The pools, with how much may be used of each. A pool that is not here has 1.
    pub pools: Vec<(PoolName, u32)>,
}

/// The machine: all groups that one loop drives.
#[derive(Debug, Default)]
pub struct Scheduler {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_id: BTreeMap<GroupId, u32>,
    runs: Runs,
    limits: Limits,
    lanes: Lanes,
    classes: Classes,
    timers: Timers,
    /// Jobs that are not done, over all groups.
    open_jobs: usize,
    /// Blocks of jobs that share a timer, over all groups.
    blocks: usize,
    draining: bool,
    /// Jobs that ended in this step and whose followers have not been looked at; empty between
    /// steps.
    ended: Vec<(u32, JobIndex)>,
}

/// What a group of so few jobs needs lies beside it, without an allocation of its own.
const FEW: usize = 12;

/// A group with what the machine's indexes know of it.
#[derive(Debug)]
struct Slot {
    group: Group,
    /// The class of each job.
    classes: SmallVec<[u32; FEW]>,
    /// The soonest deadline of each block of jobs that is in the timers.
    armed: SmallVec<[Timestamp; 1]>,
    /// The turn whose result holds this group's events, and where.
    entry: (u64, usize),
    /// It was loaded and not adopted: it holds what its live attempts use, and nothing moves.
    stands: bool,
    /// Why it is to be cancelled when it is adopted, if somebody asked while it stood.
    asked: Option<CancelReason>,
}

impl Scheduler {
    /// Makes a machine without groups.
    #[must_use]
    pub fn new(capacity: &Capacity) -> Self {
        let mut limits = Limits::default();
        for (name, limit) in &capacity.executors {
            limits.executor(name.clone(), *limit);
        }
        for (name, limit) in &capacity.pools {
            limits.pool(name.clone(), *limit);
        }
        Self { limits, ..Self::default() }
    }

    /// Takes one input at the time `now`, and adds what follows from it to `out`. Steps that share
    /// a result must share the time. Time may stand still or jump, in both directions.
    pub fn step(&mut self, now: Timestamp, input: Input, out: &mut StepResult) {
        let is_beat = matches!(input, Input::Report { report: Report::Beat, .. });
        match input {
            Input::Submit { groups, epoch } => self.submit(groups, epoch, now, out),
            Input::Adopt { group, epoch, node } => self.adopt(group, epoch, node, now, out),
            Input::Cancel { group, reason } => self.cancel(group, &reason, now, out),
            Input::Report { attempt, report } => self.report(attempt, report, now, out),
            Input::Forget { group } => self.forget(group, now, out),
            Input::Limit { executor, limit } => {
                let index = self.limits.limit_executor(&executor, limit);
                self.lanes.unpark(Limit::Executor(index));
            }
            Input::Drain => self.draining = true,
            Input::Halt => self.halt(now, out),
            Input::Tick => {}
        }
        // Beats of a turn come first, and none of them may time another out that waits behind it.
        if !is_beat {
            self.expire(now, out);
        }
        self.follow_ended(now, out);
        self.dispatch(now, out);
    }

    /// When the next [`Input::Tick`] is due if nothing else happens. It may turn out that nothing
    /// was to be done then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next().map(|(at, _)| at)
    }

    /// Tells whether the machine drives the group.
    #[must_use]
    pub fn drives(&self, group: GroupId) -> bool {
        self.by_id.contains_key(&group)
    }

    /// Tells whether the group was loaded and waits to be adopted.
    pub(crate) fn stands(&self, group: GroupId) -> bool {
        self.by_id.get(&group).is_some_and(|slot| self.slot(*slot).stands)
    }

    /// The groups that the machine drives, in the order of their ids.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.by_id.keys().copied()
    }

    /// Returns the deployment and the run of a group that the machine drives.
    #[must_use]
    pub fn run_of(&self, group: GroupId) -> Option<(DeploymentId, RunId)> {
        let run = &self.group(*self.by_id.get(&group)?).plan.run;
        Some((run.deployment, run.run))
    }

    /// Returns how far a group is that the machine drives.
    #[must_use]
    pub fn status(&self, group: GroupId) -> Option<Status> {
        self.by_id.get(&group).map(|slot| self.group(*slot).status())
    }

    /// Tells whether the machine drives a group of the run.
    #[must_use]
    pub fn drives_run(&self, deployment: DeploymentId, run: RunId) -> bool {
        self.runs.contains(deployment, run)
    }

    /// How many groups the machine drives.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The slots of the executors, with how many live attempts use them.
    pub fn slots(&self) -> impl Iterator<Item = Slots<'_>> {
        self.limits.slots()
    }

    /// What the machine's jobs have and need of an executor.
    #[must_use]
    pub fn demand(&self, executor: &ExecutorName) -> Demand {
        let Some((index, busy)) = self.limits.executor_use(executor) else {
            return Demand::default();
        };
        Demand { busy, waiting: self.lanes.waiting_for(index) }
    }

    /// Tells whether the machine drives no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn group(&self, slot: u32) -> &Group {
        &self.slot(slot).group
    }

    fn slot(&self, slot: u32) -> &Slot {
        self.slots[slot as usize].as_ref().expect("a slot in use is only emptied by `remove`")
    }

    fn slot_mut(&mut self, slot: u32) -> &mut Slot {
        self.slots[slot as usize].as_mut().expect("a slot in use is only emptied by `remove`")
    }

    /// Where a group lies: at the hint if it still does.
    fn locate(&self, group: GroupId, hint: u32) -> Option<u32> {
        match self.slots.get(hint as usize) {
            Some(Some(slot)) if slot.group.id == group => Some(hint),
            Some(_) | None => self.by_id.get(&group).copied(),
        }
    }

    /// Makes an event a fact: the state changes, the indexes follow, the journal grows.
    fn record(&mut self, slot: u32, event: Event, now: Timestamp, out: &mut StepResult) {
        let it = self.slots[slot as usize].as_mut().expect("events are of groups that are driven");
        let group = &mut it.group;
        let (status, first, job) = (group.status(), group.next, event.job());
        let was_live = job.is_some_and(|job| group.job(job).live().is_some());
        group.apply(&event, now);
        let summary = (group.status() != status).then(|| group.summary());

        let (turn, at) = it.entry;
        let entry =
            out.journal.get_mut(at).filter(|entry| turn == out.turn && entry.group == it.group.id);
        if let Some(entry) = entry {
            entry.events.push(event);
            if summary.is_some() {
                entry.summary = summary;
            }
        } else {
            it.entry = (out.turn, out.journal.len());
            let (id, epoch) = (it.group.id, it.group.epoch);
            let events = out.events(event);
            out.journal.push(GroupEvents { group: id, epoch, first, events, summary });
        }
        if let Some(job) = job {
            self.follow(slot, job, was_live);
        }
    }

    /// Lets the indexes follow the state of one job. At adoption every job comes here once.
    fn follow(&mut self, slot: u32, index: JobIndex, was_live: bool) {
        let it = self.slots[slot as usize].as_mut().expect("the caller holds a slot in use");
        let (job, class) = (it.group.job(index), self.classes.get(it.classes[index.at()]));
        let is_live = job.live().is_some();
        if is_live != was_live {
            let uses = *self.lanes.uses(class.lane);
            if is_live {
                self.limits.take(&uses);
            } else {
                self.limits.give_back(&uses);
                self.lanes.unpark_uses(&uses);
            }
        }
        match &job.state {
            JobState::Ready { since, .. } => {
                let mut priority = class.priority;
                if it.group.begun {
                    priority.0 = priority.0.saturating_add(1);
                }
                let place = Place { slot, job: index, group: it.group.id };
                self.lanes.push(class.lane, priority, Waiter { place, since: *since });
            }
            JobState::Done { .. } => {
                self.open_jobs -= 1;
                self.ended.push((slot, index));
                // Others may have waited behind it.
                if let Some((pool, _)) = self.lanes.uses(class.lane).pool {
                    self.lanes.unpark(Limit::Pool(pool));
                }
            }
            JobState::Waiting { .. }
            | JobState::Requested(_)
            | JobState::Running(_)
            | JobState::Stopping(_)
            | JobState::BackingOff { .. } => {}
        }
        self.arm(slot, index);
    }

    /// The class of a job.
    fn class(&self, slot: u32, job: JobIndex) -> &Class {
        self.classes.get(self.slot(slot).classes[job.at()])
    }

    /// The lane of a job.
    fn lane(&self, slot: u32, job: JobIndex) -> u32 {
        self.class(slot, job).lane
    }

    /// Takes a group in. Jobs that left `Waiting` must then go through [`Self::follow`].
    fn insert(&mut self, group: Group, turn: (u64, usize)) -> u32 {
        let run = &group.plan.run;
        if let Some(limit) = run.deployment_limit {
            self.limits.deployment(run.deployment, limit);
            self.lanes.unpark(Limit::Deployment(run.deployment));
        }
        let classes = self.classes_of(&group);
        self.runs.insert(run.deployment, run.run, group.id);
        self.open_jobs += group.open as usize;
        let id = group.id;
        let armed = smallvec![Timestamp::NEVER; group.jobs.len().div_ceil(BLOCK)];
        self.blocks += armed.len();
        let slot = Slot { group, classes, armed, entry: turn, stands: false, asked: None };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(slot);
                at
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as u32
            }
        };
        self.by_id.insert(id, at);
        at
    }

    /// Takes a group out, and tells which run of its deployment is now the first, if that changed.
    fn remove(&mut self, slot: u32) -> Option<(DeploymentId, RunId)> {
        let it = self.slots[slot as usize].take()?;
        self.free.push(slot);
        self.blocks -= it.armed.len();
        self.by_id.remove(&it.group.id);
        let (deployment, run) = (it.group.plan.run.deployment, it.group.plan.run.run);
        let by_id = &self.by_id;
        let first = self.runs.remove(deployment, run, |group| by_id.contains_key(&group))?;
        Some((deployment, first))
    }
}
