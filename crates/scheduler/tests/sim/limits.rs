//! Who goes next, and who may have how many: what random groups are too small to show.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Backoff, FailurePolicy, Grace, Outcome, Plan, Policy, PoolName, PoolShare, Priority, Retry,
    RunPolicy, Success, Timeouts,
};
use jobwright_scheduler::machine::Input;

use crate::executor;
use crate::hand::{Hand, capacity};
use crate::plan;

fn ok() -> Outcome {
    Outcome::Succeeded(Success::empty())
}

fn pool(name: &str, weight: u32) -> Policy {
    let name = PoolName::new(name).expect("a pool's name");
    Policy { pool: Some(PoolShare { name, weight }), ..Policy::default() }
}

/// A group of one job, of a run and deployment of its own.
fn alone(group: u64, executor: &str, policy: Policy) -> Arc<Plan> {
    let run = plan::run(group, group, RunPolicy::Allow, None);
    let jobs = vec![plan::job(0, executor, policy, Vec::new())];
    plan::plan(&run, group, FailurePolicy::Continue, jobs)
}

fn priority(level: i8) -> Policy {
    Policy { priority: Priority(level), ..Policy::default() }
}

#[test]
fn the_higher_priority_goes_first_and_the_older_among_equals() {
    let mut hand = Hand::new(capacity(&[("local", 1)], &[]));
    hand.submit(1, &alone(1, "local", Policy::default()));
    for (group, level) in [(2, 0), (3, 1), (4, -1), (5, 0), (6, i8::MAX)] {
        hand.submit(group, &alone(group, "local", priority(level)));
    }
    let mut order = Vec::new();
    while let Some(group) = (1..=6).find(|group| hand.is_live(*group, 0)) {
        order.push(group);
        hand.end(group, 0, ok());
    }
    assert_eq!(order, [1, 6, 3, 2, 5, 4]);
}

#[test]
fn a_job_of_low_priority_gains_a_level_per_minute() {
    let mut hand = Hand::new(capacity(&[("local", 1)], &[]));
    hand.submit(1, &alone(1, "local", priority(5)));
    hand.submit(2, &alone(2, "local", priority(-5)));
    // There is always a younger job of ten levels more.
    let mut running = 1;
    for group in 3..2000 {
        hand.now += 1;
        hand.submit(group, &alone(group, "local", priority(5)));
        hand.end(running, 0, ok());
        if hand.is_live(2, 0) {
            break;
        }
        running = (1..=group).rev().find(|group| hand.is_live(*group, 0)).expect("one runs");
    }
    assert_eq!(hand.now, 601, "it goes before all that are younger by ten minutes");
}

#[test]
fn a_full_pool_stops_its_jobs_and_no_others() {
    let mut hand = Hand::new(capacity(&[("local", 4)], &[("licences", 1)]));
    for (group, policy) in [(1, pool("licences", 1)), (2, pool("licences", 1))] {
        hand.submit(group, &alone(group, "local", policy));
    }
    hand.submit(3, &alone(3, "local", Policy::default()));
    assert_eq!([1, 2, 3].map(|group| hand.is_live(group, 0)), [true, false, true]);
    hand.end(1, 0, ok());
    assert!(hand.is_live(2, 0), "what is given back is taken");
}

#[test]
fn a_share_that_is_larger_than_its_pool_is_used_alone() {
    let mut hand = Hand::new(capacity(&[("local", 9)], &[("licences", 2)]));
    hand.submit(1, &alone(1, "local", pool("licences", 1)));
    hand.submit(2, &alone(2, "local", pool("licences", 7)));
    assert!(!hand.is_live(2, 0), "it waits for the whole pool");
    hand.end(1, 0, ok());
    assert!(hand.is_live(2, 0));
    hand.submit(3, &alone(3, "local", pool("licences", 1)));
    assert!(!hand.is_live(3, 0), "nobody else uses the pool meanwhile");
    hand.end(2, 0, ok());
    assert!(hand.is_live(3, 0));
}

#[test]
fn a_large_share_is_not_overtaken_for_ever_by_small_ones() {
    let mut hand = Hand::new(capacity(&[("local", 9)], &[("licences", 4)]));
    hand.submit(1, &alone(1, "local", pool("licences", 1)));
    hand.submit(2, &alone(2, "local", pool("licences", 1)));
    hand.submit(3, &alone(3, "local", pool("licences", 3)));
    assert!(!hand.is_live(3, 0));
    // As one small share ends another one comes: the pool is never empty enough by chance.
    for group in 4..40 {
        hand.now += 1;
        hand.submit(group, &alone(group, "local", pool("licences", 1)));
        let oldest = (1..group).find(|group| *group != 3 && hand.is_live(*group, 0));
        hand.end(oldest.expect("a small share is in use"), 0, ok());
        if hand.is_live(3, 0) {
            return;
        }
    }
    panic!("the large share starves");
}

#[test]
fn a_higher_priority_passes_a_large_share_that_waits() {
    let mut hand = Hand::new(capacity(&[("local", 9)], &[("licences", 4)]));
    hand.submit(1, &alone(1, "local", pool("licences", 2)));
    hand.submit(2, &alone(2, "local", pool("licences", 3)));
    hand.submit(3, &alone(3, "local", Policy { priority: Priority(1), ..pool("licences", 1) }));
    hand.submit(4, &alone(4, "local", pool("licences", 1)));
    assert_eq!([1, 2, 3, 4].map(|group| hand.is_live(group, 0)), [true, false, true, false]);
    hand.submit(5, &alone(5, "local", Policy { priority: Priority(1), ..pool("licences", 1) }));
    assert!(hand.is_live(5, 0), "also when one like it waits behind the large share");
    hand.end(5, 0, ok());
    hand.end(1, 0, ok());
    assert_eq!([2, 4].map(|group| hand.is_live(group, 0)), [true, false]);
}

#[test]
fn the_newest_run_sets_the_limit_of_its_deployment() {
    let of_run = |run: u64, limit| {
        let context = plan::run(run, 1, RunPolicy::Allow, Some(limit));
        let jobs = (0..3).map(|at| plan::job(at, "local", Policy::default(), Vec::new()));
        plan::plan(&context, run * 10, FailurePolicy::Continue, jobs.collect())
    };
    let mut hand = Hand::new(capacity(&[("local", 9)], &[]));
    let live = |hand: &Hand| {
        let jobs = (1..=3).flat_map(|group| (0..3).map(move |job| (group, job)));
        jobs.filter(|(group, job)| hand.is_live(*group, *job)).count()
    };
    hand.submit(1, &of_run(1, 0));
    assert_eq!(live(&hand), 0, "a limit of nothing stops the deployment");
    hand.submit(2, &of_run(2, 4));
    assert_eq!(live(&hand), 4, "a higher limit wakes those that wait for it");
    hand.submit(3, &of_run(3, 2));
    hand.end(1, 0, ok());
    hand.end(1, 1, ok());
    assert_eq!(live(&hand), 2, "a lower one lets live attempts end");
    hand.end(1, 2, ok());
    assert_eq!(live(&hand), 2);
}

#[test]
fn the_order_of_those_that_wait_survives_a_restart() {
    let retry = Retry {
        max_attempts: 2,
        backoff: Backoff::Fixed { delay: Duration::from_secs(200) },
        jitter: 0,
        ..Retry::default()
    };
    let mut hand = Hand::new(capacity(&[("local", 1)], &[]));
    hand.submit(1, &alone(1, "local", Policy { retry, ..Policy::default() }));
    hand.end(1, 0, executor::retryable());
    hand.submit(2, &alone(2, "local", Policy::default()));
    hand.now = 50;
    hand.submit(3, &alone(3, "local", Policy::default()));
    hand.now = 200;
    hand.tick();
    hand.restart();
    hand.end(2, 0, ok());
    assert!(hand.is_live(3, 0), "it waits since 50 s, the other one since 200 s, one level higher");
}

#[test]
fn extremes_of_policies_do_not_overflow() {
    let forever = Duration::MAX;
    let retry = Retry {
        max_attempts: u32::MAX,
        backoff: Backoff::Exponential { delay: forever, cap: forever },
        jitter: u8::MAX,
        max_elapsed: Some(forever),
        ..Retry::default()
    };
    let timeouts =
        Timeouts { queue: forever, attempt: forever, total: forever, heartbeat: Some(forever) };
    let policy = Policy {
        retry,
        timeouts,
        priority: Priority(i8::MIN),
        grace: Grace(forever),
        pool: pool("licences", u32::MAX).pool,
        ..Policy::default()
    };
    let mut hand = Hand::new(capacity(&[("local", 9)], &[("licences", u32::MAX)]));
    hand.submit(1, &alone(1, "local", policy.clone()));
    hand.submit(2, &alone(2, "local", policy));
    hand.end(1, 0, executor::retryable());
    assert!(hand.is_live(2, 0), "what the first gave back is taken by the second");
    hand.step(Input::Halt);
    assert_ne!(hand.machine.next_deadline(), None, "all that is open has a deadline");
}
