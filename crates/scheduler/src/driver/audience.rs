//! Telling observers and the log what became durable: once a turn, after its effects. Where nobody
//! is told, a turn costs one look at that.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobwright_core::{
    Commit, EngineProfile, Epoch, Fact, GroupId, Observer, Record, Slots, StoreError, Timestamp,
    TurnReport,
};

use super::account;
use super::ledger::Ledger;
use crate::machine::Scheduler;

/// Everybody who is told.
#[derive(Default)]
pub(crate) struct Audience {
    observers: Vec<Arc<dyn Observer>>,
    ledger: Ledger,
    turn: Lap,
}

/// What is measured of a turn.
#[derive(Default)]
struct Lap {
    /// Whether anybody is told of this turn.
    told: bool,
    began: Option<Instant>,
    step: Duration,
    append: Option<Duration>,
    lag: Option<Duration>,
    /// What became durable.
    commit: Option<Arc<Commit>>,
}

impl Audience {
    /// Tells these observers from now on.
    pub(crate) fn new(observers: Vec<Arc<dyn Observer>>, machine: &Scheduler) -> Self {
        let mut audience = Self { observers, ..Self::default() };
        let slots: Vec<_> = machine.slots().collect();
        audience.each("began", |observer| observer.began(&EngineProfile::new(&slots)));
        audience
    }

    fn is_told(&self) -> bool {
        !self.observers.is_empty() || account::is_kept()
    }

    /// A group of an earlier engine was loaded.
    pub(super) fn loaded(&mut self, records: &[Record]) {
        if self.is_told() {
            self.ledger.load(records);
        }
    }

    /// A group is driven by another engine.
    pub(super) fn forget(&mut self, group: GroupId) {
        self.ledger.forget(group);
    }

    /// The machine is about to decide.
    pub(super) fn begin(&mut self, now: Timestamp, machine: &Scheduler) {
        self.turn = Lap { told: self.is_told(), ..Lap::default() };
        if self.turn.told {
            let due = machine.next_deadline().filter(|due| *due <= now);
            self.turn.lag = due.map(|due| now.since(due));
            self.turn.began = Some(clock());
        } else if self.ledger.groups_left() > 0 {
            // Whoever was told is told no more; what the ledger holds would only grow old.
            self.ledger = Ledger::default();
        }
    }

    /// The machine has decided.
    pub(super) fn decided(&mut self) {
        if let Some(began) = self.turn.began {
            let now = clock();
            self.turn.step = now.duration_since(began);
            self.turn.began = Some(now);
        }
    }

    /// The store refused a commit, or cannot take it now.
    pub(super) fn commit_failed(&mut self, error: &StoreError) {
        self.each("commit_failed", |observer| observer.commit_failed(error));
    }

    /// The turn is durable.
    pub(super) fn kept(&mut self, commit: &Arc<Commit>) {
        if let Some(began) = self.turn.began
            && !commit.is_empty()
        {
            self.turn.append = Some(began.elapsed());
            self.turn.commit = Some(Arc::clone(commit));
        }
    }

    /// The turn has been performed: tells everybody.
    pub(super) fn tell(&mut self, now: Timestamp, machine: &Scheduler) {
        if !self.turn.told {
            return;
        }
        let turn = std::mem::take(&mut self.turn);
        let mut ledger = std::mem::take(&mut self.ledger);
        let journal = turn.commit.as_ref().map_or(&[][..], |commit| &commit.journal);
        ledger.follow(journal);
        let mut facts: Vec<Fact<'_>> = Vec::with_capacity(journal.len() * 4);
        ledger.facts(journal, &mut facts);
        if account::is_kept() {
            facts.iter().for_each(account::tell);
        }
        let slots: Vec<Slots<'_>> = machine.slots().collect();
        let records = journal.iter().map(|append| &append.record);
        let mut report = TurnReport::new(now, &facts);
        report.events = records.clone().map(|record| record.events.len() as u64).sum();
        report.epoch = records.map(|record| record.epoch).max().unwrap_or(Epoch(0));
        (report.step, report.append, report.lag) = (turn.step, turn.append, turn.lag);
        (report.groups, report.jobs) = (ledger.groups_left(), ledger.jobs());
        report.slots = &slots;
        tracing::trace!(
            events = report.events,
            facts = facts.len(),
            step = ?turn.step,
            append = ?turn.append,
            lag = ?turn.lag,
            "turn"
        );
        self.each("turn", |observer| observer.turn(&report));
        ledger.close();
        self.ledger = ledger;
    }

    /// Calls each observer; one that panics is called no more.
    fn each(&mut self, method: &'static str, call: impl Fn(&dyn Observer)) {
        self.observers.retain(|observer| {
            let called = std::panic::catch_unwind(AssertUnwindSafe(|| call(&**observer)));
            if called.is_err() {
                tracing::error!(method, "an observer panicked, and is told nothing more");
            }
            called.is_ok()
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures the loop itself, not its work")]
fn clock() -> Instant {
    Instant::now()
}
