//! The transition table: one job brought to every state, every input given to it, and what follows
//! printed as one snapshot. Read it line by line; it is the machine's behaviour.
//!
//! The group: job 0 comes first, job 1 is the one, job 2 needs its success, job 3 runs beside on
//! another executor and keeps the group open. Inputs come seven seconds after the state was
//! reached.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Backoff, CancelReason, CrashLimit, Epoch, Failure, FailureClass, FailurePolicy, Grace, Handle,
    NodeId, Outcome, Plan, Policy, Priority, Retry, RunPolicy, Success, Timeouts, Trigger,
};
use jobwright_scheduler::machine::{Input, Report};

use crate::hand::{Hand, capacity};
use crate::plan::{self, group_id, need};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn group() -> Arc<Plan> {
    let policy = Policy {
        retry: Retry {
            max_attempts: 2,
            backoff: Backoff::Fixed { delay: secs(60) },
            jitter: 0,
            ..Retry::default()
        },
        timeouts: Timeouts {
            queue: secs(50),
            attempt: secs(100),
            total: secs(1000),
            heartbeat: Some(secs(10)),
        },
        crash_limit: CrashLimit(1),
        grace: Grace(secs(10)),
        ..Policy::default()
    };
    let run = plan::run(1, 1, RunPolicy::Allow, None);
    let jobs = vec![
        plan::job(0, "local", Policy::default(), vec![]),
        plan::job(1, "local", policy, vec![need(0, Trigger::Succeeded)]),
        plan::job(2, "local", Policy::default(), vec![need(1, Trigger::Succeeded)]),
        plan::job(3, "beside", Policy::default(), vec![]),
    ];
    plan::plan(&run, 1, FailurePolicy::Continue, jobs)
}

fn ok() -> Outcome {
    Outcome::Succeeded(Success::empty())
}

fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed(Box::new(Failure::new(class, "code", "message")))
}

type Reach = fn(&mut Hand);

/// The states of job 1, each with how it is reached.
const STATES: [(&str, Reach); 15] = [
    ("waiting", |_| {}),
    ("ready", |hand| {
        let run = plan::run(2, 2, RunPolicy::Allow, None);
        // Two levels above: the other group has begun, and so counts one level higher.
        let policy = Policy { priority: Priority(2), ..Policy::default() };
        let blocker = vec![plan::job(0, "local", policy, vec![])];
        hand.submit(2, &plan::plan(&run, 90, FailurePolicy::Continue, blocker));
        hand.end(1, 0, ok());
    }),
    ("requested", requested),
    ("running", running),
    ("running, second attempt", |hand| {
        running(hand);
        hand.end(1, 1, failed(FailureClass::Retryable));
        hand.now += 60;
        hand.step(Input::Tick);
        hand.report(1, 1, Report::Started(None));
    }),
    ("stopping: cancelled", |hand| {
        running(hand);
        cancel(hand);
    }),
    ("stopping: attempt timed out", |hand| {
        running(hand);
        for _ in 0..9 {
            hand.now += 10;
            hand.report(1, 1, Report::Beat);
        }
        hand.now += 10;
        hand.step(Input::Tick);
    }),
    ("stopping: heartbeat missed", |hand| {
        running(hand);
        hand.tick();
    }),
    ("stopping: total timed out", |hand| {
        running(hand);
        hand.now += 1000;
        hand.step(Input::Tick);
    }),
    ("stopping: shutdown", |hand| {
        running(hand);
        hand.step(Input::Halt);
    }),
    ("backing off", |hand| {
        running(hand);
        hand.end(1, 1, failed(FailureClass::Retryable));
    }),
    ("succeeded", |hand| {
        running(hand);
        hand.end(1, 1, ok());
    }),
    ("failed", |hand| {
        running(hand);
        hand.end(1, 1, failed(FailureClass::Permanent));
    }),
    ("skipped", |hand| {
        hand.end(1, 0, failed(FailureClass::Permanent));
    }),
    ("cancelled", |hand| {
        running(hand);
        cancel(hand);
        hand.end(1, 1, failed(FailureClass::Cancelled));
    }),
];

fn requested(hand: &mut Hand) {
    hand.end(1, 0, ok());
}

fn running(hand: &mut Hand) {
    requested(hand);
    hand.report(1, 1, Report::Started(Some(Handle::new("pid 1"))));
}

fn cancel(hand: &mut Hand) -> Vec<String> {
    let reason = CancelReason::Requested("words".into());
    hand.step(Input::Cancel { group: group_id(1), reason })
}

/// A report about attempt `number` of job 1, live or not.
fn about(hand: &mut Hand, number: u32, report: Report) -> Vec<String> {
    let attempt = jobwright_scheduler::machine::AttemptKey {
        group: group_id(1),
        slot: 0,
        job: 1_usize.into(),
        number,
    };
    hand.step(Input::Report { attempt, report })
}

fn now(hand: &mut Hand, report: Report) -> Vec<String> {
    let number = hand.oracle.groups[&group_id(1)].jobs[1].attempts.max(1);
    about(hand, number, report)
}

type Give = fn(&mut Hand) -> Vec<String>;

const INPUTS: [(&str, Give); 18] = [
    ("started", |hand| now(hand, Report::Started(None))),
    ("started, named", |hand| now(hand, Report::Started(Some(Handle::new("pid 2"))))),
    ("beat", |hand| now(hand, Report::Beat)),
    ("ended well", |hand| now(hand, Report::Ended(ok()))),
    ("ended retryable", |hand| now(hand, Report::Ended(failed(FailureClass::Retryable)))),
    ("ended permanent", |hand| now(hand, Report::Ended(failed(FailureClass::Permanent)))),
    ("ended cancelled", |hand| now(hand, Report::Ended(failed(FailureClass::Cancelled)))),
    ("ended timed out", |hand| now(hand, Report::Ended(failed(FailureClass::TimedOut)))),
    ("ended lost", |hand| now(hand, Report::Ended(failed(FailureClass::Lost)))),
    ("ended rejected", |hand| now(hand, Report::Ended(failed(FailureClass::Rejected)))),
    ("an older attempt ended", |hand| about(hand, 0, Report::Ended(ok()))),
    ("a later attempt ended", |hand| about(hand, 9, Report::Ended(ok()))),
    ("cancel", cancel),
    ("next deadline", Hand::tick),
    ("drain", |hand| hand.step(Input::Drain)),
    ("halt", |hand| hand.step(Input::Halt)),
    ("forget", |hand| hand.step(Input::Forget { group: group_id(1) })),
    ("restart", Hand::restart),
];

#[test]
fn every_input_in_every_state() {
    let mut table = String::new();
    for (state, reach) in STATES {
        let begin = || {
            let mut hand = Hand::new(capacity(&[("local", 1), ("beside", 1)], &[]));
            hand.submit(1, &group());
            hand.report(1, 3, Report::Started(None));
            reach(&mut hand);
            hand
        };
        let before = begin();
        let reason = before.machine.waiting(group_id(1), 1_usize.into());
        writeln!(table, "{state} at {} s: {reason:?}", before.now).expect("a string takes all");
        let mut nothing = Vec::new();
        for (name, give) in INPUTS {
            let mut hand = begin();
            hand.now += 7;
            let lines = give(&mut hand);
            hand.check_replay(group_id(1));
            match lines.is_empty() {
                true => nothing.push(name),
                false => writeln!(table, "  {name}:\n    {}", lines.join("\n    "))
                    .expect("a string takes all"),
            }
        }
        writeln!(table, "  nothing: {}\n", nothing.join(" · ")).expect("a string takes all");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_group_that_stands_moves_when_it_is_adopted() {
    let mut hand = Hand::new(capacity(&[("local", 1), ("beside", 1)], &[]));
    hand.submit(1, &group());
    hand.end(1, 0, ok());
    hand.store.claim(group_id(1), 0);
    let journal = hand.store.journals[&group_id(1)].records.clone();
    hand.machine =
        jobwright_scheduler::machine::Scheduler::replay(&hand.capacity, [(group_id(1), journal)])
            .expect("a journal that a machine wrote");
    let attempt = hand.live(1, 1).expect("it was requested");
    hand.now += 10_000_000;
    let report = Report::Ended(ok());
    let inputs = [Input::Tick, Input::Halt, Input::Report { attempt, report }];
    for input in inputs {
        assert_eq!(hand.step(input), [""; 0], "nothing moves before");
    }
    assert_eq!(cancel(&mut hand), [""; 0], "a request is kept");
    let (group, epoch, node) = (group_id(1), Epoch(2), NodeId(uuid::Uuid::nil()));
    let lines = hand.step(Input::Adopt { group, epoch, node });
    insta::assert_snapshot!(lines.join("\n"));
}
