//! Several nodes on one database: each with a store of its own.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod cluster;
#[path = "support/stage.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Append, Change, Commit, CommitError, Document, Epoch, GroupSummary, Kind, NodeId, Query,
    Refusal, Revision, Status, Store,
};
use jobwright_postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::stage::{AT, CLUSTER, ONE, TWO, change, document, group, row, rows};

const LONG: Duration = Duration::from_secs(3600);

async fn nodes<const N: usize>() -> [Arc<PostgresStore>; N] {
    let address = CLUSTER.database();
    // At the same time, so that they all want to make the tables.
    let made = (0..N).map(|_| PostgresStore::connect(&address));
    let made = futures_util::future::join_all(made).await;
    let made: Vec<_> = made.into_iter().map(|store| Arc::new(store.unwrap())).collect();
    made.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_takes_up_what_a_dead_one_drove_and_fences_it() {
    let [one, two] = nodes().await;
    one.renew(ONE, LONG).await.unwrap();
    two.renew(TWO, LONG).await.unwrap();
    let made = (1..=50).map(|id| row(ONE, id, 1, 1));
    one.commit(rows(made).into()).await.unwrap();
    assert_eq!(two.claim(TWO, 100).await.unwrap(), []);
    one.renew(ONE, Duration::ZERO).await.unwrap();
    let leases = two.claim(TWO, 30).await.unwrap();
    assert_eq!(
        leases.iter().map(|it| it.group.get()).collect::<Vec<_>>(),
        (1..=30).collect::<Vec<_>>()
    );
    // The old node wakes: what was taken is fenced, what was not is its own again.
    let late = rows([row(ONE, 30, 2, 1), row(ONE, 31, 2, 1)]);
    let Err(CommitError::Refused(refusals)) = one.commit(late.into()).await else {
        panic!("it must be refused");
    };
    let fenced = Refusal::Fenced { group: group(30), given: Epoch(1), current: Epoch(2) };
    assert_eq!(refusals, [fenced]);
    one.renew(ONE, LONG).await.unwrap();
    one.commit(rows([row(ONE, 31, 2, 1)]).into()).await.unwrap();
    assert_eq!(two.claim(TWO, 100).await.unwrap(), []);
    two.commit(rows([row(TWO, 30, 2, 2)]).into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_waits_for_older_transactions_so_that_nothing_is_passed_over() {
    let address = CLUSTER.database();
    let connect = || PostgresStore::connect(&address);
    let (one, two) = (connect().await.unwrap(), connect().await.unwrap());
    one.commit(rows([row(ONE, 3, 1, 1)]).into()).await.unwrap();
    let begin = two.feed(None, 100).await.unwrap().end;
    let slow = stage::client(&address).await;
    // The number of a transaction is older than what is committed before it is.
    let insert = "BEGIN; INSERT INTO jobwright.journal (group_id, first, count, epoch, at, events)
                  SELECT 7, first, count, epoch, at, events FROM jobwright.journal";
    slow.batch_execute(insert).await.unwrap();
    one.commit(rows([row(ONE, 1, 1, 1)]).into()).await.unwrap();
    let held = two.feed(Some(begin), 100).await.unwrap();
    assert!(held.records.iter().all(|it| it.group == group(3)), "{held:?}");
    slow.batch_execute("COMMIT").await.unwrap();
    let mut groups = BTreeSet::new();
    let mut cursor = held.end;
    while groups.len() < 2 {
        let feed = two.feed(Some(cursor), 100).await.unwrap();
        groups.extend(feed.records.iter().map(|it| it.group).filter(|it| *it != group(3)));
        cursor = feed.end;
    }
    assert_eq!(groups, [group(1), group(7)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_groups_are_given_up_and_the_others_stay() {
    let [one, two] = nodes().await;
    one.renew(ONE, LONG).await.unwrap();
    one.commit(rows((1..=3).map(|id| row(ONE, id, 1, 1))).into()).await.unwrap();
    // A node gives up what is its own, and nothing else.
    two.give_up(TWO, &[group(1)]).await.unwrap();
    one.give_up(ONE, &[]).await.unwrap();
    assert_eq!(two.claim(TWO, 9).await.unwrap(), []);
    one.give_up(ONE, &[group(2)]).await.unwrap();
    let taken = two.claim(TWO, 9).await.unwrap();
    assert_eq!(
        taken.iter().map(|it| (it.group, it.epoch)).collect::<Vec<_>>(),
        [(group(2), Epoch(2))]
    );
    one.commit(rows([row(ONE, 1, 2, 1), row(ONE, 3, 2, 1)]).into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_what_a_dead_one_drove() {
    let stores: [_; 3] = nodes().await;
    stores[0].commit(rows((1..=300).map(|id| row(ONE, id, 1, 1))).into()).await.unwrap();
    let mut claimers = JoinSet::new();
    for (store, n) in stores.iter().zip(10..) {
        let (store, owner) = (Arc::clone(store), NodeId(uuid::Uuid::from_u128(n)));
        claimers.spawn(async move {
            store.renew(owner, LONG).await.unwrap();
            let mut taken = Vec::new();
            for _ in 0..100 {
                for lease in store.claim(owner, 5).await.unwrap() {
                    taken.push(lease.group);
                    let row = row(owner, lease.group.get(), 2, lease.epoch.0);
                    store.commit(rows([row]).into()).await.unwrap();
                }
            }
            taken
        });
    }
    let all: Vec<_> = claimers.join_all().await.concat();
    assert_eq!(all.len(), 300);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_nodes_change_at_once_are_changed_one_after_the_other() {
    const EACH: u64 = 40;
    let stores: [_; 3] = nodes().await;
    let mut callers = JoinSet::new();
    for store in &stores {
        let store = Arc::clone(store);
        callers.spawn(async move {
            let mut done = 0;
            while done < EACH {
                let stored = store.find(document(1, 0).key()).await.unwrap();
                let before = stored.map_or(0, |it| it.revision.0);
                match store.commit(change(1, 0, before).into()).await {
                    Ok(()) => done += 1,
                    Err(CommitError::Refused(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    }
    callers.join_all().await;
    let stored = stores[0].find(document(1, 0).key()).await.unwrap().unwrap();
    assert_eq!(stored.revision, Revision(3 * EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_nodes_want_at_once_goes_to_one_of_them() {
    let stores: [_; 3] = nodes().await;
    for round in 0..20 {
        let mut callers = JoinSet::new();
        for (store, n) in stores.iter().zip(1..) {
            let store = Arc::clone(store);
            callers.spawn(async move {
                let Document::Environment(mut wanted) = document(round * 10 + n, 0) else {
                    panic!("it is one");
                };
                wanted.name = jobwright_core::ParameterName::new(&format!("env.{round}")).unwrap();
                let change = Change::insert(Document::Environment(wanted));
                store.commit(Commit { catalog: vec![change], ..Commit::default() }.into()).await
            });
        }
        let answers = callers.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        for error in answers.into_iter().filter_map(Result::err) {
            let CommitError::Refused(refusals) = error else { panic!("{error:?}") };
            assert!(matches!(refusals[..], [Refusal::Taken { .. }]), "{refusals:?}");
        }
        let query = Query::all(Kind::Environment).unique(&format!("env.{round}"));
        assert_eq!(stores[0].list(query).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_given_by_one_node_only() {
    let stores: [_; 3] = nodes().await;
    let mut callers = JoinSet::new();
    for store in &stores {
        let store = Arc::clone(store);
        callers.spawn(async move {
            let mut ids = Vec::new();
            for count in (1..=40_u32).cycle().take(200) {
                let first = store.allocate(Kind::Job, count).await.unwrap();
                assert!(ids.last().is_none_or(|last| first > *last));
                ids.extend(first..first + i64::from(count));
            }
            ids
        });
    }
    let all = callers.join_all().await.concat();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_woken_by_what_others_change_and_not_by_its_own() {
    let [one, two] = nodes().await;
    // Each listens by now, which is told as a hint of its own.
    one.woken().await;
    two.woken().await;
    let ended = GroupSummary {
        id: group(7),
        run: jobwright_core::RunId::new(1).unwrap(),
        deployment: jobwright_core::DeploymentId::new(1).unwrap(),
        release: jobwright_core::ReleaseId::new(1).unwrap(),
        status: Status::Complete,
        jobs: 1,
        created_at: AT,
        updated_at: AT,
    };
    let commits = [
        change(1, 0, 0),
        rows([Append { summary: Some(ended), ..row(ONE, 7, 1, 1) }]),
        change(1, 0, 1),
    ];
    for commit in commits {
        one.commit(commit.into()).await.unwrap();
        two.woken().await;
    }
    one.release(ONE).await.unwrap();
    two.woken().await;
    // An answer to the other comes back after whatever it told itself.
    two.commit(change(2, 0, 0).into()).await.unwrap();
    one.woken().await;
}
