//! Schedules and backfills: what fires, how often, and with what.

use std::sync::Arc;
use std::time::Duration;

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::schedule::{BackfillState, CatchUp, Cron, FiringOutcome, Schedule, Zone};
use jobwright_core::{
    Bundle, Change, Commit, DeploymentId, Document, Kind, Query, Run, RunPolicy, ScheduleName,
    Store, Timestamp,
};
use jobwright_scheduler::{
    BackfillRequest, DeploymentChange, Engine, NewSchedule, Page, ScheduleChange,
};
use jobwright_store::MemoryStore;
use serde_json::json;

use crate::moody::Moody;
use crate::stage::{bundle, over, secs, settle, start};

fn package() -> Bundle {
    let step = |name: &str| {
        json!({ "name": name, "kind": "wrangle", "executor": "mock",
                "payload": { "region": "$region", "day": "$day" } })
    };
    bundle(&json!([{
        "name": "main",
        "parameters": [
            { "name": "region", "type": "string", "default": "all" },
            { "name": "day", "type": "date", "format": "%Y-%m-%d" },
        ],
        "steps": [step("a"), step("b")],
        "outputs": [
            { "name": "by hand", "steps": ["a"] },
            { "name": "nightly", "trigger": "scheduled", "steps": ["b"] },
        ],
    }]))
}

fn new(cron: &str) -> NewSchedule {
    let name = ScheduleName::new("nightly").unwrap();
    NewSchedule::new(name, Cron::new(cron).unwrap(), Zone::utc())
}

/// A pattern that fires each hour, the last time half an hour ago, and that time.
fn hourly(now: Timestamp) -> (String, Timestamp) {
    let minute = now.as_millis() / 60_000 - 30;
    (format!("{} * * * *", minute % 60), Timestamp::from_millis(minute * 60_000))
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
    settle().await;
}

/// The runs of a deployment, the oldest first.
async fn runs(engine: &Engine, of: DeploymentId) -> Vec<Run> {
    let mut runs = engine.runs(of, 1_000).await.unwrap();
    runs.reverse();
    runs
}

async fn schedule(engine: &Engine, id: &Schedule) -> Schedule {
    engine.find_schedule(id.id).await.unwrap().unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_schedule_starts_the_scheduled_outputs_with_its_own_values() {
    let (engine, deployment) =
        start(over(&Arc::new(MemoryStore::new()), &MockExecutor::new()), &package()).await;
    let rest = ScheduleChange {
        values: serde_json::from_value(json!({ "region": "north" })).ok(),
        ..ScheduleChange::default()
    };
    let made = engine.create_schedule(deployment, new("* * * * *").with(rest)).await.unwrap();
    settle().await;
    assert!(runs(&engine, deployment).await.is_empty(), "nothing has been missed yet");
    for _ in 0..3 {
        pass(secs(60)).await;
    }
    let found = runs(&engine, deployment).await;
    let mut expect = made.upcoming(made.created_at, 3);
    assert_eq!(found.iter().map(|run| run.reference_date).collect::<Vec<_>>(), expect);
    let first = &found[0];
    assert_eq!(first.idempotency_key, Some(made.key(expect.remove(0))));
    assert_eq!(first.groups[0].outputs[0].as_str(), "nightly");
    let plan = engine.group(first.groups[0].id).await.unwrap().plan;
    let day = first.reference_date.to_string()[..10].to_owned();
    assert_eq!(*plan.jobs[0].payload, json!({ "region": "north", "day": day }));
    let told = serde_json::to_value(&plan.run.parameters).unwrap().to_string();
    assert!(told.contains(r#""layer":"schedule""#), "{told}");

    // What is paused does not fire, and what was missed meanwhile is not made up for.
    let paused = |paused| ScheduleChange { paused: Some(paused), ..ScheduleChange::default() };
    engine.change_schedule(made.id, None, &paused(true)).await.unwrap();
    pass(secs(600)).await;
    engine.change_schedule(made.id, None, &paused(false)).await.unwrap();
    settle().await;
    assert_eq!(runs(&engine, deployment).await.len(), 3);
    pass(secs(60)).await;
    assert_eq!(runs(&engine, deployment).await.len(), 4);

    engine.delete_schedule(made.id, None).await.unwrap();
    pass(secs(600)).await;
    assert_eq!(runs(&engine, deployment).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_up_for_as_the_schedule_says() {
    /// The last firing was decided so many hours before the last one. Returns how many hours
    /// before the last one those lie that are made up for, and what is said of the last.
    async fn check(
        catch_up: CatchUp,
        window: u64,
        behind: i64,
        expect: &[i64],
        missed: Option<bool>,
    ) {
        let (store, mock) = (Arc::new(MemoryStore::new()), MockExecutor::new());
        let (engine, deployment) = start(over(&store, &mock), &package()).await;
        let (cron, last) = hourly(engine.now());
        let rest = ScheduleChange {
            catch_up: Some(catch_up),
            window: Some(secs(window * 3600)),
            paused: Some(true),
            ..ScheduleChange::default()
        };
        let made = engine.create_schedule(deployment, new(&cron).with(rest)).await.unwrap();
        drop(engine);
        settle().await;
        let (_, revision) = over(&store, &mock)
            .start()
            .await
            .unwrap()
            .find_schedule(made.id)
            .await
            .unwrap()
            .unwrap();
        let hours = |hours: i64| Timestamp::from_millis(last.as_millis() - hours * 3_600_000);
        let moved = Schedule { cursor: hours(behind), paused: false, ..made.clone() };
        let change = Change::update(Document::Schedule(Box::new(moved)), revision);
        store.commit(Commit { catalog: vec![change], ..Commit::default() }.into()).await.unwrap();
        let engine = over(&store, &mock).start().await.unwrap();
        settle().await;
        let found = runs(&engine, deployment).await;
        let found: Vec<_> = found.iter().map(|run| run.reference_date).collect();
        let expect: Vec<_> = expect.iter().map(|it| hours(*it)).collect();
        assert_eq!(found, expect, "{catch_up:?} {window} {behind}");
        let after = schedule(&engine, &made).await;
        assert_eq!(after.last.map(|it| it.outcome == FiringOutcome::Missed), missed);
    }
    check(CatchUp::None, 9, 5, &[], Some(true)).await;
    check(CatchUp::Last, 9, 5, &[0], Some(false)).await;
    check(CatchUp::Last, 9, 0, &[], None).await;
    check(CatchUp::All, 9, 3, &[2, 1, 0], Some(false)).await;
    check(CatchUp::All, 2, 5, &[1, 0], Some(false)).await;
    check(CatchUp::All, 300, 250, &(0..100).rev().collect::<Vec<_>>(), Some(false)).await;
}

#[tokio::test(start_paused = true)]
async fn a_firing_is_one_run_whoever_dies_and_whoever_looks() {
    // An engine dies while the run and the cursor are being written; the next one fires.
    let (store, mock) = (Moody::new(), MockExecutor::new());
    let (engine, deployment) = start(over(&store, &mock), &package()).await;
    let made = engine.create_schedule(deployment, new("* * * * *")).await.unwrap();
    settle().await;
    store.hold(true);
    tokio::time::advance(secs(60)).await;
    store.asked().await;
    drop(engine);
    settle().await;
    store.hold(false);
    settle().await;
    // The second one's clock begins anew: it is set on to where the first one's was.
    let engines =
        [over(&store, &mock).start().await.unwrap(), over(&store, &mock).start().await.unwrap()];
    for _ in 0..4 {
        pass(secs(60)).await;
    }
    let found = runs(&engines[0], deployment).await;
    let mut found: Vec<_> = found.iter().map(|run| run.reference_date).collect();
    found.sort_unstable();
    assert_eq!(found, made.upcoming(made.created_at, found.len()), "each time once");
    assert!(found.len() >= 3, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn what_begins_no_run_is_told_and_the_schedule_goes_on() {
    let mock = MockExecutor::new().on("b", [Act::hangs()]);
    let (engine, deployment) = start(over(&Arc::new(MemoryStore::new()), &mock), &package()).await;
    let made = engine.create_schedule(deployment, new("* * * * *")).await.unwrap();
    pass(secs(60)).await;
    let outcome = async || schedule(&engine, &made).await.last.unwrap().outcome;
    let FiringOutcome::Run(first) = outcome().await else { panic!("it began no run") };
    let skip =
        ScheduleChange { run_policy: Some(Some(RunPolicy::Skip)), ..ScheduleChange::default() };
    engine.change_schedule(made.id, None, &skip).await.unwrap();
    pass(secs(60)).await;
    assert_eq!(outcome().await, FiringOutcome::Skipped(first));
    // A paused deployment is waited for; its schedule makes up for the last one.
    let paused = |paused| DeploymentChange { paused: Some(paused), ..DeploymentChange::default() };
    engine.change_deployment(deployment, paused(true)).await.unwrap();
    let allow = ScheduleChange { run_policy: Some(None), ..ScheduleChange::default() };
    engine.change_schedule(made.id, None, &allow).await.unwrap();
    pass(secs(600)).await;
    assert_eq!(runs(&engine, deployment).await.len(), 1);
    engine.change_deployment(deployment, paused(false)).await.unwrap();
    settle().await;
    assert_eq!(runs(&engine, deployment).await.len(), 2);
    let wrong = ScheduleChange {
        values: serde_json::from_value(json!({ "regoin": "x" })).ok(),
        ..ScheduleChange::default()
    };
    engine.change_schedule(made.id, None, &wrong).await.unwrap();
    pass(secs(60)).await;
    let FiringOutcome::Refused(reason) = outcome().await else { panic!("it was not refused") };
    assert!(reason.contains("did you mean `region`?"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_is_a_bounded_set_of_runs_that_goes_on_after_a_restart() {
    let mock = MockExecutor::new().on("b", [Act::hangs()]);
    let store = Arc::new(MemoryStore::new());
    let (engine, deployment) = start(over(&store, &mock), &package()).await;
    let (cron, last) = hourly(engine.now());
    let made = engine.create_schedule(deployment, new(&cron)).await.unwrap();
    let hours = |hours: i64| Timestamp::from_millis(last.as_millis() - hours * 3_600_000);
    let refused = async |from: i64, to: i64| {
        let request = BackfillRequest::new(hours(from), hours(to));
        engine.backfill(made.id, request).await.unwrap_err().to_string()
    };
    assert!(refused(1, -5).await.contains("still to come"));
    assert!(refused(2_000, 0).await.contains("more than 1000 times"));
    assert!(refused(0, 0).await.contains("fires nowhere"));

    let request = BackfillRequest::new(hours(5), hours(0)).parallel(2);
    let begun = engine.backfill(made.id, request).await.unwrap();
    assert_eq!(begun.total, 5);
    pass(secs(2)).await;
    pass(secs(2)).await;
    assert_eq!(runs(&engine, deployment).await.len(), 2, "two at a time");
    drop(engine);
    settle().await;
    let engine = over(&store, &MockExecutor::new()).start().await.unwrap();
    for _ in 0..10 {
        pass(secs(2)).await;
    }
    let (done, _) = engine.find_backfill(begun.id).await.unwrap().unwrap();
    assert_eq!((done.state, done.runs.len()), (BackfillState::Done, 5), "{done:?}");
    let found = runs(&engine, deployment).await;
    let dates: Vec<_> = found.iter().map(|run| run.reference_date).collect();
    assert_eq!(dates, [5, 4, 3, 2, 1].map(hours), "in order, each once");
    assert_eq!(found[0].idempotency_key, Some(made.key(hours(5))));

    // The same range again is the same runs, unless they are to run again.
    let request = BackfillRequest::new(hours(5), hours(3));
    for (request, expect) in [(request, 5), (request.again(), 7)] {
        engine.backfill(made.id, request).await.unwrap();
        for _ in 0..6 {
            pass(secs(2)).await;
        }
        assert_eq!(runs(&engine, deployment).await.len(), expect);
    }
    assert_eq!(engine.backfills_page(Some(made.id), Page::newest(10)).await.unwrap().len(), 3);
    let live = Query { live: true, ..Query::all(Kind::Backfill) };
    assert_eq!(store.list(live).await.unwrap().len(), 0);
}
