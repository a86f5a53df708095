//! Running a deployment.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use jobwright_core::parameter::Values;
use jobwright_core::{
    DeploymentId, Digest, GroupId, Kind, NameError, OutputName, OutputTrigger, ParameterName, Plan,
    Query, Release, ReleaseId, Run, RunId, StoreError, Timestamp, TraceParent,
};
use thiserror::Error;

use super::firing::Firing;
use super::prepare::{Draft, Explanation, GroupPreview, PrepareError};
use super::submit::{Asked, MAX_KEY};
use super::{Accepting, Ended, Engine};
use crate::expand::Selection;

/// A run that has not been asked for yet. Awaiting it asks for it.
#[must_use = "a request does nothing until it is awaited"]
#[derive(Clone)]
pub struct RunRequest {
    engine: Engine,
    deployment: DeploymentId,
    values: Values,
    fault: Option<NameError>,
    selection: Selection,
    reference_date: Option<Timestamp>,
    release: Option<ReleaseId>,
    key: Option<String>,
    traceparent: Option<TraceParent>,
    firing: Option<Arc<Firing>>,
}

/// A run that was accepted: it is durable, and goes on whether or not anybody holds this.
#[derive(Clone)]
pub struct RunHandle {
    pub(super) engine: Engine,
    pub(super) run: Arc<Run>,
    /// What was planned, where this engine has just done so.
    pub(super) plans: Option<Arc<[Arc<Plan>]>>,
    pub(super) replayed: bool,
}

/// A run that is resolved and expanded and has not begun.
#[must_use = "a prepared run does nothing until `start`"]
pub struct PreparedRun {
    request: RunRequest,
    draft: Draft,
}

impl PreparedRun {
    /// Returns the job groups that will start.
    #[must_use]
    pub fn groups(&self) -> &[GroupPreview] {
        &self.draft.groups
    }

    /// Starts just what was prepared, even if the deployment changed meanwhile.
    ///
    /// # Errors
    /// As for awaiting a [`RunRequest`], but for what was prepared; [`RunError::Changed`] if the
    /// release was deleted.
    pub async fn start(self) -> Result<RunHandle, RunError> {
        let accepting = self.request.accept().await;
        if let Some(known) = self.request.known().await? {
            return Ok(known);
        }
        let release = self.draft.release.id;
        if self.request.engine.find::<Release>(release).await?.is_none() {
            return Err(RunError::Changed);
        }
        self.request.start_draft(self.draft, accepting).await
    }
}

/// Why a run was not accepted. Nothing of it exists.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The deployment cannot run like this.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A parameter has an impossible name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The deployment is running and its policy is to skip.
    #[error("the deployment is running already, as run {0}, and its run policy is `skip`")]
    Running(RunId),
    /// The key was used for another request.
    #[error(
        "idempotency key `{key}` belongs to run {run}, which was another request: use a new key"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The run that has it.
        run: RunId,
    },
    /// The key is empty or too long.
    #[error("an idempotency key has 1 to {MAX_KEY} bytes, this one has {0}")]
    Key(usize),
    /// Too many requests wait: try again later.
    #[error("the engine has more to do than it can take: try again later")]
    Overloaded,
    /// The release or deployment changed meanwhile: ask again.
    #[error("the deployment changed while the run was prepared: ask again")]
    Changed,
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// The engine has ended.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Prepares a run of the active release of a deployment: its manual outputs, now.
    pub fn run(&self, deployment: DeploymentId) -> RunRequest {
        RunRequest {
            engine: self.clone(),
            deployment,
            values: Values::new(),
            fault: None,
            selection: Selection::Trigger(OutputTrigger::Manual),
            reference_date: None,
            release: None,
            key: None,
            traceparent: None,
            firing: None,
        }
    }

    /// Finds a run.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find_run(&self, run: RunId) -> Result<Option<RunHandle>, StoreError> {
        let found = self.find::<Run>(run).await?;
        Ok(found.map(|(run, _)| self.handle(run, false)))
    }

    /// Lists the runs of a deployment, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn runs(&self, deployment: DeploymentId, limit: u32) -> Result<Vec<Run>, StoreError> {
        let query = Query { descending: true, limit, ..Query::all(Kind::Run) };
        self.list(query.parent(deployment.get())).await
    }

    pub(super) fn handle(&self, run: impl Into<Arc<Run>>, replayed: bool) -> RunHandle {
        RunHandle { engine: self.clone(), run: run.into(), plans: None, replayed }
    }
}

impl RunRequest {
    /// Gives a parameter its value for this run: a JSON scalar, or a string for any type.
    pub fn parameter(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        match ParameterName::new(name) {
            Ok(name) => {
                self.values.insert(name, value.into());
            }
            Err(error) => {
                self.fault.get_or_insert(error);
            }
        }
        self
    }

    /// Gives parameters their values for this run.
    pub fn parameters(mut self, values: Values) -> Self {
        self.values.extend(values);
        self
    }

    /// Says what "now" means for date parameters; the present where nothing is said.
    pub fn reference_date(mut self, at: Timestamp) -> Self {
        self.reference_date = Some(at);
        self
    }

    /// Asks for the outputs of this release, which must be the active one then.
    pub fn release(mut self, release: ReleaseId) -> Self {
        self.release = Some(release);
        self
    }

    /// Produces other outputs than the manual ones.
    pub fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Produces just these outputs of the primary flows.
    pub fn outputs(self, outputs: impl IntoIterator<Item = OutputName>) -> Self {
        let outputs = outputs.into_iter().collect();
        self.select(Selection::Outputs(outputs))
    }

    /// Makes asking twice the same as asking once: the same key for the same request gives the
    /// same run, also after a restart, for as long as the run is kept.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Makes the run a part of a trace: its attempts are told so. Where none is given, the run's
    /// session is its trace. Not a part of what an idempotency key compares.
    pub fn traceparent(mut self, trace: TraceParent) -> Self {
        self.traceparent = Some(trace);
        self
    }

    /// Makes the run one that a schedule fires: what fired moves on in the commit of the run.
    pub(super) fn fired_by(self, firing: Firing) -> Self {
        Self {
            firing: Some(Arc::new(firing)),
            ..self.select(Selection::Trigger(OutputTrigger::Scheduled))
        }
    }

    /// Says what the run would start, and starts nothing.
    ///
    /// # Errors
    /// What awaiting the request would refuse, for the same reasons.
    pub async fn explain(self) -> Result<Explanation, RunError> {
        let draft = self.draft().await?;
        Ok(Explanation {
            deployment: draft.deployment.id,
            release: draft.release.id,
            parameters: draft.parameters,
            groups: draft.groups,
        })
    }

    /// Resolves and expands everything, and starts nothing yet: for those who want to look first,
    /// or to know beforehand that it can start.
    ///
    /// # Errors
    /// What awaiting the request would refuse, for the same reasons.
    pub async fn prepare(self) -> Result<PreparedRun, RunError> {
        let draft = self.draft().await?;
        Ok(PreparedRun { request: self, draft })
    }

    async fn draft(&self) -> Result<Draft, RunError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        let reference_date = self.reference_date.unwrap_or_else(|| self.engine.0.clock.now());
        let (none, firing) = (Values::new(), self.firing.as_deref());
        let (engine, selection) = (&self.engine, &self.selection);
        let schedule = firing.map_or(&none, |firing| &firing.values);
        let draft =
            engine.draft(self.deployment, selection, schedule, &self.values, reference_date);
        let mut draft = draft.await?;
        if let Some(release) = self.release.filter(|release| *release != draft.release.id) {
            let deployment = draft.deployment.name;
            return Err(PrepareError::NotActive { release, deployment }.into());
        }
        if let Some(policy) = firing.and_then(|firing| firing.run_policy) {
            draft.deployment.run_policy = policy;
        }
        Ok(draft)
    }

    async fn start(self) -> Result<RunHandle, RunError> {
        let accepting = self.accept().await;
        if let Some(known) = self.known().await? {
            return Ok(known);
        }
        let draft = self.draft().await?;
        self.start_draft(draft, accepting).await
    }

    async fn accept(&self) -> Accepting {
        self.engine.0.gates.accept(self.deployment, self.key.as_deref()).await
    }

    async fn start_draft(&self, draft: Draft, accepting: Accepting) -> Result<RunHandle, RunError> {
        if draft.deployment.paused {
            return Err(PrepareError::Paused(draft.deployment.name).into());
        }
        self.engine.begin(draft, &self.asked(), accepting).await
    }

    /// The run that the same request under the same key led to.
    async fn known(&self) -> Result<Option<RunHandle>, RunError> {
        self.engine.known(self.deployment, &self.asked()).await
    }

    fn asked(&self) -> Asked {
        Asked {
            key: self.key.clone(),
            request: self.digest(),
            overrides: self.values.clone(),
            trigger: self.trigger(),
            rerun_of: None,
            traceparent: self.traceparent,
            firing: self.firing.clone(),
        }
    }

    /// The hash of everything that was asked for.
    fn digest(&self) -> Digest {
        let selection = match &self.selection {
            Selection::Trigger(trigger) => serde_json::json!(trigger),
            Selection::Outputs(names) => serde_json::json!(names),
        };
        let mut request = serde_json::json!([self.values, selection, self.reference_date]);
        if let (Some(release), Some(parts)) = (self.release, request.as_array_mut()) {
            parts.push(release.get().into());
        }
        Digest::of(request.to_string().as_bytes())
    }

    fn trigger(&self) -> OutputTrigger {
        match &self.selection {
            Selection::Trigger(trigger) => *trigger,
            Selection::Outputs(_) => OutputTrigger::Manual,
        }
    }
}

impl IntoFuture for RunRequest {
    type Output = Result<RunHandle, RunError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Asks for the run, and returns when it is durable. Dropping the future leaves open whether
    /// the run was accepted; an idempotency key makes asking again safe.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl RunHandle {
    /// Returns the run's id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.run.id
    }

    /// Returns the run as it is kept.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Returns the ids of the run's job groups, in the order of their outputs.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.run.groups.iter().map(|group| group.id)
    }

    /// Returns the plans of the run's job groups, in the order of their outputs: at hand for who
    /// has just asked for the run, read from the store otherwise.
    ///
    /// # Errors
    /// As for [`Engine::group`].
    pub async fn plans(&self) -> Result<Arc<[Arc<Plan>]>, super::ReadError> {
        if let Some(plans) = &self.plans {
            return Ok(Arc::clone(plans));
        }
        let mut plans = Vec::with_capacity(self.run.groups.len());
        for group in self.groups() {
            plans.push(self.engine.group(group).await?.plan);
        }
        Ok(plans.into())
    }

    /// Tells whether an earlier request under the same key led to this run.
    #[must_use]
    pub fn replayed(&self) -> bool {
        self.replayed
    }
}
