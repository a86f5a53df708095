//! A simulated engine: one machine, driven as the real driver does it. A turn is step, append,
//! perform; it may die in between.

use std::collections::{BTreeMap, BTreeSet};

use jobwright_core::{CancelReason, DeploymentId, Event, GroupId, NodeId, Timestamp};
use jobwright_scheduler::machine::{
    AttemptKey, Capacity, Effect, Input, Report, Scheduler, StepResult, WaitReason,
};
use uuid::Uuid;

use crate::faults::Crash;
use crate::notation;
use crate::oracle::{Model, State};
use crate::rules::{Limit, Usage};
use crate::world::{Happening, World};

#[derive(Debug, Default)]
pub(crate) struct Engine {
    /// None while it is dead.
    pub(crate) machine: Option<Scheduler>,
    pub(crate) capacity: Capacity,
    /// The limit of each deployment that this life of the engine heard last.
    pub(crate) limits: BTreeMap<DeploymentId, u32>,
    /// Grows with each death.
    pub(crate) life: u64,
    /// It was told to begin nothing.
    pub(crate) is_draining: bool,
    out: StepResult,
}

impl Engine {
    pub(crate) fn new(capacity: Capacity) -> Self {
        let machine = Some(Scheduler::new(&capacity));
        Self { machine, capacity, ..Self::default() }
    }

    pub(crate) fn node(&self, index: usize) -> NodeId {
        NodeId(Uuid::from_u64_pair(index as u64, self.life))
    }

    /// Keeps the limit that a run of a deployment declares.
    pub(crate) fn hear_limit(&mut self, model: &jobwright_core::Plan) {
        if let Some(limit) = model.run.deployment_limit {
            self.limits.insert(model.run.deployment, limit);
        }
    }
}

impl World {
    /// One turn of an engine: its inputs share a moment and a commit.
    pub(crate) fn turn(&mut self, engine: usize, inputs: Vec<Input>) {
        if !self.trusts(engine) {
            return self.start_over(engine);
        }
        let now = self.clock();
        let Some(mut machine) = self.engines[engine].machine.take() else { return };
        let mut out = std::mem::take(&mut self.engines[engine].out);
        out.clear();
        self.totals.turns += 1;
        // As in the driver: beats come first, and a turn that has any ends with a tick.
        let is_beat = |it: &Input| matches!(it, Input::Report { report: Report::Beat, .. });
        let (beats, others): (Vec<_>, Vec<_>) = inputs.into_iter().partition(is_beat);
        let tick = (!beats.is_empty()).then_some(Input::Tick);
        for input in beats.into_iter().chain(others).chain(tick) {
            self.totals.steps += 1;
            machine.step(now, input, &mut out);
            machine.check_invariants();
        }
        assert!(machine.next_deadline().is_none_or(|at| at > now), "every deadline was acted on");
        let crash = self.faults.crash(&mut self.random, out.effects.len());
        let fenced = match crash {
            Some(Crash::BeforeAppend) => Vec::new(),
            Some(Crash::AfterAppend | Crash::Amid(_)) | None => {
                let old = self.engines[engine].limits.clone();
                let fenced = self.append(engine, &out, now);
                self.check_turn(engine, &machine, &out, &old, now);
                fenced
            }
        };
        if crash.is_none() {
            let life = self.engines[engine].life;
            self.engines[engine].machine = Some(machine);
            self.rest_amid(engine);
            if self.engines[engine].life != life {
                self.late = 0;
                return;
            }
            if !self.trusts(engine) {
                self.late = 0;
                return self.start_over(engine);
            }
            let Some(rested) = self.engines[engine].machine.take() else { return };
            machine = rested;
        }
        let performed = match crash {
            Some(Crash::BeforeAppend | Crash::AfterAppend) => 0,
            Some(Crash::Amid(count)) => count,
            None => out.effects.len(),
        };
        for effect in out.effects.iter().take(performed) {
            let refused = matches!(group_of(effect), Some(group) if fenced.contains(&group));
            if !refused {
                self.perform(engine, effect);
            }
        }
        self.late = 0;
        self.engines[engine].out = out;
        self.engines[engine].machine = Some(machine);
        if let Some(crash) = crash {
            self.trace.note(|| format!("engine {engine} dies: {crash:?}"));
            self.totals.crashes += 1;
            self.die(engine);
        } else if !fenced.is_empty() {
            let forget = fenced.into_iter().map(|group| Input::Forget { group });
            self.turn(engine, forget.collect());
        }
    }

    /// Makes the turn's rows durable, and returns the groups whose rows are refused.
    fn append(&mut self, engine: usize, out: &StepResult, now: Timestamp) -> Vec<GroupId> {
        let mut fenced = Vec::new();
        let mut seen = BTreeSet::new();
        for row in &out.journal {
            assert!(seen.insert(row.group), "one row per group and turn: {}", row.group);
            if self.store.append(engine, row, now).is_err() {
                self.trace.note(|| format!("fenced {}", row.group));
                self.totals.fenced += 1;
                fenced.push(row.group);
                continue;
            }
            let before = self.oracle.groups.get(&row.group).map(|model| model.status);
            for event in &row.events {
                self.trace.note(|| {
                    let (at, event) = (notation::time(now), notation::event(event));
                    format!("{at} e{engine} {}.{event}", row.group)
                });
                if let Event::Accepted { plan } = event {
                    self.engines[engine].hear_limit(plan);
                }
                self.oracle.take(row.group, event, now);
                if let Event::AttemptEnded { job, attempt, .. } = event {
                    let is_alive = self.give_up(engine, (row.group, *job, *attempt));
                    let is_told = out.effects.iter().any(|effect| match effect {
                        Effect::Abandon { attempt: key } => {
                            (key.group, key.job, key.number) == (row.group, *job, *attempt)
                        }
                        _ => false,
                    });
                    assert!(!is_alive || is_told, "what is alive and counts no more is told so");
                }
            }
            let model = &self.oracle.groups[&row.group];
            match &row.summary {
                None => assert_eq!(before, Some(model.status), "a new status is in a summary"),
                Some(summary) => {
                    assert_eq!(summary.status, model.status, "a summary tells the status");
                    assert_eq!(summary.updated_at, now, "a summary tells when");
                    assert_eq!((summary.id, summary.jobs as usize), (row.group, model.jobs.len()));
                    let is_new = before.is_none_or(|before| before < model.status);
                    assert!(is_new, "statuses only grow: {before:?} to {:?}", model.status);
                }
            }
        }
        fenced
    }

    /// Checks what must be true after every turn, as far as journals tell.
    fn check_turn(
        &mut self,
        engine: usize,
        machine: &Scheduler,
        out: &StepResult,
        old: &BTreeMap<DeploymentId, u32>,
        now: Timestamp,
    ) {
        let it = &self.engines[engine];
        let mine = |id: GroupId| {
            let journal = &self.store.journals[&id];
            journal.owner == engine && !journal.is_ended
        };
        let mine_or_ended = |id: GroupId| {
            self.store.journals.get(&id).is_some_and(|journal| journal.owner == engine)
                && self.oracle.groups.contains_key(&id)
        };
        let mut usage = Usage::of(&self.oracle, &it.capacity, &it.limits, mine);
        // A limit that was lowered in this turn binds from the next on.
        let mut lenient = usage.raised_to(old);
        for row in out.journal.iter().filter(|row| mine(row.group)) {
            let model = &self.oracle.groups[&row.group];
            for event in &row.events {
                let is_request = matches!(event, Event::Requested { .. });
                assert!(!(is_request && it.is_draining), "nothing begins while it drains");
                if let Event::Requested { job, .. } = event
                    && matches!(model.jobs[job.at()].state, State::Live(_))
                {
                    lenient.check_fits(model, job.at());
                }
                let begins = matches!(event, Event::Requested { .. } | Event::Ready { .. });
                if self.is_alone && begins && model.queues() {
                    let ahead = self.oracle.ahead(model);
                    assert!(ahead.is_empty(), "group {} overtakes {ahead:?}", row.group);
                }
            }
        }
        let ends = |row: &&jobwright_scheduler::machine::GroupEvents| {
            row.events.iter().any(|event| matches!(event, Event::GroupEnded { .. }))
                && self.oracle.groups[&row.group].plan.run.announce
        };
        let told: Vec<_> = out.announcements.iter().map(|it| it.group).collect();
        let due: Vec<_> =
            out.journal.iter().filter(|row| mine_or_ended(row.group)).filter(ends).collect();
        for row in due {
            assert!(told.contains(&row.group), "the end of group {} is announced", row.group);
        }
        for id in self.store.unfinished(engine) {
            if !machine.drives(id) {
                continue;
            }
            let model = &self.oracle.groups[&id];
            if model.epoch != self.store.journals[&id].epoch {
                continue;
            }
            let is_held =
                model.queues() && (!self.is_alone || !self.oracle.ahead(model).is_empty());
            model.check_settled(id, is_held, now);
            self.check_waits(id, model, machine, &mut usage, it.is_draining);
        }
        if self.random.chance(self.compare) {
            self.compare_with_replay(engine, machine);
        }
    }

    /// A ready job waits for a limit, and every open job can say why it is not running.
    fn check_waits(
        &self,
        id: GroupId,
        model: &Model,
        machine: &Scheduler,
        usage: &mut Usage,
        is_draining: bool,
    ) {
        for (at, job) in model.jobs.iter().enumerate() {
            let reason = machine.waiting(id, at.into());
            let is_right = match (&job.state, &reason) {
                (State::Done(_), None) | (State::Ready { .. }, Some(WaitReason::Draining)) => true,
                (State::Waiting, Some(WaitReason::Needs(needs))) => !needs.is_empty(),
                (State::Waiting, Some(WaitReason::RunAhead(run))) => *run < model.plan.run.run,
                (State::Ready { since, .. }, Some(reason)) => {
                    let free = usage.blocks(model, at).is_empty();
                    let passed = free && self.is_passed(model, at, *since, usage);
                    assert!(
                        is_draining || !free || passed || !self.is_alone,
                        "job {id}.{at} waits for nothing: {reason:?}"
                    );
                    true
                }
                (State::BackingOff { .. }, Some(WaitReason::BackingOff(_))) => true,
                (State::Live(live), Some(reason)) => {
                    live.stopping.is_some() == matches!(reason, WaitReason::Stopping { .. })
                }
                _ => false,
            };
            assert!(is_right, "job {id}.{at} is {:?} and says {reason:?}", job.state);
        }
    }

    /// Whether an older job waits for the pool that this one would take a share of.
    fn is_passed(&self, model: &Model, at: usize, since: Timestamp, usage: &mut Usage) -> bool {
        let rank = |model: &Model, at: usize, since: Timestamp| {
            let level = i64::from(model.plan.jobs[at].policy.priority.0);
            since.as_millis() - level * 60_000
        };
        let Some(pool) = &model.plan.jobs[at].policy.pool else { return false };
        let own = rank(model, at, since);
        self.oracle.groups.values().any(|other| {
            other.jobs.iter().enumerate().any(|(job, it)| match it.state {
                State::Ready { since, .. } => {
                    // It may count a level higher, if its group had begun when it became ready.
                    rank(other, job, since) - 60_000 <= own
                        && usage.blocks(other, job).contains(&Limit::Pool(pool.name.clone()))
                }
                State::Waiting | State::Live(_) | State::BackingOff { .. } | State::Done(_) => {
                    false
                }
            })
        })
    }

    /// The live state is what replay makes of the journal.
    fn compare_with_replay(&self, engine: usize, machine: &Scheduler) {
        let capacity = &self.engines[engine].capacity;
        for id in self.store.unfinished(engine) {
            let journal = &self.store.journals[&id];
            let replayed = Scheduler::replay(capacity, [(id, journal.records.clone())]);
            let replayed = replayed.expect("a journal that the machine wrote");
            if machine.drives(id) {
                assert_eq!(machine.state_of(id), replayed.state_of(id), "replay of group {id}");
            }
        }
    }

    /// An engine dies: what was in its memory is gone, and comes back from the journals later.
    pub(crate) fn die(&mut self, engine: usize) {
        self.leave_to_ghost(engine);
        let it = &mut self.engines[engine];
        it.machine = None;
        it.life += 1;
        it.is_draining = false;
        self.executor.engine_died(engine, &mut self.random);
        let pause = self.random.pick(&[1, 100, 5000, 60_000, 600_000]);
        self.after(pause, Happening::Restart { engine });
    }

    /// An engine starts: it takes up every group that it had.
    pub(crate) fn restart(&mut self, engine: usize) {
        if self.engines[engine].machine.is_some() {
            return;
        }
        let groups = self.store.unfinished(engine);
        let epochs: Vec<_> = groups.iter().map(|id| self.store.claim(*id, engine)).collect();
        let journals = groups.iter().map(|id| (*id, self.store.journals[id].records.clone()));
        let machine = Scheduler::replay(&self.engines[engine].capacity, journals);
        let it = &mut self.engines[engine];
        it.machine = Some(machine.expect("a journal that a machine wrote"));
        it.limits.clear();
        for id in &groups {
            it.hear_limit(&self.oracle.groups[id].plan);
        }
        let node = it.node(engine);
        let adopt = groups.into_iter().zip(epochs);
        let adopt = adopt.map(|(group, epoch)| Input::Adopt { group, epoch, node });
        if self.random.chance(50) {
            self.turn(engine, adopt.collect());
        } else {
            for input in adopt {
                self.turn(engine, vec![input]);
            }
        }
    }

    /// A group changes hands while its engine does not know.
    pub(crate) fn fence(&mut self) {
        let open = self.store.journals.iter().filter(|(_, it)| !it.is_ended);
        let open: Vec<_> = open.map(|(id, it)| (*id, 1 - it.owner)).collect();
        if open.is_empty() {
            return;
        }
        let (group, engine) = self.random.pick(&open);
        let Some(machine) = &mut self.engines[engine].machine else { return };
        if self.engines[engine].is_draining {
            return;
        }
        if machine.drives(group) {
            // It lost the group before and has not noticed.
            self.turn(engine, vec![Input::Forget { group }]);
        }
        let epoch = self.store.claim(group, engine);
        self.trace.note(|| format!("engine {engine} claims {group}"));
        let Some(machine) = &mut self.engines[engine].machine else {
            // It died of forgetting; as the owner it comes back to the group.
            return;
        };
        let records = &self.store.journals[&group].records;
        machine.load(group, records).expect("a journal that a machine wrote");
        self.engines[engine].hear_limit(&self.oracle.groups[&group].plan);
        let node = self.engines[engine].node(engine);
        self.turn(engine, vec![Input::Adopt { group, epoch, node }]);
    }

    /// Somebody cancels a group.
    pub(crate) fn cancel(&mut self) {
        let open: Vec<_> = self.store.journals.iter().filter(|(_, it)| !it.is_ended).collect();
        if open.is_empty() {
            return;
        }
        let (group, engine) = {
            let (id, journal) = self.random.pick(&open);
            (*id, journal.owner)
        };
        if engine >= self.engines.len() || self.stopped_until(engine) > 0 {
            return;
        }
        let reason = CancelReason::Requested("simulated".into());
        self.turn(engine, vec![Input::Cancel { group, reason }]);
    }
}

fn group_of(effect: &Effect) -> Option<GroupId> {
    let of = |attempt: &AttemptKey| Some(attempt.group);
    match effect {
        Effect::Dispatch(order) | Effect::Reattach(order) => of(&order.attempt),
        Effect::Stop { attempt, .. } | Effect::Abandon { attempt } => of(attempt),
        Effect::Announce { group, .. } => Some(*group),
        Effect::Refuse { .. } => None,
    }
}
