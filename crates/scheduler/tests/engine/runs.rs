//! Runs: what they become, what they give back, what they are refused for.

use std::future::IntoFuture;
use std::time::Duration;

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{Bundle, DeploymentId, Failure, Package, RunPolicy, Seq, Status, Verdict};
use jobwright_scheduler::{DeploymentChange, Engine, Notice, RunError, WaitReason};
use jobwright_store::MemoryStore;
use serde_json::json;

use crate::moody::Moody;

fn package() -> Bundle {
    let step = |name: &str, needs: &[&str]| {
        let needs: Vec<_> = needs.iter().map(|need| json!({ "step": need })).collect();
        json!({ "name": name, "kind": "wrangle", "executor": "mock", "needs": needs,
                "payload": { "region": "$region" } })
    };
    let package: Package = serde_json::from_value(json!({
        "name": "sales",
        "primary": ["main"],
        "flows": [{
            "name": "main",
            "parameters": [{ "name": "region", "type": "string", "default": "all" }],
            "steps": [step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("x", &[])],
            "outputs": [
                { "name": "left", "steps": ["b"] },
                { "name": "right", "steps": ["c"] },
                { "name": "alone", "steps": ["x"] },
                { "name": "nightly", "trigger": "scheduled", "steps": ["x"] },
            ],
        }],
    }))
    .unwrap();
    Bundle::from(package)
}

async fn engine(mock: MockExecutor) -> (Engine, DeploymentId) {
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", mock);
    let engine = builder.start().await.unwrap();
    let deployment = engine.create_deployment("sales").await.unwrap().id;
    engine.import(deployment, &package(), Default::default()).await.unwrap();
    (engine, deployment)
}

#[tokio::test(start_paused = true)]
async fn a_run_becomes_groups_by_what_its_outputs_share() {
    let (engine, deployment) = engine(MockExecutor::new()).await;
    let run = engine.run(deployment).parameter("region", "north").await.unwrap();
    let outcome = run.wait().await.unwrap();
    assert_eq!(outcome.verdict, Verdict::Succeeded);
    let groups: Vec<_> = run.groups().collect();
    assert_eq!(groups.len(), 2);
    let view = engine.group(groups[0]).await.unwrap();
    let steps: Vec<_> = view.jobs.iter().map(|job| job.step.as_str()).collect();
    assert_eq!((view.status, steps), (Status::Complete, vec!["a", "b", "c"]));
    assert_eq!(*view.plan.jobs[0].payload, json!({ "region": "north" }));
    let again = engine.run(deployment).explain().await.unwrap();
    assert_eq!(again.groups[0].jobs[0].payload, json!({ "region": "all" }).into());
}

#[tokio::test(start_paused = true)]
async fn the_same_key_gives_the_same_run_and_never_another() {
    let (engine, deployment) = engine(MockExecutor::new()).await;
    let ask =
        |region: &str| engine.run(deployment).parameter("region", region).idempotency_key("monday");
    let (one, other) = tokio::join!(ask("north").into_future(), ask("north").into_future());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.id(), other.id());
    assert_eq!(ask("north").await.unwrap().id(), one.id());
    assert!(matches!(ask("south").await, Err(RunError::KeyReused { .. })));
    assert_eq!(engine.runs(deployment, 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_never_works_against_the_first() {
    for policy in [RunPolicy::Skip, RunPolicy::CancelPrevious, RunPolicy::Queue, RunPolicy::Allow] {
        let slow = MockExecutor::new().otherwise(Act::succeeds().after(Duration::from_secs(60)));
        let (engine, deployment) =
            crate::stage::start(crate::stage::over(&Moody::new(), &slow), &package()).await;
        let change = DeploymentChange { run_policy: Some(policy), ..Default::default() };
        engine.change_deployment(deployment, change).await.unwrap();
        let ask = || engine.run(deployment).idempotency_key("monday").into_future();
        // Somebody asked, and went away before the answer came.
        let asked = tokio::time::timeout(Duration::ZERO, ask()).await;
        assert!(asked.is_err());
        let (one, other) = tokio::join!(ask(), ask());
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.id(), other.id());
        assert!(one.replayed() || other.replayed());
        assert_eq!(one.wait().await.unwrap().verdict, Verdict::Succeeded, "{policy:?}");
        assert_eq!(engine.runs(deployment, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_values_are_refused_with_a_suggestion() {
    let (engine, deployment) = engine(MockExecutor::new()).await;
    let error = engine.run(deployment).parameter("regoin", "north").await.err().unwrap();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    let text = format!("{error}: {}", source.unwrap_or_default());
    assert!(text.contains("unknown parameter `regoin`"), "{text}");
    assert!(text.contains("did you mean `region`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_retried_and_then_told_with_its_history() {
    let flaky = Act::fails(Failure::retryable("busy", "try later"));
    let (engine, deployment) = engine(MockExecutor::new().on("a", [flaky])).await;
    let run = engine.run(deployment).await.unwrap();
    let outcome = run.wait().await.unwrap();
    let failed: Vec<_> = outcome.groups.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(failed, [Verdict::Failed, Verdict::Succeeded]);
    let view = engine.group(outcome.groups[0].0).await.unwrap();
    let status: Vec<_> = view.jobs.iter().map(|job| job.status).collect();
    assert_eq!(status, [Status::Failed, Status::Canceled, Status::Canceled]);
    assert_eq!(view.jobs[0].failure().unwrap().code, "busy");
    let history = engine.history(outcome.groups[0].0, Seq(1)).await.unwrap();
    assert_eq!(history.last().unwrap().seq.0 + 1, view.next.0);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_group_stops_its_attempts() {
    let (engine, deployment) = engine(MockExecutor::new().on("a", [Act::hangs()])).await;
    let run = engine.run(deployment).await.unwrap();
    let group = run.groups().next().unwrap();
    let waiting = engine.waiting(group).await.unwrap();
    assert!(matches!(waiting.values().next(), Some(WaitReason::Requested { .. })), "{waiting:?}");
    engine.cancel(group, "not today").await.unwrap();
    assert_eq!(engine.wait(group).await.unwrap(), Verdict::Cancelled);
    engine.cancel(group, "again").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_deployment_follow_its_policy() {
    let slow = Act::succeeds().after(Duration::from_secs(60));
    let (engine, deployment) = engine(MockExecutor::new().otherwise(slow)).await;
    let policy = |policy| DeploymentChange { run_policy: Some(policy), ..Default::default() };
    let first = engine.run(deployment).await.unwrap();

    engine.change_deployment(deployment, policy(RunPolicy::Skip)).await.unwrap();
    let skipped = engine.run(deployment).await.err().unwrap();
    assert!(matches!(skipped, RunError::Running(run) if run == first.id()), "{skipped}");

    engine.change_deployment(deployment, policy(RunPolicy::Queue)).await.unwrap();
    let second = engine.run(deployment).await.unwrap();
    let waiting = engine.waiting(second.groups().next().unwrap()).await.unwrap();
    assert!(waiting.values().any(|it| *it == WaitReason::RunAhead(first.id())), "{waiting:?}");

    engine.change_deployment(deployment, policy(RunPolicy::CancelPrevious)).await.unwrap();
    let third = engine.run(deployment).await.unwrap();
    assert_eq!(first.wait().await.unwrap().verdict, Verdict::Cancelled);
    assert_eq!(second.wait().await.unwrap().verdict, Verdict::Cancelled);
    assert_eq!(third.wait().await.unwrap().verdict, Verdict::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_facts_in_order() {
    let (engine, deployment) = engine(MockExecutor::new()).await;
    let mut all = engine.subscribe(None);
    let run = engine.run(deployment).await.unwrap();
    run.wait().await.unwrap();
    let mut next = std::collections::BTreeMap::new();
    let mut ended = 0;
    while ended < 2 {
        let Some(Notice::Event { group, seq, event, .. }) = all.next().await else { panic!() };
        let expected = next.entry(group).or_insert(1_u64);
        assert_eq!(seq.0, *expected);
        *expected += 1;
        ended += usize::from(matches!(event, jobwright_core::Event::GroupEnded { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_what_runs_to_the_next_engine() {
    let store = std::sync::Arc::new(MemoryStore::new());
    let mock = MockExecutor::new().on("a", [Act::hangs(), Act::succeeds()]);
    let builder = || Engine::builder().shared_store(store.clone());
    let engine = builder().executor("mock", mock).start().await.unwrap();
    let deployment = engine.create_deployment("sales").await.unwrap().id;
    engine.import(deployment, &package(), Default::default()).await.unwrap();
    let run = engine.run(deployment).await.unwrap();
    let report = engine.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!((report.live, report.interrupted, report.unfinished.len()), (1, 1, 1));
    assert!(matches!(engine.run(deployment).await, Err(RunError::Ended(_))));

    let next = builder().executor("mock", MockExecutor::new()).start().await.unwrap();
    let run = next.find_run(run.id()).await.unwrap().unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Succeeded);
    let view = next.group(report.unfinished[0]).await.unwrap();
    assert_eq!(view.jobs[0].attempts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_executor_is_a_failed_attempt() {
    let mock = MockExecutor::new().on("x", [Act::panics("oh")]).spawned();
    let (engine, deployment) = engine(mock).await;
    let outcome = engine.run(deployment).await.unwrap().wait().await.unwrap();
    let view = engine.group(outcome.groups[1].0).await.unwrap();
    assert_eq!(view.jobs[0].failure().unwrap().message, "the executor panicked: oh");
}
