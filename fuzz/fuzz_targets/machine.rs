//! Inputs of the machine, in any order and at any time: it never panics, its invariants hold after
//! each, and replay of the journals makes the same state.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwright_core::{
    CancelReason, Epoch, Failure, FailureClass, GroupId, JobIndex, NodeId, Outcome, Plan, Record,
    Success, Timestamp,
};
use jobwright_scheduler::machine::{AttemptKey, Capacity, Input, Report, Scheduler, StepResult};
use serde_json::{Value, json};

/// Numbers from the input; zeros when it is used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.next()) % of.len()].clone()
    }
}

fn policy(bytes: &mut Bytes<'_>) -> Value {
    let times = ["0s", "1ms", "5s", "1h", "100000d"];
    json!({
        "retry": {
            "max_attempts": bytes.pick(&[0, 1, 2, 4_294_967_295_u32]),
            "backoff": {"type": "fixed", "delay": bytes.pick(&times)},
            "jitter": bytes.pick(&[0, 50, 255]),
            "max_elapsed": bytes.pick(&[None, Some("0s"), Some("1m")]),
            "on": bytes.pick(&[vec![], vec!["retryable"], vec!["retryable", "timed_out", "permanent"]]),
        },
        "timeouts": {
            "queue": bytes.pick(&times),
            "attempt": bytes.pick(&times),
            "total": bytes.pick(&times),
            "heartbeat": bytes.pick(&[None, Some("0s"), Some("3ms"), Some("10s")]),
        },
        "priority": bytes.pick(&[-128, 0, 1, 127]),
        "pool": bytes.pick(&[
            Value::Null,
            json!({"name": "pool", "weight": 1}),
            json!({"name": "pool", "weight": 4_294_967_295_u32}),
            json!({"name": "other", "weight": 0}),
        ]),
        "crash_limit": bytes.pick(&[0, 1, 4_294_967_295_u32]),
        "on_lost": bytes.pick(&["retry", "fail"]),
        "grace": bytes.pick(&times),
    })
}

/// A plan that [`Plan::check`] accepts.
fn plan(bytes: &mut Bytes<'_>, run: u64) -> Arc<Plan> {
    let triggers = ["succeeded", "failed", "done", "always"];
    let jobs = (0..1 + bytes.next() % 5).map(|at| {
        let needs = (0..at).filter_map(|job| match bytes.next() % 3 {
            0 => Some(json!({"job": job, "when": bytes.pick(&triggers)})),
            _ => None,
        });
        let needs: Vec<_> = needs.collect();
        json!({
            "step": format!("s{at}"),
            "flow": "f",
            "kind": "wrangle",
            "executor": bytes.pick(&["local", "free", "nowhere"]),
            "policy": policy(bytes),
            "optional": bytes.next() % 4 == 0,
            "needs": needs,
        })
    });
    let jobs: Vec<_> = jobs.collect();
    let plan = json!({
        "run": {
            "run": run,
            "session": "00000000-0000-0000-0000-000000000000",
            "deployment": 1 + bytes.next() % 2,
            "release": 1,
            "package": "0".repeat(64),
            "trigger": "manual",
            "policy": bytes.pick(&["allow", "queue", "skip", "cancel_previous"]),
            "deployment_limit": bytes.pick(&[None, Some(0), Some(1), Some(4_294_967_295_u32)]),
            "parameters": {"reference_date": 0, "parameters": [], "digest": "0".repeat(64)},
        },
        "first_job": run * 100,
        "outputs": [],
        "on_failure": bytes.pick(&["continue", "fail_fast"]),
        "jobs": jobs,
    });
    Arc::new(serde_json::from_value(plan).expect("a plan as expansion makes it"))
}

fn report(bytes: &mut Bytes<'_>) -> Report {
    let failed =
        |class| Report::Ended(Outcome::Failed(Box::new(Failure::new(class, "code", "message"))));
    match bytes.next() % 9 {
        0 => Report::Started(None),
        1 => Report::Beat,
        2 => Report::Ended(Outcome::Succeeded(Success::empty())),
        3 => failed(FailureClass::Retryable),
        4 => failed(FailureClass::Permanent),
        5 => failed(FailureClass::Cancelled),
        6 => failed(FailureClass::TimedOut),
        7 => failed(FailureClass::Lost),
        _ => failed(FailureClass::Rejected),
    }
}

fn group(id: u8) -> GroupId {
    GroupId::new(i64::from(id) + 1).expect("small and positive")
}

fn node() -> NodeId {
    serde_json::from_value(json!("00000000-0000-0000-0000-000000000000")).expect("a UUID")
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let capacity: Capacity = Capacity {
        executors: vec![
            ("local".try_into().expect("a name"), Some(2)),
            ("free".try_into().expect("a name"), None),
        ],
        pools: vec![("pool".try_into().expect("a name"), 3)],
    };
    let mut machine = Scheduler::new(&capacity);
    let mut journals = BTreeMap::<GroupId, Vec<Record>>::new();
    let mut epochs = 1;
    let mut runs = 0;
    let mut now = 0_i64;
    let mut out = StepResult::default();
    while !bytes.0.is_empty() {
        now = now.saturating_add(bytes.pick(&[0, 1, 1000, 20_000, -20_000, 1 << 40, i64::MIN / 2]));
        let id = group(bytes.next() % (runs as u8).max(1));
        let input = match bytes.next() % 10 {
            0 if runs < 6 => {
                runs += 1;
                let groups = vec![(group(runs as u8 - 1), plan(&mut bytes, runs))];
                Input::Submit { groups, epoch: Epoch(1) }
            }
            1 => Input::Cancel { group: id, reason: CancelReason::Requested("words".into()) },
            2 => Input::Forget { group: id },
            3 if bytes.next() % 4 == 0 => Input::Halt,
            4 | 5 => Input::Tick,
            6 => {
                let open = journals.iter().filter(|(id, _)| machine.drives(**id));
                let open: Vec<_> = open.map(|(id, it)| (*id, it.clone())).collect();
                epochs += 1;
                let adopt = open.iter().map(|(id, _)| Input::Adopt {
                    group: *id,
                    epoch: Epoch(epochs),
                    node: node(),
                });
                let adopt: Vec<_> = adopt.collect();
                machine = Scheduler::replay(&capacity, open).expect("what a machine wrote");
                for input in adopt {
                    step(&mut machine, now, input, &mut out, &mut journals);
                }
                Input::Tick
            }
            _ => {
                let job = JobIndex(u32::from(bytes.next() % 5));
                let number = u32::from(bytes.next() % 4);
                let attempt = AttemptKey { group: id, slot: u32::from(bytes.next()), job, number };
                Input::Report { attempt, report: report(&mut bytes) }
            }
        };
        step(&mut machine, now, input, &mut out, &mut journals);
    }
    for (id, journal) in journals {
        if machine.drives(id) {
            let replayed = Scheduler::replay(&capacity, [(id, journal)]);
            let replayed = replayed.expect("a journal that a machine wrote");
            assert_eq!(machine.state_of(id), replayed.state_of(id), "replay of {id}");
        }
    }
});

fn step(
    machine: &mut Scheduler,
    now: i64,
    input: Input,
    out: &mut StepResult,
    journals: &mut BTreeMap<GroupId, Vec<Record>>,
) {
    let at = Timestamp::from_millis(now);
    out.clear();
    machine.step(at, input, out);
    machine.check_invariants();
    for row in &out.journal {
        let (group, first, epoch) = (row.group, row.first, row.epoch);
        let record = Record { group, first, epoch, at, events: row.events.clone().into() };
        journals.entry(group).or_default().push(record);
    }
}
