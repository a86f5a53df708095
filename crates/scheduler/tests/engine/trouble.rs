//! A store that is away, breaks, refuses or is slow: nothing is lost, nothing happens before it is
//! durable, nobody is left waiting.

use std::future::IntoFuture;

use futures_util::future::join_all;
use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{RunPolicy, Seq, Status, Verdict};
use jobwright_scheduler::{CancelError, DeploymentChange, RunError, WaitError};
use serde_json::Value;

use crate::moody::{Mood, Moody};
use crate::stage::{first, over, package, secs, settle, single, start, step, told, wide};

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for() {
    let store = Moody::new();
    let mock = MockExecutor::new().recording();
    let (engine, deployment) = start(over(&store, &mock), &wide(3, &Value::Null)).await;
    let mut listener = engine.subscribe(None);
    store.set(Mood::Away(5));
    let asked = engine.run(deployment).into_future();
    tokio::pin!(asked);
    // Four pauses lie between the five failures: 50, 100, 200 and 400 ms.
    assert!(tokio::time::timeout(secs(1) * 3 / 4, &mut asked).await.is_err());
    assert!(mock.calls().is_empty(), "nothing is handed over before it is durable");
    assert!(tokio::time::timeout(secs(0), listener.next()).await.is_err());
    let run = asked.await.unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Succeeded);
    assert_eq!((mock.calls().len(), mock.calls().repeated()), (3, vec![]));
    let expect = ["accepted", "s0 ready", "s0 requested 1", "s0 succeeded, Succeeded", "Succeeded"];
    assert_eq!(told(&engine, first(&run)).await, expect);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_ends_the_engine_and_everybody_learns_why() {
    let store = Moody::new();
    let mock = MockExecutor::new().otherwise(Act::hangs()).recording();
    let (engine, deployment) = start(over(&store, &mock), &single(Value::Null)).await;
    let run = engine.run(deployment).await.unwrap();
    settle().await;
    store.set(Mood::Broken);
    let (waited, refused) =
        tokio::join!(engine.wait(first(&run)), engine.run(deployment).into_future());
    let text = "the engine has ended: the store is broken: it lost its bytes";
    let check = |words: String| assert_eq!(words, text);
    check(waited.unwrap_err().to_string());
    check(refused.err().unwrap().to_string());
    check(engine.wait(first(&run)).await.unwrap_err().to_string());
    check(engine.cancel(first(&run), "x").await.unwrap_err().to_string());
    check(engine.waiting(first(&run)).await.unwrap_err().to_string());
    check(engine.run(deployment).await.err().unwrap().to_string());
    check(engine.shutdown(secs(1)).await.unwrap_err().to_string());
    settle().await;
    assert_eq!((mock.calls().len(), mock.calls().live()), (1, 0));
    // What was durable can be read, and the next engine goes on with it.
    assert_eq!(engine.history(first(&run), Seq(1)).await.unwrap().len(), 3);
    store.set(Mood::Well);
    let next = over(&store, &MockExecutor::new()).start().await.unwrap();
    assert_eq!(next.wait(first(&run)).await.unwrap(), Verdict::Succeeded);
    assert_eq!(next.runs(deployment, 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_fenced_is_dropped_and_the_others_go_on() {
    let store = Moody::new();
    let slow = Act::succeeds().after(secs(10));
    let steps = [
        step("a", &[], Value::Null),
        step("b", &["a"], Value::Null),
        step("other", &[], Value::Null),
    ];
    let mock = MockExecutor::new().otherwise(slow).recording();
    let (engine, deployment) = start(over(&store, &mock), &package(&steps, &["b", "other"])).await;
    let groups: Vec<_> = engine.run(deployment).await.unwrap().groups().collect();
    settle().await;
    store.set(Mood::Fences(groups[0]));
    // Both end in one turn: the one's end is refused, the other's is not.
    assert_eq!(engine.wait(groups[1]).await.unwrap(), Verdict::Succeeded);
    tokio::time::sleep(secs(60)).await;
    assert_eq!(mock.calls().steps(), ["a", "other"], "the fenced group goes on nowhere");
    let expect = ["accepted", "a ready", "a requested 1"];
    assert_eq!(told(&engine, groups[0]).await, expect);
    let error = engine.wait(groups[0]).await.unwrap_err();
    assert!(matches!(error, WaitError::NotDriven(_)), "{error}");
    let report = engine.shutdown(secs(1)).await.unwrap();
    assert_eq!((report.live, report.unfinished.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_another_engine_accepted_meanwhile_is_the_same_run() {
    let store = Moody::new();
    let mock = MockExecutor::new().recording();
    let (engine, deployment) = start(over(&store, &mock), &single(Value::Null)).await;
    let ask = || engine.run(deployment).idempotency_key("monday");
    let run = ask().await.unwrap();
    run.wait().await.unwrap();
    store.blind();
    let again = ask().await.unwrap();
    assert_eq!((again.id(), again.replayed()), (run.id(), true));
    store.blind();
    let other = ask().parameter("none", 1).await;
    assert!(matches!(other, Err(RunError::Prepare(_))));
    settle().await;
    assert_eq!(mock.calls().len(), 1);
    assert_eq!(engine.runs(deployment, 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_store_refuses_leaves_nothing() {
    let store = Moody::new();
    let mock = MockExecutor::new().recording();
    let builder = over(&store, &mock).executor_limit("mock", 1);
    let (engine, deployment) = start(builder, &wide(2, &Value::Null)).await;
    store.set(Mood::Contrary);
    let refused = engine.run(deployment).await.err().unwrap();
    assert!(matches!(refused, RunError::Changed), "{refused}");
    settle().await;
    assert!(mock.calls().is_empty());
    assert_eq!(engine.runs(deployment, 10).await.unwrap().len(), 0);
    // The slot that it was given is free again.
    store.set(Mood::Well);
    let run = engine.run(deployment).await.unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_are_refused_and_none_is_forgotten() {
    let store = Moody::new();
    let mock = MockExecutor::new().otherwise(Act::hangs());
    let (engine, deployment) = start(over(&store, &mock), &single(Value::Null)).await;
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    store.hold(true);
    let flood = async {
        // The first message is taken into a turn that does not end; the others fill the inbox.
        let first = engine.run(deployment).into_future();
        let flood = async {
            store.asked().await;
            let questions = (0..8192).map(|_| engine.waiting(group));
            let refused = async {
                settle().await;
                let refused = engine.run(deployment).await.err().unwrap();
                assert!(matches!(refused, RunError::Overloaded), "{refused}");
                store.hold(false);
            };
            tokio::join!(join_all(questions), refused)
        };
        tokio::join!(first, flood)
    };
    let (first, (answers, ())) = flood.await;
    first.unwrap();
    assert_eq!(answers.len(), 8192);
    assert!(answers.into_iter().all(|answer| answer.unwrap().len() == 1));
    assert!(engine.run(deployment).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_another_engine_drives_is_let_go_at_once() {
    let store = Moody::new();
    let mock = MockExecutor::new().otherwise(Act::hangs().ignoring_cancellation()).recording();
    let (engine, deployment) = start(over(&store, &mock), &wide(2, &Value::Null)).await;
    let groups: Vec<_> = engine.run(deployment).await.unwrap().groups().collect();
    settle().await;
    store.set(Mood::Fences(groups[0]));
    // The cancellation is not durable, so nobody is told that it is; who waits learns it too.
    let (waited, cancelled) =
        tokio::join!(engine.wait(groups[0]), engine.cancel(groups[0], "enough"));
    assert!(matches!(waited, Err(WaitError::NotDriven(_))), "{waited:?}");
    assert!(matches!(cancelled, Err(CancelError::NotDriven(_))), "{cancelled:?}");
    settle().await;
    // Its attempt is the other engine's now; that of the other group goes on.
    assert_eq!((mock.calls().len(), mock.calls().live()), (2, 1));
    let report = engine.shutdown(secs(1)).await.unwrap();
    assert_eq!((report.live, report.unfinished), (1, vec![groups[1]]));
}

#[tokio::test(start_paused = true)]
async fn an_engine_ends_in_time_although_its_store_is_away() {
    let store = Moody::new();
    let mock = MockExecutor::new().otherwise(Act::hangs()).recording();
    let (engine, deployment) = start(over(&store, &mock), &single(Value::Null)).await;
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    store.set(Mood::Away(u32::MAX));
    let refused = engine.run(deployment).into_future();
    let ended = async {
        store.asked().await;
        tokio::time::timeout(secs(11), engine.shutdown(secs(10))).await
    };
    let (refused, ended) = tokio::join!(refused, ended);
    let text = "the engine has ended: the store cannot do this now: it is away";
    assert_eq!(refused.err().unwrap().to_string(), text);
    assert_eq!(ended.unwrap().unwrap_err().to_string(), text);
    settle().await;
    assert_eq!((mock.calls().len(), mock.calls().live()), (1, 0));
    store.set(Mood::Well);
    let next = over(&store, &MockExecutor::new()).start().await.unwrap();
    assert_eq!(next.wait(group).await.unwrap(), Verdict::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_ends_does_not_miss_that_its_store_is_back() {
    let store = Moody::new();
    let mock = MockExecutor::new().otherwise(Act::hangs());
    let (engine, deployment) = start(over(&store, &mock), &single(Value::Null)).await;
    engine.run(deployment).await.unwrap();
    settle().await;
    store.set(Mood::Away(u32::MAX));
    let accepted = engine.run(deployment).into_future();
    let ended = async {
        // By then the store is asked every five seconds only.
        tokio::time::sleep(secs(60)).await;
        store.set(Mood::Well);
        engine.shutdown(secs(1)).await
    };
    let (accepted, ended) = tokio::join!(accepted, ended);
    assert_eq!(ended.unwrap().unfinished.len(), 2);
    accepted.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_because_of_a_run_that_is_not_durable() {
    let store = Moody::new();
    let (engine, deployment) =
        start(over(&store, &MockExecutor::new()), &single(Value::Null)).await;
    let skip = DeploymentChange { run_policy: Some(RunPolicy::Skip), ..Default::default() };
    engine.change_deployment(deployment, skip).await.unwrap();
    // All three are in the loop's inbox, or its turn, when the store is heard again.
    store.hold(true);
    let one = engine.run(deployment).into_future();
    let others = async {
        store.asked().await;
        let ask = || engine.run(deployment).into_future();
        let let_go = async {
            settle().await;
            store.set(Mood::Contrary);
            store.hold(false);
        };
        tokio::join!(ask(), ask(), let_go)
    };
    let (one, (two, three, ())) = tokio::join!(one, others);
    for refused in [one, two, three] {
        let refused = refused.err().unwrap();
        assert!(matches!(refused, RunError::Changed), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_is_the_last_durable_one() {
    let store = Moody::new();
    let mock = MockExecutor::new().otherwise(Act::hangs());
    let (engine, deployment) = start(over(&store, &mock), &single(Value::Null)).await;
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    assert_eq!(engine.status(group).await.unwrap(), Status::InProgress);
    store.hold(true);
    let look = async {
        store.asked().await;
        settle().await;
        let seen = engine.status(group).await.unwrap();
        store.hold(false);
        seen
    };
    let (cancelled, seen) = tokio::join!(engine.cancel(group, "enough"), look);
    cancelled.unwrap();
    assert_eq!(seen, Status::InProgress, "the end is not durable yet");
    engine.wait(group).await.unwrap();
    assert_eq!(engine.status(group).await.unwrap(), Status::Canceled);
    engine.shutdown(secs(1)).await.unwrap();
    assert_eq!(engine.status(group).await.unwrap(), Status::Canceled);
}
