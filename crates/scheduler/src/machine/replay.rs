//! From a journal back to the state, through the same [`Group::apply`]; and how a replayed group
//! goes on.

use std::sync::Arc;

use jobwright_core::{Epoch, Event, GroupId, JobIndex, NodeId, PlanError, Record, Seq, Timestamp};
use thiserror::Error;

use super::attempt::silent_until;
use super::group::Group;
use super::io::{AttemptKey, Effect, Order, StepResult};
use super::job::JobState;
use super::{Capacity, Scheduler};

/// A journal that cannot have been written by this machine. The group is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The journal has no events.
    #[error("the journal of job group {0} is empty")]
    Empty(GroupId),
    /// The first event does not say what the group is.
    #[error("the journal of job group {0} does not begin with its acceptance")]
    Beginning(GroupId),
    /// The plan cannot be driven.
    #[error("the plan of job group {group} cannot be driven")]
    Plan {
        /// The group.
        group: GroupId,
        /// Why.
        #[source]
        source: PlanError,
    },
    /// Events are missing or out of order.
    #[error("the journal of job group {group} has event {} where {} is due", .found.0, .expected.0)]
    Gap {
        /// The group.
        group: GroupId,
        /// The position that is due.
        expected: Seq,
        /// The position found.
        found: Seq,
    },
    /// An event cannot have happened in the state before it.
    #[error("event {} of job group {group} cannot follow those before it", .at.0)]
    Impossible {
        /// The group.
        group: GroupId,
        /// The event's position.
        at: Seq,
    },
    /// The group is driven already.
    #[error("job group {0} is driven already")]
    Driven(GroupId),
}

impl Group {
    /// Rebuilds a group from its journal.
    pub(crate) fn replay(id: GroupId, records: &[Record]) -> Result<Self, ReplayError> {
        let first = records.first().ok_or(ReplayError::Empty(id))?;
        let Some(Event::Accepted { plan }) = first.events.first() else {
            return Err(ReplayError::Beginning(id));
        };
        plan.check().map_err(|source| ReplayError::Plan { group: id, source })?;
        let mut group = Self::accepted(id, first.epoch, Arc::clone(plan), first.at);
        group.next = Seq(1);
        for record in records {
            if record.first != group.next {
                let (expected, found) = (group.next, record.first);
                return Err(ReplayError::Gap { group: id, expected, found });
            }
            for event in record.events.iter() {
                if !group.admits(event) {
                    return Err(ReplayError::Impossible { group: id, at: group.next });
                }
                group.apply(event, record.at);
            }
        }
        Ok(group)
    }

    /// Whether an event can have happened now. Bytes from a disk are the world's, so what `apply`
    /// takes for granted is asked here.
    fn admits(&self, event: &Event) -> bool {
        let state = match event.job() {
            Some(job) if job.at() >= self.jobs.len() => return false,
            Some(job) => &self.jobs[job.at()].state,
            None => {
                return match event {
                    Event::Accepted { .. } => self.next == Seq(1),
                    Event::GroupEnded { .. } => self.open == 0 && self.ended.is_none(),
                    Event::Adopted { .. } | Event::CancelRequested { .. } => self.ended.is_none(),
                    Event::Ready { .. }
                    | Event::Requested { .. }
                    | Event::Started { .. }
                    | Event::Beat { .. }
                    | Event::Stopping { .. }
                    | Event::AttemptEnded { .. }
                    | Event::JobEnded { .. } => false,
                };
            }
        };
        let is_live = |number: u32| match state {
            JobState::Requested(live) | JobState::Running(live) => live.number == number,
            JobState::Stopping(stopping) => stopping.live.number == number,
            JobState::Waiting { .. }
            | JobState::Ready { .. }
            | JobState::BackingOff { .. }
            | JobState::Done { .. } => false,
        };
        match event {
            Event::Ready { total_by, .. } => {
                let was = JobState::Waiting { needs: 0, unmet: false };
                let may = *state == was || matches!(state, JobState::BackingOff { .. });
                may && *total_by < Timestamp::NEVER
            }
            Event::Requested { job, attempt, .. } => {
                let due = self.tally(*job).attempts.checked_add(1);
                matches!(state, JobState::Ready { .. }) && due == Some(*attempt)
            }
            Event::Stopping { attempt, kill_by, .. } => {
                is_live(*attempt) && *kill_by < Timestamp::NEVER
            }
            Event::Started { attempt, .. }
            | Event::Beat { attempt, .. }
            | Event::AttemptEnded { attempt, .. } => is_live(*attempt),
            Event::JobEnded { .. } => matches!(
                state,
                JobState::Waiting { .. } | JobState::Ready { .. } | JobState::BackingOff { .. }
            ),
            Event::Accepted { .. }
            | Event::Adopted { .. }
            | Event::CancelRequested { .. }
            | Event::GroupEnded { .. } => false,
        }
    }
}

impl Scheduler {
    /// Rebuilds a machine from journals. The groups in it stand still until each is adopted.
    ///
    /// # Errors
    /// Names the first journal that cannot have been written by a machine.
    pub fn replay(
        capacity: &Capacity,
        history: impl IntoIterator<Item = (GroupId, Vec<Record>)>,
    ) -> Result<Self, ReplayError> {
        let mut machine = Self::new(capacity);
        for (group, records) in history {
            machine.load(group, &records)?;
        }
        Ok(machine)
    }

    /// Takes a group in from its journal; an ended one is not taken. It stands still until
    /// [`Input::Adopt`](super::Input::Adopt).
    ///
    /// # Errors
    /// Refuses a journal that cannot have been written by a machine, and leaves everything as it
    /// was.
    pub fn load(&mut self, id: GroupId, records: &[Record]) -> Result<(), ReplayError> {
        if self.drives(id) {
            return Err(ReplayError::Driven(id));
        }
        let group = Group::replay(id, records)?;
        if group.ended.is_some() {
            return Ok(());
        }
        let slot = self.insert(group, (u64::MAX, 0));
        self.slot_mut(slot).stands = true;
        for uses in self.live_uses(slot) {
            self.limits.take(&uses);
        }
        Ok(())
    }

    /// The state of a group, to be compared with that of another machine.
    // Hidden also since rustdoc 1.95 panics over the opaque type when the facade re-exports it.
    #[doc(hidden)]
    #[must_use]
    pub fn state_of(&self, group: GroupId) -> Option<impl PartialEq + std::fmt::Debug + use<'_>> {
        Some(self.group(*self.by_id.get(&group)?))
    }

    /// Goes on with a group that was loaded: live attempts are taken up again, and what follows
    /// from its state but is not yet a fact becomes one.
    pub(super) fn adopt(
        &mut self,
        id: GroupId,
        epoch: Epoch,
        node: NodeId,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let Some(slot) = self.by_id.get(&id).copied() else { return };
        self.record(slot, Event::Adopted { epoch, node }, now, out);
        if std::mem::take(&mut self.slot_mut(slot).stands) {
            self.move_again(slot);
        }
        for job in self.group(slot).indexes() {
            self.reattach(slot, job, now, out);
        }
        for job in self.group(slot).indexes() {
            if let Some(verdict) = self.group(slot).job(job).verdict() {
                self.fail_fast(slot, job, verdict, now, out);
            }
        }
        match self.slot_mut(slot).asked.take().filter(|_| self.may_cancel(slot)) {
            Some(reason) => self.cancel_slot(slot, &reason, now, out),
            None => self.cancel_jobs(slot, now, out),
        }
        // What an earlier group has done is looked at when the group starts.
        if self.group(slot).plan.carried.is_empty() {
            self.skip_unmet(slot, now, out);
        }
        self.start(slot, now, out);
        self.follow_ended(now, out);
        if self.by_id.get(&id) == Some(&slot) {
            self.end_group(slot, now, out);
        }
    }

    /// Lets the indexes know the jobs of a group that stood still.
    fn move_again(&mut self, slot: u32) {
        for index in self.group(slot).indexes() {
            let job = self.group(slot).job(index);
            match job.state {
                JobState::Waiting { .. } | JobState::Done { .. } => {}
                JobState::Ready { .. }
                | JobState::Requested(_)
                | JobState::Running(_)
                | JobState::Stopping(_)
                | JobState::BackingOff { .. } => self.follow(slot, index, job.live().is_some()),
            }
        }
    }

    /// Takes a live attempt up again. It could neither beat nor hear a request to stop while no
    /// engine drove it, so the times for these begin anew.
    fn reattach(&mut self, slot: u32, job: JobIndex, now: Timestamp, out: &mut StepResult) {
        let group = self.group(slot);
        let Some(live) = group.job(job).live() else { return };
        let attempt = AttemptKey { group: group.id, slot, job, number: live.number };
        let order = Order {
            attempt,
            executor: self.lanes.uses(self.lane(slot, job)).executor,
            plan: Arc::clone(&group.plan),
            end_by: live.end_by.min(group.job(job).total_by),
            inputs: group.inputs(job),
            handle: live.handle.clone(),
        };
        out.effects.push(Effect::Reattach(order));
        match &group.job(job).state {
            JobState::Stopping(stopping) => {
                let reason = stopping.reason.clone();
                self.ask_to_stop(slot, job, reason, now, out);
            }
            JobState::Requested(_) | JobState::Running(_) => {
                if let Some(period) = self.class(slot, job).timeouts.heartbeat {
                    let beat_by = silent_until(now, period);
                    let number = attempt.number;
                    self.record(slot, Event::Beat { job, attempt: number, beat_by }, now, out);
                }
            }
            JobState::Waiting { .. }
            | JobState::Ready { .. }
            | JobState::BackingOff { .. }
            | JobState::Done { .. } => {}
        }
    }
}
