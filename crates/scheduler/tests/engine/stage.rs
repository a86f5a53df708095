//! What the tests of the engine have in common: packages in a few words, an engine with one
//! deployment, and what is read of groups, in words.

use std::sync::Arc;
use std::time::Duration;

use jobwright_adapters::MockExecutor;
use jobwright_core::{
    Bundle, DeploymentId, Event, GroupId, Next, Outcome, Package, Release, Seq, Store,
};
use jobwright_scheduler::{Engine, EngineBuilder, RunHandle};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A step on the mock executor. The policy is JSON; null is the default one.
pub(crate) fn step(name: &str, needs: &[&str], policy: Value) -> Value {
    let needs: Vec<_> = needs.iter().map(|need| json!({ "step": need })).collect();
    let policy = if policy.is_null() { json!({}) } else { policy };
    json!({ "name": name, "kind": "wrangle", "executor": "mock", "needs": needs, "policy": policy })
}

/// A package of one flow, `main`, with these outputs of one step each, named like it.
pub(crate) fn package(steps: &[Value], outputs: &[&str]) -> Bundle {
    let outputs: Vec<_> =
        outputs.iter().map(|name| json!({ "name": name, "steps": [name] })).collect();
    bundle(&json!([{ "name": "main", "steps": steps, "outputs": outputs }]))
}

/// A package of these flows, of which the first is the primary one.
pub(crate) fn bundle(flows: &Value) -> Bundle {
    let primary = flows[0]["name"].clone();
    let package = json!({ "name": "sales", "primary": [primary], "flows": flows });
    Bundle::from(serde_json::from_value::<Package>(package).unwrap())
}

/// A package of one step, which is its output.
pub(crate) fn single(policy: Value) -> Bundle {
    package(&[step("a", &[], policy)], &["a"])
}

/// A package of so many steps that need nothing and are one group each.
pub(crate) fn wide(count: usize, policy: &Value) -> Bundle {
    let names: Vec<_> = (0..count).map(|at| format!("s{at}")).collect();
    let steps: Vec<_> = names.iter().map(|name| step(name, &[], policy.clone())).collect();
    package(&steps, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Begins an engine over a store, whose executor `mock` is this one.
pub(crate) fn over(store: &Arc<impl Store>, mock: &MockExecutor) -> EngineBuilder {
    Engine::builder().shared_store(store.clone()).executor("mock", mock.clone())
}

/// Starts an engine and imports a package into its deployment `sales`.
pub(crate) async fn start(builder: EngineBuilder, bundle: &Bundle) -> (Engine, DeploymentId) {
    let engine = builder.start().await.unwrap();
    let deployment = engine.create_deployment("sales").await.unwrap().id;
    import(&engine, deployment, bundle).await;
    (engine, deployment)
}

/// Starts an engine over a memory store of its own.
pub(crate) async fn engine(mock: &MockExecutor, bundle: &Bundle) -> (Engine, DeploymentId) {
    start(over(&Arc::new(MemoryStore::new()), mock), bundle).await
}

pub(crate) async fn import(engine: &Engine, deployment: DeploymentId, bundle: &Bundle) -> Release {
    engine.import(deployment, bundle, Default::default()).await.unwrap()
}

pub(crate) fn first(run: &RunHandle) -> GroupId {
    run.groups().next().unwrap()
}

/// The history of a group in words, without times: what happened to which step.
pub(crate) async fn told(engine: &Engine, group: GroupId) -> Vec<String> {
    let plan = engine.group(group).await.unwrap().plan;
    let history = engine.history(group, Seq(1)).await.unwrap();
    let words = history.iter().map(|entry| {
        let step = entry.event.job().map(|job| plan.jobs[job.at()].step.as_str());
        let step = step.unwrap_or_default();
        match &entry.event {
            Event::Accepted { .. } => "accepted".to_owned(),
            Event::Adopted { epoch, .. } => format!("adopted {}", epoch.0),
            Event::Ready { .. } => format!("{step} ready"),
            Event::Requested { attempt, .. } => format!("{step} requested {attempt}"),
            Event::Started { .. } => format!("{step} started"),
            Event::Beat { .. } => format!("{step} beat"),
            Event::Stopping { reason, .. } => {
                format!("{step} stopping {}", serde_json::to_value(reason).unwrap())
            }
            Event::AttemptEnded { outcome, next, .. } => {
                let outcome = match outcome {
                    Outcome::Succeeded(_) => "succeeded".to_owned(),
                    Outcome::Failed(it) => format!("{} {}", it.class.as_str(), it.code),
                };
                match next {
                    Next::Retry { .. } => format!("{step} {outcome}, again"),
                    Next::End { verdict, .. } => format!("{step} {outcome}, {verdict:?}"),
                }
            }
            Event::JobEnded { verdict, cause, .. } => format!("{step} {verdict:?} {cause:?}"),
            Event::CancelRequested { .. } => "cancel requested".to_owned(),
            Event::GroupEnded { verdict } => format!("{verdict:?}"),
        }
    });
    words.collect()
}

/// Lets everything happen that needs no time to pass.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
