//! The floors: the least that each kind of work costs on this machine, without an engine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jobwright::core::{Cause, Event, JobIndex, Next, Outcome, Success, Timestamp, Verdict};
use rusqlite::{Connection, params};
use tokio::process::Command;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

/// The program that does nothing.
pub(crate) const PROGRAM: &str = "/bin/true";

/// How many groups append rows, and the most rows of a transaction.
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

/// The same in a `JoinSet`, of which as many live at a time as there are permits.
pub(crate) async fn spawn_and_join_set(tasks: usize, permits: Option<usize>) -> Result<Duration> {
    let slots = permits.map(|permits| Arc::new(Semaphore::new(permits)));
    let begin = Instant::now();
    let mut spawned = JoinSet::new();
    for _ in 0..tasks {
        let slot = match &slots {
            Some(slots) => Some(Arc::clone(slots).acquire_owned().await?),
            None => None,
        };
        spawned.spawn(async move { drop(slot) });
    }
    while let Some(task) = spawned.join_next().await {
        task?;
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

/// Appends rows of one event each, as if every one of a thousand groups waited for its row before
/// it made the next: a thread commits together what waits. Each commit is synced.
pub(crate) async fn group_commit(file: PathBuf, rows: usize) -> Result<Duration> {
    let (sender, mut waiting) = mpsc::channel::<(i64, i64, oneshot::Sender<()>)>(BATCH);
    let table = Table::create(&file)?;
    let writer = tokio::task::spawn_blocking(move || {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
            table.append(batch.iter().map(|(group, first, _)| (*group, *first)))?;
            for (_, _, waiter) in batch.drain(..) {
                let _ = waiter.send(());
            }
        }
        anyhow::Ok(())
    });
    let begin = Instant::now();
    let mut groups = JoinSet::new();
    for group in 0..i64::try_from(BATCH)? {
        let (sender, rows) = (sender.clone(), i64::try_from(rows / BATCH)?);
        groups.spawn(async move {
            for first in 0..rows {
                let (waiter, written) = oneshot::channel();
                sender.send((group, first, waiter)).await?;
                written.await?;
            }
            anyhow::Ok(())
        });
    }
    drop(sender);
    while let Some(group) = groups.join_next().await {
        group??;
    }
    let taken = begin.elapsed();
    writer.await??;
    Ok(taken)
}

/// Appends rows of one event each in transactions of a thousand, and waits for nobody. Blocks.
pub(crate) fn append(file: &Path, rows: usize) -> Result<Duration> {
    let table = Table::create(file)?;
    let (groups, batches) = (i64::try_from(BATCH)?, i64::try_from(rows / BATCH)?);
    let begin = Instant::now();
    for first in 0..batches {
        table.append((0..groups).map(|group| (group, first)))?;
    }
    Ok(begin.elapsed())
}

/// A plain table with the columns of the store's journal.
struct Table {
    connection: Connection,
    events: Vec<Vec<u8>>,
}

impl Table {
    fn create(file: &Path) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch(
            "CREATE TABLE journal (id INTEGER PRIMARY KEY, group_id INTEGER, first INTEGER,
                                   count INTEGER, epoch INTEGER, at INTEGER, events BLOB) STRICT",
        )?;
        Ok(Self { connection, events: events_of_a_job()? })
    }

    fn append(&self, rows: impl Iterator<Item = (i64, i64)>) -> Result<()> {
        let sql = "INSERT INTO journal (group_id, first, count, epoch, at, events)
                   VALUES (?, ?, 1, 1, ?, ?)";
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = self.connection.prepare_cached(sql)?;
        for ((group, first), event) in rows.zip(self.events.iter().cycle()) {
            insert.execute(params![group, first, NOW.as_millis(), event])?;
        }
        Ok(self.connection.execute_batch("COMMIT")?)
    }
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
