//! Running again what did not succeed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jobwright_adapters::FnExecutor;
use jobwright_core::{Attempt, DeploymentId, Failure, GroupId, JobId, Status, Success, Verdict};
use jobwright_scheduler::{
    DeploymentChange, Engine, PrepareError, RerunError, RunError, RunHandle,
};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

use crate::stage::{chain, first, package, start, step, told};

/// An engine whose steps fail as long as their names are in `failing`, with what each attempt was
/// handed.
struct Stage {
    engine: Engine,
    deployment: DeploymentId,
    failing: Arc<Mutex<Vec<&'static str>>>,
    seen: Arc<Mutex<BTreeMap<String, Value>>>,
}

/// `a` ← `b` ← `c`, `d` needs nothing, `e` needs all ends of `b` and `d`, `f` needs that `b` fails.
fn steps() -> Vec<Value> {
    let with = |name: &str, needs: Value| json!({ "name": name, "kind": "wrangle", "executor": "mock", "needs": needs });
    vec![
        step("a", &[], Value::Null),
        step("b", &["a"], Value::Null),
        step("c", &["b", "d"], Value::Null),
        step("d", &[], Value::Null),
        with("e", json!([{ "step": "b", "when": "always" }, { "step": "d", "when": "always" }])),
        with("f", json!([{ "step": "a", "when": "failed" }])),
    ]
}

async fn stage(store: &Arc<MemoryStore>) -> Stage {
    let failing: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let seen: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let (fails, sees) = (Arc::clone(&failing), Arc::clone(&seen));
    let executor = FnExecutor::new(move |attempt: Attempt| {
        let step = attempt.job().step.to_string();
        let fails = fails.lock().unwrap().iter().any(|it| *it == step);
        let inputs = serde_json::to_value(attempt.inputs()).unwrap();
        sees.lock().unwrap().insert(step.clone(), inputs);
        async move {
            match fails {
                true => Err(Failure::permanent("no", "it is told to fail")),
                false => Ok(Success::with(json!({ "by": step }))),
            }
        }
    });
    let builder = Engine::builder().shared_store(store.clone()).executor("mock", executor);
    let bundle = package(&steps(), &["c", "e", "f"]);
    let (engine, deployment) = start(builder, &bundle).await;
    Stage { engine, deployment, failing, seen }
}

impl Stage {
    /// Runs with these steps failing, and waits for the end.
    async fn fails(&self, steps: &[&'static str]) -> GroupId {
        *self.failing.lock().unwrap() = steps.to_vec();
        let run = self.engine.run(self.deployment).await.unwrap();
        run.wait().await.unwrap();
        first(&run)
    }

    /// Runs a group again with these steps failing; which steps ran, and how it ended.
    async fn again(&self, group: GroupId, failing: &[&'static str]) -> (GroupId, String, Verdict) {
        *self.failing.lock().unwrap() = failing.to_vec();
        self.seen.lock().unwrap().clear();
        let run = self.engine.rerun(group).await.unwrap();
        let verdict = run.wait().await.unwrap().verdict;
        let ran: Vec<_> = self.seen.lock().unwrap().keys().cloned().collect();
        (first(&run), ran.join(" "), verdict)
    }
}

#[tokio::test(start_paused = true)]
async fn what_succeeded_is_done_and_hands_on_what_it_left() {
    let store = Arc::new(MemoryStore::new());
    let stage = stage(&store).await;
    let failed = stage.fails(&["b"]).await;
    // `e` succeeded, and rests on `b`, which runs again.
    let (second, ran, verdict) = stage.again(failed, &["c"]).await;
    assert_eq!((ran.as_str(), verdict), ("b c e", Verdict::Failed));
    let expect = json!([{ "step": "a", "verdict": "succeeded", "result": { "by": "a" } }]);
    assert_eq!(stage.seen.lock().unwrap()["b"], expect);
    let view = stage.engine.group(second).await.unwrap();
    let from = |view: &jobwright_scheduler::GroupView| -> Vec<_> {
        view.jobs.iter().map(|it| (it.step.to_string(), it.carried_from.map(JobId::get))).collect()
    };
    let original = stage.engine.group(failed).await.unwrap();
    let id = |step: &str| {
        original.jobs.iter().find(|job| job.step.as_str() == step).map(|job| job.id.get())
    };
    for (step, from) in from(&view) {
        assert_eq!(from, if step == "a" || step == "d" { id(&step) } else { None }, "{step}");
    }
    let history = told(&stage.engine, second).await;
    assert_eq!(history[..2], ["accepted", "f Skipped Need { job: JobIndex(0), was: Succeeded }"]);

    // The re-run of a re-run knows who did the work.
    let (third, ran, verdict) = stage.again(second, &[]).await;
    assert_eq!((ran.as_str(), verdict), ("c", Verdict::Succeeded));
    let view = stage.engine.group(third).await.unwrap();
    assert_eq!(
        view.jobs.iter().find(|it| it.step.as_str() == "a").unwrap().carried_from.map(JobId::get),
        id("a")
    );
    let run = stage.engine.find_run(view.plan.run.run).await.unwrap().unwrap();
    assert_eq!(run.run().rerun_of, Some(second));
    let complete = stage.engine.rerun(third).await;
    assert!(matches!(complete, Err(RerunError::Complete(_))));
}

#[tokio::test(start_paused = true)]
async fn a_key_names_one_rerun_and_some_are_refused() {
    let store = Arc::new(MemoryStore::new());
    let stage = stage(&store).await;
    let group = stage.fails(&["b", "d"]).await;
    let ask = || stage.engine.rerun(group).idempotency_key("again");
    let (one, other) = (ask().await.unwrap(), ask().await.unwrap());
    assert_eq!((one.id(), other.replayed()), (other.id(), true));
    let reused = stage.engine.run(stage.deployment).idempotency_key("again").await;
    assert!(matches!(reused, Err(RunError::KeyReused { .. })));

    let none = stage.engine.rerun(GroupId::new(999).unwrap()).await;
    assert!(matches!(none, Err(RerunError::Read(_))));
    let pause = |paused| DeploymentChange { paused: Some(paused), ..DeploymentChange::default() };
    stage.engine.change_deployment(stage.deployment, pause(true)).await.unwrap();
    let paused = stage.engine.rerun(group).await;
    assert!(matches!(paused, Err(RerunError::Run(RunError::Prepare(PrepareError::Paused(_))))));
    stage.engine.change_deployment(stage.deployment, pause(false)).await.unwrap();
    one.wait().await.unwrap();
    let release = stage.engine.find_run(one.id()).await.unwrap().unwrap().run().release;
    stage.engine.delete_release(release).await.unwrap();
    let gone = chain(&stage.engine.rerun(group).await.err().unwrap());
    assert_eq!(gone, "release 1 does not exist");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_group_goes_on_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let (open, ran) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let executor = || {
        let (open, ran) = (Arc::clone(&open), Arc::clone(&ran));
        FnExecutor::new(move |attempt: Attempt| {
            let step = attempt.job().step.to_string();
            let hangs = step == "b" && !open.load(Ordering::SeqCst);
            ran.lock().unwrap().push(step);
            async move {
                if hangs {
                    attempt.cancellation().wait().await;
                    return Err(Failure::cancelled("asked to stop"));
                }
                Ok(Success::with(json!(1)))
            }
        })
    };
    let builder = Engine::builder().shared_store(store.clone()).executor("mock", executor());
    let steps = [step("a", &[], Value::Null), step("b", &["a"], Value::Null)];
    let (engine, deployment) = start(builder, &package(&steps, &["b"])).await;
    let run = engine.run(deployment).await.unwrap();
    crate::stage::settle().await;
    let busy = engine.rerun(first(&run)).await;
    assert!(matches!(busy, Err(RerunError::NotOver { status: Status::InProgress, .. })));
    run.cancel("enough").await.unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Cancelled);
    let again: RunHandle = engine.rerun(first(&run)).await.unwrap();
    crate::stage::settle().await;
    // The engine dies while the job that is run again hangs.
    let group = first(&again);
    drop((run, again, engine));
    crate::stage::settle().await;
    open.store(true, Ordering::SeqCst);
    let builder = Engine::builder().shared_store(store.clone()).executor("mock", executor());
    let engine = builder.start().await.unwrap();
    assert_eq!(engine.wait(group).await.unwrap(), Verdict::Succeeded);
    assert_eq!(*ran.lock().unwrap(), ["a", "b", "b", "b"]);
}
