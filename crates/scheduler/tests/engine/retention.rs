//! What is removed, when, and what stays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{Attempt, Executor, Failure, GroupId, Retention, RunId, Success};
use jobwright_scheduler::{DeploymentChange, Engine, ReadError};
use jobwright_store::MemoryStore;
use serde_json::Value;

use crate::stage::{over, package, secs, settle, start, step, wide};

const DAY: u64 = 24 * 60 * 60;

/// Lets days pass, as they do: the engine looks around each hour.
async fn pass(time: Duration) {
    let hour = secs(60 * 60);
    let (hours, rest) = (time.as_secs() / hour.as_secs(), time.as_secs() % hour.as_secs());
    for step in (0..hours).map(|_| hour).chain([secs(rest)]) {
        tokio::time::advance(step).await;
        settle().await;
        // The pauses between two goes.
        tokio::time::sleep(secs(1)).await;
    }
}

async fn is_there(engine: &Engine, run: RunId) -> bool {
    engine.find_run(run).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn runs_are_kept_as_long_as_engine_and_deployment_say() {
    /// Tells whether a run is there after so many days.
    async fn check(engine: Option<Option<u64>>, own: Option<Retention>, days: u64, expect: bool) {
        let (store, mock) = (Arc::new(MemoryStore::new()), MockExecutor::new());
        let mut builder = over(&store, &mock);
        if let Some(days) = engine {
            builder = builder.retention(days.map(|days| secs(days * DAY)));
        }
        let (engine, deployment) = start(builder, &wide(3, &Value::Null)).await;
        let change = DeploymentChange { retention: Some(own), ..DeploymentChange::default() };
        engine.change_deployment(deployment, change).await.unwrap();
        let run = engine.run(deployment).idempotency_key("once").await.unwrap();
        let group = run.groups().next().unwrap();
        run.wait().await.unwrap();
        pass(secs(days * DAY + 7_200)).await;
        let told = format!("{own:?} {days}");
        assert_eq!(is_there(&engine, run.id()).await, expect, "{told}");
        let read = engine.group(group).await;
        assert_eq!(matches!(read, Err(ReadError::NotFound(_))), !expect, "{told}");
        let word = engine.status(group).await;
        assert_eq!(matches!(word, Err(ReadError::NotFound(_))), !expect, "{told}");
        // The key lives as long as its run.
        let again = engine.run(deployment).idempotency_key("once").await.unwrap();
        assert_eq!(again.replayed(), expect, "{told}");
        assert_eq!(again.id() == run.id(), expect, "{told}");
    }
    let of = |days| Some(Retention::For(secs(days * DAY)));
    check(None, None, 29, true).await;
    check(None, None, 30, false).await;
    check(Some(Some(2)), None, 2, false).await;
    check(Some(None), None, 40, true).await;
    check(Some(None), of(1), 1, false).await;
    check(Some(Some(1)), of(3), 2, true).await;
    check(Some(Some(1)), Some(Retention::Forever), 40, true).await;
    check(None, of(0), 0, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_with_a_live_group_stays_whole() {
    let steps = [step("quick", &[], Value::Null), step("slow", &[], Value::Null)];
    let mock = MockExecutor::new().on("slow", [Act::hangs()]);
    let builder = over(&Arc::new(MemoryStore::new()), &mock).retention(Some(secs(3_600)));
    let (engine, deployment) = start(builder, &package(&steps, &["quick", "slow"])).await;
    let run = engine.run(deployment).await.unwrap();
    let groups: Vec<_> = run.groups().collect();
    engine.wait(groups[0]).await.unwrap();
    pass(secs(5 * 3_600)).await;
    assert!(engine.group(groups[0]).await.is_ok(), "its sibling goes on");
    // What is run again from it is a run of its own, and stays when the old one goes.
    engine.cancel(groups[1], "enough").await.unwrap();
    engine.wait(groups[1]).await.unwrap();
    let again = engine.rerun(groups[1]).await.unwrap();
    pass(secs(3 * 3_600)).await;
    assert!(!is_there(&engine, run.id()).await);
    assert!(is_there(&engine, again.id()).await, "it goes on");
    assert!(engine.group_of(again.run().groups[0].first_job).await.unwrap().is_some());
    assert!(engine.group_of(run.run().groups[0].first_job).await.unwrap().is_none());
}

/// Remembers what it forgot.
#[derive(Clone, Default)]
struct Forgetful(Arc<Mutex<Vec<GroupId>>>);

#[async_trait]
impl Executor for Forgetful {
    async fn execute(&self, _: Attempt) -> Result<Success, Failure> {
        Ok(Success::default())
    }

    async fn forget(&self, group: GroupId) {
        self.0.lock().unwrap().push(group);
    }
}

#[tokio::test(start_paused = true)]
async fn executors_forget_what_goes_and_large_runs_go_in_pieces() {
    let executor = Forgetful::default();
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", executor.clone());
    let (engine, deployment) =
        start(builder.retention(Some(Duration::ZERO)), &wide(300, &Value::Null)).await;
    let run = engine.run(deployment).await.unwrap();
    run.wait().await.unwrap();
    pass(secs(7_200)).await;
    assert!(!is_there(&engine, run.id()).await);
    assert_eq!(*executor.0.lock().unwrap(), run.groups().collect::<Vec<_>>());
}
