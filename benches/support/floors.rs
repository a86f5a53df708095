//! The floors: the least that each kind of work costs on this machine, without an engine.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jobwright::core::{Cause, Event, JobIndex, Next, Outcome, Success, Timestamp, Verdict};
use rusqlite::{Connection, params};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The program that does nothing.
pub(crate) const PROGRAM: &str = "/bin/true";

/// How many rows a transaction of the bare append has.
const BATCH: usize = 1_000;

/// Spawns and joins empty tasks.
pub(crate) async fn spawn_and_join(tasks: usize) -> Result<Duration> {
    let begin = Instant::now();
    let spawned: Vec<_> = (0..tasks).map(|_| tokio::spawn(async {})).collect();
    for task in spawned {
        task.await?;
    }
    Ok(begin.elapsed())
}

/// Runs processes with tokio's `Command` and nothing else, so many at a time.
pub(crate) async fn processes(count: usize, at_a_time: usize) -> Result<Duration> {
    let slots = Arc::new(Semaphore::new(at_a_time));
    let begin = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..count {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        running.spawn(async move {
            let mut command = Command::new(PROGRAM);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let status = command.status().await;
            drop(slot);
            status
        });
    }
    while let Some(status) = running.join_next().await {
        let status = status??;
        ensure!(status.success(), "{PROGRAM} ended with {status}");
    }
    Ok(begin.elapsed())
}

/// Appends rows of one event each to a plain table with the columns of the store's journal, in
/// transactions of a thousand, each of them synced. Blocks.
pub(crate) fn append(file: &Path, rows: usize) -> Result<Duration> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "CREATE TABLE journal (id INTEGER PRIMARY KEY, group_id INTEGER, first INTEGER,
                               count INTEGER, epoch INTEGER, at INTEGER, events BLOB) STRICT",
    )?;
    let sql = "INSERT INTO journal (group_id, first, count, epoch, at, events)
               VALUES (?, ?, 1, 1, ?, ?)";
    let events = events_of_a_job()?;
    let begin = Instant::now();
    for batch in 0..rows.div_ceil(BATCH) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = connection.prepare_cached(sql)?;
        for row in batch * BATCH..rows.min((batch + 1) * BATCH) {
            let (group, first) = (i64::try_from(row % BATCH)?, i64::try_from(batch)?);
            let event = &events[row % events.len()];
            insert.execute(params![group, first, NOW.as_millis(), event])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(begin.elapsed())
}

const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

/// What the store writes of a job that succeeds at once, event by event.
fn events_of_a_job() -> Result<Vec<Vec<u8>>> {
    let (job, attempt) = (JobIndex(9), 1);
    let next = Next::End { verdict: Verdict::Succeeded, cause: Cause::Attempt };
    let outcome = Outcome::Succeeded(Success::empty());
    let events = [
        Event::Ready { job, queue_by: NOW, total_by: NOW },
        Event::Requested { job, attempt, end_by: NOW, beat_by: None },
        Event::AttemptEnded { job, attempt, outcome, next },
    ];
    Ok(events.iter().map(|event| serde_json::to_vec(&[event])).collect::<Result<_, _>>()?)
}
