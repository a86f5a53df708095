//! Who goes next, and whose time has run out.

use jobwright_core::{Event, JobIndex, Outcome, Stop, StopReason, Timeout, Timestamp, Verdict};

use super::Scheduler;
use super::attempt::silent_until;
use super::io::{AttemptKey, Effect, Order, StepResult};
use super::job::{JobState, abandoned};
use super::lanes::{Rank, Waiter};
use super::limits::Limit;
use super::timers::{BLOCK, Place, deadline};

/// How much longer than its grace an attempt may take to report its end before it is given up:
/// an executor needs a moment to kill and to clear away.
const KILL_MARGIN: std::time::Duration = std::time::Duration::from_secs(5);

/// The most attempts that are requested in one turn: it bounds the turn's time, and keeps what is
/// worked on in the processor's caches.
const TURN: u32 = 1024;

impl Scheduler {
    /// Requests attempts until nothing is ready, every limit is reached, or the turn has enough.
    pub(super) fn dispatch(&mut self, now: Timestamp, out: &mut StepResult) {
        if self.draining {
            return;
        }
        while out.requested < TURN
            && let Some((lane, next)) = self.lanes.take_first()
        {
            loop {
                let slots = &self.slots;
                let waits = |waiter: &Waiter| match &slots[waiter.place.slot as usize] {
                    Some(slot) if slot.group.id == waiter.place.group => matches!(
                        slot.group.job(waiter.place.job).state,
                        JobState::Ready { since, .. } if since == waiter.since
                    ),
                    Some(_) | None => false,
                };
                let Some((rank, waiter)) = self.lanes.head(lane, waits) else { break };
                if rank > next || out.requested >= TURN {
                    self.lanes.reopen(lane, rank);
                    break;
                }
                if let Some(limit) = self.blocked(lane, rank) {
                    self.lanes.park(lane, limit);
                    break;
                }
                self.request(waiter.place.slot, waiter.place.job, now, out);
            }
        }
        out.more = out.requested >= TURN && self.lanes.is_open();
    }

    /// The limit that keeps the first of a lane from going. Small shares of a pool do not pass a
    /// large one that ranks before them, or it would never find the pool empty enough.
    fn blocked(&self, lane: u32, rank: Rank) -> Option<Limit> {
        let uses = self.lanes.uses(lane);
        let behind = || {
            let pool = uses.pool.map(|(pool, _)| Limit::Pool(pool));
            pool.filter(|pool| self.lanes.is_behind(*pool, rank))
        };
        self.limits.blocks(uses).or_else(behind)
    }

    fn request(&mut self, slot: u32, job: JobIndex, now: Timestamp, out: &mut StepResult) {
        let (group, class) = (self.group(slot), self.class(slot, job));
        let timeouts = &class.timeouts;
        let end_by = now + timeouts.attempt;
        let beat_by = timeouts.heartbeat.map(|period| silent_until(now, period));
        let number = group.tally(job).attempts + 1;
        let attempt = AttemptKey { group: group.id, slot, job, number };
        let end_by_all = end_by.min(group.job(job).total_by);
        let order = Order {
            attempt,
            executor: self.lanes.uses(class.lane).executor,
            plan: std::sync::Arc::clone(&group.plan),
            end_by: end_by_all,
            inputs: group.inputs(job),
            handle: None,
        };
        self.record(slot, Event::Requested { job, attempt: number, end_by, beat_by }, now, out);
        out.effects.push(Effect::Dispatch(order));
        out.requested += 1;
    }

    /// Acts on every deadline that has come.
    pub(super) fn expire(&mut self, now: Timestamp, out: &mut StepResult) {
        while let Some((at, place)) = self.timers.next()
            && at <= now
        {
            self.timers.pop();
            if self.armed(place) != Some(at) {
                continue;
            }
            self.slot_mut(place.slot).armed[place.job.at() / BLOCK] = Timestamp::NEVER;
            for job in self.block(place) {
                if self.group(place.slot).job(job).deadline() <= now {
                    self.time_out(place.slot, job, now, out);
                }
            }
            for job in self.block(place) {
                self.arm(place.slot, job);
            }
        }
        let slots = &self.slots;
        self.timers.compact(self.blocks, |at, place| match &slots[place.slot as usize] {
            Some(slot) => slot.group.id == place.group && slot.armed[place.job.at() / BLOCK] == at,
            None => false,
        });
    }

    /// The deadline under which a block of jobs stands in the timers.
    fn armed(&self, place: Place) -> Option<Timestamp> {
        let slot = self.slots[place.slot as usize].as_ref()?;
        (slot.group.id == place.group).then(|| slot.armed[place.job.at() / BLOCK])
    }

    /// The jobs of a block.
    fn block(&self, place: Place) -> impl Iterator<Item = JobIndex> + use<> {
        let first = place.job.at();
        (first..self.group(place.slot).jobs.len().min(first + BLOCK)).map(JobIndex::from)
    }

    /// Sees to it that a job's deadline is not missed.
    pub(super) fn arm(&mut self, slot: u32, job: JobIndex) {
        let it = self.slot_mut(slot);
        let (deadline, block) = (it.group.job(job).deadline(), job.at() / BLOCK);
        if deadline < it.armed[block] {
            it.armed[block] = deadline;
            let place = Place { slot, job: JobIndex::from(block * BLOCK), group: it.group.id };
            self.timers.arm(deadline, place);
        }
    }

    fn time_out(&mut self, slot: u32, index: JobIndex, now: Timestamp, out: &mut StepResult) {
        let job = self.group(slot).job(index);
        let total_is_over = job.total_by <= now;
        match &job.state {
            JobState::Ready { .. } | JobState::BackingOff { .. } if total_is_over => {
                self.end_job(
                    slot,
                    index,
                    Verdict::Failed,
                    jobwright_core::Cause::TotalTimeout,
                    now,
                    out,
                );
            }
            JobState::Ready { .. } => {
                self.end_job(
                    slot,
                    index,
                    Verdict::Failed,
                    jobwright_core::Cause::QueueTimeout,
                    now,
                    out,
                );
            }
            JobState::BackingOff { .. } => self.make_ready(slot, index, now, out),
            JobState::Requested(live) | JobState::Running(live) => {
                let timeout = job.timeout(live, now).unwrap_or(Timeout::Attempt);
                self.stop(slot, index, StopReason::TimedOut(timeout), now, out);
            }
            JobState::Stopping(stopping) => {
                let number = stopping.live.number;
                let attempt = AttemptKey { group: self.group(slot).id, slot, job: index, number };
                self.end_attempt(slot, index, abandoned(), now, out);
                out.effects.push(Effect::Abandon { attempt });
            }
            JobState::Waiting { .. } | JobState::Done { .. } => {}
        }
    }

    /// Asks a live attempt to stop, once.
    pub(super) fn stop(
        &mut self,
        slot: u32,
        job: JobIndex,
        reason: StopReason,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        match self.group(slot).job(job).state {
            JobState::Requested(_) | JobState::Running(_) => {
                self.ask_to_stop(slot, job, reason, now, out);
            }
            JobState::Waiting { .. }
            | JobState::Ready { .. }
            | JobState::Stopping(_)
            | JobState::BackingOff { .. }
            | JobState::Done { .. } => {}
        }
    }

    /// Asks a live attempt to stop, with the whole grace from now on.
    pub(super) fn ask_to_stop(
        &mut self,
        slot: u32,
        job: JobIndex,
        reason: StopReason,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let group = self.group(slot);
        let Some(live) = group.job(job).live() else { return };
        let number = live.number;
        let grace = group.planned(job).policy.grace.0;
        let attempt = AttemptKey { group: group.id, slot, job, number };
        let kill_by = deadline(now, grace.saturating_add(KILL_MARGIN));
        let event = Event::Stopping { job, attempt: number, reason: reason.clone(), kill_by };
        self.record(slot, event, now, out);
        out.effects.push(Effect::Stop { attempt, stop: Stop { reason, grace } });
    }

    /// Asks every live attempt to stop, and leaves their jobs to the next engine.
    pub(super) fn halt(&mut self, now: Timestamp, out: &mut StepResult) {
        self.draining = true;
        for slot in self.by_id.values().copied().collect::<Vec<_>>() {
            if self.slot(slot).stands {
                continue;
            }
            for job in self.group(slot).indexes() {
                self.stop(slot, job, StopReason::Shutdown, now, out);
            }
        }
    }

    /// Records that a job's attempt ended with this outcome, and what becomes of the job.
    pub(super) fn end_attempt(
        &mut self,
        slot: u32,
        job: JobIndex,
        outcome: Outcome,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let group = self.group(slot);
        let Some(live) = group.job(job).live() else { return };
        let attempt = live.number;
        let (outcome, next) = group.after_attempt(job, outcome, now);
        let again = match next {
            jobwright_core::Next::Retry { at } => at <= now,
            jobwright_core::Next::End { .. } => false,
        };
        self.record(slot, Event::AttemptEnded { job, attempt, outcome, next }, now, out);
        if again {
            self.make_ready(slot, job, now, out);
        }
    }
}
