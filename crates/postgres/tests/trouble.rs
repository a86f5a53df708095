//! The heart of the store: what was acknowledged is there, and nothing is there twice, whatever
//! becomes of connections and of the server.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod cluster;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/stage.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jobwright_core::{Commit, CommitError, Epoch, Lease, Seq, Store, StoreError};
use jobwright_postgres::{PostgresOptions, PostgresStore};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::proxy::{Cut, Proxy};
use crate::stage::{CLUSTER, ONE, TWO, change, client, document, group, row};

async fn revision(store: &PostgresStore, id: i64) -> u64 {
    store.find(document(id, 0).key()).await.unwrap().map_or(0, |stored| stored.revision.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_a_commit_is_found_out() {
    let direct = CLUSTER.database();
    let proxy = Proxy::start(CLUSTER.port(), &direct).await;
    let through = direct.replace(&format!(":{}/", CLUSTER.port()), &format!(":{}/", proxy.port()));
    // So that what does not answer is given up soon.
    let options = PostgresOptions::parse(&through).unwrap();
    let store = options.statement_timeout(Duration::from_millis(500)).connect().await.unwrap();
    let client = client(&direct).await;
    let mut done = 0;
    let cuts = [Cut::Before, Cut::After, Cut::Late, Cut::Silent, Cut::Never];
    for cut in cuts.into_iter().cycle().take(10) {
        proxy.cut_next(cut).await;
        done += 1;
        let commit = Commit { journal: vec![row(ONE, 1, done, 1)], ..change(1, 0, done - 1) };
        store.commit(commit.into()).await.unwrap_or_else(|error| panic!("{cut:?}: {error:?}"));
        assert_eq!(proxy.cuts(), u32::try_from(done).unwrap());
        assert_eq!(store.load(group(1), Seq(1)).await.unwrap().len() as u64, done, "{cut:?}");
        assert_eq!(revision(&store, 1).await, done, "{cut:?}");
        let again = store.commit(change(1, 0, done - 1).into()).await;
        assert!(matches!(again, Err(CommitError::Refused(_))), "{cut:?}: {again:?}");
    }
    // A claim whose answer is lost is not lost: nobody else would drive the group.
    let mut epoch = 1;
    for (cut, owner) in [(Cut::After, TWO), (Cut::Late, ONE), (Cut::Before, TWO)] {
        proxy.cut_next(cut).await;
        let leases = store.claim(owner, 10).await.unwrap();
        epoch += 1;
        assert_eq!(leases, [Lease { group: group(1), epoch: Epoch(epoch) }], "{cut:?}");
        let owners = "SELECT owner FROM jobwright.groups";
        let found: uuid::Uuid = client.query_one(owners, &[]).await.unwrap().get(0);
        assert_eq!(found, owner.0);
    }
    assert_eq!(proxy.cuts(), 13);
}

/// A transaction that a silent node left open must not keep others from its groups for longer than
/// its lease does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_node_was_about_to_write_is_claimed_when_its_lease_is_over() {
    let direct = CLUSTER.database();
    let proxy = Proxy::start(CLUSTER.port(), &direct).await;
    let through = direct.replace(&format!(":{}/", CLUSTER.port()), &format!(":{}/", proxy.port()));
    let one = Arc::new(PostgresStore::connect(&through).await.unwrap());
    let two = PostgresStore::connect(&direct).await.unwrap();
    let lease = Duration::from_secs(3);
    one.renew(ONE, lease).await.unwrap();
    two.renew(TWO, lease).await.unwrap();
    let write = |first| Commit { journal: vec![row(ONE, 1, first, 1)], ..Commit::default() };
    one.commit(write(1).into()).await.unwrap();
    proxy.cut_next(Cut::Never).await;
    let mut silent = JoinSet::new();
    silent.spawn(async move { one.commit(write(2).into()).await });
    // Ten seconds is how long rows were kept before.
    let claimed = async { while two.claim(TWO, 9).await.unwrap().is_empty() {} };
    tokio::time::timeout(lease * 3, claimed).await.expect("it does not wait for the silent one");
    assert_eq!(proxy.cuts(), 1);
}

/// Callers that each append to a journal of their own, and count what was acknowledged.
struct Load {
    callers: JoinSet<()>,
    acknowledged: Arc<Vec<AtomicU64>>,
    stop: Arc<AtomicBool>,
}

const CALLERS: usize = 8;

impl Load {
    fn start(store: &Arc<PostgresStore>) -> Self {
        let acknowledged: Arc<Vec<AtomicU64>> =
            Arc::new((0..CALLERS).map(|_| AtomicU64::new(0)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for (n, id) in (0..CALLERS).zip(1_i64..) {
            let (store, stop) = (Arc::clone(store), Arc::clone(&stop));
            let acknowledged = Arc::clone(&acknowledged);
            callers.spawn(async move {
                let mut done = 0;
                while !stop.load(Ordering::SeqCst) {
                    let journal = vec![row(ONE, id, done + 1, 1)];
                    let commit = Arc::new(Commit { journal, ..change(id, 0, done) });
                    match store.commit(Arc::clone(&commit)).await {
                        Ok(()) => {
                            done += 1;
                            acknowledged[n].store(done, Ordering::SeqCst);
                        }
                        // Nothing was done: the same commit is tried again.
                        Err(CommitError::Store(StoreError::Unavailable { .. })) => {
                            tokio::task::yield_now().await;
                        }
                        Err(error) => panic!("group {id} after {done}: {error:?}"),
                    }
                }
            });
        }
        Self { callers, acknowledged, stop }
    }

    fn total(&self) -> u64 {
        self.acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// Waits until so many more commits were acknowledged.
    async fn goes_on(&self, more: u64) {
        let goal = self.total() + more;
        while self.total() < goal {
            tokio::task::yield_now().await;
        }
    }

    /// Stops, and compares what is there with what was acknowledged.
    async fn check(mut self, store: &PostgresStore) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        for (count, id) in self.acknowledged.iter().zip(1_i64..) {
            let count = count.load(Ordering::SeqCst);
            let records = store.load(group(id), Seq(1)).await.unwrap();
            let firsts: Vec<u64> = records.iter().map(|record| record.first.0).collect();
            assert_eq!(firsts, (1..=count).collect::<Vec<_>>(), "group {id}");
            assert_eq!(revision(store, id).await, count, "document {id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_are_ended_under_load_lose_and_double_nothing() {
    let address = CLUSTER.database();
    let store = Arc::new(PostgresStore::connect(&address).await.unwrap());
    let client = client(&address).await;
    let load = Load::start(&store);
    let mut ended = 0;
    for _ in 0..25 {
        load.goes_on(20).await;
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        ended += client.query_one(kill, &[]).await.unwrap().get::<_, i64>(0);
    }
    load.goes_on(20).await;
    load.check(&store).await;
    assert!(ended >= 25, "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_loses_and_doubles_nothing() {
    let cluster = Cluster::start(&[]);
    let address = cluster.database();
    let store = Arc::new(PostgresStore::connect(&address).await.unwrap());
    let load = Load::start(&store);
    for _ in 0..4 {
        load.goes_on(200).await;
        cluster.kill();
        cluster.launch();
    }
    load.goes_on(200).await;
    load.check(&store).await;
    store.close().await.unwrap();
}
