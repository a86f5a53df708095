//! Prints how many events per second the SQLite store takes, beside the floor: the same columns
//! appended to a bare table, in as many transactions, without the store.
//!
//! `cargo run --release -p jobwright-store --example append_rate [FOLDER]`

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use jobwright_core::{
    Append, Cause, Commit, DeploymentId, Epoch, Event, Events, GroupId, GroupSummary, JobIndex,
    Next, NodeId, Outcome, Record, ReleaseId, RunId, Seq, Status, Store, Success, Timestamp,
    Verdict,
};
use jobwright_store::SqliteOptions;
use rusqlite::{Connection, params};

const GROUPS: i64 = 1_000;
const COMMITS: u64 = 100;
const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What one job makes: it is ready, handed over, taken, and ends.
fn events(n: u64) -> Result<Events> {
    let (job, attempt) = (JobIndex(u32::try_from(n)?), 1);
    let next = Next::End { verdict: Verdict::Succeeded, cause: Cause::Attempt };
    let outcome = Outcome::Succeeded(Success::empty());
    Ok(Events::from([
        Event::Ready { job, queue_by: NOW, total_by: NOW },
        Event::Requested { job, attempt, end_by: NOW, beat_by: None },
        Event::Started { job, attempt, handle: None },
        Event::AttemptEnded { job, attempt, outcome, next },
    ]))
}

fn commit(round: u64) -> Result<Commit> {
    let status = match round % 10 {
        0 => Some(Status::Created),
        1 => Some(Status::InProgress),
        9 => Some(Status::Complete),
        _ => None,
    };
    let (lap, step) = (i64::try_from(round / 10)?, round % 10);
    let journal = (1..=GROUPS).map(|n| {
        let group = GroupId::new(lap * GROUPS + n)?;
        let summary = |status| {
            Ok::<_, Box<dyn Error>>(GroupSummary {
                id: group,
                run: RunId::new(group.get())?,
                deployment: DeploymentId::new(1)?,
                release: ReleaseId::new(1)?,
                status,
                jobs: 10,
                created_at: NOW,
                updated_at: NOW,
            })
        };
        let (first, epoch) = (Seq(step * 4 + 1), Epoch(1));
        let record = Record { group, first, epoch, at: NOW, events: events(step)? };
        let owner = NodeId(uuid::Uuid::from_u128(1));
        Ok(Append { owner, record, summary: status.map(summary).transpose()? })
    });
    Ok(Commit { journal: journal.collect::<Result<_>>()?, ..Commit::default() })
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

async fn store(path: &Path, options: SqliteOptions) -> Result<Duration> {
    let store = options.open(path)?;
    let commits = (0..COMMITS).map(commit).collect::<Result<Vec<_>>>()?;
    let begin = now();
    for commit in commits {
        store.commit(commit.into()).await?;
    }
    let took = begin.elapsed();
    store.close().await?;
    Ok(took)
}

fn floor(path: &Path) -> Result<Duration> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "CREATE TABLE journal (id INTEGER PRIMARY KEY, group_id INTEGER, first INTEGER,
                               count INTEGER, epoch INTEGER, at INTEGER, events BLOB) STRICT",
    )?;
    let bytes = serde_json::to_vec(&*events(3)?)?;
    let sql = "INSERT INTO journal (group_id, first, count, epoch, at, events)
               VALUES (?, ?, 4, 1, ?, ?)";
    let begin = now();
    for round in 0..COMMITS {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = connection.prepare_cached(sql)?;
        for group in 1..=GROUPS {
            insert.execute(params![group, i64::try_from(round)?, NOW.as_millis(), bytes])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(begin.elapsed())
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "it reports")]
async fn main() -> Result<()> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let rows = GROUPS.unsigned_abs() * COMMITS;
    let show = |name: &str, took: Duration| {
        let rate = u128::from(rows) * 1_000_000 / took.as_micros().max(1);
        println!("{name:>12}: {rate:>8} rows/s {:>9} events/s", rate * 4);
    };
    for round in 1..=3 {
        let file = |name| folder.path().join(format!("{name}{round}"));
        show("floor", floor(&file("floor"))?);
        show("synced", store(&file("synced"), SqliteOptions::new()).await?);
        show("written", store(&file("written"), SqliteOptions::new().written()).await?);
    }
    Ok(())
}
