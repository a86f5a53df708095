//! Engines on one database: what they drive, and what becomes of it when one goes.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod cluster;
#[path = "support/stage.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobwright_adapters::mock::Act;
use jobwright_adapters::{FnExecutor, MockExecutor};
use jobwright_core::{Attempt, Bundle, DeploymentId, Package, RunPolicy, Success, Verdict};
use jobwright_postgres::PostgresStore;
use jobwright_scheduler::{DeploymentChange, Engine, RunError};
use serde_json::json;

use crate::stage::CLUSTER;

async fn engine(address: &str, mock: &MockExecutor) -> Engine {
    let store = PostgresStore::connect(address).await.unwrap();
    let builder = Engine::builder().store(store).executor("mock", mock.clone());
    builder.lease(Duration::from_secs(3)).start().await.unwrap()
}

/// A limit over all engines: they divide it, never have more together, and each gets its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_has_so_many_attempts_over_all_engines() {
    const TOTAL: u32 = 3;
    let address = CLUSTER.database();
    let (live, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut engines = Vec::new();
    let calls: Vec<Arc<AtomicU32>> = (0..2).map(|_| Arc::default()).collect();
    for count in &calls {
        let (live, most, count) = (Arc::clone(&live), Arc::clone(&most), Arc::clone(count));
        let executor = FnExecutor::new(move |_: Attempt| {
            let (live, most) = (Arc::clone(&live), Arc::clone(&most));
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                most.fetch_max(live.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                live.fetch_sub(1, Ordering::SeqCst);
                Ok(Success::empty())
            }
        });
        let store = PostgresStore::connect(&address).await.unwrap();
        let builder = Engine::builder().store(store).executor("mock", executor);
        let builder = builder.executor_total("mock", TOTAL).lease(Duration::from_secs(3));
        engines.push(builder.start().await.unwrap());
    }
    let deployment = deploy(&engines[0]).await;
    let mut groups = Vec::new();
    for _ in 0..30 {
        for engine in &engines {
            groups.extend(engine.run(deployment).await.unwrap().groups());
        }
    }
    for group in groups {
        assert_eq!(engines[0].wait(group).await.unwrap(), Verdict::Succeeded);
    }
    let calls: Vec<_> = calls.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    assert_eq!(most.load(Ordering::SeqCst), TOTAL);
    assert_eq!(calls, [90, 90], "each engine ran its own groups");
    // What an engine that is gone had is the other's.
    drop(engines.remove(0));
    let group = engines[0].run(deployment).await.unwrap().groups().next().unwrap();
    assert_eq!(engines[0].wait(group).await.unwrap(), Verdict::Succeeded);
    for engine in engines {
        engine.shutdown(Duration::ZERO).await.unwrap();
    }
}

async fn deploy(engine: &Engine) -> DeploymentId {
    let steps = |at| {
        let needs: Vec<_> =
            (at > 0).then(|| json!({ "step": format!("s{}", at - 1) })).into_iter().collect();
        json!({ "name": format!("s{at}"), "kind": "wrangle", "executor": "mock", "needs": needs })
    };
    let steps: Vec<_> = (0..3).map(steps).collect();
    let flow =
        json!({ "name": "main", "steps": steps, "outputs": [{ "name": "o", "steps": ["s2"] }] });
    let package = json!({ "name": "sales", "primary": ["main"], "flows": [flow] });
    let bundle = Bundle::from(serde_json::from_value::<Package>(package).unwrap());
    let deployment = engine.create_deployment("sales").await.unwrap().id;
    engine.import(deployment, &bundle, Default::default()).await.unwrap();
    deployment
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_outlive_engines_and_are_waited_for_and_cancelled_from_any() {
    let address = CLUSTER.database();
    let hangs = MockExecutor::new().otherwise(Act::hangs()).recording();
    let quick = MockExecutor::new().recording();
    let one = engine(&address, &hangs).await;
    let two = engine(&address, &quick).await;
    let deployment = deploy(&one).await;
    let mut groups = Vec::new();
    for _ in 0..40 {
        groups.extend(one.run(deployment).await.unwrap().groups());
    }
    two.cancel(groups[0], "enough").await.unwrap();
    assert_eq!(two.wait(groups[0]).await.unwrap(), Verdict::Cancelled);
    drop(one);
    for group in &groups[1..] {
        assert_eq!(two.wait(*group).await.unwrap(), Verdict::Succeeded);
    }
    assert_eq!(hangs.calls().live(), 0);
    two.shutdown(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_policies_hold_between_engines() {
    let address = CLUSTER.database();
    let hangs = || MockExecutor::new().otherwise(Act::hangs()).recording();
    let (first, second) = (hangs(), hangs());
    let one = engine(&address, &first).await;
    let two = engine(&address, &second).await;
    let deployment = deploy(&one).await;
    let change = DeploymentChange { run_policy: Some(RunPolicy::Skip), ..Default::default() };
    one.change_deployment(deployment, change).await.unwrap();
    let run = one.run(deployment).await.unwrap();
    let refused = two.run(deployment).await.err().unwrap();
    assert!(matches!(refused, RunError::Running(known) if known == run.id()), "{refused}");
    let change = DeploymentChange { run_policy: Some(RunPolicy::Queue), ..Default::default() };
    two.change_deployment(deployment, change).await.unwrap();
    let later = two.run(deployment).await.unwrap();
    assert!(later.id() > run.id());
    drop((run, one));
    let group = later.groups().next().unwrap();
    two.cancel(group, "enough").await.unwrap();
    assert_eq!(two.wait(group).await.unwrap(), Verdict::Cancelled);
    assert_eq!(first.calls().live(), 0);
    two.shutdown(Duration::ZERO).await.unwrap();
}
