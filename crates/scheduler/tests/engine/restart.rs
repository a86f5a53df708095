//! An engine that goes on where another one was dropped.

use std::sync::{Arc, Mutex};

use jobwright_adapters::mock::Act;
use jobwright_adapters::{FnExecutor, MockExecutor};
use jobwright_core::{
    Artifact, Attempt, Digest, Failure, JobId, Outcome, Reattached, Success, Verdict,
};
use jobwright_scheduler::{CancelError, WaitError, WaitReason};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

use crate::moody::Moody;
use crate::stage::{first, over, package, secs, settle, single, start, step, told, wide};

/// `done` ends; `live` is dropped with its engine and reattached by the next one; `after` needs
/// both. Compares what the second engine does, from its adoption on.
async fn check(policy: Value, answer: Reattached, expect: &[&str]) {
    let store = Arc::new(MemoryStore::new());
    let steps = [
        step("done", &[], Value::Null),
        step("live", &[], policy),
        step("after", &["done", "live"], Value::Null),
    ];
    let before = MockExecutor::new().on("live", [Act::hangs()]).recording();
    let (engine, deployment) = start(over(&store, &before), &package(&steps, &["after"])).await;
    let run = engine.run(deployment).await.unwrap();
    let group = first(&run);
    settle().await;
    drop((run, engine));
    settle().await;
    assert_eq!(before.calls().live(), 0, "an engine that is dropped drops its attempts");

    let mock = MockExecutor::new().reattaching("live", answer).recording();
    let engine = over(&store, &mock).start().await.unwrap();
    engine.wait(group).await.unwrap();
    let told = told(&engine, group).await;
    let since = told.iter().position(|it| it == "adopted 2").unwrap();
    assert_eq!(told[since + 1..], *expect);
    // Each attempt is handed over once, in whichever life, and what ended is not run again.
    assert_eq!(mock.calls().of("done").len(), 0);
    assert_eq!(mock.calls().of("live").iter().filter(|call| call.reattach).count(), 1);
    let handed = before.calls().into_iter().chain(mock.calls()).filter(|call| !call.reattach);
    let mut attempts: Vec<_> = handed.map(|call| call.attempt).collect();
    attempts.sort_unstable();
    let count = attempts.len();
    attempts.dedup();
    assert_eq!(attempts.len(), count);
    assert_eq!(attempts[0].job, JobId::new(1).unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_live_is_reattached_and_follows_its_policy() {
    check(
        Value::Null,
        Reattached::Unknown,
        &[
            "live lost lost, again",
            "live ready",
            "live requested 2",
            "live succeeded, Succeeded",
            "after ready",
            "after requested 1",
            "after succeeded, Succeeded",
            "Succeeded",
        ],
    )
    .await;
    check(
        json!({ "on_lost": "fail" }),
        Reattached::Unknown,
        &[
            "live lost lost, Failed",
            "after Skipped Need { job: JobIndex(1), was: Failed }",
            "Failed",
        ],
    )
    .await;
    check(
        json!({ "crash_limit": 0 }),
        Reattached::Unknown,
        &[
            "live lost lost, Failed",
            "after Skipped Need { job: JobIndex(1), was: Failed }",
            "Failed",
        ],
    )
    .await;
    check(
        Value::Null,
        Reattached::Ended(Outcome::Succeeded(Success::empty())),
        &[
            "live succeeded, Succeeded",
            "after ready",
            "after requested 1",
            "after succeeded, Succeeded",
            "Succeeded",
        ],
    )
    .await;
    let failure = Box::new(Failure::permanent("exit", "code 3"));
    check(
        Value::Null,
        Reattached::Ended(Outcome::Failed(failure)),
        &[
            "live permanent exit, Failed",
            "after Skipped Need { job: JobIndex(1), was: Failed }",
            "Failed",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn artifacts_and_inputs_are_handed_over_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let content: Arc<[u8]> = Arc::from(&b"select 1"[..]);
    let steps = [step("a", &[], Value::Null), step("b", &["a"], Value::Null)];
    let mut bundle = package(&steps, &["b"]);
    let digest = Digest::of(&content);
    let path = "one.sql".to_owned();
    bundle.package.artifacts.push(Artifact { path, digest, size: 8, executable: false });
    bundle.contents.insert(digest, content);

    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let executor = || {
        let seen = Arc::clone(&seen);
        FnExecutor::new(move |attempt: Attempt| {
            let files = attempt.artifacts().iter();
            let files: Vec<_> = files
                .map(|(it, content)| format!("{} {}", it.path, String::from_utf8_lossy(content)))
                .collect();
            let inputs = attempt.inputs().iter().filter_map(|it| it.result.as_ref());
            let inputs: Vec<_> = inputs.map(ToString::to_string).collect();
            let words = format!("{} {files:?} {inputs:?}", attempt.id());
            seen.lock().unwrap().push(words);
            async move {
                if attempt.job().step.as_str() == "b" && attempt.number() == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(Success::with(json!(attempt.number())))
            }
        })
    };
    let builder = || jobwright_scheduler::Engine::builder().shared_store(store.clone());
    let (engine, deployment) = start(builder().executor("mock", executor()), &bundle).await;
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    drop(engine);
    settle().await;
    let engine = builder().executor("mock", executor()).start().await.unwrap();
    assert_eq!(engine.wait(group).await.unwrap(), Verdict::Succeeded);
    let seen = seen.lock().unwrap().clone();
    let expect = [
        r#"1-1 ["one.sql select 1"] []"#,
        r#"2-1 ["one.sql select 1"] ["1"]"#,
        r#"2-2 ["one.sql select 1"] ["1"]"#,
    ];
    assert_eq!(seen, expect);
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_is_gone_is_waited_for() {
    let store = Arc::new(MemoryStore::new());
    let builder = over(&store, &MockExecutor::new()).executor_limit("mock", 0);
    let (engine, deployment) = start(builder, &single(Value::Null)).await;
    let group = first(&engine.run(deployment).await.unwrap());
    engine.shutdown(secs(0)).await.unwrap();
    let without = jobwright_scheduler::Engine::builder().shared_store(store.clone());
    let engine = without.start().await.unwrap();
    let waiting = engine.waiting(group).await.unwrap();
    assert!(matches!(waiting.values().next(), Some(WaitReason::NoExecutor(_))), "{waiting:?}");
    engine.shutdown(secs(0)).await.unwrap();
    let engine = over(&store, &MockExecutor::new()).start().await.unwrap();
    assert_eq!(engine.wait(group).await.unwrap(), Verdict::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_read_concerns_its_group_alone() {
    let store = Moody::new();
    let hangs = MockExecutor::new().otherwise(Act::hangs());
    let (engine, deployment) = start(over(&store, &hangs), &wide(3, &Value::Null)).await;
    let groups: Vec<_> = engine.run(deployment).await.unwrap().groups().collect();
    settle().await;
    drop(engine);
    settle().await;
    store.hide(groups[1]);
    let engine = over(&store, &MockExecutor::new()).start().await.unwrap();
    assert_eq!(engine.wait(groups[0]).await.unwrap(), Verdict::Succeeded);
    assert_eq!(engine.wait(groups[2]).await.unwrap(), Verdict::Succeeded);
    // Nobody waits for ever for the one, and nobody believes that it was cancelled.
    let error = engine.wait(groups[1]).await.unwrap_err();
    assert!(matches!(error, WaitError::NotDriven(group) if group == groups[1]), "{error}");
    let error = engine.cancel(groups[1], "x").await.unwrap_err();
    assert!(matches!(error, CancelError::NotDriven(group) if group == groups[1]), "{error}");
}
