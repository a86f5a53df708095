//! What the SQLite store promises beyond the contract: who may open a file, what becomes of it
//! when the disk is full or the file is damaged, and what a restart finds.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_core::{
    Append, Cause, Change, Commit, CommitError, DeploymentId, Document, Durability, EnvironmentId,
    EnvironmentParameter, Epoch, Event, Failure, GroupId, GroupSummary, JobIndex, Key, Kind, Next,
    NodeId, Outcome, ParameterName, Query, Record, Refusal, ReleaseId, Revision, RunId, Seq,
    Status, Store, StoreError, Timestamp, Verdict,
};
use jobwright_store::{OpenError, SqliteOptions, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

const NODE: NodeId = NodeId(uuid::Uuid::from_u128(1));
const OTHER: NodeId = NodeId(uuid::Uuid::from_u128(2));
const AT: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn group(id: i64) -> GroupId {
    GroupId::new(id).unwrap()
}

fn row(id: i64, first: u64, epoch: u64) -> Append {
    let event = Event::Beat { job: JobIndex(1), attempt: 1, beat_by: AT };
    let (first, epoch) = (Seq(first), Epoch(epoch));
    let record = Record { group: group(id), first, epoch, at: AT, events: [event].into() };
    Append { owner: NODE, record, summary: None }
}

fn rows(journal: impl IntoIterator<Item = Append>) -> Commit {
    Commit { journal: journal.into_iter().collect(), ..Commit::default() }
}

fn document(id: i64, size: usize) -> Document {
    Document::Environment(EnvironmentParameter {
        id: EnvironmentId::new(id).unwrap(),
        name: ParameterName::new(&format!("env.{id}")).unwrap(),
        value: "x".repeat(size).into(),
    })
}

fn changes(catalog: impl IntoIterator<Item = Change>) -> Commit {
    Commit { catalog: catalog.into_iter().collect(), ..Commit::default() }
}

fn refused(path: &Path) -> OpenError {
    SqliteStore::open(path).err().unwrap()
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_one_ended() {
    let (_folder, path) = folder();
    for start in 0..3_i64 {
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.durability(), Durability::Synced);
        let first = store.allocate(Kind::Group, 2).await.unwrap();
        assert_eq!(first, start * 2 + 1, "ids that were not given are not lost");
        store.commit(rows([row(first, 1, 1), row(first + 1, 1, 1)]).into()).await.unwrap();
        let owner = NodeId(uuid::Uuid::from_u128(u128::from(start.unsigned_abs()) + 10));
        let leases = store.claim(owner, 100).await.unwrap();
        assert_eq!(leases.len() as i64, first + 1, "all groups are free");
        for lease in leases {
            let records = store.load(lease.group, Seq(1)).await.unwrap();
            let next = records.last().unwrap().next().0;
            store.commit(rows([row(lease.group.get(), next, lease.epoch.0)]).into()).await.unwrap();
        }
        if start == 1 {
            store.close().await.unwrap();
        }
    }
    let store = SqliteOptions::new().written().open(&path).unwrap();
    assert_eq!(store.durability(), Durability::Written);
    assert_eq!(store.load(group(1), Seq(1)).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_file_is_open_once() {
    let (folder, path) = folder();
    let store = SqliteStore::open(&path).unwrap();
    let holder = format!("is in use by process {}, stop it first", std::process::id());
    assert!(refused(&path).to_string().ends_with(&holder), "{}", refused(&path));
    #[cfg(unix)]
    {
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(refused(&link), OpenError::InUse { .. }));
        for entry in fs::read_dir(folder.path()).unwrap() {
            let metadata = fs::metadata(entry.unwrap().path()).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }
    store.commit(rows([row(1, 1, 1)]).into()).await.unwrap();
    store.close().await.unwrap();
    let text = store.commit(rows([row(1, 2, 1)]).into()).await.unwrap_err();
    assert!(matches!(text, CommitError::Store(StoreError::Broken { .. })), "{text:?}");
    let next = SqliteStore::open(&path).unwrap();
    let error = store.load(group(1), Seq(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is broken: it was closed");
    assert_eq!(next.load(group(1), Seq(1)).await.unwrap().len(), 1);
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    let (folder, path) = folder();
    let check = |make: &dyn Fn(&Path), expect: &str| {
        make(&path);
        let before = fs::read(&path).unwrap();
        let text = refused(&path).to_string();
        let place = format!("`{}`", fs::canonicalize(&path).unwrap().display());
        assert_eq!(text.replace(&place, "FILE"), expect);
        assert_eq!(fs::read(&path).unwrap(), before, "{expect}");
        fs::remove_file(&path).unwrap();
    };
    let sql = |statements: &'static str| {
        move |path: &Path| {
            drop(SqliteStore::open(path).unwrap());
            let connection = Connection::open(path).unwrap();
            connection.execute_batch(statements).unwrap();
        }
    };
    let foreign = "FILE is not a jobwright database, choose another path";
    check(&|path| fs::write(path, "garbage ".repeat(1000)).unwrap(), foreign);
    check(&|path| fs::write(path, "short").unwrap(), foreign);
    let other = "CREATE TABLE t (a); INSERT INTO t VALUES (1)";
    check(&|path| Connection::open(path).unwrap().execute_batch(other).unwrap(), foreign);
    check(&sql("PRAGMA application_id = 7"), foreign);
    check(
        &sql("PRAGMA user_version = 99"),
        "FILE has format 99, this version knows formats up to 1: update it",
    );
    check(
        &sql("UPDATE steps SET digest = zeroblob(32)"),
        "FILE says format 1, but other statements made it",
    );
    let missing = refused(&folder.path().join("none").join("store.db")).to_string();
    assert!(missing.ends_with("none` does not exist, make it first"), "{missing}");
    assert!(matches!(refused(folder.path()), OpenError::File { .. }));
}

#[tokio::test]
async fn a_refused_commit_spoils_no_other() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).unwrap();
    store.commit(rows([row(1, 1, 1)]).into()).await.unwrap();
    let taken = changes([Change::insert(document(1, 1)), Change::insert(document(1, 2))]);
    let commits = [
        rows([row(2, 1, 1)]),
        rows([row(3, 1, 1), row(1, 9, 1)]),
        taken,
        changes([Change::insert(document(1, 3))]),
        rows([row(3, 1, 2)]),
        rows([row(1, 2, 1)]),
    ];
    let [a, b, c, d, e, f] = commits.map(|commit| store.commit(commit.into()));
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    for good in [a, d, e, f] {
        good.unwrap();
    }
    for bad in [b, c] {
        assert!(matches!(bad, Err(CommitError::Refused(refusals)) if refusals.len() == 1));
    }
    assert_eq!(store.load(group(3), Seq(1)).await.unwrap()[0].epoch, Epoch(2));
    let stored = store.find(document(1, 3).key()).await.unwrap().unwrap();
    assert_eq!(stored.document, document(1, 3));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_passes() {
    let (_folder, path) = folder();
    let store = SqliteOptions::new().limit(400_000).open(&path).unwrap();
    store.commit(rows([row(1, 1, 1)]).into()).await.unwrap();
    let mut kept = 0;
    let error = loop {
        let commit = Commit {
            catalog: vec![Change::insert(document(kept + 1, 50_000))],
            ..rows([row(1, kept.unsigned_abs() + 2, 1), row(100 + kept, 1, 1)])
        };
        match store.commit(commit.into()).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    let CommitError::Store(error @ StoreError::Unavailable { .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.to_string(), "the store cannot do this now: there is no room left");
    assert!(kept > 2, "{kept}");

    let all = store.list(Query::all(Kind::Environment)).await.unwrap();
    assert_eq!(all.len() as i64, kept);
    assert_eq!(store.load(group(1), Seq(1)).await.unwrap().len() as i64, kept + 1);
    assert_eq!(store.load(group(100 + kept), Seq(1)).await.unwrap(), []);

    // A small commit beside a large one still finds room.
    let large = changes([Change::insert(document(500, 90_000))]);
    let small = rows([row(1, kept.unsigned_abs() + 2, 1)]);
    let (large, small) = tokio::join!(store.commit(large.into()), store.commit(small.into()));
    assert!(matches!(large, Err(CommitError::Store(StoreError::Unavailable { .. }))), "{large:?}");
    small.unwrap();

    let first = document(1, 1).key();
    store.commit(changes([Change::remove(first, Revision(1))]).into()).await.unwrap();
    store.commit(changes([Change::insert(document(500, 40_000))]).into()).await.unwrap();
    let next = kept.unsigned_abs() + 3;
    let refused = store.commit(rows([row(1, next - 1, 1)]).into()).await.unwrap_err();
    let conflict = Refusal::Conflict { group: group(1), given: Seq(next - 1), current: Seq(next) };
    assert!(matches!(refused, CommitError::Refused(it) if it == [conflict]));
}

#[tokio::test]
async fn a_damaged_file_is_told_once_and_for_all() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).unwrap();
    store
        .commit(changes((1..=50).map(|id| Change::insert(document(id, 5_000)))).into())
        .await
        .unwrap();
    store.close().await.unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8 * 4096..].fill(0xA5);
    fs::write(&path, bytes).unwrap();

    let store = SqliteStore::open(&path).unwrap();
    let error = store.list(Query::all(Kind::Environment)).await.unwrap_err();
    let expect = "the store is broken: the database is damaged, restore it from a copy";
    assert_eq!(error.to_string(), expect);
    assert!(std::error::Error::source(&error).is_some());
    let error = store.commit(rows([row(1, 1, 1)]).into()).await.unwrap_err();
    assert!(matches!(error, CommitError::Store(it) if it.to_string() == expect));
    assert_eq!(
        store.renew(OTHER, std::time::Duration::ZERO).await.unwrap_err().to_string(),
        expect
    );
}

#[tokio::test]
async fn bad_events_break_their_group_alone() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).unwrap();
    store.commit(rows([row(1, 1, 1), row(2, 1, 1)]).into()).await.unwrap();
    store.commit(rows([row(1, 2, 1), row(2, 2, 1)]).into()).await.unwrap();
    let spoil = "UPDATE journal SET events = x'5b7b' WHERE group_id = 1 AND first = 2";
    Connection::open(&path).unwrap().execute_batch(spoil).unwrap();
    let error = store.load(group(1), Seq(1)).await.unwrap_err();
    let expect = "the store is broken: the events of job group 1 from 2 on: EOF";
    assert!(error.to_string().starts_with(expect), "{error}");
    assert_eq!(store.load(group(2), Seq(1)).await.unwrap().len(), 2);
    store.commit(rows([row(2, 3, 1)]).into()).await.unwrap();
}

/// What lies on the disk when the power goes: the database, and any prefix of its log.
#[tokio::test]
async fn every_prefix_of_the_log_holds_whole_commits() {
    const COMMITS: u64 = 12;
    let (folder, path) = folder();
    drop(SqliteStore::open(&path).unwrap());
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..COMMITS {
        let pair = rows([row(1, n + 1, 1), row(2, n + 1, 1)]);
        let change = Change::update(document(1, 9_000), Revision(n));
        store.commit(Commit { catalog: vec![change], ..pair }.into()).await.unwrap();
    }
    let database = fs::read(&path).unwrap();
    let log = fs::read(folder.path().join("store.db-wal")).unwrap();
    drop(store);

    let mut seen = 0;
    for cut in (0..=log.len()).step_by(5_003).chain([log.len()]) {
        let torn = tempfile::tempdir().unwrap();
        let path = torn.path().join("store.db");
        fs::write(&path, &database).unwrap();
        fs::write(torn.path().join("store.db-wal"), &log[..cut]).unwrap();
        let store = SqliteOptions::new().written().open(&path).unwrap();
        let there = store.load(group(1), Seq(1)).await.unwrap().len();
        assert_eq!(store.load(group(2), Seq(1)).await.unwrap().len(), there);
        let key = Key { kind: Kind::Environment, id: 1 };
        let revision = store.find(key).await.unwrap().map_or(0, |it| it.revision.0);
        assert_eq!(revision, there as u64);
        assert!(there as u64 >= seen, "a longer log holds no less");
        seen = there as u64;
        store.commit(rows([row(1, seen + 1, 1)]).into()).await.unwrap();
    }
    assert_eq!(seen, COMMITS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_store_writes_what_was_called() {
    let (_folder, path) = folder();
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let mut calls: Vec<_> = (1..=20)
        .map(|n| {
            let store = Arc::clone(&store);
            Box::pin(async move { store.commit(rows([row(n, 1, 1)]).into()).await })
        })
        .collect();
    // Each call is handed over, then its caller goes away.
    for call in &mut calls {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    drop(calls);
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    for n in 1..=20 {
        assert_eq!(store.load(group(n), Seq(1)).await.unwrap().len(), 1);
    }
}

/// How many pages the file has, and how many of them are free.
fn pages(path: &Path) -> (i64, i64) {
    let connection = Connection::open(path).unwrap();
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    (number("PRAGMA page_count"), number("PRAGMA freelist_count"))
}

#[tokio::test]
async fn what_is_removed_makes_room_for_what_comes() {
    let (_folder, path) = folder();
    let store = SqliteOptions::new().written().open(&path).unwrap();
    let mut sizes = Vec::new();
    for cycle in 0..12 {
        // Twenty runs of ten groups come, each group with a row of some kilobytes.
        for run in 1 + cycle * 20..=cycle * 20 + 20 {
            let journal = (run * 10..run * 10 + 10).map(|id| ended(id, run)).collect();
            store.commit(Commit { journal, ..Commit::default() }.into()).await.unwrap();
        }
        // Those of the cycle before go.
        let runs: Vec<_> = (1..=20).map(|at| (cycle - 1) * 20 + at).collect();
        let runs: Vec<_> = runs.into_iter().filter_map(|id| RunId::new(id).ok()).collect();
        let mut groups = 0;
        loop {
            let pruned = store.prune(&runs, 64).await.unwrap();
            groups += pruned.groups;
            if !pruned.more {
                break;
            }
        }
        assert_eq!(groups, if cycle == 0 { 0 } else { 200 });
        sizes.push(pages(&path).0);
    }
    // Two cycles are there at the most: the file grows to that, and no further.
    let (steady, last) = (sizes[2], sizes[11]);
    assert!(last <= steady + steady / 20, "{sizes:?}");
    let kept: Vec<_> = store.list(Query::all(Kind::Group)).await.unwrap();
    assert_eq!(kept.len(), 200);
}

/// The only row of a group that has ended.
fn ended(id: i64, run: i64) -> Append {
    let failure = Failure::permanent("long", "x".repeat(4_000));
    let (outcome, verdict) = (Outcome::Failed(failure.into()), Verdict::Failed);
    let next = Next::End { verdict, cause: Cause::Attempt };
    let event = Event::AttemptEnded { job: JobIndex(0), attempt: 1, outcome, next };
    let (first, epoch) = (Seq(1), Epoch(1));
    let record = Record { group: group(id), first, epoch, at: AT, events: [event].into() };
    let summary = GroupSummary {
        id: group(id),
        run: RunId::new(run).unwrap(),
        deployment: DeploymentId::new(1).unwrap(),
        release: ReleaseId::new(1).unwrap(),
        status: Status::Failed,
        jobs: 1,
        created_at: AT,
        updated_at: AT,
    };
    Append { owner: NODE, record, summary: Some(summary) }
}
