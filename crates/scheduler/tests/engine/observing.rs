//! What observers are told: everything that happened, once, and after it is durable.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{
    EngineProfile, Failure, GroupId, Happened, JobCounts, JobIndex, Observer, Outcome, StoreError,
    TurnReport,
};
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use serde_json::json;

use crate::moody::{Mood, Moody};
use crate::stage::{first, over, package, secs, settle, start, step};

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    lines: Vec<String>,
    events: u64,
    jobs: JobCounts,
    groups: u64,
    busy: u64,
    epoch: u64,
    most_lag: Option<std::time::Duration>,
    failed_commits: u32,
}

impl Notes {
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().lines)
    }
}

impl Observer for Notes {
    fn began(&self, engine: &EngineProfile<'_>) {
        let slots = engine.slots.iter().map(|it| format!("{} {:?}", it.executor, it.limit));
        self.0.lock().unwrap().lines.extend(slots);
    }

    fn turn(&self, turn: &TurnReport<'_>) {
        let mut told = self.0.lock().unwrap();
        for fact in turn.facts {
            let step = |job: JobIndex| fact.planned(job).step.as_str();
            let group = fact.group;
            told.lines.push(match fact.what {
                Happened::Accepted => format!("{group} accepted"),
                Happened::Adopted { epoch } => format!("{group} adopted {}", epoch.0),
                Happened::Begun => format!("{group} begun"),
                Happened::Cancelling { .. } => format!("{group} cancelling"),
                Happened::Ended { verdict, took } => format!("{group} {verdict:?} {took:?}"),
                Happened::JobReady { job } => format!("{} ready", step(job)),
                Happened::Requested { job, attempt, queued } => {
                    format!("{} requested {attempt} {queued:?}", step(job))
                }
                Happened::Started { job, .. } => format!("{} started", step(job)),
                Happened::Stopping { job, .. } => format!("{} stopping", step(job)),
                Happened::AttemptEnded { job, outcome, took, .. } => match outcome {
                    Outcome::Succeeded(_) => format!("{} succeeded {took:?}", step(job)),
                    Outcome::Failed(it) => format!("{} {} {took:?}", step(job), it.code),
                },
                Happened::JobEnded { job, verdict, .. } => format!("{} {verdict:?}", step(job)),
                _ => "something else".to_owned(),
            });
        }
        told.events += turn.events;
        (told.jobs, told.groups) = (turn.jobs, turn.groups);
        told.busy = turn.slots.iter().map(|it| it.busy).sum();
        told.epoch = told.epoch.max(turn.epoch.0);
        told.most_lag = told.most_lag.max(turn.lag);
    }

    fn commit_failed(&self, _: &StoreError) {
        self.0.lock().unwrap().failed_commits += 1;
    }
}

fn counts(set: impl FnOnce(&mut JobCounts)) -> JobCounts {
    let mut counts = JobCounts::default();
    set(&mut counts);
    counts
}

#[tokio::test(start_paused = true)]
async fn everything_is_told_once() {
    let retry = json!({ "retry": { "max_attempts": 2, "jitter": 0, "backoff":
        { "type": "fixed", "delay": "10s" } } });
    let bundle = package(&[step("a", &[], retry), step("b", &["a"], json!(null))], &["b"]);
    let mock = MockExecutor::new()
        .on("a", [Act::fails(Failure::retryable("exit", "no")), Act::succeeds().after(secs(3))])
        .on("b", [Act::hangs()]);
    let store = Arc::new(MemoryStore::new());
    let notes = Notes::default();
    let builder = over(&store, &mock).executor_limit("mock", 2).observer(notes.clone());
    let (engine, deployment) = start(builder, &bundle).await;
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    let expect =
        ["mock Some(2)", "1 accepted", "a ready", "1 begun", "a requested 1 0ns", "a exit 0ns"];
    assert_eq!(notes.lines(), expect);
    assert_eq!(notes.0.lock().unwrap().jobs, counts(|it| (it.waiting, it.backing_off) = (1, 1)));
    tokio::time::sleep(secs(20)).await;
    let expect = [
        "a ready",
        "a requested 2 0ns",
        "a succeeded 3s",
        "a Succeeded",
        "b ready",
        "b requested 1 0ns",
    ];
    assert_eq!(notes.lines(), expect);
    {
        let told = notes.0.lock().unwrap();
        assert_eq!((told.groups, told.busy, told.epoch), (1, 1, 1));
        assert_eq!(told.jobs, counts(|it| it.running = 1));
        assert!(told.most_lag.is_some(), "the retry's deadline was acted on");
    }
    engine.cancel(group, "enough").await.unwrap();
    engine.wait(group).await.unwrap();
    settle().await;
    let lines = notes.lines();
    assert_eq!(lines[..2], ["1 cancelling", "b stopping"]);
    assert_eq!(lines[2..], ["b cancelled 7s", "b Cancelled", "1 Cancelled 20s"]);
    let history = engine.history(group, jobwright_core::Seq(1)).await.unwrap();
    let told = notes.0.lock().unwrap();
    assert_eq!(told.events, history.len() as u64);
    assert_eq!((told.groups, told.busy, told.jobs), (0, 0, JobCounts::default()));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_engine_began_is_known() {
    let bundle = package(&[step("a", &[], json!(null))], &["a"]);
    let store = Arc::new(MemoryStore::new());
    let hanging = MockExecutor::new().on("a", [Act::hangs()]);
    let (engine, deployment) = start(over(&store, &hanging), &bundle).await;
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    drop(engine);
    let notes = Notes::default();
    let next = over(&store, &MockExecutor::new()).observer(notes.clone()).start().await.unwrap();
    next.wait(group).await.unwrap();
    settle().await;
    let expect = [
        "mock None",
        "1 adopted 2",
        "a lost",
        "a ready",
        "a requested 2",
        "a succeeded",
        "a Succeeded",
        "1 Succeeded",
    ];
    // How long it took is for the wall's clock to say, which each engine begins at.
    let is_time =
        |word: &str| word.ends_with('s') && word.starts_with(|it: char| it.is_ascii_digit());
    let lines = notes.lines();
    let lines = lines.iter().map(|line| match line.rsplit_once(' ') {
        Some((words, last)) if is_time(last) => words,
        _ => line,
    });
    assert_eq!(lines.collect::<Vec<_>>(), expect);
    assert_eq!(notes.0.lock().unwrap().epoch, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_and_a_group_that_is_lost_are_told() {
    let (store, notes) = (Moody::new(), Notes::default());
    let mock = MockExecutor::new().otherwise(Act::hangs());
    let bundle = package(&[step("a", &[], json!(null))], &["a"]);
    let builder = over(&store, &mock).observer(notes.clone());
    let (engine, deployment) = start(builder, &bundle).await;
    store.set(Mood::Away(5));
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    assert_eq!(notes.0.lock().unwrap().failed_commits, 5);
    assert_eq!(notes.0.lock().unwrap().groups, 1);
    notes.lines();

    store.set(Mood::Fences(group));
    engine.cancel(group, "enough").await.unwrap_err();
    store.set(Mood::Well);
    settle().await;
    let told = notes.0.lock().unwrap();
    assert_eq!(told.lines, Vec::<String>::new(), "what another engine drives is not told");
    assert_eq!((told.groups, told.busy, told.jobs), (0, 0, JobCounts::default()));
}

/// Panics at the first turn.
struct Clumsy(Arc<AtomicU32>);

impl Observer for Clumsy {
    fn turn(&self, _: &TurnReport<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("clumsy");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_is_told_nothing_more() {
    let bundle = package(&[step("a", &[], json!(null))], &["a"]);
    let (calls, notes) = (Arc::new(AtomicU32::new(0)), Notes::default());
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", MockExecutor::new());
    let (clumsy, other) = (Clumsy(calls.clone()), notes.clone());
    let (engine, deployment) = start(builder.observer(clumsy).observer(other), &bundle).await;
    for _ in 0..3 {
        let group: GroupId = first(&engine.run(deployment).await.unwrap());
        engine.wait(group).await.unwrap();
    }
    settle().await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(notes.lines().contains(&"3 Succeeded 0ns".to_owned()), "the other one hears all");
}
