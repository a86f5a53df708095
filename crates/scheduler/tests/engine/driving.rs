//! How attempts are driven: times, grace, limits, order, what jobs hand on, why something waits.

use std::sync::{Arc, Mutex};

use jobwright_adapters::mock::{Act, End};
use jobwright_adapters::{FnExecutor, MockExecutor};
use jobwright_core::{Attempt, Failure, Handle, Success, Verdict};
use jobwright_scheduler::{DeploymentChange, Engine, EngineBuilder};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

use crate::stage::{engine, first, over, package, secs, single, start, step, told, wide};

/// Runs a package of one step with this policy and script, and compares what is told of it from
/// its being ready on.
async fn check(policy: Value, act: Act, expect: &[&str]) {
    let (engine, deployment) = engine(&MockExecutor::new().on("a", [act]), &single(policy)).await;
    let run = engine.run(deployment).await.unwrap();
    run.wait().await.unwrap();
    let told = told(&engine, first(&run)).await;
    assert_eq!(told[1..], *expect);
}

#[tokio::test(start_paused = true)]
async fn each_time_that_runs_out_ends_the_job_in_its_way() {
    let attempt = json!({ "timeouts": { "attempt": "5s" } });
    check(
        attempt,
        Act::hangs(),
        &[
            "a ready",
            "a requested 1",
            r#"a stopping {"timed_out":"attempt"}"#,
            "a timed_out attempt_timeout, Failed",
            "Failed",
        ],
    )
    .await;
    let again = json!({
        "timeouts": { "attempt": "5s" },
        "retry": { "max_attempts": 2, "backoff": { "type": "fixed", "delay": "1s" } },
    });
    check(
        again,
        Act::succeeds().after(secs(6)),
        &[
            "a ready",
            "a requested 1",
            r#"a stopping {"timed_out":"attempt"}"#,
            "a timed_out attempt_timeout, again",
            "a ready",
            "a requested 2",
            r#"a stopping {"timed_out":"attempt"}"#,
            "a timed_out attempt_timeout, Failed",
            "Failed",
        ],
    )
    .await;
    let total = json!({
        "timeouts": { "total": "10s" },
        "retry": { "max_attempts": 9, "backoff": { "type": "fixed", "delay": "1s" }, "jitter": 0 },
    });
    check(
        total,
        Act::fails(Failure::retryable("busy", "later")).after(secs(6)),
        &[
            "a ready",
            "a requested 1",
            "a retryable busy, again",
            "a ready",
            "a requested 2",
            r#"a stopping {"timed_out":"total"}"#,
            "a timed_out total_timeout, Failed",
            "Failed",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_never_gets_a_slot_times_out_in_the_queue() {
    let policy = json!({ "timeouts": { "queue": "5s" } });
    let mock = MockExecutor::new().otherwise(Act::hangs()).recording();
    let builder = over(&Arc::new(MemoryStore::new()), &mock).executor_limit("mock", 1);
    let (engine, deployment) = start(builder, &wide(2, &policy)).await;
    let run = engine.run(deployment).await.unwrap();
    let groups: Vec<_> = run.groups().collect();
    assert_eq!(engine.wait(groups[1]).await.unwrap(), Verdict::Failed);
    let expect = ["accepted", "s1 ready", "s1 Failed QueueTimeout", "Failed"];
    assert_eq!(told(&engine, groups[1]).await, expect);
    assert_eq!(mock.calls().steps(), ["s0"]);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_an_attempt_alive_and_silence_ends_it() {
    let beating = FnExecutor::new(|attempt: Attempt| async move {
        for _ in 0..20 {
            tokio::time::sleep(secs(1)).await;
            attempt.heartbeat();
        }
        if attempt.job().step.as_str() == "silent" {
            std::future::pending::<()>().await;
        }
        Ok(Success::empty())
    });
    let policy = json!({ "timeouts": { "heartbeat": "4s" }, "grace": "1s" });
    let steps = [step("lively", &[], policy.clone()), step("silent", &[], policy)];
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", beating);
    let (engine, deployment) = start(builder, &package(&steps, &["lively", "silent"])).await;
    let run = engine.run(deployment).await.unwrap();
    let outcome = run.wait().await.unwrap();
    let verdicts: Vec<_> = outcome.groups.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, [Verdict::Succeeded, Verdict::Failed]);
    let view = engine.group(outcome.groups[1].0).await.unwrap();
    assert_eq!(view.jobs[0].failure().unwrap().code, "heartbeat_timeout");
    // The last beat came at 20 s; silence is noticed one to one and a half periods later.
    let attempt = &view.jobs[0].attempts[0];
    let lasted = attempt.ended_at.unwrap().since(attempt.requested_at);
    assert!((secs(24)..=secs(27)).contains(&lasted), "{lasted:?}");
    // Beats are recorded at most twice per period, however often they come.
    let beats = told(&engine, outcome.groups[1].0).await;
    let beats = beats.iter().filter(|it| it.ends_with(" beat")).count();
    assert!((5..=11).contains(&beats), "{beats} beats were recorded");
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_does_not_heed_a_cancellation_is_given_up() {
    let mock = MockExecutor::new().on("a", [Act::hangs().ignoring_cancellation()]).recording();
    let (engine, deployment) = engine(&mock, &single(json!({ "grace": "2s" }))).await;
    let run = engine.run(deployment).await.unwrap();
    run.cancel("enough").await.unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Cancelled);
    let expect = [
        "accepted",
        "a ready",
        "a requested 1",
        "cancel requested",
        r#"a stopping {"cancelled":{"reason":{"requested":"enough"}}}"#,
        "a cancelled cancelled, Cancelled",
        "Cancelled",
    ];
    assert_eq!(told(&engine, first(&run)).await, expect);
    crate::stage::settle().await;
    // Its future was dropped after the grace and the executor's own moment, not earlier.
    let call = &mock.calls().into_iter().next().unwrap();
    let (ended, how) = call.ended.unwrap();
    assert_eq!((ended - call.began, how), (secs(7), End::Dropped));
}

#[tokio::test(start_paused = true)]
async fn no_limit_is_ever_passed_and_every_slot_is_used() {
    type Configure = fn(EngineBuilder) -> EngineBuilder;
    let check = async |policy: Value, deployment_limit, configure: Configure, expect| {
        let mock = MockExecutor::new().otherwise(Act::succeeds().after(secs(1))).slots(7);
        let mock = mock.recording();
        let builder = configure(over(&Arc::new(MemoryStore::new()), &mock));
        let (engine, deployment) = start(builder, &wide(20, &policy)).await;
        let limit = DeploymentChange { limit: Some(deployment_limit), ..Default::default() };
        engine.change_deployment(deployment, limit).await.unwrap();
        let (one, other) = (engine.run(deployment).await, engine.run(deployment).await);
        for run in [one, other] {
            assert_eq!(run.unwrap().wait().await.unwrap().verdict, Verdict::Succeeded);
        }
        assert_eq!(mock.calls().max_concurrency(), expect, "{policy}");
        assert_eq!((mock.calls().len(), mock.calls().repeated()), (40, vec![]));
    };
    let pool = |weight: u32| json!({ "pool": { "name": "db", "weight": weight } });
    check(Value::Null, None, |it| it, 7).await;
    check(Value::Null, None, |it| it.executor_limit("mock", 3), 3).await;
    check(Value::Null, None, |it| it.executor_limit("mock", 30), 30).await;
    check(Value::Null, Some(4), |it| it, 4).await;
    // A pool that nobody declared has 1; a share larger than the pool goes alone.
    check(pool(1), None, |it| it, 1).await;
    check(pool(2), None, |it| it.pool("db", 5), 2).await;
    check(pool(9), None, |it| it.pool("db", 5), 1).await;
    check(pool(1), Some(6), |it| it.pool("db", 5), 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_without_its_executor_is_a_slip() {
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", MockExecutor::new());
    let error = builder.executor_limit("mokc", 3).start().await.unwrap_err();
    let text = "executor `mokc` is given a limit, and the engine has no such executor";
    assert_eq!(error.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn higher_priorities_go_first_and_what_was_begun_is_finished() {
    let at = |name: &str, needs: &[&str], priority: i8| {
        step(name, needs, json!({ "priority": priority }))
    };
    let steps = [
        at("low", &[], -3),
        at("mid", &[], 0),
        at("then", &["mid"], 0),
        at("even", &[], 0),
        at("high", &[], 5),
    ];
    let mock = MockExecutor::new().otherwise(Act::succeeds().after(secs(1))).slots(1).recording();
    let (engine, deployment) =
        engine(&mock, &package(&steps, &["low", "then", "even", "high"])).await;
    engine.run(deployment).await.unwrap().wait().await.unwrap();
    assert_eq!(mock.calls().steps(), ["high", "mid", "then", "even", "low"]);
}

#[tokio::test(start_paused = true)]
async fn jobs_get_what_the_jobs_they_need_left() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let executor = FnExecutor::new(move |attempt: Attempt| {
        let words = attempt.inputs().iter().map(|input| {
            let result = input.result.as_ref().map_or("nothing".to_owned(), ToString::to_string);
            format!("{} {:?} {result}", input.step, input.verdict)
        });
        let words: Vec<_> = words.collect();
        log.lock().unwrap().push(format!("{}: {}", attempt.job().step, words.join(", ")));
        async move {
            match attempt.job().step.as_str() {
                "rows" => Ok(Success::with(json!({ "rows": 3 }))),
                "fails" => Err(Failure::permanent("no", "never")),
                _ => Ok(Success::empty()),
            }
        }
    });
    let mut all = step("all", &["quiet", "rows"], Value::Null);
    all["needs"].as_array_mut().unwrap().push(json!({ "step": "fails", "when": "failed" }));
    let steps = [
        step("rows", &[], Value::Null),
        step("quiet", &["rows"], Value::Null),
        step("fails", &[], Value::Null),
        all,
    ];
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", executor.slots(1));
    let (engine, deployment) = start(builder, &package(&steps, &["all"])).await;
    let run = engine.run(deployment).await.unwrap();
    run.wait().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let last = r#"all: quiet Succeeded nothing, rows Succeeded {"rows":3}, fails Failed nothing"#;
    assert_eq!(seen.last().unwrap(), last);
    assert!(seen.contains(&r#"quiet: rows Succeeded {"rows":3}"#.to_owned()), "{seen:?}");
    let view = engine.group(first(&run)).await.unwrap();
    let rows = view.jobs.iter().find(|job| job.step.as_str() == "rows").unwrap();
    assert_eq!(*rows.result.clone().unwrap(), json!({ "rows": 3 }));
}

/// Does what the step's name says, and else waits to be stopped for ever.
async fn stall(attempt: Attempt) -> Result<Success, Failure> {
    match attempt.job().step.as_str() {
        "named" => attempt.started(Handle::new("pid 7")).await,
        "flaky" => return Err(Failure::retryable("busy", "later")),
        _ => {}
    }
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn every_open_job_says_why_it_waits() {
    let on = |mut step: Value| {
        step["executor"] = json!("small");
        step["policy"]["priority"] = json!(1);
        step
    };
    let retry = json!({ "retry": { "max_attempts": 2 } });
    let pool = json!({ "pool": { "name": "db" }, "priority": 1 });
    let steps = [
        step("named", &[], Value::Null),
        step("flaky", &[], retry),
        step("pooled", &[], pool.clone()),
        step("behind", &[], pool),
        on(step("small", &[], Value::Null)),
        on(step("full", &[], Value::Null)),
        step("after", &["named", "flaky"], Value::Null),
        step("also", &[], Value::Null),
        step("late", &[], Value::Null),
    ];
    let mut whole = package(&steps, &["after"]);
    let all = ["after", "behind", "pooled", "small", "full", "also", "late"];
    whole.package.flows[0].outputs[0].steps =
        all.iter().map(|name| jobwright_core::StepName::new(name).unwrap()).collect();
    let builder =
        Engine::builder().store(MemoryStore::new()).executor("mock", FnExecutor::new(stall));
    let builder = builder.executor("small", FnExecutor::new(stall)).executor_limit("small", 1);
    let (engine, deployment) = start(builder, &whole).await;
    let limit = DeploymentChange { limit: Some(Some(4)), ..Default::default() };
    engine.change_deployment(deployment, limit).await.unwrap();
    let run = engine.run(deployment).await.unwrap();
    crate::stage::settle().await;
    let group = first(&run);
    let why = async || {
        let plan = engine.group(group).await.unwrap().plan;
        let waiting = engine.waiting(group).await.unwrap();
        let words = waiting.iter().map(|(job, reason)| {
            let words = format!("{reason:?}");
            let until_now = words.split([':', '(']).take(1).collect::<String>();
            let short = if words.contains("limit") { words } else { until_now };
            format!("{} {short}", plan.jobs[job.at()].step)
        });
        words.collect::<Vec<_>>()
    };
    let expect = [
        "named Running { end_by",
        "flaky BackingOff",
        "pooled Requested { end_by",
        r#"behind PoolFull { pool: "db", limit: 1, used: 1 }"#,
        "small Requested { end_by",
        r#"full ExecutorFull { executor: "small", limit: 1 }"#,
        "after Needs",
        "also Requested { end_by",
        "late DeploymentFull { deployment: deployment 1, limit: 4 }",
    ];
    assert_eq!(why().await, expect);
    run.cancel("enough").await.unwrap();
    let expect = [
        "named Stopping { reason",
        "pooled Stopping { reason",
        "small Stopping { reason",
        "also Stopping { reason",
    ];
    assert_eq!(why().await, expect);
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Cancelled);
    assert_eq!(why().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_run_cancels_all_its_groups() {
    let mock = MockExecutor::new().otherwise(Act::hangs()).slots(2).recording();
    let (engine, deployment) = engine(&mock, &wide(5, &Value::Null)).await;
    let run = engine.run(deployment).await.unwrap();
    let other = engine.run(deployment).await.unwrap();
    run.cancel("enough").await.unwrap();
    let outcome = run.wait().await.unwrap();
    assert_eq!(outcome.verdict, Verdict::Cancelled);
    assert!(outcome.groups.iter().all(|(_, verdict)| *verdict == Verdict::Cancelled));
    crate::stage::settle().await;
    // The other run got the slots.
    assert_eq!((mock.calls().len(), mock.calls().live()), (4, 2));
    let unknown = jobwright_core::GroupId::new(999).unwrap();
    let error = engine.cancel(unknown, "x").await.unwrap_err();
    assert_eq!(error.to_string(), "job group 999 does not exist");
    let error = engine.wait(unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "job group 999 does not exist");
    other.cancel("too").await.unwrap();
    other.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_may_give_up_and_come_again() {
    let mock = MockExecutor::new().otherwise(Act::succeeds().after(secs(3600)));
    let (engine, deployment) = engine(&mock, &single(Value::Null)).await;
    let run = engine.run(deployment).await.unwrap();
    let group = first(&run);
    for _ in 0..100 {
        let gave_up = tokio::time::timeout(secs(1), engine.wait(group)).await;
        assert!(gave_up.is_err());
    }
    let many = (0..10).map(|_| engine.wait(group));
    for verdict in futures_util::future::join_all(many).await {
        assert_eq!(verdict.unwrap(), Verdict::Succeeded);
    }
    assert_eq!(engine.wait(group).await.unwrap(), Verdict::Succeeded);
}
