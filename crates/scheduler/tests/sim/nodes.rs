//! Several engines on one simulated store: leases that end by the store's clock, engines that are
//! stopped between any two deeds or cannot renew, and take-over by those that go on.
//!
//! What is checked besides everything else: an attempt that lives in its engine's process is never
//! alive when another engine is told that nobody knows it, unless its engine is stopped or dead at
//! that moment: then nobody could have ended it.

use std::collections::BTreeMap;

use jobwright_core::GroupId;
use jobwright_scheduler::machine::{Input, Scheduler};

use crate::executor::Name;
use crate::random::Random;
use crate::world::{Happening, World};

/// How many engines there are.
pub(crate) const NODES: usize = 3;

/// Owns what was released.
const NOBODY: usize = usize::MAX;

/// Whose groups are whose, and until when.
#[derive(Debug)]
pub(crate) struct Leases {
    length: u64,
    /// When each lease ends, by the store's clock. Earlier lives of engines have numbers beyond
    /// those of engines.
    ends: BTreeMap<usize, u64>,
    ghosts: usize,
    /// Until when each engine believes in its lease.
    trusted: [u64; NODES],
    /// Until when each engine is stopped.
    stopped: [u64; NODES],
    /// Until when each engine cannot renew.
    cut: [u64; NODES],
    /// An engine is stopped in the middle of a turn.
    is_any_resting: bool,
}

impl Leases {
    pub(crate) fn new(random: &mut Random) -> Self {
        let length = random.pick(&[3000, 15_000, 60_000]);
        let (ends, ghosts) = ((0..NODES).map(|node| (node, length)).collect(), NODES);
        let trusted = [length - length / 10; NODES];
        Self {
            length,
            ends,
            ghosts,
            trusted,
            stopped: [0; NODES],
            cut: [0; NODES],
            is_any_resting: false,
        }
    }

    fn is_live(&self, owner: usize, now: u64) -> bool {
        self.ends.get(&owner).is_some_and(|end| now < *end)
    }
}

impl World {
    /// Lets engines renew and claim from now on.
    pub(crate) fn plan_leases(&mut self) {
        let Some(leases) = &self.leases else { return };
        let length = leases.length;
        for node in 0..NODES {
            let (renews, claims) = (self.random.below(length / 3), self.random.below(length / 3));
            self.after(renews, Happening::Renew { engine: node });
            self.after(claims, Happening::Claim { engine: node });
        }
        let troubles = self.random.between(1, 8);
        for _ in 0..troubles {
            let most = self.random.pick(&[1000, 30_000, 300_000]);
            let at = self.random.below(most);
            let engine = self.random.below(NODES as u64) as usize;
            let lasts = self.random.between(1, 4 * length);
            let what = match self.random.chance(50) {
                true => Happening::Stop { engine, lasts },
                false => Happening::Cut { engine, lasts },
            };
            self.after(at, what);
        }
    }

    /// Until when an engine is stopped; 0 if it is not.
    pub(crate) fn stopped_until(&self, engine: usize) -> u64 {
        let stopped = self.leases.as_ref().map_or(0, |leases| leases.stopped[engine]);
        if stopped > self.now { stopped } else { 0 }
    }

    /// Whether an engine believes in its lease.
    pub(crate) fn trusts(&self, engine: usize) -> bool {
        self.leases.as_ref().is_none_or(|leases| self.now < leases.trusted[engine])
    }

    /// Until when an engine believes in its lease, if it has one.
    pub(crate) fn trusted_until(&self, engine: usize) -> Option<u64> {
        self.leases.as_ref().map(|leases| leases.trusted[engine])
    }

    pub(crate) fn end_troubles(&mut self) {
        if let Some(leases) = &mut self.leases {
            leases.cut = [0; NODES];
        }
    }

    pub(crate) fn stop_engine(&mut self, engine: usize, lasts: u64) {
        let until = self.now + lasts;
        self.trace.note(|| format!("engine {engine} is stopped until {until}"));
        if let Some(leases) = &mut self.leases {
            leases.stopped[engine] = leases.stopped[engine].max(until);
        }
    }

    pub(crate) fn cut_engine(&mut self, engine: usize, lasts: u64) {
        let until = self.now + lasts;
        self.trace.note(|| format!("engine {engine} cannot renew until {until}"));
        if let Some(leases) = &mut self.leases {
            leases.cut[engine] = leases.cut[engine].max(until);
        }
    }

    /// An engine renews its lease, and first gives up what it does not believe in any more.
    pub(crate) fn renew(&mut self, engine: usize) {
        let Some(length) = self.leases.as_ref().map(|leases| leases.length) else { return };
        self.after(length / 3, Happening::Renew { engine });
        if self.engines[engine].machine.is_none() {
            return;
        }
        let begins_anew = !self.trusts(engine);
        if begins_anew {
            self.start_over(engine);
        }
        let now = self.now;
        let Some(leases) = &mut self.leases else { return };
        if now < leases.cut[engine] {
            return;
        }
        leases.ends.insert(engine, now + length);
        leases.trusted[engine] = now + length - length / 10;
        if begins_anew {
            self.store.give_away(engine, NOBODY);
        }
    }

    /// An engine takes up groups whose engines have no lease.
    pub(crate) fn take_over(&mut self, engine: usize) {
        let Some(leases) = &self.leases else { return };
        let pause = self.random.between(leases.length / 4, leases.length * 5 / 12);
        self.after(pause, Happening::Claim { engine });
        let is_able = self.trusts(engine) && !self.engines[engine].is_draining;
        if !is_able || self.engines[engine].machine.is_none() {
            return;
        }
        let free = self.store.journals.iter().filter(|(_, journal)| {
            let is_driven = journal.owner == engine || self.is_live(journal.owner);
            !journal.is_ended && !is_driven
        });
        let free: Vec<GroupId> = free.map(|(id, _)| *id).collect();
        let mut adopt = Vec::new();
        for group in free {
            // Others claim at the same time.
            if !self.random.chance(70) {
                continue;
            }
            let from = self.store.journals[&group].owner;
            let epoch = self.store.claim(group, engine);
            self.trace.note(|| format!("engine {engine} takes {group} over from {from}"));
            self.totals.taken_over += 1;
            let records = self.store.journals[&group].records.clone();
            let node = self.engines[engine].node(engine);
            let Some(machine) = &mut self.engines[engine].machine else { return };
            if machine.drives(group) {
                // It was released, and this engine has not noticed that it lost it.
                let forget = vec![Input::Forget { group }];
                self.turn(engine, forget);
            }
            let Some(machine) = &mut self.engines[engine].machine else { return };
            machine.load(group, &records).expect("a journal that a machine wrote");
            self.engines[engine].hear_limit(&self.oracle.groups[&group].plan);
            adopt.push(Input::Adopt { group, epoch, node });
        }
        if !adopt.is_empty() {
            self.turn(engine, adopt);
        }
    }

    fn is_live(&self, owner: usize) -> bool {
        self.leases.as_ref().is_some_and(|leases| leases.is_live(owner, self.now))
    }

    /// An engine drops everything, without an event or effect: what lives in its process ends.
    pub(crate) fn start_over(&mut self, engine: usize) {
        let knows = |it: &Scheduler| !it.is_empty() || it.next_deadline().is_some();
        if !self.engines[engine].machine.as_ref().is_some_and(knows) {
            return;
        }
        self.trace.note(|| format!("engine {engine} starts over"));
        self.totals.started_over += 1;
        let it = &mut self.engines[engine];
        let mut machine = Scheduler::new(&it.capacity);
        if it.is_draining {
            machine.step(
                jobwright_core::Timestamp::default(),
                Input::Drain,
                &mut Default::default(),
            );
        }
        it.machine = Some(machine);
        it.limits.clear();
        it.life += 1;
        self.executor.end_of_home(engine);
    }

    /// A dead engine's groups are its life's until the lease ends.
    pub(crate) fn leave_to_ghost(&mut self, engine: usize) {
        let Some(leases) = &mut self.leases else { return };
        let (ghost, end) = (leases.ghosts, leases.ends.insert(engine, 0).unwrap_or(0));
        leases.ghosts += 1;
        leases.ends.insert(ghost, end);
        leases.trusted[engine] = 0;
        leases.stopped[engine] = 0;
        self.store.give_away(engine, ghost);
    }

    /// An engine may be stopped between an append and what follows from it. Others go on.
    pub(crate) fn rest_amid(&mut self, engine: usize) {
        let Some(leases) = &self.leases else { return };
        let length = leases.length;
        // One turn at a time is open.
        if leases.is_any_resting || !self.strikes(self.faults.rests) {
            return;
        }
        let lasts = self.random.between(1, 2 * length);
        self.stop_engine(engine, lasts);
        self.rest(true);
        let begun = self.now;
        while let until @ 1.. = self.stopped_until(engine) {
            while self.happen_before(until) {}
            self.now = self.now.max(until);
        }
        self.rest(false);
        self.late = self.now - begun;
    }

    fn rest(&mut self, is_any_resting: bool) {
        if let Some(leases) = &mut self.leases {
            leases.is_any_resting = is_any_resting;
        }
    }

    /// Another engine is told that nobody knows the attempt, which lives in its engine's process.
    pub(crate) fn check_not_alive(&self, name: Name, home: usize) {
        let attempt = &self.executor.attempts[&name];
        let it = &self.engines[home];
        let could_end_it = it.machine.is_some()
            && attempt.heard_by == (home, it.life)
            && self.stopped_until(home) == 0;
        assert!(
            !attempt.is_alive || !could_end_it,
            "attempt {name:?} lives on engine {home}, and another one begins it anew"
        );
    }
}
