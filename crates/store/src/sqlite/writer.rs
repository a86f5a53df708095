//! The one thread that writes. It takes all calls that wait into one transaction, makes it durable,
//! and only then answers them: the commit in progress is the window in which the next one gathers.
//!
//! ```text
//! callers → bounded queue → [drain → BEGIN → each call → COMMIT → answer each] → callers
//! ```
//!
//! It alone changes the database, so what it remembers of it is true; after a failed transaction it
//! forgets all of that.

use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use jobwright_core::{Commit, Kind, Lease, NodeId, Pruned, Refusal, RunId, StoreError};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault::{Fault, Health};
use super::ids::Ids;
use super::journal::Journals;
use super::open::FileLock;
use super::{documents, leases, prune};

/// How many calls may wait. Callers beyond that wait in order for a place.
const QUEUE: usize = 256;

/// How many rows one transaction gathers before it is made durable.
const BATCH_ROWS: usize = 16 * 1024;

/// A call, and whom to answer.
pub(super) enum Call {
    Allocate { kind: Kind, count: u32, reply: Reply<i64> },
    Commit { commit: Arc<Commit>, span: tracing::Span, reply: Reply<Result<(), Vec<Refusal>>> },
    Claim { owner: NodeId, limit: u32, reply: Reply<Vec<Lease>> },
    Release { owner: NodeId, reply: Reply<()> },
    Prune { runs: Vec<RunId>, limit: u32, reply: Reply<Pruned> },
    Close { reply: Reply<()> },
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What a call brought, until it may be said.
enum Outcome {
    Allocated(i64),
    Committed(Result<(), Vec<Refusal>>),
    Claimed(Vec<Lease>),
    Pruned(Pruned),
    Done,
}

/// The callers' end of the queue.
#[derive(Debug)]
pub(super) struct Writer {
    calls: mpsc::Sender<Call>,
    thread: Option<JoinHandle<()>>,
    health: Arc<Health>,
}

impl Writer {
    /// Starts the thread. It owns the lock, so that the file is free only when all is written.
    pub(super) fn start(
        connection: Connection,
        lock: FileLock,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let (calls, queue) = mpsc::channel(QUEUE);
        let writing = Writing {
            connection,
            ids: Ids::default(),
            journals: Journals::default(),
            health: Arc::clone(&health),
            lock,
        };
        let thread = thread::Builder::new().name("jobwright-writer".to_owned());
        let thread = thread.spawn(move || writing.run(queue))?;
        Ok(Self { calls, thread: Some(thread), health })
    }

    /// Hands a call over and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        call: impl FnOnce(Reply<T>) -> Call,
    ) -> Result<T, StoreError> {
        self.health.check()?;
        let (reply, answer) = oneshot::channel();
        self.calls.send(call(reply)).await.map_err(|_| self.health.silence())?;
        answer.await.map_err(|_| self.health.silence())?
    }
}

impl Drop for Writer {
    /// Waits until the thread has written what was called before.
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        drop(mem::replace(&mut self.calls, closed));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

/// What the thread owns.
struct Writing {
    connection: Connection,
    ids: Ids,
    journals: Journals,
    health: Arc<Health>,
    lock: FileLock,
}

impl Writing {
    fn run(mut self, mut queue: mpsc::Receiver<Call>) {
        let mut batch = Vec::new();
        let mut closing = None;
        while let Some(call) = queue.blocking_recv() {
            let mut rows = 0;
            let mut next = Some(call);
            while let Some(call) = next {
                if let Call::Close { reply } = call {
                    self.health.close();
                    closing = Some(reply);
                    queue.close();
                } else {
                    rows += call.rows();
                    batch.push(call);
                }
                next = if rows < BATCH_ROWS { queue.try_recv().ok() } else { None };
            }
            self.serve(&mut batch);
        }
        self.close(closing);
    }

    /// Answers the calls of a batch. Where they fail together for want of room each is tried alone,
    /// so that a large one does not take the small ones with it.
    fn serve(&mut self, batch: &mut Vec<Call>) {
        match self.transact(batch) {
            Ok(outcomes) => answer(batch.drain(..), outcomes),
            Err(fault) if fault.is_fatal() || batch.len() < 2 => {
                for call in batch.drain(..) {
                    call.fail(self.health.note(&fault));
                }
            }
            Err(_) => {
                for call in batch.drain(..) {
                    let mut alone = vec![call];
                    self.serve(&mut alone);
                }
            }
        }
    }

    fn transact(&mut self, batch: &[Call]) -> Result<Vec<Outcome>, Fault> {
        if let Some(fault) = self.health.fault() {
            return Err(fault.clone());
        }
        let result = self.attempt(batch);
        if result.is_err() {
            self.journals.clear();
            self.ids.clear();
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
        }
        result
    }

    fn attempt(&mut self, batch: &[Call]) -> Result<Vec<Outcome>, Fault> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let outcomes = batch.iter().map(|call| self.perform(call)).collect::<Result<_, _>>()?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(outcomes)
    }

    fn perform(&mut self, call: &Call) -> Result<Outcome, Fault> {
        match call {
            Call::Allocate { kind, count, .. } => {
                self.ids.allocate(&self.connection, *kind, *count).map(Outcome::Allocated)
            }
            Call::Commit { commit, span, .. } => {
                let committed = self.commit(commit)?;
                span.record("bytes", self.journals.written());
                Ok(Outcome::Committed(committed))
            }
            Call::Claim { owner, limit, .. } => {
                let leases = leases::claim(&self.connection, *owner, *limit)?;
                self.journals.forget(leases.iter().map(|lease| lease.group));
                Ok(Outcome::Claimed(leases))
            }
            Call::Release { owner, .. } => {
                leases::release(&self.connection, *owner)?;
                Ok(Outcome::Done)
            }
            Call::Prune { runs, limit, .. } => {
                let (pruned, gone) = prune::prune(&self.connection, runs, *limit)?;
                self.journals.forget(gone);
                Ok(Outcome::Pruned(pruned))
            }
            Call::Close { .. } => Ok(Outcome::Done),
        }
    }

    /// Writes one commit, or finds out why not. Rows are judged before they are written; documents
    /// are judged one after another and written at once, so they are taken back if need be.
    fn commit(&mut self, commit: &Commit) -> Result<Result<(), Vec<Refusal>>, Fault> {
        let connection = &self.connection;
        let mut refusals = Vec::new();
        self.journals.plan(connection, &commit.journal, &mut refusals)?;
        let guarded = !commit.catalog.is_empty();
        if guarded {
            connection.prepare_cached("SAVEPOINT one")?.execute([])?;
            for change in &commit.catalog {
                refusals.extend(documents::change(connection, change)?);
            }
        }
        let refused = !refusals.is_empty();
        if refused && guarded {
            connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        if guarded {
            connection.prepare_cached("RELEASE one")?.execute([])?;
        }
        if refused {
            self.journals.forgo(&commit.journal);
            return Ok(Err(refusals));
        }
        self.journals.append(connection, &commit.journal)?;
        for append in &commit.journal {
            if let Some(summary) = &append.summary {
                documents::summarize(connection, summary)?;
            }
        }
        documents::keep(connection, &commit.contents)?;
        Ok(Ok(()))
    }

    /// Leaves one file behind, without a log, and then frees it.
    fn close(mut self, closing: Option<Reply<()>>) {
        let result = self.settle();
        let Self { connection, health, lock, .. } = self;
        drop(connection);
        drop(lock);
        if let Err(fault) = &result {
            tracing::warn!(%fault, "the store's log could not be emptied, the next start will");
        }
        if let Some(reply) = closing {
            drop(reply.send(result.map_err(|fault| health.note(&fault))));
        }
    }

    fn settle(&mut self) -> Result<(), Fault> {
        if self.health.fault().is_some() {
            return Ok(());
        }
        self.ids.give_back(&self.connection)?;
        self.connection.execute_batch("PRAGMA optimize")?;
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

impl Call {
    /// How many rows the call writes, roughly.
    fn rows(&self) -> usize {
        match self {
            Self::Commit { commit, .. } => {
                1 + commit.journal.len() + commit.catalog.len() + commit.contents.len()
            }
            // A group has a handful of rows.
            Self::Prune { limit, .. } => 8 * *limit as usize,
            Self::Allocate { .. }
            | Self::Claim { .. }
            | Self::Release { .. }
            | Self::Close { .. } => 1,
        }
    }

    /// Answers with an error. A caller that went away does not hear it.
    fn fail(self, error: StoreError) {
        match self {
            Self::Allocate { reply, .. } => drop(reply.send(Err(error))),
            Self::Commit { reply, .. } => drop(reply.send(Err(error))),
            Self::Claim { reply, .. } => drop(reply.send(Err(error))),
            Self::Prune { reply, .. } => drop(reply.send(Err(error))),
            Self::Release { reply, .. } | Self::Close { reply } => drop(reply.send(Err(error))),
        }
    }
}

fn answer(calls: impl Iterator<Item = Call>, outcomes: Vec<Outcome>) {
    for pair in calls.zip(outcomes) {
        match pair {
            (Call::Allocate { reply, .. }, Outcome::Allocated(first)) => say(reply, first),
            (Call::Commit { reply, .. }, Outcome::Committed(result)) => say(reply, result),
            (Call::Claim { reply, .. }, Outcome::Claimed(leases)) => say(reply, leases),
            (Call::Prune { reply, .. }, Outcome::Pruned(pruned)) => say(reply, pruned),
            (Call::Release { reply, .. } | Call::Close { reply }, Outcome::Done) => say(reply, ()),
            (call, _) => {
                call.fail(Fault::fatal("a call brought the outcome of another").to_error());
            }
        }
    }
}

/// Answers; a caller that went away does not hear it.
fn say<T>(reply: Reply<T>, found: T) {
    drop(reply.send(Ok(found)));
}
