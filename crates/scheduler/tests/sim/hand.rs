//! A machine driven by hand: one input at a time, everything durable at once, the oracle watching.

use std::fmt::Write;
use std::sync::Arc;

use jobwright_core::{Epoch, ExecutorName, GroupId, NodeId, Outcome, Plan, PoolName, Timestamp};
use jobwright_scheduler::machine::{AttemptKey, Capacity, Input, Report, Scheduler, StepResult};
use uuid::Uuid;

use crate::notation;
use crate::oracle::{Oracle, State};
use crate::plan;
use crate::store::Store;

pub(crate) struct Hand {
    pub(crate) capacity: Capacity,
    pub(crate) machine: Scheduler,
    /// Seconds.
    pub(crate) now: u64,
    pub(crate) oracle: Oracle,
    pub(crate) store: Store,
    pub(crate) out: StepResult,
}

/// Capacities from `executor name, slots` and `pool name, limit`.
pub(crate) fn capacity(executors: &[(&str, u32)], pools: &[(&str, u32)]) -> Capacity {
    let executors = executors
        .iter()
        .map(|(name, slots)| (ExecutorName::new(name).expect("an executor's name"), Some(*slots)));
    let pools =
        pools.iter().map(|(name, limit)| (PoolName::new(name).expect("a pool's name"), *limit));
    Capacity { executors: executors.collect(), pools: pools.collect() }
}

impl Hand {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            machine: Scheduler::new(&capacity),
            capacity,
            now: 0,
            oracle: Oracle::default(),
            store: Store::default(),
            out: StepResult::default(),
        }
    }

    pub(crate) fn clock(&self) -> Timestamp {
        Timestamp::from_millis(self.now.cast_signed() * 1000)
    }

    /// Gives the machine one input, and tells what followed.
    pub(crate) fn step(&mut self, input: Input) -> Vec<String> {
        let now = self.clock();
        self.out.clear();
        self.machine.step(now, input, &mut self.out);
        self.machine.check_invariants();
        let mut lines = Vec::new();
        for row in &self.out.journal {
            self.store.append(0, row, now).expect("nobody else drives the group");
            for event in &row.events {
                self.oracle.take(row.group, event, now);
                lines.push(format!("{}.{}", row.group, notation::event(event)));
            }
            let model = &self.oracle.groups[&row.group];
            if let Some(summary) = &row.summary {
                assert_eq!(summary.status, model.status, "a summary tells the status");
            }
        }
        lines.extend(self.out.effects.iter().map(notation::effect));
        for id in self.store.unfinished(0).into_iter().filter(|id| self.machine.drives(*id)) {
            let model = &self.oracle.groups[&id];
            if model.epoch != self.store.journals[&id].epoch {
                continue;
            }
            let is_held = model.queues() && !self.oracle.ahead(model).is_empty();
            model.check_settled(id, is_held, now);
        }
        lines
    }

    pub(crate) fn submit(&mut self, group: u64, plan: &Arc<Plan>) -> Vec<String> {
        let groups = vec![(plan::group_id(group), Arc::clone(plan))];
        self.step(Input::Submit { groups, epoch: Epoch(1) })
    }

    /// The live attempt of a job, as the journals tell.
    pub(crate) fn live(&self, group: u64, job: usize) -> Option<AttemptKey> {
        let id = plan::group_id(group);
        match &self.oracle.groups.get(&id)?.jobs[job].state {
            State::Live(live) => {
                Some(AttemptKey { group: id, slot: 0, job: job.into(), number: live.number })
            }
            State::Waiting | State::Ready { .. } | State::BackingOff { .. } | State::Done(_) => {
                None
            }
        }
    }

    /// Reports about the live attempt of a job.
    ///
    /// # Panics
    /// When it has none.
    pub(crate) fn report(&mut self, group: u64, job: usize, report: Report) -> Vec<String> {
        let attempt = self.live(group, job).expect("a live attempt");
        self.step(Input::Report { attempt, report })
    }

    pub(crate) fn end(&mut self, group: u64, job: usize, outcome: Outcome) -> Vec<String> {
        self.report(group, job, Report::Ended(outcome))
    }

    /// Lets time go by until something happens by itself.
    pub(crate) fn tick(&mut self) -> Vec<String> {
        while let Some(at) = self.machine.next_deadline() {
            let seconds = u64::try_from(at.as_millis()).expect("after the beginning");
            self.now = self.now.max(seconds.div_ceil(1000));
            let lines = self.step(Input::Tick);
            if !lines.is_empty() {
                return lines;
            }
        }
        Vec::new()
    }

    /// The engine dies, and another one takes up all that is in the journals.
    pub(crate) fn restart(&mut self) -> Vec<String> {
        let open = self.store.unfinished(0);
        let epochs: Vec<_> = open.iter().map(|group| self.store.claim(*group, 0)).collect();
        let journals = open.iter().map(|id| (*id, self.store.journals[id].records.clone()));
        let machine = Scheduler::replay(&self.capacity, journals);
        self.machine = machine.expect("a journal that a machine wrote");
        let node = NodeId(Uuid::nil());
        let adopt = open.into_iter().zip(epochs);
        adopt.flat_map(|(group, epoch)| self.step(Input::Adopt { group, epoch, node })).collect()
    }

    pub(crate) fn is_live(&self, group: u64, job: usize) -> bool {
        self.live(group, job).is_some()
    }

    /// Whether replay makes the same state of the journal.
    pub(crate) fn check_replay(&self, group: GroupId) {
        let journal = [(group, self.store.journals[&group].records.clone())];
        let replayed = Scheduler::replay(&self.capacity, journal);
        let replayed = replayed.expect("a journal that a machine wrote");
        if self.machine.drives(group) {
            assert_eq!(self.machine.state_of(group), replayed.state_of(group));
        }
    }

    /// All that can be told of the state, as text.
    pub(crate) fn state(&self) -> String {
        let mut state = format!("{}", self.now);
        for (id, model) in &self.oracle.groups {
            write!(state, " {:?} {:?}", model.cancel, model.ended).expect("a string takes all");
            for (at, job) in model.jobs.iter().enumerate() {
                let reason = self.machine.waiting(*id, at.into());
                write!(state, " {job:?} {reason:?}").expect("a string takes all");
            }
        }
        state
    }
}
