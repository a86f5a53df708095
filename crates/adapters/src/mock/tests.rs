//! The mock does what its script says, and tells what it did.

use std::time::Duration;

use jobwright_core::{Attempt, CancelReason, Executor, Failure, Outcome, Stop, StopReason};
use serde_json::json;

use super::*;
use crate::conformance::attempt;

fn stop(attempt: &Attempt) {
    let reason = StopReason::Cancelled { reason: CancelReason::Superseded };
    attempt.cancellation().stop(Stop { reason, grace: Duration::ZERO });
}

fn of(step: &str, number: u32) -> Attempt {
    attempt(json!(null)).step(step).number(number).build()
}

/// Runs the attempts one after the other and writes down how each ended and when.
async fn check(mock: MockExecutor, attempts: &[(&str, u32)], expect: &[&str]) {
    let mock = mock.recording();
    let mut seen = Vec::new();
    for (step, number) in attempts {
        let end = match mock.execute(of(step, *number)).await {
            Ok(success) => format!("{:?}", success.result().map(ToString::to_string)),
            Err(failure) => failure.to_string(),
        };
        let (at, _) = mock.calls().into_iter().last().unwrap().ended.unwrap();
        seen.push(format!("{}s {end}", at.as_secs()));
    }
    assert_eq!(seen, expect);
}

#[tokio::test(start_paused = true)]
async fn acts_follow_the_script() {
    assert_eq!(MockExecutor::new().execute(of("a", 1)).await, Ok(Success::empty()));
    check(MockExecutor::new(), &[("a", 1), ("b", 9)], &["0s None", "0s None"]).await;
    let busy = || Act::fails(Failure::retryable("busy", "not now"));
    let scripted = MockExecutor::new()
        .on("a", [busy(), Act::succeeds_with(json!(1)).after(Duration::from_secs(5))])
        .otherwise(busy());
    check(
        scripted,
        &[("a", 1), ("a", 2), ("a", 3), ("b", 1)],
        &["0s not now (busy)", "5s Some(\"1\")", "10s Some(\"1\")", "10s not now (busy)"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn hangs_heed_a_cancellation_unless_told_otherwise() {
    let mock = MockExecutor::new()
        .on("polite", [Act::hangs()])
        .on("stubborn", [Act::hangs().ignoring_cancellation()])
        .recording();
    let polite = of("polite", 1);
    stop(&polite);
    assert_eq!(mock.execute(polite).await.unwrap_err().code, "cancelled");
    let stubborn = of("stubborn", 1);
    stop(&stubborn);
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, mock.execute(stubborn)).await.is_err());
    let calls = mock.calls();
    assert_eq!(calls.steps(), ["polite", "stubborn"]);
    let ends: Vec<_> = calls.iter().map(|call| call.ended).collect();
    let cancelled = End::Failed(jobwright_core::FailureClass::Cancelled);
    assert_eq!(ends, [Some((Duration::ZERO, cancelled)), Some((hour, End::Dropped))]);
}

#[tokio::test]
#[should_panic(expected = "as scripted")]
async fn panics_when_told_to() {
    let _ = MockExecutor::new().otherwise(Act::panics("as scripted")).execute(of("a", 1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_record_knows_what_was_live_together() {
    let second = Act::succeeds().after(Duration::from_secs(1));
    let mock = MockExecutor::new().on("wide", [second]).recording();
    let engine = mock.clone();
    tokio::join!(
        engine.execute(of("wide", 1)),
        engine.execute(of("wide", 2)),
        engine.execute(of("wide", 2)),
        engine.execute(of("quick", 4)),
    )
    .0
    .unwrap();
    engine.reattach(of("wide", 1)).await;
    let calls = mock.calls();
    assert_eq!((calls.len(), calls.live(), calls.max_concurrency()), (5, 0, 4));
    assert_eq!(calls.of("quick").max_concurrency(), 1);
    assert_eq!(calls.repeated(), [of("wide", 2).id(),]);
}

#[tokio::test]
async fn seeded_failures_are_a_function_of_seed_and_attempt() {
    let hits = |seed| {
        let mock = MockExecutor::new().failing(seed, 250);
        (1..=4000).map(move |n| mock.act(&of("a", n)) != Act::succeeds()).collect::<Vec<_>>()
    };
    assert_eq!(hits(1), hits(1));
    assert_ne!(hits(1), hits(2));
    let count = hits(7).into_iter().filter(|hit| *hit).count();
    assert!((900..1100).contains(&count), "{count} of 4000");
}

#[tokio::test]
async fn reattachment_answers_as_scripted() {
    let ended = Reattached::Ended(Outcome::Succeeded(Success::empty()));
    let mock = MockExecutor::new().reattaching("a", ended.clone());
    assert_eq!(mock.reattach(of("a", 1)).await, ended);
    assert_eq!(mock.reattach(of("b", 1)).await, Reattached::Unknown);
}

#[test]
fn only_what_takes_no_time_is_inline() {
    let inline = |mock: MockExecutor| mock.traits().inline;
    assert!(inline(MockExecutor::new()));
    assert!(inline(MockExecutor::new().recording().failing(1, 1)));
    assert!(!inline(MockExecutor::new().spawned()));
    assert!(!inline(MockExecutor::new().on("a", [Act::hangs()])));
    assert!(!inline(MockExecutor::new().otherwise(Act::succeeds().after(Duration::from_nanos(1)))));
}
