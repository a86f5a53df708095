//! A simulated executor: attempts with a will of their own, of which it knows the truth. It checks
//! what the engine asks of it against the store's journals, as the oracle has read them.

use std::collections::BTreeMap;

use jobwright_core::{
    Failure, FailureClass, GroupId, Handle, Inputs, JobIndex, OnLost, Outcome, Success, Verdict,
};
use jobwright_scheduler::machine::{AttemptKey, Order};

use crate::oracle::{Oracle, State};
use crate::random::Random;

/// An attempt's name, however the engine hints at its place.
pub(crate) type Name = (GroupId, JobIndex, u32);

pub(crate) fn name(key: AttemptKey) -> Name {
    (key.group, key.job, key.number)
}

#[derive(Debug, Default)]
pub(crate) struct Executor {
    pub(crate) attempts: BTreeMap<Name, Attempt>,
}

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) key: AttemptKey,
    /// The engine and the life of it that hears the reports.
    pub(crate) heard_by: (usize, u64),
    /// The work goes on.
    pub(crate) is_alive: bool,
    /// The engine was told, or decided, not to count on it any more.
    pub(crate) is_given_up: bool,
    pub(crate) ended: Option<Outcome>,
    /// Grows when an end that was planned is no longer the one.
    pub(crate) plan: u64,
    pub(crate) is_stubborn: bool,
    /// By whom and when it was asked to stop.
    pub(crate) stopped: Option<((usize, u64), u64)>,
    /// The engine in whose process it lives, if it lives in one's.
    pub(crate) home: Option<usize>,
    /// How often it beats, in milliseconds; not at all if it is silent.
    pub(crate) beat: Option<u64>,
}

impl Executor {
    /// Takes an attempt that is handed over.
    pub(crate) fn take(&mut self, order: &Order, heard_by: (usize, u64), oracle: &Oracle) {
        let name = name(order.attempt);
        self.check_order(order, oracle);
        let group = order.attempt.group;
        let (from, to) = ((group, name.1, 0), (group, name.1, u32::MAX));
        let at_most_once = order.plan.jobs[name.1.at()].policy.on_lost == OnLost::Fail;
        for (other, before) in self.attempts.range(from..=to) {
            assert_ne!(*other, name, "an attempt is handed over once");
            let is_live = before.is_alive && (at_most_once || !before.is_given_up);
            assert!(!is_live, "attempt {name:?} begins while {other:?} is alive: {before:?}");
            let is_known = before.ended.is_some() || !at_most_once;
            assert!(is_known, "attempt {name:?} begins although {other:?} was lost");
        }
        let attempt = Attempt {
            key: order.attempt,
            heard_by,
            is_alive: true,
            is_given_up: false,
            ended: None,
            plan: 0,
            is_stubborn: false,
            stopped: None,
            home: None,
            beat: None,
        };
        self.attempts.insert(name, attempt);
    }

    /// Checks an order against what is durable.
    pub(crate) fn check_order(&self, order: &Order, oracle: &Oracle) {
        let AttemptKey { group, job, number, .. } = order.attempt;
        let model = oracle.groups.get(&group).expect("the group is durable");
        let it = &model.jobs[job.at()];
        let State::Live(live) = &it.state else {
            panic!("{:?} is handed over without its event: {:?}", order.attempt, it.state)
        };
        assert_eq!(live.number, number, "the attempt that is durable is handed over");
        assert_eq!(order.end_by, live.end_by.min(it.total_by), "the order says when it is stopped");
        let needs = &model.plan.jobs[job.at()].needs;
        let inputs = Inputs::from(order.inputs.clone());
        let inputs = inputs.of(&model.plan, job);
        assert_eq!(inputs.len(), needs.len(), "every need is an input");
        for (need, input) in needs.iter().zip(inputs) {
            assert_eq!(input.step, model.plan.jobs[need.job.at()].step);
            let was = &model.jobs[need.job.at()].state;
            assert!(matches!(was, State::Done(verdict) if *verdict == input.verdict));
            let carried = model.plan.carried.iter().find(|it| it.job == need.job);
            let left = match carried {
                Some(it) => it.result.result().map(|it| (**it).clone()),
                None => (input.verdict == Verdict::Succeeded)
                    .then(|| result_of(group, need.job))
                    .filter(|result| !result.is_null()),
            };
            assert_eq!(input.result.as_deref(), left.as_ref(), "results are handed on");
        }
    }

    /// What lives in an engine's process ends when the engine drops it.
    pub(crate) fn end_of_home(&mut self, engine: usize) {
        for attempt in self.attempts.values_mut().filter(|it| it.home == Some(engine)) {
            attempt.is_alive = false;
        }
    }

    /// Everything that an engine's death takes along.
    pub(crate) fn engine_died(&mut self, engine: usize, random: &mut Random) {
        for attempt in self.attempts.values_mut() {
            if attempt.heard_by.0 == engine && attempt.is_alive && random.chance(50) {
                attempt.is_alive = false;
            }
        }
    }
}

/// How an attempt ends by itself.
pub(crate) fn natural_end(key: AttemptKey, random: &mut Random) -> Outcome {
    let failed = |class| Outcome::Failed(Box::new(Failure::new(class, "simulated", "it failed")));
    match random.below(100) {
        0..55 => success(key),
        55..75 => failed(FailureClass::Retryable),
        75..85 => failed(FailureClass::Permanent),
        85..92 => failed(FailureClass::Lost),
        92..96 => failed(FailureClass::TimedOut),
        _ => failed(FailureClass::Cancelled),
    }
}

/// How an attempt ends when it is asked to stop.
pub(crate) fn stopped_end(key: AttemptKey, random: &mut Random) -> Outcome {
    match random.below(10) {
        0 | 1 => success(key),
        2 => Outcome::Failed(Box::new(Failure::retryable("simulated", "it failed"))),
        _ => Outcome::Failed(Box::new(Failure::cancelled("stopped"))),
    }
}

fn success(key: AttemptKey) -> Outcome {
    Outcome::Succeeded(Success::with(result_of(key.group, key.job)))
}

/// What a job leaves: some leave nothing.
fn result_of(group: GroupId, job: JobIndex) -> serde_json::Value {
    match job.0 % 3 {
        0 => serde_json::Value::Null,
        _ => serde_json::json!([group.get(), job.0]),
    }
}

pub(crate) fn handle(name: Name) -> Handle {
    Handle::new(&format!("pid {} {} {}", name.0, name.1.0, name.2))
}

pub(crate) fn lost() -> Outcome {
    Outcome::Failed(Box::new(Failure::lost("nobody knows")))
}

pub(crate) fn refused() -> Outcome {
    Outcome::Failed(Box::new(Failure::rejected("full", "not now")))
}

pub(crate) fn retryable() -> Outcome {
    Outcome::Failed(Box::new(Failure::retryable("simulated", "it failed")))
}
