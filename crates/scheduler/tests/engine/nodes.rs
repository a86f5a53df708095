//! Several engines on one store: who drives what, and what each can do with what another drives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{
    Attempt, DeploymentId, Digest, Event, Failure, GroupId, Kind, NodeId, Query, RunPolicy, Seq,
    Status, Store, Success, Verdict,
};
use jobwright_scheduler::{DeploymentChange, Engine, Notice, RunError, RunHandle, WaitReason};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::joint::{Line, Shared, moment};
use crate::stage::{first, import, over, package, secs, settle, single, step, told, wide};

/// An engine with its way to the store and its executor.
struct Node {
    engine: Engine,
    line: Arc<Line>,
    mock: MockExecutor,
}

async fn node(shared: &Arc<Shared>, mock: MockExecutor) -> Node {
    let (line, mock) = (shared.line(), mock.recording());
    let engine = over(&line, &mock).lease(secs(9)).start().await.unwrap();
    Node { engine, line, mock }
}

fn hangs() -> MockExecutor {
    MockExecutor::new().otherwise(Act::hangs())
}

async fn deploy(engine: &Engine, steps: &jobwright_core::Bundle) -> DeploymentId {
    let deployment = engine.create_deployment("sales").await.unwrap().id;
    import(engine, deployment, steps).await;
    deployment
}

async fn policy(engine: &Engine, deployment: DeploymentId, policy: RunPolicy) {
    let change = DeploymentChange { run_policy: Some(policy), ..Default::default() };
    engine.change_deployment(deployment, change).await.unwrap();
}

async fn status(engine: &Engine, group: GroupId) -> Status {
    let status = engine.status(group).await.unwrap();
    assert_eq!(engine.summary(group).await.unwrap().status, status, "not what the store says");
    status
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_engine_drove_is_taken_up_within_the_lease() {
    let shared = Shared::new();
    let one = node(&shared, hangs()).await;
    let two = node(&shared, MockExecutor::new()).await;
    let deployment = deploy(&one.engine, &wide(3, &Value::Null)).await;
    let run = one.engine.run(deployment).await.unwrap();
    let groups: Vec<_> = run.groups().collect();
    settle().await;
    let waits = two.engine.waiting(groups[0]).await.unwrap();
    assert!(matches!(waits.values().next(), Some(WaitReason::Elsewhere(None))), "{waits:?}");
    sleep(secs(60)).await;
    assert!(two.mock.calls().is_empty(), "a live engine's groups are its own");
    let begun = moment();
    drop((run, one.engine));
    for group in &groups {
        assert_eq!(two.engine.wait(*group).await.unwrap(), Verdict::Succeeded);
    }
    assert!(begun.elapsed() < secs(13), "{:?}", begun.elapsed());
    assert_eq!(one.mock.calls().live(), 0);
    let told = told(&two.engine, groups[0]).await;
    let since = told.iter().position(|it| it == "adopted 2").unwrap();
    assert_eq!(told[since + 1], "s0 lost lost, again");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_knows_that_the_last_one_is_dead_waits_for_no_lease() {
    let shared = Shared::new();
    let (groups, last) = leave(&shared, 1).await;
    let begun = moment();
    let next = heir(&shared, last, Duration::ZERO, 1).await;
    assert_eq!(next.wait(groups[0]).await.unwrap(), Verdict::Succeeded);
    assert!(begun.elapsed() < secs(1), "{:?}", begun.elapsed());
}

/// Leaves so many groups as an engine does that dies, and returns them with its node.
async fn leave(shared: &Arc<Shared>, groups: usize) -> (Vec<GroupId>, NodeId) {
    let one = node(shared, hangs()).await;
    let deployment = deploy(&one.engine, &wide(groups, &Value::Null)).await;
    let groups = one.engine.run(deployment).await.unwrap().groups().collect();
    settle().await;
    // Dead without a word.
    one.line.cut(true);
    (groups, one.engine.node())
}

/// Starts the engine after one that died. Each claim takes so long; the bucket holds so many groups
/// and gets ten a second.
async fn heir(shared: &Arc<Shared>, last: NodeId, claim: Duration, burst: u32) -> Engine {
    let (line, mock) = (shared.line(), MockExecutor::new());
    line.claims_take(claim);
    let builder = over(&line, &mock).lease(secs(9)).succeeds(last);
    builder.readmission(burst, 10).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_engine_keeps_its_lease_while_it_begins_however_much_it_takes_up() {
    let shared = Shared::new();
    let (groups, last) = leave(&shared, 600).await;
    let begun = moment();
    // Three pages, which take longer than the lease lasts.
    let next = heir(&shared, last, secs(4), 600).await;
    assert!(begun.elapsed() > secs(9), "it took nothing up: {:?}", begun.elapsed());
    for group in groups {
        assert_eq!(next.wait(group).await.unwrap(), Verdict::Succeeded);
        let told = told(&next, group).await;
        assert!(!told.contains(&"adopted 3".to_owned()), "it was given up: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_begins_with_a_first_lot_and_takes_the_rest_up_later() {
    let shared = Shared::new();
    let (groups, last) = leave(&shared, 100).await;
    let begun = moment();
    // As much comes into the bucket as a claim takes out of it.
    let next = heir(&shared, last, secs(1), 10).await;
    assert!(begun.elapsed() < secs(3), "it began when it had all: {:?}", begun.elapsed());
    for group in groups {
        assert_eq!(next.wait(group).await.unwrap(), Verdict::Succeeded);
    }
    assert!(begun.elapsed() > secs(8), "it knew no measure: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn two_engines_that_begin_at_once_make_one_first_token() {
    let shared = Shared::new();
    let one = node(&shared, MockExecutor::new()).await;
    let two = node(&shared, MockExecutor::new()).await;
    let make = |node: &Node, word: &'static str| {
        let engine = node.engine.clone();
        async move { engine.create_first_token("the first", Digest::of(word.as_bytes())).await }
    };
    let (first, second) = tokio::join!(make(&one, "a"), make(&two, "b"));
    let made = [first.unwrap(), second.unwrap()].into_iter().flatten().count();
    assert_eq!((made, one.engine.tokens().await.unwrap().len()), (1, 1));
    assert!(make(&one, "c").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_cut_off_drops_its_attempts_before_others_begin_them() {
    let shared = Shared::new();
    let one = node(&shared, hangs()).await;
    let two = node(&shared, hangs()).await;
    let deployment = deploy(&one.engine, &single(Value::Null)).await;
    let group = first(&one.engine.run(deployment).await.unwrap());
    settle().await;
    one.line.cut(true);
    // What it drives it knows by itself, as long as nobody else can drive it.
    assert_eq!(one.engine.status(group).await.unwrap(), Status::InProgress);
    let begun = moment();
    while two.mock.calls().live() == 0 {
        assert!(begun.elapsed() < secs(60), "nobody takes it up: {:?}", shared.spread());
        sleep(Duration::from_millis(50)).await;
        assert!(one.mock.calls().live() + two.mock.calls().live() < 2, "two live attempts");
    }
    assert_eq!(shared.owner(group), Some(two.engine.node()));
    assert!(one.engine.status(group).await.is_err(), "it tells what was so once");
    assert_eq!(status(&two.engine, group).await, Status::InProgress);
    let refused = one.engine.run(deployment).await.err().unwrap();
    assert!(matches!(refused, RunError::Prepare(_) | RunError::Store(_)), "{refused}");
    // When it is through again it is an engine like any other.
    one.line.cut(false);
    sleep(secs(9)).await;
    let again = one.engine.run(deployment).await.unwrap();
    assert_eq!(shared.owner(first(&again)), Some(one.engine.node()));
    assert_eq!(shared.owner(group), Some(two.engine.node()));
    let calls = |node: &Node| node.mock.calls().iter().filter(|it| !it.reattach).count();
    settle().await;
    assert_eq!((calls(&one), calls(&two)), (2, 1));
}

/// The process is stopped for longer than its lease: nothing polls the engine, and when it goes on
/// its clock has jumped.
#[test]
fn an_engine_that_was_stopped_drops_what_others_drive_by_then() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let shared = Shared::new();
    let start = |mock: &MockExecutor| {
        let builder = over(&shared.line(), mock).lease(secs(9));
        async move { builder.start().await.unwrap() }
    };
    let (mock, second) = (hangs().recording(), hangs().recording());
    let stopped = runtime();
    let (one, group) = stopped.block_on(async {
        let one = start(&mock).await;
        let deployment = deploy(&one, &single(Value::Null)).await;
        let group = first(&one.run(deployment).await.unwrap());
        settle().await;
        (one, group)
    });
    assert_eq!(mock.calls().live(), 1);
    let other = runtime();
    let two = other.block_on(async {
        let two = start(&second).await;
        while second.calls().iter().all(|call| call.reattach) {
            sleep(secs(1)).await;
        }
        two
    });
    stopped.block_on(async {
        tokio::time::advance(secs(60)).await;
        settle().await;
    });
    assert_eq!(mock.calls().live(), 0);
    assert_eq!(shared.owner(group), Some(two.node()));
    stopped.block_on(async { drop(one) });
    other.block_on(async { drop(two) });
}

#[tokio::test(start_paused = true)]
async fn an_attempt_knows_by_the_clock_that_its_engine_may_have_lost_it() {
    let shared = Shared::new();
    let line = shared.line();
    let (sender, mut attempts) = tokio::sync::mpsc::channel(1);
    let executor = jobwright_adapters::FnExecutor::new(move |attempt: Attempt| {
        let _ = sender.try_send(attempt);
        std::future::pending::<Result<Success, Failure>>()
    });
    let builder = Engine::builder().shared_store(line.clone()).executor("mock", executor);
    let engine = builder.lease(secs(9)).start().await.unwrap();
    let deployment = deploy(&engine, &single(Value::Null)).await;
    let _run = engine.run(deployment).await.unwrap();
    let attempt = attempts.recv().await.unwrap();
    sleep(secs(60)).await;
    assert!(attempt.is_owned(), "its engine renews the lease");
    line.cut(true);
    // Stopped, so that no task of the engine can tell.
    tokio::time::advance(secs(9)).await;
    assert!(!attempt.is_owned());
}

#[tokio::test(start_paused = true)]
async fn the_facts_of_a_group_are_heard_whichever_engine_drives_it() {
    let shared = Shared::new();
    let one = node(&shared, hangs()).await;
    let two = node(&shared, MockExecutor::new()).await;
    let three = node(&shared, hangs()).await;
    let deployment = deploy(&one.engine, &single(Value::Null)).await;
    let group = first(&one.engine.run(deployment).await.unwrap());
    let listeners = [&two, &three].map(|node| {
        let mut heard = node.engine.subscribe(Some(group));
        async move {
            let mut seqs = Vec::new();
            while let Some(notice) = heard.next().await {
                if let Notice::Event { seq, event, .. } = notice {
                    seqs.push(seq.0);
                    if matches!(event, Event::GroupEnded { .. }) {
                        return seqs;
                    }
                }
            }
            seqs
        }
    });
    let [at_two, at_three] = listeners;
    let handed_over = async {
        settle().await;
        one.engine.shutdown(secs(0)).await.unwrap();
        three.engine.cancel(group, "enough").await.unwrap();
    };
    let (at_two, at_three, ()) = tokio::join!(at_two, at_three, handed_over);
    let all: Vec<u64> = (1..=at_two.len() as u64).collect();
    assert_eq!((&at_two, &at_three), (&all, &all));
}

#[tokio::test(start_paused = true)]
async fn a_listener_to_all_groups_hears_what_every_engine_writes() {
    let shared = Shared::new();
    let one = node(&shared, MockExecutor::new()).await;
    let two = node(&shared, MockExecutor::new()).await;
    let deployment = deploy(&one.engine, &wide(2, &Value::Null)).await;
    let before = one.engine.run(deployment).await.unwrap();
    before.wait().await.unwrap();
    let mut heard = two.engine.subscribe(None);
    heard.ready().await;
    let runs =
        [one.engine.run(deployment).await.unwrap(), two.engine.run(deployment).await.unwrap()];
    let mut told: BTreeMap<GroupId, Vec<u64>> = BTreeMap::new();
    let mut running: BTreeSet<GroupId> = runs.iter().flat_map(RunHandle::groups).collect();
    let groups = running.clone();
    while !running.is_empty() {
        let notice = heard.next().await.unwrap();
        let Notice::Event { group, seq, event, .. } = notice else { continue };
        told.entry(group).or_default().push(seq.0);
        if matches!(event, Event::GroupEnded { .. }) {
            running.remove(&group);
        }
    }
    // Nothing of the run before, and of these everything once and in order.
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), groups);
    for (group, seqs) in told {
        let kept = two.engine.history(group, Seq(1)).await.unwrap();
        assert_eq!(seqs, kept.iter().map(|it| it.seq.0).collect::<Vec<_>>());
    }
    // A node that is cut off hears later what it could not read.
    two.line.cut(true);
    let late = first(&one.engine.run(deployment).await.unwrap());
    one.engine.wait(late).await.unwrap();
    let cut = tokio::time::timeout(secs(3), heard.next()).await;
    assert!(cut.is_err(), "{cut:?}");
    two.line.cut(false);
    let Some(Notice::Event { group, seq, .. }) = heard.next().await else { panic!("it hears") };
    assert_eq!((group, seq.0), (late, 1));
}

#[tokio::test(start_paused = true)]
async fn groups_are_handed_over_at_once_when_an_engine_ends() {
    let shared = Shared::new();
    let one = node(&shared, hangs()).await;
    let two = node(&shared, MockExecutor::new()).await;
    let deployment = deploy(&one.engine, &wide(2, &Value::Null)).await;
    let run = one.engine.run(deployment).await.unwrap();
    settle().await;
    let begun = moment();
    one.engine.shutdown(secs(0)).await.unwrap();
    for group in run.groups() {
        assert_eq!(two.engine.wait(group).await.unwrap(), Verdict::Succeeded);
    }
    // The pause before the next attempt, and no lease that has to end.
    assert!(begun.elapsed() < secs(4), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_group_is_cancelled_from_any_engine_and_by_whoever_drives_it_then() {
    let shared = Shared::new();
    let one = node(&shared, hangs()).await;
    let two = node(&shared, hangs()).await;
    let deployment = deploy(&one.engine, &single(Value::Null)).await;
    let orders = || async { two.line.list(Query::all(Kind::CancelOrder)).await.unwrap().len() };
    let group = first(&one.engine.run(deployment).await.unwrap());
    settle().await;
    two.engine.cancel(group, "enough").await.unwrap();
    two.engine.cancel(group, "again").await.unwrap();
    assert_eq!(two.engine.wait(group).await.unwrap(), Verdict::Cancelled);
    let told = told(&two.engine, group).await;
    assert_eq!(told.iter().filter(|it| *it == "cancel requested").count(), 1, "{told:?}");
    assert_eq!(orders().await, 0);

    // The driving engine dies before it hears of it.
    let group = first(&one.engine.run(deployment).await.unwrap());
    settle().await;
    one.line.cut(true);
    two.engine.cancel(group, "enough").await.unwrap();
    assert_eq!(orders().await, 1);
    drop(one);
    assert_eq!(two.engine.wait(group).await.unwrap(), Verdict::Cancelled);
    sleep(secs(2)).await;
    assert_eq!(orders().await, 0);
}

#[tokio::test(start_paused = true)]
async fn runs_that_regard_each_other_do_so_across_engines() {
    let shared = Shared::new();
    let one = node(&shared, hangs()).await;
    let two = node(&shared, hangs()).await;
    let deployment = deploy(&one.engine, &single(Value::Null)).await;
    policy(&one.engine, deployment, RunPolicy::Skip).await;
    let run = one.engine.run(deployment).await.unwrap();
    settle().await;
    let refused = two.engine.run(deployment).await.err().unwrap();
    assert!(matches!(refused, RunError::Running(known) if known == run.id()), "{refused}");
    // Whichever engine asked, one drives them all; the second waits for the first.
    policy(&two.engine, deployment, RunPolicy::Queue).await;
    let later = two.engine.run(deployment).idempotency_key("later").await.unwrap();
    assert!(later.id() > run.id());
    let same = two.engine.run(deployment).idempotency_key("later").await.unwrap();
    assert_eq!((same.id(), same.replayed()), (later.id(), true));
    assert_eq!(shared.owner(first(&later)), Some(one.engine.node()));
    sleep(secs(60)).await;
    assert_eq!(status(&two.engine, first(&later)).await, Status::Created);
    let waits = one.engine.waiting(first(&later)).await.unwrap();
    assert!(matches!(waits.values().next(), Some(WaitReason::RunAhead(_))), "{waits:?}");
    two.engine.cancel(first(&run), "enough").await.unwrap();
    one.engine.wait(first(&run)).await.unwrap();
    sleep(secs(1)).await;
    assert_eq!(status(&two.engine, first(&later)).await, Status::InProgress);
    // Nothing of what was asked for stays.
    assert!(two.line.list(Query::all(Kind::RunOrder)).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_helm_of_a_dead_engine_is_taken_with_all_its_groups() {
    let shared = Shared::new();
    let one = node(&shared, hangs()).await;
    let deployment = deploy(&one.engine, &wide(2, &Value::Null)).await;
    policy(&one.engine, deployment, RunPolicy::Queue).await;
    let runs = [
        one.engine.run(deployment).await.unwrap(),
        one.engine.run(deployment).await.unwrap(),
        one.engine.run(deployment).await.unwrap(),
    ];
    let groups: Vec<_> = runs.iter().flat_map(RunHandle::groups).collect();
    let two = node(&shared, hangs()).await;
    let three = node(&shared, hangs()).await;
    sleep(secs(20)).await;
    drop((runs, one.engine));
    // Somebody asks meanwhile, and is not refused.
    let new = two.engine.run(deployment).await.unwrap();
    let drives = [two.engine.node(), three.engine.node()];
    let owner = shared.owner(groups[0]).unwrap();
    assert!(drives.contains(&owner));
    let all: Vec<_> = groups.iter().copied().chain(new.groups()).collect();
    let owners: Vec<_> = all.iter().map(|group| shared.owner(*group)).collect();
    assert_eq!(owners, vec![Some(owner); 8]);
    settle().await;
    assert_eq!(two.mock.calls().live() + three.mock.calls().live(), 2, "one run at a time");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_a_deployment_holds_across_engines() {
    let shared = Shared::new();
    let mock = || MockExecutor::new().otherwise(Act::succeeds().after(secs(1)));
    let (one, two) = (node(&shared, mock()).await, node(&shared, mock()).await);
    let deployment = deploy(&one.engine, &wide(3, &Value::Null)).await;
    let change = DeploymentChange { limit: Some(Some(2)), ..Default::default() };
    one.engine.change_deployment(deployment, change).await.unwrap();
    let begun = moment();
    let runs = tokio::join!(one.engine.run(deployment), two.engine.run(deployment));
    let (a, b) = (runs.0.unwrap(), runs.1.unwrap());
    for run in [a, b] {
        assert_eq!(run.wait().await.unwrap().verdict, Verdict::Succeeded);
    }
    assert!(begun.elapsed() >= secs(3), "six jobs, two at a time");
    assert!(one.mock.calls().max_concurrency() + two.mock.calls().max_concurrency() <= 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_doubled_while_engines_come_and_go() {
    let shared = Shared::new();
    let mock = || MockExecutor::new().otherwise(Act::succeeds().after(secs(2)));
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(node(&shared, mock()).await);
    }
    let steps = [
        step("a", &[], json!({ "crash_limit": 50 })),
        step("b", &["a"], json!({ "crash_limit": 50 })),
    ];
    let deployment = deploy(&nodes[0].engine, &package(&steps, &["b"])).await;
    let mut groups = Vec::new();
    for round in 0..12_usize {
        for at in 0..10 {
            let run = nodes[at % 3].engine.run(deployment).await;
            if let Ok(run) = run {
                groups.push(first(&run));
            }
        }
        sleep(secs(1)).await;
        let at = round % 3;
        match round % 4 {
            0 => nodes[at].line.cut(true),
            1 => nodes[at] = node(&shared, mock()).await,
            2 => drop(nodes[at].engine.shutdown(secs(0)).await),
            _ => nodes[at] = node(&shared, mock()).await,
        }
        sleep(secs(3)).await;
        for node in &nodes {
            node.line.cut(false);
        }
    }
    let last = node(&shared, mock()).await;
    assert!(groups.len() > 60, "{}", groups.len());
    for group in groups {
        let ended = tokio::time::timeout(secs(300), last.engine.wait(group)).await;
        assert_eq!(ended.unwrap().unwrap(), Verdict::Succeeded);
    }
    assert!(shared.spread().is_empty());
}
