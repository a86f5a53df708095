//! The executor port: what runs attempts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::digest::Digest;
use crate::event::StopReason;
use crate::id::{AttemptId, GroupId, JobIndex};
use crate::inputs::{Inputs, JobInput};
use crate::outcome::{Failure, Handle, Outcome, Success};
use crate::package::Artifact;
use crate::plan::{Plan, PlannedJob};
use crate::secret::Secrets;
use crate::time::Timestamp;
use crate::trace::TraceParent;

/// What runs attempts.
///
/// One method is required. The engine's promises to it: an attempt is handed over at most once per
/// engine life, and never before its intent is durable; a panic is a failed attempt. Its promises
/// to the engine: dropping the future leaks nothing; when [`Attempt::cancellation`] fires it stops
/// the work, at first politely, and after the grace by force, and only then returns.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Runs the attempt to its end.
    ///
    /// # Errors
    /// [`Failure`] says by its class what the end means for the job; `?` on any error is
    /// retryable.
    async fn execute(&self, attempt: Attempt) -> Result<Success, Failure>;

    /// After a restart: takes up an attempt that was handed over before, whose end nobody saw.
    /// Must not start the work anew. [`Attempt::handle`] is what the executor reported, if that
    /// became durable.
    async fn reattach(&self, attempt: Attempt) -> Reattached {
        let _ = attempt;
        Reattached::Unknown
    }

    /// A job group that ended long ago is removed: what the executor keeps of its attempts may go.
    /// May be called more than once, and for groups of which it knows nothing. Failing is the
    /// executor's own affair: nobody waits for what is left behind.
    async fn forget(&self, group: GroupId) {
        let _ = group;
    }

    /// Says how the executor wants to be driven. Read once, when the engine starts.
    fn traits(&self) -> ExecutorTraits {
        ExecutorTraits::default()
    }
}

/// What became of an attempt that was handed over before a restart.
#[derive(Debug, Clone, PartialEq)]
pub enum Reattached {
    /// It ended, or was still running and ran to this end under the eyes of `reattach`.
    Ended(Outcome),
    /// The executor does not know it, or cannot tell how it ended.
    Unknown,
}

/// How an executor wants to be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExecutorTraits {
    /// Its futures never block and never compute before their first await: they are polled once
    /// in the engine's loop, and get a task of their own only if they are still pending.
    pub inline: bool,
    /// How many attempts it can run at a time; no limit where absent.
    pub slots: Option<u32>,
}

impl ExecutorTraits {
    /// Declares that futures may be polled once in the engine's loop.
    #[must_use]
    pub fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    /// Limits the attempts that run at a time.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = Some(slots);
        self
    }
}

/// One try at a job, as handed to an executor. Cheap to clone.
#[derive(Clone)]
pub struct Attempt(Arc<AttemptParts>);

/// What an attempt is made of: for engines, and for tests of executors.
pub struct AttemptParts {
    /// The group.
    pub group: GroupId,
    /// The group's plan.
    pub plan: Arc<Plan>,
    /// The job.
    pub job: JobIndex,
    /// The number of the attempt, from 1.
    pub number: u32,
    /// When it is stopped if it has not ended.
    pub end_by: Timestamp,
    /// How the jobs that it needs ended, and what they left.
    pub inputs: Inputs,
    /// The package's artifacts with their contents.
    pub artifacts: Artifacts,
    /// The secrets that its payload names; an engine may fetch them after it made the attempt.
    pub secrets: OnceLock<Secrets>,
    /// On reattachment: the executor's own name for it, if that became durable.
    pub handle: Option<Handle>,
    /// Where it learns that it should stop.
    pub cancellation: Cancellation,
    /// Where it reports to while it runs.
    pub reporter: Arc<dyn Reporter>,
}

/// An artifact with its content.
pub type ArtifactFile = (Artifact, Arc<[u8]>);

/// The artifacts of a package with their contents. Cheap to clone.
#[derive(Clone, Default)]
pub struct Artifacts(Option<Arc<[ArtifactFile]>>);

impl Artifacts {
    /// Takes artifacts with their contents.
    #[must_use]
    pub fn new(files: Vec<ArtifactFile>) -> Self {
        Self((!files.is_empty()).then(|| files.into()))
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Goes through the artifacts and their contents.
    pub fn iter(&self) -> impl Iterator<Item = &ArtifactFile> {
        self.0.iter().flat_map(|files| files.iter())
    }

    /// Finds a content by its digest.
    #[must_use]
    pub fn content(&self, digest: &Digest) -> Option<&Arc<[u8]>> {
        self.iter().find(|(artifact, _)| artifact.digest == *digest).map(|(_, content)| content)
    }
}

impl Attempt {
    /// Makes an attempt of its parts.
    #[must_use]
    pub fn new(parts: AttemptParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Returns its id: the key under which handing over twice is the same as once.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        AttemptId { job: self.0.plan.job_id(self.0.job), number: self.0.number }
    }

    /// Returns the group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.0.group
    }

    /// Returns the place of the job in its group.
    #[must_use]
    pub fn index(&self) -> JobIndex {
        self.0.job
    }

    /// Returns the number of the attempt, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// Returns the attempt's own span in the trace of its run, for work that reports to a trace.
    #[must_use]
    pub fn trace(&self) -> TraceParent {
        self.0.plan.run.trace().of_attempt(self.id())
    }

    /// Returns the plan of the group, with the run and its parameters.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.0.plan
    }

    /// Returns the resolved job.
    #[must_use]
    pub fn job(&self) -> &PlannedJob {
        &self.0.plan.jobs[self.0.job.at()]
    }

    /// Returns what the executor is asked to do, with references replaced by values.
    #[must_use]
    pub fn payload(&self) -> &serde_json::Value {
        &self.job().payload
    }

    /// Returns when the attempt is stopped if it has not ended.
    #[must_use]
    pub fn end_by(&self) -> Timestamp {
        self.0.end_by
    }

    /// Returns how the needed jobs ended and what they left, in the order of the needs.
    #[must_use]
    pub fn inputs(&self) -> &[JobInput] {
        self.0.inputs.of(&self.0.plan, self.0.job)
    }

    /// Returns the package's artifacts.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.0.artifacts
    }

    /// Returns the secrets that the payload names.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        static NONE: Secrets = Secrets::none();
        self.0.secrets.get().unwrap_or(&NONE)
    }

    /// Gives the attempt its secrets: for engines, before they hand it over. Only the first call
    /// counts.
    pub fn reveal(&self, secrets: Secrets) {
        let _ = self.0.secrets.set(secrets);
    }

    /// On reattachment: the executor's own name for the attempt, if that became durable.
    #[must_use]
    pub fn handle(&self) -> Option<&Handle> {
        self.0.handle.as_ref()
    }

    /// Returns where the attempt learns that it should stop.
    #[must_use]
    pub fn cancellation(&self) -> &Cancellation {
        &self.0.cancellation
    }

    /// Tells whether the attempt is still its engine's own. An engine that was stopped for a while
    /// may have lost it to another one and not know yet: who is about to begin what cannot be taken
    /// back asks at the last moment.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        let stop = self.0.cancellation.requested();
        let is_given_up = stop.is_some_and(|stop| stop.reason == StopReason::GivenUp);
        !is_given_up && self.0.reporter.owns(self)
    }

    /// Reports that the work has been taken, under this name. Returns when the engine has the
    /// report; it is durable soon after, not at once. Not needed by executors that cannot take
    /// work up after a restart. Cancel safe.
    pub async fn started(&self, handle: Handle) {
        self.0.reporter.started(self, handle).await;
    }

    /// Reports that the work is alive. Never blocks; may be called as often as one likes.
    pub fn heartbeat(&self) {
        self.0.reporter.heartbeat(self);
    }

    /// Reports how far the work is, for people: per cent, and a few words. Never blocks; may be
    /// dropped when the engine is busy.
    pub fn progress(&self, percent: u8, words: &str) {
        self.0.reporter.progress(self, percent.min(100), words);
    }

    /// Reports a line for the live log. Never blocks; may be dropped when the engine is busy.
    pub fn log(&self, line: &str) {
        self.0.reporter.log(self, line);
    }

    /// Reports that the log of the attempt was too long to be kept whole. Once is enough.
    pub fn log_cut(&self) {
        self.0.reporter.log_cut(self);
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "attempt {} of {}", self.id(), self.job().step)
    }
}

/// Where attempts report to while they run. Engines implement it, one for all their attempts;
/// tests use [`Unheard`].
#[async_trait]
pub trait Reporter: Send + Sync + 'static {
    /// The work has been taken, under this name.
    async fn started(&self, attempt: &Attempt, handle: Handle);
    /// The work is alive.
    fn heartbeat(&self, attempt: &Attempt);
    /// How far the work is.
    fn progress(&self, attempt: &Attempt, percent: u8, words: &str);
    /// A line for the live log.
    fn log(&self, attempt: &Attempt, line: &str);
    /// The log was too long to be kept whole.
    fn log_cut(&self, attempt: &Attempt) {
        let _ = attempt;
    }
    /// Whether the attempt is still the engine's own, by the clock and not by what it has noticed.
    fn owns(&self, attempt: &Attempt) -> bool {
        let _ = attempt;
        true
    }
}

/// A reporter that forgets everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

#[async_trait]
impl Reporter for Unheard {
    async fn started(&self, _: &Attempt, _: Handle) {}
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, _: u8, _: &str) {}
    fn log(&self, _: &Attempt, _: &str) {}
}

/// Asks an attempt to stop: once, with a reason and a grace period. Costs nothing until somebody
/// looks.
#[derive(Debug, Default)]
pub struct Cancellation {
    stop: OnceLock<Stop>,
    token: OnceLock<CancellationToken>,
}

/// Why an attempt should stop, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// How long the work may take to stop by itself before it is killed.
    pub grace: Duration,
}

impl Cancellation {
    /// Asks the attempt to stop. Only the first call counts.
    pub fn stop(&self, stop: Stop) {
        if self.stop.set(stop).is_ok() {
            self.token().cancel();
        }
    }

    /// Returns the request, if there is one.
    #[must_use]
    pub fn requested(&self) -> Option<&Stop> {
        self.stop.get()
    }

    /// Waits for the request. Cancel safe.
    pub async fn wait(&self) -> &Stop {
        self.token().cancelled().await;
        self.stop.get().expect("the reason is set before the token is cancelled")
    }

    /// Returns a token that is cancelled by the request, for code that takes tokens.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        self.token.get_or_init(CancellationToken::new)
    }
}
