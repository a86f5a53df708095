//! All sequences of inputs up to a bound on small groups, pruned where two sequences lead to the
//! same state. After each the oracle looks; from each new state, the group still comes to its end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Backoff, CancelReason, CrashLimit, Failure, FailureClass, FailurePolicy, Outcome, Plan,
    PlannedNeed, Policy, Retry, RunPolicy, Success, Trigger,
};
use jobwright_scheduler::machine::{Input, Report};

use crate::hand::{Hand, capacity};
use crate::plan::{self, group_id, need};

/// One input, named by what it means for the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    End(usize, Option<FailureClass>),
    Start(usize),
    Stale(usize),
    Cancel,
    Tick,
    Halt,
    Restart,
}

fn moves(hand: &Hand, jobs: usize) -> Vec<Move> {
    let mut moves = vec![Move::Tick, Move::Cancel, Move::Halt, Move::Restart];
    for job in (0..jobs).filter(|job| hand.is_live(1, *job)) {
        moves.push(Move::End(job, None));
        let classes = [
            FailureClass::Retryable,
            FailureClass::Permanent,
            FailureClass::Cancelled,
            FailureClass::Lost,
        ];
        moves.extend(classes.map(|class| Move::End(job, Some(class))));
        moves.extend([Move::Start(job), Move::Stale(job)]);
    }
    moves
}

fn make(hand: &mut Hand, it: Move) {
    let failed = |class| Outcome::Failed(Box::new(Failure::new(class, "code", "message")));
    match it {
        Move::End(job, None) => drop(hand.end(1, job, Outcome::Succeeded(Success::empty()))),
        Move::End(job, Some(class)) => drop(hand.end(1, job, failed(class))),
        Move::Start(job) => drop(hand.report(1, job, Report::Started(None))),
        Move::Stale(job) => {
            let mut attempt = hand.live(1, job).expect("a live attempt");
            attempt.number -= 1;
            let report = Report::Ended(Outcome::Succeeded(Success::empty()));
            let lines = hand.step(Input::Report { attempt, report });
            assert!(lines.is_empty(), "a report of an older attempt changes nothing: {lines:?}");
        }
        Move::Cancel => {
            let reason = CancelReason::Requested("words".into());
            hand.step(Input::Cancel { group: group_id(1), reason });
        }
        Move::Tick => drop(hand.tick()),
        Move::Halt => drop(hand.step(Input::Halt)),
        Move::Restart => drop(hand.restart()),
    }
}

/// Plays a sequence from the beginning.
fn play(plan: &Arc<Plan>, sequence: &[Move]) -> Hand {
    let mut hand = Hand::new(capacity(&[("local", 2)], &[]));
    hand.submit(1, plan);
    for it in sequence {
        make(&mut hand, *it);
    }
    hand
}

/// Ends whatever is live until the group has ended, and some engine stays up.
fn finish(hand: &mut Hand, jobs: usize) {
    hand.restart();
    for _ in 0..40 {
        if hand.machine.is_empty() {
            return;
        }
        match (0..jobs).find(|job| hand.is_live(1, *job)) {
            Some(job) => drop(hand.end(1, job, Outcome::Succeeded(Success::empty()))),
            None => drop(hand.tick()),
        }
    }
    panic!("the group does not end");
}

fn explore(name: &str, plan: &Arc<Plan>, depth: usize) {
    let jobs = plan.jobs.len();
    let mut seen = HashSet::new();
    let mut level = vec![Vec::new()];
    for _ in 0..=depth {
        let mut next = Vec::new();
        for sequence in level {
            let mut hand = play(plan, &sequence);
            if !seen.insert(hand.state()) {
                continue;
            }
            hand.check_replay(group_id(1));
            if hand.machine.drives(group_id(1)) && sequence.len() < depth {
                let longer = moves(&hand, jobs).into_iter().map(|it| {
                    let mut longer = sequence.clone();
                    longer.push(it);
                    longer
                });
                next.extend(longer);
            }
            finish(&mut hand, jobs);
            assert!(hand.oracle.groups[&group_id(1)].ended.is_some(), "{name}: {sequence:?}");
        }
        level = next;
    }
    assert!(seen.len() > 500, "{name} has {} states", seen.len());
}

fn group(on_failure: FailurePolicy, needs: &[&[PlannedNeed]]) -> Arc<Plan> {
    rerun(on_failure, needs, &[])
}

fn rerun(on_failure: FailurePolicy, needs: &[&[PlannedNeed]], carried: &[usize]) -> Arc<Plan> {
    let retry = Retry {
        max_attempts: 2,
        backoff: Backoff::Fixed { delay: Duration::from_secs(5) },
        jitter: 0,
        ..Retry::default()
    };
    let policy = Policy { retry, crash_limit: CrashLimit(1), ..Policy::default() };
    let run = plan::run(1, 1, RunPolicy::Allow, None);
    let jobs = needs.iter().enumerate();
    let jobs = jobs.map(|(at, needs)| plan::job(at, "local", policy.clone(), needs.to_vec()));
    plan::rerun(&run, 1, on_failure, jobs.collect(), carried)
}

#[test]
fn every_sequence_of_inputs_keeps_the_promises() {
    use {FailurePolicy as F, Trigger as T};
    explore("chain", &group(F::Continue, &[&[], &[need(0, T::Succeeded)]]), 7);
    explore("after failure", &group(F::FailFast, &[&[], &[need(0, T::Failed)]]), 7);
    explore("beside", &group(F::FailFast, &[&[], &[]]), 6);
    let fork = [&[][..], &[need(0, T::Succeeded)], &[need(0, T::Done)]];
    explore("fork", &group(F::FailFast, &fork), 6);
    let join = [&[][..], &[], &[need(0, T::Succeeded), need(1, T::Always)]];
    explore("join", &group(F::Continue, &join), 5);
    explore("join, failing fast", &group(F::FailFast, &join), 5);
    let chain = [&[][..], &[need(0, T::Always)], &[need(1, T::Failed)]];
    explore("long chain", &group(F::Continue, &chain), 6);
    let again = [&[][..], &[need(0, T::Failed)], &[need(0, T::Succeeded), need(1, T::Always)]];
    explore("a re-run", &rerun(F::FailFast, &again, &[0]), 8);
}
