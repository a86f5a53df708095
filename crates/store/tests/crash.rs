//! A process that commits is killed at any moment: what it was told is durable is there, and of
//! every commit there is all or nothing.
//!
//! The test runs itself as the process to be killed, so it has a `main` of its own.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jobwright_core::{
    Append, Change, Commit, Digest, Document, EnvironmentId, EnvironmentParameter, Epoch, Event,
    GroupId, JobIndex, Key, Kind, NodeId, ParameterName, Record, Revision, Seq, Store, Timestamp,
};
use jobwright_store::SqliteStore;
use tokio::task::JoinSet;

const CALLERS: i64 = 4;
const ROUNDS: u64 = 10;
const CHILD: &str = "commit-until-killed";

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match &arguments[..] {
        [_, word, path] if word == CHILD => runtime.block_on(commit_until_killed(path.as_ref())),
        _ => runtime.block_on(kill_and_look()),
    }
}

/// Kills ten processes one after another, each of which goes on where the one before ended.
async fn kill_and_look() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut told = [0; CALLERS as usize];
    let mut last_id = 0;
    for round in 0..ROUNDS {
        // From none to two hundred answers, without a pattern: the moment itself is random.
        let patience = (round * round * 37 + round * 11) % 200;
        for line in run_until_killed(&path, patience) {
            let (caller, numbers) = line.split_once(' ').unwrap();
            let (number, id) = numbers.split_once(' ').unwrap();
            let caller: usize = caller.parse().unwrap();
            told[caller] = number.parse().unwrap();
            last_id = last_id.max(id.parse().unwrap());
        }
        let store = SqliteStore::open(&path).unwrap();
        for caller in 0..CALLERS {
            let there = count(&store, caller).await;
            let told = told[usize::try_from(caller).unwrap()];
            // One more than was told may be there: the answer died with the process.
            assert!((told..=told + 1).contains(&there), "{told} were told, {there} are there");
        }
        let next = store.allocate(Kind::Job, 1).await.unwrap();
        assert!(next > last_id, "id {next} was given before");
        last_id = next;
    }
    let total: u64 = told.iter().sum();
    assert!(total > ROUNDS, "the processes came to commit: {told:?}");
}

fn run_until_killed(path: &Path, patience: u64) -> Vec<String> {
    let this: PathBuf = std::env::current_exe().unwrap();
    let mut child: Child =
        Command::new(this).arg(CHILD).arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told: Vec<String> =
        lines.by_ref().take(usize::try_from(patience).unwrap()).map(Result::unwrap).collect();
    child.kill().unwrap();
    // What was written before the kill is in the pipe; only the last line can be torn.
    told.extend(lines.map_while(Result::ok).filter(|line| line.ends_with('.')));
    child.wait().unwrap();
    told.iter().map(|line| line.trim_end_matches('.').to_owned()).collect()
}

async fn commit_until_killed(path: &Path) {
    let store = Arc::new(SqliteStore::open(path).unwrap());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            for number in count(&store, caller).await + 1.. {
                let id = store.allocate(Kind::Job, 3).await.unwrap() + 2;
                store.commit(commit(caller, number).into()).await.unwrap();
                let mut out = std::io::stdout();
                writeln!(out, "{caller} {number} {id}.").unwrap();
                out.flush().unwrap();
            }
        });
    }
    callers.join_next().await.unwrap().unwrap();
}

fn groups(caller: i64) -> [GroupId; 2] {
    [2 * caller + 1, 2 * caller + 2].map(|id| GroupId::new(id).unwrap())
}

fn document(caller: i64, number: u64) -> Document {
    Document::Environment(EnvironmentParameter {
        id: EnvironmentId::new(caller + 1).unwrap(),
        name: ParameterName::new(&format!("env.{caller}")).unwrap(),
        value: number.into(),
    })
}

fn content(caller: i64, number: u64) -> Arc<[u8]> {
    format!("{caller} {number}").repeat(300).into_bytes().into()
}

/// The commit with a number: a row in both groups, the document's revision, a content.
fn commit(caller: i64, number: u64) -> Commit {
    let beat = |n| Event::Beat { job: JobIndex(n), attempt: 1, beat_by: Timestamp::NEVER };
    let row = |group| Append {
        owner: NodeId(uuid::Uuid::from_u128(1)),
        record: Record {
            group,
            first: Seq((number - 1) * 20 + 1),
            epoch: Epoch(1),
            at: Timestamp::from_millis(0),
            events: (0..20).map(beat).collect(),
        },
        summary: None,
    };
    Commit {
        journal: groups(caller).map(row).to_vec(),
        catalog: vec![Change::update(document(caller, number), Revision(number - 1))],
        contents: vec![content(caller, number)],
    }
}

/// How many commits of a caller are there, each of them whole.
async fn count(store: &SqliteStore, caller: i64) -> u64 {
    let key = Key { kind: Kind::Environment, id: caller + 1 };
    let stored = store.find(key).await.unwrap();
    let number = stored.as_ref().map_or(0, |it| it.revision.0);
    for group in groups(caller) {
        let records = store.load(group, Seq(1)).await.unwrap();
        assert_eq!(records.len() as u64, number, "rows of {group:?}");
        assert_eq!(records.last().map_or(1, |it| it.next().0), number * 20 + 1);
    }
    if let Some(stored) = stored {
        assert_eq!(stored.document, document(caller, number));
        let digest = Digest::of(&content(caller, number));
        assert!(store.content(digest).await.unwrap().is_some(), "content {number}");
    }
    let next = Digest::of(&content(caller, number + 1));
    assert_eq!(store.content(next).await.unwrap(), None, "content {number} + 1");
    number
}
