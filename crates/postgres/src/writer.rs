//! The one connection that writes. It takes all commits that wait into one transaction, makes it
//! durable, and only then answers them: the commit in progress is the window in which the next one
//! gathers.
//!
//! ```text
//! callers → bounded queue → [BEGIN, mark, each commit's rows] → counts → [COMMIT] → callers
//!                                                                          │ no answer
//!                                             is the mark there? ◀─────────┘
//! ```
//!
//! COMMIT is sent after every other answer has come. So a connection that is lost before has
//! committed nothing, now or later; and one that is lost after holds the lock on its mark until
//! the database has decided: whoever reads the mark under a lock reads the decision.

use std::mem;
use std::sync::Arc;

use futures_util::future::join;
use jobwright_core::{Commit, GroupId, Lease, NodeId, Pruned, Refusal, RunId, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use uuid::Uuid;

use crate::claim;
use crate::fault::{Fault, FaultKind};
use crate::link::{Link, TRIES, pauses};
use crate::prune;
use crate::queries::column;
use crate::session::Session;
use crate::silence::Silence;
use crate::write::{Care, Written, write};

/// How many calls may wait. Callers beyond that wait in order for a place.
pub(crate) const QUEUE: usize = 256;

/// How many rows one transaction gathers before it is made durable.
const BATCH_ROWS: usize = 16 * 1024;

/// A call, and whom to answer.
pub(crate) enum Call {
    Commit { commit: Arc<Commit>, reply: Reply<Result<(), Vec<Refusal>>> },
    Claim { owner: NodeId, limit: u32, reply: Reply<Vec<Lease>> },
    Release { owner: NodeId, reply: Reply<()> },
    GiveUp { owner: NodeId, groups: Vec<GroupId>, reply: Reply<()> },
    Prune { runs: Vec<RunId>, limit: u32, reply: Reply<Pruned> },
    Close { reply: Reply<()> },
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A commit, and whom to answer.
type Waiting = (Arc<Commit>, Reply<Result<(), Vec<Refusal>>>);

/// What one transaction does.
enum Work<'a> {
    Write(&'a [Arc<Commit>], Care),
    Claim(NodeId, u32),
    Release(NodeId),
    GiveUp(NodeId, &'a [GroupId]),
    Prune(&'a [RunId], u32),
}

/// What a transaction brought, if it is durable.
enum Outcome {
    Written(Written),
    Claimed(Vec<Lease>),
    Pruned(Pruned),
    Done,
}

impl Outcome {
    /// Tells whether the transaction is to be made durable.
    fn is_kept(&self) -> bool {
        match self {
            Self::Written(written) => matches!(written, Written::Whole),
            Self::Claimed(_) | Self::Pruned(_) | Self::Done => true,
        }
    }
}

/// What the task owns.
pub(crate) struct Writing {
    link: Link,
    /// Names this store's mark.
    id: Uuid,
    /// The number of the last transaction.
    seq: i64,
    silence: Arc<Silence>,
    /// Tells other nodes that something changed.
    tell: Box<dyn Fn() + Send + Sync>,
}

impl Writing {
    pub(crate) fn new(
        link: Link,
        id: Uuid,
        silence: Arc<Silence>,
        tell: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { link, id, seq: 0, silence, tell: Box::new(tell) }
    }

    /// Serves calls until the store is closed or dropped.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Call>) {
        let mut batch: Vec<Waiting> = Vec::new();
        let mut next = None;
        loop {
            let call = match next.take() {
                Some(call) => call,
                None => match queue.recv().await {
                    Some(call) => call,
                    None => return,
                },
            };
            match call {
                Call::Commit { commit, reply } => {
                    let mut rows = weight(&commit);
                    batch.push((commit, reply));
                    while rows < BATCH_ROWS {
                        match queue.try_recv() {
                            Ok(Call::Commit { commit, reply }) => {
                                rows += weight(&commit);
                                batch.push((commit, reply));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.serve(mem::take(&mut batch)).await;
                }
                Call::Claim { owner, limit, reply } => {
                    let leases = match self.settle(&Work::Claim(owner, limit)).await {
                        Ok(Outcome::Claimed(leases)) => Ok(leases),
                        Ok(_) => Ok(Vec::new()),
                        Err(fault) => Err(fault.to_error()),
                    };
                    drop(reply.send(leases));
                }
                Call::Release { owner, reply } => {
                    let done = self.settle(&Work::Release(owner)).await;
                    (self.tell)();
                    drop(reply.send(done.map(drop).map_err(|fault| fault.to_error())));
                }
                Call::GiveUp { owner, groups, reply } => {
                    let done = self.settle(&Work::GiveUp(owner, &groups)).await;
                    (self.tell)();
                    drop(reply.send(done.map(drop).map_err(|fault| fault.to_error())));
                }
                Call::Prune { runs, limit, reply } => {
                    let pruned = match self.settle(&Work::Prune(&runs, limit)).await {
                        Ok(Outcome::Pruned(pruned)) => Ok(pruned),
                        Ok(_) => Ok(Pruned::default()),
                        Err(fault) => Err(fault.to_error()),
                    };
                    drop(reply.send(pruned));
                }
                Call::Close { reply } => {
                    let forget = "DELETE FROM writers WHERE id = $1";
                    let done = self.link.query(forget, &[&self.id]).await;
                    drop(reply.send(done.map(drop).map_err(|fault| fault.to_error())));
                    return;
                }
            }
        }
    }

    /// Answers the commits of a batch. Where not all of it can be made each is tried alone, so that
    /// a bad one does not take the others with it.
    async fn serve(&mut self, batch: Vec<Waiting>) {
        let (commits, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let alone = commits.len() == 1;
        let whole = self.settle(&Work::Write(&commits, Care::Swift)).await;
        match whole {
            Ok(Outcome::Written(Written::Whole)) => {
                if commits.iter().any(|commit| matters(commit)) {
                    (self.tell)();
                }
                for reply in replies {
                    drop(reply.send(Ok(Ok(()))));
                }
            }
            Err(fault) if alone || fault.kind() == FaultKind::Lost => {
                for reply in replies {
                    drop(reply.send(Err(fault.to_error())));
                }
            }
            Ok(_) | Err(_) => {
                for (commit, reply) in commits.into_iter().zip(replies) {
                    let answer = self.serve_one(commit).await;
                    drop(reply.send(answer.map_err(|fault| fault.to_error())));
                }
            }
        }
    }

    async fn serve_one(&mut self, commit: Arc<Commit>) -> Result<Result<(), Vec<Refusal>>, Fault> {
        for _ in 0..TRIES {
            let work = Work::Write(std::slice::from_ref(&commit), Care::Precise);
            match self.settle(&work).await? {
                Outcome::Written(Written::Refused(refusals)) => return Ok(Err(refusals)),
                Outcome::Written(Written::Doubtful) => {}
                Outcome::Written(Written::Whole)
                | Outcome::Claimed(_)
                | Outcome::Pruned(_)
                | Outcome::Done => {
                    if matters(&commit) {
                        (self.tell)();
                    }
                    return Ok(Ok(()));
                }
            }
        }
        Err(Fault::raced("other nodes change the same again and again"))
    }

    /// Runs a transaction, again where nothing of it happened for a passing reason.
    async fn settle(&mut self, work: &Work<'_>) -> Result<Outcome, Fault> {
        let mut pauses = pauses().take(TRIES);
        loop {
            let fault = match self.transact(work).await {
                Ok(outcome) => return Ok(outcome),
                Err(fault) => fault,
            };
            let passing = matches!(fault.kind(), FaultKind::Lost | FaultKind::Raced);
            match pauses.next() {
                Some(pause) if passing => {
                    tracing::debug!(%fault, "a transaction is tried again");
                    sleep(pause).await;
                }
                _ => return Err(fault),
            }
        }
    }

    /// Runs one transaction. An error means that nothing of it is durable, nor ever will be.
    async fn transact(&mut self, work: &Work<'_>) -> Result<Outcome, Fault> {
        let session = self.link.session().await?;
        // Numbers grow also over transactions that came to nothing, so that none is taken for
        // another.
        self.seq += 1;
        let attempt = attempt(&session, &self.silence, self.mark(), work);
        let outcome = self.link.patiently(&session, attempt).await;
        match outcome {
            Ok(outcome) if outcome.is_kept() => {
                self.finish(&session).await?;
                Ok(outcome)
            }
            undone => {
                let lost = matches!(&undone, Err(fault) if fault.kind() == FaultKind::Lost);
                if !lost && self.link.patiently(&session, session.run("ROLLBACK")).await.is_err() {
                    session.kill();
                }
                undone
            }
        }
    }

    fn mark(&self) -> (Uuid, i64) {
        (self.id, self.seq)
    }

    /// Makes the open transaction durable.
    async fn finish(&mut self, session: &Session) -> Result<(), Fault> {
        let ended = self.link.patiently(session, session.run("COMMIT")).await;
        let Err(fault) = ended else { return Ok(()) };
        if fault.is_certain() {
            return Err(fault);
        }
        session.kill();
        tracing::warn!(%fault, "the answer to a commit was lost, the database is asked for it");
        if self.is_durable().await? { Ok(()) } else { Err(fault) }
    }

    /// Finds out whether the last transaction is durable, for as long as it takes: nobody may be
    /// told before. The lock is not had before the old connection's transaction is over.
    async fn is_durable(&self) -> Result<bool, Fault> {
        let sql = "SELECT seq FROM writers WHERE id = $1 FOR UPDATE";
        let mut pauses = pauses();
        loop {
            match self.link.query(sql, &[&self.id]).await {
                Ok(rows) => {
                    let row = rows.first().ok_or_else(|| {
                        let reason =
                            "the store's mark is gone: nobody knows what became of a commit";
                        Fault::broken(reason.to_owned())
                    })?;
                    return Ok(column::<i64>(row, 0)? == self.seq);
                }
                Err(fault) if fault.kind() == FaultKind::Broken => return Err(fault),
                Err(fault) => {
                    tracing::warn!(%fault, "a commit waits to learn whether it happened");
                    if let Some(pause) = pauses.next() {
                        sleep(pause).await;
                    }
                }
            }
        }
    }
}

const MARK: &str = "INSERT INTO writers (id, seq, at) VALUES ($1, $2, now())
    ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, at = excluded.at";

/// Opens a transaction, marks it, and does the work in it, all sent at once.
async fn attempt(
    session: &Session,
    silence: &Silence,
    (id, seq): (Uuid, i64),
    work: &Work<'_>,
) -> Result<Outcome, Fault> {
    session.prepare(MARK).await?;
    let opening = silence.begin();
    let begin = async {
        let (began, marked) =
            join(session.run(&opening), session.execute(MARK, &[&id, &seq])).await;
        began.and(marked)
    };
    let perform = async {
        match work {
            Work::Write(commits, care) => {
                write(session, commits, *care).await.map(Outcome::Written)
            }
            Work::Claim(owner, limit) => {
                claim::claim(session, *owner, *limit).await.map(Outcome::Claimed)
            }
            Work::Release(owner) => claim::release(session, *owner).await.map(|()| Outcome::Done),
            Work::GiveUp(owner, groups) => {
                claim::give_up(session, *owner, groups).await.map(|()| Outcome::Done)
            }
            Work::Prune(runs, limit) => {
                prune::prune(session, runs, *limit).await.map(Outcome::Pruned)
            }
        }
    };
    let (began, performed) = join(begin, perform).await;
    began.and(performed)
}

/// Registers the store, and forgets those that have not written for a month.
pub(crate) async fn register(session: &Session, id: Uuid) -> Result<(), tokio_postgres::Error> {
    let client = session.client();
    client.execute("DELETE FROM writers WHERE at < now() - interval '30 days'", &[]).await?;
    client.execute(MARK, &[&id, &0_i64]).await?;
    Ok(())
}

/// How many rows a commit writes, roughly.
fn weight(commit: &Commit) -> usize {
    1 + commit.journal.len() + commit.catalog.len() + commit.contents.len()
}

/// Tells whether a commit is worth a hint to others: documents changed, or a group ended.
fn matters(commit: &Commit) -> bool {
    let ended = commit.journal.iter().filter_map(|append| append.summary.as_ref());
    !commit.catalog.is_empty() || ended.into_iter().any(|summary| summary.status.is_terminal())
}
