//! What a cluster must answer, and in which words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{Attempt, Failure, GroupId, Handle};
use thiserror::Error;

use super::Key;
use crate::local::capture::Pipe;
use crate::log::ProcessEnd;

/// A cluster on which attempts run, as [`RemoteExecutor`](super::RemoteExecutor) sees it: one
/// method per request. All of them may be called at the same time; each is bounded in time by the
/// executor, which drops the future then. None repeats a request by itself, and none waits for a
/// cluster that is away: that is told as [`Trouble`], and the executor waits for all attempts at
/// once.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// What is handed over: made once per attempt, sent as often as it takes. May hold secrets.
    type Order: Send + Sync;

    /// What people call it, in messages: `Slurm`.
    fn name(&self) -> &'static str;

    /// Tells whether the cluster itself refuses a second submission under the same key.
    fn enforces_keys(&self) -> bool {
        false
    }

    /// How long to rest between two calls of [`Cluster::observe`]; nothing where the call itself
    /// waits for news.
    fn poll(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// Checks an attempt and makes of it what is handed over. Its folder is there, and empty but
    /// for `work/`.
    ///
    /// # Errors
    /// What is wrong with the attempt is permanent.
    async fn prepare(&self, job: &Job) -> Result<Self::Order, Failure>;

    /// Hands an attempt over under its key.
    ///
    /// # Errors
    /// See [`Trouble`]: it matters whether something may have been taken.
    async fn submit(&self, job: &Job, order: &Self::Order) -> Result<Submitted, Trouble>;

    /// Looks attempts up by their keys and marks, all at once: what is not in the answer is not
    /// known to the cluster at a moment after the call. At most one sighting per job.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn find(&self, jobs: &[Job]) -> Result<Vec<Sighting>, Trouble>;

    /// Tells how attempts are that the cluster has taken: in one request for all of them, or as the
    /// next news of a stream; in the second case it returns at least every few seconds, news or
    /// not. Sightings of other attempts do no harm.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn observe(&self, jobs: &[Job]) -> Result<Survey, Trouble> {
        self.find(jobs).await.map(Survey::whole)
    }

    /// Asks an attempt to stop, or kills it. May be called again and again, also for one that has
    /// ended.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn stop(&self, job: &Job, handle: &Handle, how: Force) -> Result<(), Trouble>;

    /// Sees to it that a submission of this attempt which is still on its way starts nothing.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn fence(&self, job: &Job) -> Result<Fence, Trouble> {
        let _ = job;
        Ok(Fence::Open)
    }

    /// Opens what an attempt says, as it says it, from its begin to its end. Asked once, when it is
    /// first seen running or ended; nothing where only [`Cluster::output`] has it.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn stream(&self, job: &Job, handle: &Handle) -> Result<Option<Output>, Trouble> {
        let _ = (job, handle);
        Ok(None)
    }

    /// Fetches what an ended attempt said and left; of what it said nothing is needed where
    /// [`Cluster::stream`] had it. What is not there any more is left out.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn output(&self, job: &Job, handle: &Handle) -> Result<Output, Trouble>;

    /// What an ended attempt said and left is kept elsewhere by now: what the cluster holds of it
    /// may go, but not that it ended, since after a crash it is asked for that once more. Failing
    /// is the cluster's own affair.
    async fn release(&self, job: &Job, handle: &Handle) {
        let _ = (job, handle);
    }

    /// A job group that ended long ago is removed: nothing of it need be kept.
    async fn forget(&self, group: GroupId) {
        let _ = group;
    }

    /// Asks whether the cluster answers, as cheaply as it can.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn ping(&self) -> Result<(), Trouble>;
}

/// An attempt as it is handed over. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Job(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    attempt: Attempt,
    key: Key,
    root: PathBuf,
    folder: PathBuf,
}

impl Job {
    pub(super) fn new(attempt: Attempt, key: Key, root: &Path) -> Self {
        let folder = root.join(attempt.group().to_string()).join(attempt.id().to_string());
        Self(Arc::new(Parts { attempt, key, root: root.to_owned(), folder }))
    }

    /// Returns the attempt.
    #[must_use]
    pub fn attempt(&self) -> &Attempt {
        &self.0.attempt
    }

    /// Returns the name under which it is handed over.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// Returns what tells it from a namesake of another life, such as before the store was
    /// replaced: the session of its run, a random number of 36 characters. It goes with the key,
    /// as a comment or label, and [`Cluster::find`] compares it.
    #[must_use]
    pub fn mark(&self) -> String {
        self.attempt().plan().run.session.to_string()
    }

    /// Returns the attempt's folder, where its log is and its result comes. Its path is made of
    /// ids only.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    pub(super) fn root(&self) -> &Path {
        &self.0.root
    }
}

/// What became of a submission that was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    /// It was taken, under this name.
    Accepted(Handle),
    /// The cluster has one of that key, and takes no second one.
    AlreadyThere,
    /// The cluster will not have it. Permanent where it never will, rejected where it may later.
    Refused(Failure),
}

/// Why a request was not answered as it should be. Words are for people: what and why, without
/// secrets, such as `connection refused`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    /// It cannot be reached: nothing was sent.
    #[error("it cannot be reached: {0}")]
    Unsent(String),
    /// It was sent, and nobody knows what became of it.
    #[error("it does not answer: {0}")]
    Unanswered(String),
    /// It has too much to do, and did nothing.
    #[error("it is busy: {why}")]
    Busy {
        /// Its words.
        why: String,
        /// When it wants to be asked again.
        after: Option<Duration>,
    },
    /// It does not let us in, or is not what was expected: it did nothing, and a person must look.
    #[error("it turns us away: {0}")]
    Denied(String),
}

/// An attempt as the cluster sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// Its key.
    pub key: Key,
    /// The cluster's own name for it.
    pub handle: Handle,
    /// How it is.
    pub state: State,
}

/// How an attempt is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It was taken and has not begun: why, in a few words.
    Waiting(String),
    /// It runs: where, in a few words, or nothing.
    Running(String),
    /// It is over, and stays so.
    Ended(End),
    /// It was there and is no more: deleted, or forgotten.
    Gone,
}

/// How an attempt ended on the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Its work ended by itself.
    Work(ProcessEnd),
    /// It was stopped: by us if we asked, else by somebody else.
    Stopped,
    /// The cluster ended it, or lost it: what that means for the job.
    Cluster(Failure),
}

/// What was seen of attempts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    pub(super) sightings: Vec<Sighting>,
    pub(super) is_whole: bool,
}

impl Survey {
    /// Everything that there is: attempts that are not in it are gone.
    #[must_use]
    pub fn whole(sightings: Vec<Sighting>) -> Self {
        Self { sightings, is_whole: true }
    }

    /// What is new; nothing is known of other attempts.
    #[must_use]
    pub fn news(sightings: Vec<Sighting>) -> Self {
        Self { sightings, is_whole: false }
    }
}

/// How an attempt is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Politely; it will be killed after the grace, by the cluster if it can, else with
    /// [`Force::Kill`].
    Ask {
        /// How long it may take.
        grace: Duration,
    },
    /// At once.
    Kill,
}

/// Whether a submission that was on its way can still start something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// It can not.
    Shut,
    /// It has started already: look again.
    Started,
    /// It may, for a while.
    Open,
}

/// What an ended attempt said and left.
#[derive(Default)]
pub struct Output {
    pub(super) out: Option<Pipe>,
    pub(super) err: Option<Pipe>,
    pub(super) result: Option<Vec<u8>>,
}

impl Output {
    /// Adds what it said on standard output, or all that it said where the cluster keeps one log.
    #[must_use]
    pub fn out(mut self, out: impl tokio::io::AsyncRead + Send + Unpin + 'static) -> Self {
        self.out = Some(Box::new(out));
        self
    }

    /// Adds what it said on standard error.
    #[must_use]
    pub fn err(mut self, err: impl tokio::io::AsyncRead + Send + Unpin + 'static) -> Self {
        self.err = Some(Box::new(err));
        self
    }

    /// Adds its result, one JSON document; not needed where it writes it into its folder.
    #[must_use]
    pub fn result(mut self, result: Vec<u8>) -> Self {
        self.result = Some(result);
        self
    }
}
