//! Journals from a disk: replay refuses what no machine wrote, or makes a state that can be driven
//! to its end; it never panics.
#![no_main]

use jobwright_core::{Epoch, Event, Failure, GroupId, NodeId, Outcome, Record, Seq, Timestamp};
use jobwright_scheduler::machine::{Capacity, Effect, Input, Report, Scheduler, StepResult};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(events) = serde_json::from_slice::<Vec<Event>>(bytes) else { return };
    let group = GroupId::new(1).expect("one is an id");
    let records = events.into_iter().enumerate().map(|(at, event)| Record {
        group,
        first: Seq(at as u64 + 1),
        epoch: Epoch(1),
        at: Timestamp::from_millis(at as i64 * 1000),
        events: [event].into(),
    });
    let capacity = Capacity {
        executors: vec![("local".try_into().expect("a name"), Some(2))],
        pools: Vec::new(),
    };
    let Ok(mut machine) = Scheduler::replay(&capacity, [(group, records.collect())]) else {
        return;
    };
    machine.check_invariants();
    let node: NodeId =
        serde_json::from_str("\"00000000-0000-0000-0000-000000000000\"").expect("a UUID");
    let mut now = Timestamp::from_millis(1_000_000);
    let mut out = StepResult::default();
    let mut inputs = vec![Input::Adopt { group, epoch: Epoch(2), node }];
    for _ in 0..100 {
        out.clear();
        for input in inputs.drain(..) {
            machine.step(now, input, &mut out);
            machine.check_invariants();
        }
        for effect in &out.effects {
            if let Effect::Dispatch(order) | Effect::Reattach(order) = effect {
                let outcome = Outcome::Failed(Box::new(Failure::lost("nobody knows")));
                let report = Report::Ended(outcome);
                inputs.push(Input::Report { attempt: order.attempt, report });
            }
        }
        if machine.is_empty() {
            return;
        }
        if inputs.is_empty() {
            now = machine.next_deadline().expect("what is open has a deadline");
            inputs.push(Input::Tick);
        }
    }
});
