//! The simulated world: an agenda in virtual time, engines, a store, an executor and an oracle.
//! Everything that happens follows from the seed.

use std::collections::BTreeMap;
use std::fmt::Write;

use jobwright_core::{Outcome, Timestamp};
use jobwright_scheduler::machine::{AttemptKey, Input, Report};

use crate::engine::Engine;
use crate::executor::Executor;
use crate::faults::Faults;
use crate::nodes::{Leases, NODES};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::store::{Journal, Store};
use crate::workload::{self, LONGEST_TOTAL, Submission};

/// The engine's clock when the world begins, in milliseconds.
const START: i64 = 1_000_000_000;

/// When faults stop, in milliseconds of the world.
const CALM: u64 = 1_800_000;

/// How long after that the last group must have ended: a chain of twelve jobs in each of four
/// runs, one after the other, plus what clocks may have jumped back.
const BOUND: u64 = 4 * 12 * (LONGEST_TOTAL + 60_000) + 20 * 3_600_000;

/// Something that happens at its time.
#[derive(Debug)]
pub(crate) enum Happening {
    Submit,
    Report { heard_by: (usize, u64), key: AttemptKey, report: Report },
    Beat { key: AttemptKey },
    End { key: AttemptKey, plan: u64, outcome: Outcome },
    Restart { engine: usize },
    Halt { engine: usize },
    Kill { engine: usize, life: u64 },
    Fence,
    Cancel,
    Jump { by: i64 },
    Renew { engine: usize },
    Claim { engine: usize },
    Stop { engine: usize, lasts: u64 },
    Cut { engine: usize, lasts: u64 },
    Calm,
}

impl Happening {
    /// The engine that must not be stopped for it to happen.
    fn needs(&self) -> Option<usize> {
        match self {
            Self::Report { heard_by: (engine, _), .. }
            | Self::Restart { engine }
            | Self::Halt { engine }
            | Self::Renew { engine }
            | Self::Claim { engine } => Some(*engine),
            Self::Submit
            | Self::Beat { .. }
            | Self::End { .. }
            | Self::Kill { .. }
            | Self::Fence
            | Self::Cancel
            | Self::Jump { .. }
            | Self::Stop { .. }
            | Self::Cut { .. }
            | Self::Calm => None,
        }
    }
}

/// What happened, in numbers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) turns: u64,
    pub(crate) steps: u64,
    pub(crate) attempts: u64,
    pub(crate) crashes: u64,
    pub(crate) fenced: u64,
    pub(crate) taken_over: u64,
    pub(crate) started_over: u64,
}

/// What happened, in words: kept as a hash, and as lines where somebody reads them.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) hash: u64,
    pub(crate) lines: Option<String>,
}

impl Trace {
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            writeln!(lines, "{line}").expect("a string takes all");
        }
    }
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now: u64,
    skew: i64,
    pub(crate) has_jumped: bool,
    agenda: BTreeMap<(u64, u64), Happening>,
    happened: u64,
    pub(crate) store: Store,
    pub(crate) executor: Executor,
    pub(crate) oracle: Oracle,
    pub(crate) engines: [Engine; NODES],
    /// Where engines have leases.
    pub(crate) leases: Option<Leases>,
    /// How much later than its append the present turn goes on.
    pub(crate) late: u64,
    /// One engine drives everything, so that promises between runs hold.
    pub(crate) is_alone: bool,
    pub(crate) faults: Faults,
    submissions: Vec<Submission>,
    submitted: usize,
    is_calm: bool,
    /// How many turns in a hundred are compared with replay.
    pub(crate) compare: u64,
    pub(crate) trace: Trace,
    pub(crate) totals: Totals,
}

impl World {
    /// A world with work and faults.
    pub(crate) fn new(seed: u64, lines: Option<String>) -> Self {
        let mut random = Random::new(seed);
        let mut faults = Faults::of(&mut random);
        let is_alone = random.chance(70);
        let leases = (!is_alone && random.chance(60)).then(|| Leases::new(&mut random));
        if is_alone || leases.is_some() {
            faults.fences = 0;
        }
        let capacity = workload::capacity(&mut random);
        let submissions = workload::submissions(&mut random);
        let mut world = Self {
            now: 0,
            skew: 0,
            has_jumped: false,
            agenda: BTreeMap::new(),
            happened: 0,
            store: Store::default(),
            executor: Executor::default(),
            oracle: Oracle::default(),
            engines: std::array::from_fn(|_| Engine::new(capacity.clone())),
            leases,
            late: 0,
            is_alone,
            faults,
            submissions,
            submitted: 0,
            is_calm: false,
            compare: 10,
            trace: Trace { hash: 0xcbf2_9ce4_8422_2325, lines },
            totals: Totals::default(),
            random,
        };
        world.after(0, Happening::Submit);
        world.after(CALM, Happening::Calm);
        world.plan_faults();
        world.plan_leases();
        world
    }

    /// A world without faults in which an engine starts and finds these journals.
    pub(crate) fn found(seed: u64, journals: Vec<Journal>) -> Self {
        let mut world = Self::new(seed, None);
        world.agenda.clear();
        world.leases = None;
        world.submissions.clear();
        world.calm_down();
        world.engines[0].machine = None;
        for journal in journals {
            let group = journal.records[0].group;
            for record in &journal.records {
                for event in record.events.iter() {
                    world.oracle.take(group, event, record.at);
                }
                let at = record.at.as_millis() - START;
                world.now = world.now.max(u64::try_from(at).unwrap_or(0));
            }
            world.store.journals.insert(group, Journal { owner: 0, ..journal });
        }
        world.after(0, Happening::Restart { engine: 0 });
        world
    }

    fn plan_faults(&mut self) {
        let faults = self.faults.clone();
        let mut plan = |count: u64, make: &dyn Fn(&mut Random) -> Happening| {
            for _ in 0..count {
                // Most of what happens happens early.
                let most = self.random.pick(&[1000, 30_000, 300_000, CALM - 1]);
                let at = self.random.below(most);
                let what = make(&mut self.random);
                self.after(at, what);
            }
        };
        plan(faults.jumps, &|random| {
            let by = random.pick(&[1, 1000, 60_000, 3_600_000]);
            Happening::Jump { by: if random.chance(50) { by } else { -by } }
        });
        plan(faults.fences, &|_| Happening::Fence);
        plan(faults.halts, &|random| Happening::Halt { engine: random.below(2) as usize });
        plan(faults.cancels, &|_| Happening::Cancel);
    }

    /// What the engines' clocks show.
    pub(crate) fn clock(&self) -> Timestamp {
        Timestamp::from_millis(START + self.now.cast_signed() + self.skew)
    }

    pub(crate) fn after(&mut self, delay: u64, happening: Happening) {
        self.happened += 1;
        self.agenda.insert((self.now + delay, self.happened), happening);
    }

    /// Runs until every group has ended.
    ///
    /// # Panics
    /// When a promise is broken.
    pub(crate) fn run(&mut self) {
        let mut rounds = 0_u64;
        while !self.is_over() {
            rounds += 1;
            assert!(rounds < 400_000, "the engine comes to an end");
            assert!(self.now < CALM + BOUND, "every group ends within a bound");
            let happened = self.happen_before(u64::MAX);
            assert!(happened, "nothing will happen any more: {:?}", self.oracle);
        }
        for (id, model) in &self.oracle.groups {
            assert!(model.ended.is_some(), "group {id} ended");
        }
    }

    /// Lets the next thing happen, if it does before that time.
    pub(crate) fn happen_before(&mut self, end: u64) -> bool {
        let due = self.agenda.first_key_value().map(|((at, _), _)| *at);
        match (due, self.next_wake()) {
            (Some(at), wake) if wake.is_none_or(|(wake, _)| at <= wake) && at < end => {
                self.advance(at);
                true
            }
            (due, Some((wake, engine))) if due.is_none_or(|at| wake < at) && wake < end => {
                let late = match self.strikes(self.faults.oversleep) {
                    true => self.random.below(500),
                    false => 0,
                };
                self.now = self.now.max(wake + late);
                self.turn(engine, vec![Input::Tick]);
                true
            }
            (Some(_) | None, Some(_) | None) => false,
        }
    }

    fn is_over(&self) -> bool {
        let all_ended = || self.store.journals.values().all(|journal| journal.is_ended);
        self.submitted == self.submissions.len() && all_ended()
    }

    /// When and which engine wakes next by itself.
    fn next_wake(&self) -> Option<(u64, usize)> {
        let wakes = self.engines.iter().enumerate().filter_map(|(engine, it)| {
            let machine = it.machine.as_ref()?;
            let deadline = machine
                .next_deadline()
                .map(|at| u64::try_from(at.as_millis() - START - self.skew).unwrap_or(0));
            // An engine wakes also when its lease is over, to give up what it has.
            let lease = self.trusted_until(engine).filter(|_| !machine.is_empty());
            let at = deadline.into_iter().chain(lease).min()?;
            Some((at.max(self.now).max(self.stopped_until(engine)), engine))
        });
        wakes.min()
    }

    fn advance(&mut self, at: u64) {
        self.now = self.now.max(at);
        let Some((_, happening)) = self.agenda.pop_first() else { return };
        if let Some(engine) = happening.needs()
            && let until @ 1.. = self.stopped_until(engine)
        {
            return self.after(until - self.now, happening);
        }
        match happening {
            Happening::Submit => self.submit(),
            Happening::Report { heard_by, key, report } => self.hear(heard_by, key, report),
            Happening::Beat { key } => self.beat(key),
            Happening::End { key, plan, outcome } => self.ended(key, plan, outcome),
            Happening::Restart { engine } => self.restart(engine),
            Happening::Halt { engine } => self.halt(engine),
            Happening::Kill { engine, life } => {
                if self.engines[engine].life == life && self.engines[engine].machine.is_some() {
                    self.die(engine);
                }
            }
            Happening::Fence => self.fence(),
            Happening::Cancel => self.cancel(),
            Happening::Jump { by } => {
                self.skew += by;
                self.has_jumped = true;
            }
            Happening::Renew { engine } => self.renew(engine),
            Happening::Claim { engine } => self.take_over(engine),
            Happening::Stop { engine, lasts } => self.stop_engine(engine, lasts),
            Happening::Cut { engine, lasts } => self.cut_engine(engine, lasts),
            Happening::Calm => self.calm_down(),
        }
    }

    fn calm_down(&mut self) {
        self.is_calm = true;
        self.end_troubles();
        self.faults = Faults::default();
    }

    /// Asks for the next run, again and again until it is accepted or refused.
    fn submit(&mut self) {
        let Some(submission) = self.submissions.get(self.submitted) else { return };
        let groups = submission.groups.clone();
        let (first, plan) = (groups[0].0, groups[0].1.clone());
        let engine = match &self.leases {
            Some(_) => self.random.below(NODES as u64) as usize,
            None => 0,
        };
        let usable = self.engines[engine].machine.is_some()
            && !self.engines[engine].is_draining
            && self.stopped_until(engine) == 0
            && self.trusts(engine);
        let mut is_done = self.store.journals.contains_key(&first);
        if !is_done && usable {
            let live = self
                .oracle
                .groups
                .values()
                .any(|it| it.ended.is_none() && it.plan.run.deployment == plan.run.deployment);
            let skips = plan.run.policy == jobwright_core::RunPolicy::Skip;
            let epoch = jobwright_core::Epoch(1);
            self.turn(engine, vec![Input::Submit { groups, epoch }]);
            let accepted = self.store.journals.contains_key(&first);
            let refused = skips && live;
            assert!(!(self.is_alone && accepted && refused), "a run that is to be skipped begins");
            is_done = accepted || refused;
            if accepted && plan.run.policy == jobwright_core::RunPolicy::CancelPrevious {
                self.check_superseded(first);
            }
        }
        if is_done {
            self.submitted += 1;
            if let Some(next) = self.submissions.get(self.submitted) {
                self.after(next.at.saturating_sub(self.now), Happening::Submit);
            }
        } else {
            self.after(1000, Happening::Submit);
        }
    }

    fn check_superseded(&self, group: jobwright_core::GroupId) {
        let ahead = self.oracle.ahead(&self.oracle.groups[&group]);
        for (_, earlier) in ahead.iter().filter(|_| self.is_alone) {
            let is_cancelled = self.oracle.groups[earlier].cancel.is_some();
            assert!(is_cancelled, "group {earlier} is superseded by {group}");
        }
    }

    /// A report reaches an engine. One for a dead life may still reach the next.
    fn hear(&mut self, heard_by: (usize, u64), attempt: AttemptKey, report: Report) {
        let (engine, life) = heard_by;
        if self.engines[engine].life != life && self.random.chance(70) {
            return;
        }
        let mut inputs = vec![Input::Report { attempt, report }];
        // What comes at the same moment may share the turn.
        while self.random.chance(60)
            && let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= self.now
            && matches!(entry.get(), Happening::Report { heard_by: (to, _), .. } if *to == engine)
        {
            if let Happening::Report { heard_by, key, report } = entry.remove()
                && heard_by.1 == self.engines[engine].life
            {
                inputs.push(Input::Report { attempt: key, report });
            }
        }
        self.turn(engine, inputs);
    }

    /// An engine is shut down, and killed some time later.
    fn halt(&mut self, engine: usize) {
        if self.engines[engine].machine.is_none() {
            return;
        }
        let life = self.engines[engine].life;
        let input = if self.random.chance(70) { Input::Halt } else { Input::Drain };
        self.engines[engine].is_draining = true;
        self.turn(engine, vec![input]);
        let pause = self.random.pick(&[10, 1000, 20_000]);
        self.after(pause, Happening::Kill { engine, life });
    }
}
