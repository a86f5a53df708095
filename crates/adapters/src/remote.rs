//! Clusters that run attempts, one idea written once: [`RemoteExecutor`] makes an
//! [`Executor`] of anything that answers the questions of a [`Cluster`].
//!
//! What it sees to, for every cluster:
//!
//! - **Handing over twice is the same as once.** An attempt has a name that is a pure function of
//!   its id ([`Key`]). A submission that is not answered is neither repeated nor failed before it
//!   was looked up; where the cluster does not know it, [`Cluster::fence`] or a pause sees to it
//!   that it does not come late.
//! - **One request for all.** One task looks at all live attempts ([`Cluster::observe`]), and
//!   answers all lookups that come together ([`Cluster::find`]).
//! - **A cluster that is away costs nothing.** After three requests without an answer, or one that
//!   was turned away, nothing is asked but [`Cluster::ping`]; attempts wait, and say why as their
//!   progress. Submissions are bounded in number and rate.
//! - **Nothing goes on unseen.** A stop reaches the cluster, with its grace, also when it comes
//!   between submission and answer. An attempt whose future is dropped is killed, however long
//!   the cluster is away; unless its engine gave it up to another one.
//! - **After a crash** [`Executor::reattach`] finds the attempt by its name, and follows it, tells
//!   its end, or says that there never was one.
//! - **What it said and left** comes into the folder and the log that local processes have
//!   ([`log`](crate::log)), bounded, with secrets masked.
//!
//! What it must never do: start work in `reattach`, take silence for a failure, or ask about
//! attempts one by one.

mod board;
mod circuit;
mod cluster;
mod conclude;
mod follow;
mod gate;
mod hand_over;
mod key;
mod listen;
mod lookups;
mod resources;
mod seat;
mod tend;
#[cfg(test)]
mod tests;
mod work;

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    Attempt, Executor, ExecutorTraits, Failure, FailureClass, GroupId, Outcome, Reattached, Success,
};
use tokio::time::{sleep, timeout};

pub use crate::clock::instant;
pub use crate::local::folder::Places;
pub use cluster::Cluster;
pub use cluster::End;
pub use cluster::Fence;
pub use cluster::Force;
pub use cluster::Job;
pub use cluster::Output;
pub use cluster::Sighting;
pub use cluster::State;
pub use cluster::Submitted;
pub use cluster::Survey;
pub use cluster::Trouble;
pub use key::Key;
pub use key::Prefix;
pub use key::PrefixError;
pub use resources::Resources;
pub use work::Variable;
pub use work::Work;

use crate::local::folder::Folder;
use crate::local::start::io_failure;

use board::Board;
use circuit::Circuit;
use gate::Gate;
use lookups::Lookups;
use seat::Seat;
use tend::Orphans;

/// How an executor treats its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The begin of all names on the cluster. Default `jobwright`.
    pub prefix: Prefix,
    /// How many attempts it has at a time. Default 1000.
    pub slots: u32,
    /// How many submissions are under way at a time. Default 8.
    pub submissions: u32,
    /// How many submissions begin in a second; no bound where absent, as by default.
    pub submissions_per_second: Option<u32>,
    /// How long a request may take. Default 30 s.
    pub call_time: Duration,
    /// How long a submission that was not answered may still be on its way, where the cluster has
    /// no fence. Default 15 s.
    pub settle: Duration,
    /// The most bytes that are kept of each stream of an attempt. Default 8 MiB.
    pub log_cap: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            slots: 1000,
            submissions: 8,
            submissions_per_second: None,
            call_time: Duration::from_secs(30),
            settle: Duration::from_secs(15),
            log_cap: 8 * 1024 * 1024,
        }
    }
}

/// Runs attempts on a cluster. Needs a runtime with time; its one task ends when it is dropped
/// and what it was to put down is gone.
pub struct RemoteExecutor<C: Cluster> {
    remote: Arc<Remote<C>>,
    tended: OnceLock<()>,
}

/// What the attempts of an executor share with the task that looks at them.
struct Remote<C> {
    cluster: C,
    options: Options,
    root: PathBuf,
    board: Board,
    circuit: Circuit,
    gate: Gate,
    lookups: Lookups,
    orphans: Orphans,
}

impl<C: Cluster> RemoteExecutor<C> {
    /// Takes a cluster, and the folder below which attempts get theirs, as those of local processes
    /// do: `<root>/<job group>/<job>-<attempt>/`. It is made when it is first needed.
    #[must_use]
    pub fn new(cluster: C, root: impl Into<PathBuf>, options: Options) -> Self {
        let root = root.into();
        let remote = Remote {
            cluster,
            root: std::path::absolute(&root).unwrap_or(root),
            board: Board::default(),
            circuit: Circuit::new(),
            gate: Gate::new(options.submissions, options.submissions_per_second),
            lookups: Lookups::default(),
            orphans: Orphans::default(),
            options,
        };
        Self { remote: Arc::new(remote), tended: OnceLock::new() }
    }

    /// Returns the cluster.
    #[must_use]
    pub fn cluster(&self) -> &C {
        &self.remote.cluster
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it must outlive the executor while something is to be put down, and then ends"
    )]
    fn remote(&self) -> &Remote<C> {
        self.tended.get_or_init(|| drop(tokio::spawn(tend::tend(Arc::clone(&self.remote)))));
        &self.remote
    }
}

impl<C: Cluster> Drop for RemoteExecutor<C> {
    fn drop(&mut self) {
        self.remote.orphans.close();
    }
}

#[async_trait]
impl<C: Cluster> Executor for RemoteExecutor<C> {
    async fn execute(&self, attempt: Attempt) -> Result<Success, Failure> {
        self.remote().run(attempt).await
    }

    async fn reattach(&self, attempt: Attempt) -> Reattached {
        match self.remote().take_up(attempt).await {
            None => Reattached::Unknown,
            Some(Ok(success)) => Reattached::Ended(Outcome::Succeeded(success)),
            Some(Err(failure)) => Reattached::Ended(Outcome::Failed(Box::new(failure))),
        }
    }

    async fn forget(&self, group: GroupId) {
        self.remote.cluster.forget(group).await;
        let folder = self.remote.root.join(group.to_string());
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, job_group.id = group.get(), "folders cannot be removed");
        }
    }

    fn traits(&self) -> ExecutorTraits {
        ExecutorTraits::default().slots(self.remote.options.slots)
    }
}

impl<C: Cluster> Remote<C> {
    async fn run(&self, attempt: Attempt) -> Result<Success, Failure> {
        let job = self.job(attempt);
        if job.attempt().cancellation().requested().is_some() {
            return Err(hand_over::never_began(&self.cluster));
        }
        let made = Folder::create(&self.root, job.attempt());
        made.map_err(|error| *io_failure("the folder of the attempt cannot be made", &error))?;
        let order = self.cluster.prepare(&job).await?;
        let seat = Seat::take(self, job);
        let job = seat.job();
        let handle = self.hand_over(&seat, &order).await?;
        drop(order);
        self.board.accept(job.key(), &handle);
        job.attempt().started(handle.clone()).await;
        let (ended, heard) = self.attend(&seat, &handle).await;
        seat.leave();
        self.conclude(job, &handle, ended, heard).await
    }

    async fn take_up(&self, attempt: Attempt) -> Option<Result<Success, Failure>> {
        let job = self.job(attempt);
        let seat = Seat::take(self, job);
        let job = seat.job();
        seat.may_exist();
        let found = self.find_again(job).await;
        let Some(found) = found else {
            seat.leave();
            return None;
        };
        let handle = found.handle.clone();
        self.board.accept(job.key(), &handle);
        self.board.take(0, Survey::news(vec![found]));
        if job.attempt().handle() != Some(&handle) {
            job.attempt().started(handle.clone()).await;
        }
        let (ended, heard) = self.attend(&seat, &handle).await;
        seat.leave();
        match self.conclude(job, &handle, ended, heard).await {
            Err(failure) if failure.class == FailureClass::Lost && failure.code == "lost" => None,
            end => Some(end),
        }
    }

    fn job(&self, attempt: Attempt) -> Job {
        let key = Key::new(&self.options.prefix, attempt.id());
        Job::new(attempt, key, &self.root)
    }

    /// Learns from an answer whether the cluster is there.
    fn note<T>(&self, answer: &Result<T, Trouble>) {
        match answer {
            Ok(_) => self.circuit.succeeded(),
            Err(trouble) => self.circuit.failed(trouble),
        }
    }

    /// Waits until the cluster answers, if it is away; the attempt says why it waits. Cancel safe.
    async fn answering(&self, job: &Job) {
        tokio::select! {
            () = self.circuit.closed(|trouble| self.tell_waiting(job, trouble)) => {}
            () = self.beats(job.attempt()) => {}
        }
    }

    /// Asks until there is an answer. Cancel safe if the question is.
    async fn insist<T, A>(&self, job: &Job, ask: impl Fn() -> A) -> T
    where
        A: Future<Output = Result<T, Trouble>>,
    {
        let mut tries = 0;
        loop {
            self.answering(job).await;
            let answer = within(self.options.call_time, ask()).await;
            self.note(&answer);
            match answer {
                Ok(answer) => return answer,
                Err(_) => sleep(circuit::pause(tries)).await,
            }
            tries += 1;
        }
    }

    fn tell_waiting(&self, job: &Job, trouble: &Trouble) {
        job.attempt().progress(0, &format!("waits for {}: {trouble}", self.cluster.name()));
    }

    /// While the cluster is away nobody can tell whether an attempt is alive, so it counts as
    /// being so. Never returns.
    async fn beats(&self, attempt: &Attempt) {
        loop {
            self.circuit.opened().await;
            attempt.heartbeat();
            self.beat(attempt).await;
        }
    }

    /// Waits for as long as an attempt may be silent.
    async fn beat(&self, attempt: &Attempt) {
        match attempt.job().policy.timeouts.heartbeat {
            Some(period) => sleep(period / 3).await,
            None => std::future::pending().await,
        }
    }
}

/// Bounds a request in time. One that takes longer may have been heard.
async fn within<T>(
    time: Duration,
    request: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let late = |_| {
        let time = jobwright_core::spelled(time);
        Err(Trouble::Unanswered(format!("there was no answer within {time}")))
    };
    timeout(time, request).await.unwrap_or_else(late)
}
