//! How an engine ends.

use std::sync::Arc;

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::{Act, End};
use jobwright_core::Verdict;
use jobwright_scheduler::{Engine, RunError, WaitError, WaitReason};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

use crate::stage::{engine, first, over, package, secs, settle, single, start, step, told, wide};

#[tokio::test(start_paused = true)]
async fn a_drain_lets_attempts_end_and_begins_nothing() {
    let mock = MockExecutor::new().otherwise(Act::succeeds().after(secs(10))).recording();
    let steps = [step("a", &[], Value::Null), step("b", &["a"], Value::Null)];
    let (engine, deployment) = engine(&mock, &package(&steps, &["b"])).await;
    let run = engine.run(deployment).await.unwrap();
    let ending = engine.shutdown(secs(60));
    tokio::pin!(ending);
    assert!(tokio::time::timeout(secs(9), &mut ending).await.is_err());
    // What is asked meanwhile is answered: runs are refused, waiting is told to be for the next.
    let refused = engine.run(deployment).await.err().unwrap();
    assert!(matches!(refused, RunError::ShuttingDown), "{refused}");
    assert!(engine.run(deployment).explain().await.is_ok());
    let waiting = engine.waiting(first(&run)).await.unwrap();
    assert!(matches!(waiting.values().next(), Some(WaitReason::Requested { .. })), "{waiting:?}");
    let (report, waited) = tokio::join!(ending, engine.wait(first(&run)));
    let report = report.unwrap();
    assert_eq!((report.live, report.interrupted), (1, 0));
    assert_eq!(report.unfinished, [first(&run)]);
    assert!(matches!(waited, Err(WaitError::Ended(it)) if it.cause.is_none()));
    assert_eq!(mock.calls().steps(), ["a"]);
    // The end of the attempt is durable.
    let expect = ["accepted", "a ready", "a requested 1", "a succeeded, Succeeded", "b ready"];
    assert_eq!(told(&engine, first(&run)).await, expect);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_asked_to_stop_and_then_killed() {
    let mock = MockExecutor::new()
        .on("s0", [Act::hangs()])
        .on("s1", [Act::hangs().ignoring_cancellation()])
        .on("s2", [Act::succeeds().after(secs(3))])
        .recording();
    let (engine, deployment) = engine(&mock, &wide(3, &json!({ "grace": "2s" }))).await;
    let run = engine.run(deployment).await.unwrap();
    let report = engine.shutdown(secs(5)).await.unwrap();
    assert_eq!((report.live, report.interrupted, report.unfinished.len()), (3, 2, 2));
    settle().await;
    let ends: Vec<_> = mock.calls().iter().map(|call| call.ended.unwrap()).collect();
    let cancelled = End::Failed(jobwright_core::FailureClass::Cancelled);
    let expect = [(secs(5), cancelled), (secs(12), End::Dropped), (secs(3), End::Succeeded)];
    assert_eq!(ends, expect);
    // An interrupted job is for the next engine, and counts as nothing.
    let groups: Vec<_> = run.groups().collect();
    let expect = [
        "accepted",
        "s0 ready",
        "s0 requested 1",
        r#"s0 stopping "shutdown""#,
        "s0 cancelled shutdown, again",
        "s0 ready",
    ];
    assert_eq!(told(&engine, groups[0]).await, expect);
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_get_the_one_report_and_the_shortest_drain_counts() {
    let mock = MockExecutor::new().otherwise(Act::hangs());
    let (engine, deployment) = engine(&mock, &single(Value::Null)).await;
    engine.run(deployment).await.unwrap();
    // Somebody asks and goes away.
    assert!(tokio::time::timeout(secs(1), engine.shutdown(secs(3600))).await.is_err());
    let early = tokio::time::timeout(secs(60), async {
        tokio::join!(engine.shutdown(secs(30)), engine.shutdown(secs(7200)))
    });
    let (one, other) = early.await.expect("half a minute was given, not an hour");
    let report = one.unwrap();
    assert_eq!((report.live, report.interrupted), (1, 1));
    assert_eq!(other.unwrap(), report);
    assert_eq!(engine.shutdown(secs(1)).await.unwrap(), report);
    let ended = engine.run(deployment).await.err().unwrap();
    assert_eq!(ended.to_string(), "the engine has ended");
}

#[tokio::test(start_paused = true)]
async fn an_idle_engine_ends_at_once_and_leaves_what_waits() {
    let store = Arc::new(MemoryStore::new());
    let builder =
        over(&store, &MockExecutor::new().otherwise(Act::hangs())).executor_limit("mock", 0);
    let (engine, deployment) = start(builder, &single(Value::Null)).await;
    let run = engine.run(deployment).await.unwrap();
    let report = engine.shutdown(secs(3600)).await.unwrap();
    assert_eq!((report.live, report.interrupted, report.unfinished.len()), (0, 0, 1));
    let next: Engine = over(&store, &MockExecutor::new()).start().await.unwrap();
    assert_eq!(next.wait(first(&run)).await.unwrap(), Verdict::Succeeded);
}
