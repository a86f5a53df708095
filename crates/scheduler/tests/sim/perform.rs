//! What an engine's effects do in the simulated world, and the reports that come back.

use jobwright_core::{Outcome, Stop};
use jobwright_scheduler::machine::{AttemptKey, Effect, Order, Report};

use crate::executor::{self, Attempt, Name, name};
use crate::faults::Faults;
use crate::notation;
use crate::oracle::State;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn perform(&mut self, engine: usize, effect: &Effect) {
        self.trace.note(|| format!("e{engine} {}", notation::effect(effect)));
        match effect {
            Effect::Dispatch(order) => self.dispatch(engine, order),
            Effect::Reattach(order) => self.reattach(engine, order),
            Effect::Stop { attempt, stop } => self.stop(engine, *attempt, stop),
            Effect::Abandon { attempt } => self.abandon(*attempt),
            Effect::Announce { group, verdict } => {
                let model = &self.oracle.groups[group];
                assert_eq!(model.ended, Some(*verdict), "the end of {group} is durable");
            }
            Effect::Refuse { .. } => {}
        }
    }

    fn dispatch(&mut self, engine: usize, order: &Order) {
        let key = order.attempt;
        let heard_by = (engine, self.engines[engine].life);
        self.executor.take(order, heard_by, &self.oracle);
        self.totals.attempts += 1;
        if self.leases.is_some() && self.random.chance(50) {
            self.attempt(key).home = Some(engine);
        }
        if self.strikes(self.faults.refuse) {
            self.end(key, executor::refused());
            return;
        }
        self.begin_beats(key, order);
        self.report(key, Report::Started(None));
        if self.random.chance(50) {
            self.report(key, Report::Started(Some(executor::handle(name(key)))));
        }
        let is_stubborn = self.strikes(self.faults.stubborn);
        self.attempt(key).is_stubborn = is_stubborn;
        if !self.strikes(self.faults.hang) {
            let lasts = self.random.pick(&[0, 0, 1, 50, 2000, 20_000, 240_000]);
            let outcome = executor::natural_end(key, &mut self.random);
            self.plan_end(key, lasts, outcome);
        }
    }

    fn begin_beats(&mut self, key: AttemptKey, order: &Order) {
        let period = order.plan.jobs[key.job.at()].policy.timeouts.heartbeat;
        if let Some(period) = period
            && !self.strikes(self.faults.silence)
        {
            let every = u64::try_from(period.as_millis()).expect("short") * 2 / 3;
            self.attempt(key).beat = Some(every);
            self.after(every, Happening::Beat { key });
        }
    }

    fn reattach(&mut self, engine: usize, order: &Order) {
        self.executor.check_order(order, &self.oracle);
        let key = order.attempt;
        let it = &self.oracle.groups[&key.group].jobs[key.job.at()];
        if let State::Live(live) = &it.state {
            assert_eq!(order.handle, live.handle, "the handle is handed back");
        }
        let heard_by = (engine, self.engines[engine].life);
        let forgets = self.strikes(self.faults.amnesia);
        let Some(attempt) = self.executor.attempts.get_mut(&name(key)) else {
            // The engine died before it handed the attempt over.
            let report = Report::Ended(executor::lost());
            self.deliver(1, heard_by, key, report);
            return;
        };
        if let Some(home) = attempt.home.filter(|home| *home != engine && attempt.ended.is_none()) {
            self.check_not_alive(name(key), home);
            self.attempt(key).is_given_up = true;
            self.deliver(1, heard_by, key, Report::Ended(executor::lost()));
            return;
        }
        let attempt = self.attempt(key);
        attempt.heard_by = heard_by;
        attempt.key = key;
        match attempt.ended.clone() {
            Some(outcome) => self.report(key, Report::Ended(outcome)),
            None if attempt.is_alive && !forgets => {
                self.report(key, Report::Started(Some(executor::handle(name(key)))));
            }
            None => {
                attempt.is_given_up = true;
                self.deliver(1, heard_by, key, Report::Ended(executor::lost()));
            }
        }
    }

    fn stop(&mut self, engine: usize, key: AttemptKey, stop: &Stop) {
        let State::Live(live) = &self.oracle.groups[&key.group].jobs[key.job.at()].state else {
            return;
        };
        if live.number != key.number {
            return;
        }
        let known = live.stopping.as_ref().map(|(reason, _)| reason);
        assert_eq!(known, Some(&stop.reason), "the request to stop is durable");
        // Its grace is counted from the append.
        let (by, now) = ((engine, self.engines[engine].life), self.now - self.late);
        let Some(attempt) = self.executor.attempts.get_mut(&name(key)) else { return };
        attempt.stopped = Some((by, now));
        if attempt.is_alive && !attempt.is_stubborn {
            attempt.plan += 1;
            let grace = u64::try_from(stop.grace.as_millis()).expect("short");
            let lasts = match self.random.chance(80) {
                true => self.random.between(0, grace),
                false => grace + self.random.below(20_000),
            };
            let outcome = executor::stopped_end(key, &mut self.random);
            self.plan_end(key, lasts, outcome);
        }
    }

    fn abandon(&mut self, key: AttemptKey) {
        let Some(attempt) = self.executor.attempts.get(&name(key)) else { return };
        let is_over = attempt.is_given_up || !attempt.is_alive;
        assert!(is_over, "that {key:?} is given up is durable");
    }

    /// It is durable that an attempt ended: one that is still alive has been given up. What the
    /// engine then does about it may be lost with the engine, so executors end what they are not
    /// asked to take up again. Tells whether it was alive.
    pub(crate) fn give_up(&mut self, engine: usize, name: Name) -> bool {
        let by = (engine, self.engines[engine].life);
        let grace = self.oracle.groups[&name.0].plan.jobs[name.1.at()].policy.grace.0;
        let (now, has_jumped) = (self.now, self.has_jumped);
        let Some(attempt) = self.executor.attempts.get_mut(&name) else { return false };
        let key = attempt.key;
        if attempt.is_alive && !attempt.is_given_up && !has_jumped {
            let (whom, at) = attempt.stopped.expect("what is given up was asked to stop");
            assert_eq!(whom, by, "the engine that gives {key:?} up has asked it to stop");
            assert!(u128::from(now - at) >= grace.as_millis(), "{key:?} had its grace");
        }
        attempt.is_alive && !std::mem::replace(&mut attempt.is_given_up, true)
    }

    fn plan_end(&mut self, key: AttemptKey, lasts: u64, outcome: Outcome) {
        let plan = self.attempt(key).plan;
        self.after(lasts, Happening::End { key, plan, outcome });
    }

    /// The attempt ends, if this end is still the planned one.
    pub(crate) fn ended(&mut self, key: AttemptKey, plan: u64, outcome: Outcome) {
        let it = self.attempt(key);
        if it.is_alive && it.plan == plan {
            self.end(key, outcome);
        }
    }

    fn end(&mut self, key: AttemptKey, outcome: Outcome) {
        let it = self.attempt(key);
        it.is_alive = false;
        it.ended = Some(outcome.clone());
        self.report(key, Report::Ended(outcome));
    }

    pub(crate) fn beat(&mut self, key: AttemptKey) {
        let it = self.attempt(key);
        if let Some(every) = it.beat
            && it.is_alive
        {
            self.report(key, Report::Beat);
            self.after(every, Happening::Beat { key });
        }
    }

    fn attempt(&mut self, key: AttemptKey) -> &mut Attempt {
        self.executor.attempts.get_mut(&name(key)).expect("an attempt that was handed over")
    }

    /// Sends a report to the engine that hears the attempt: it may be lost, late or doubled.
    fn report(&mut self, key: AttemptKey, report: Report) {
        let heard_by = self.attempt(key).heard_by;
        let mut key = self.attempt(key).key;
        if self.random.chance(5) {
            key.slot = self.random.below(8) as u32;
        }
        if self.strikes(self.faults.lose) {
            return;
        }
        let delay = match self.strikes(self.faults.delay) {
            true => Faults::lateness(&mut self.random),
            false => 0,
        };
        if self.strikes(self.faults.duplicate) {
            let later = Faults::lateness(&mut self.random);
            self.deliver(delay + later, heard_by, key, report.clone());
        }
        self.deliver(delay, heard_by, key, report);
    }

    fn deliver(&mut self, delay: u64, heard_by: (usize, u64), key: AttemptKey, report: Report) {
        self.after(delay, Happening::Report { heard_by, key, report });
    }

    pub(crate) fn strikes(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.random.below(1000) < per_mille
    }
}
