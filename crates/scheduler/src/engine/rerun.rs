//! Running again what did not succeed in a group, or publishing its results again: a new run, whose
//! group begins with the jobs done that are not to run again.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use jobwright_core::parameter::Values;
use jobwright_core::{
    CarriedJob, Deployment, Digest, GroupId, JobIndex, JobKind, PlannedJob, Release, Status,
    StepName, StoreError, Success, Verdict,
};
use thiserror::Error;

use super::Engine;
use super::group::{GroupView, ReadError};
use super::prepare::{Draft, GroupPreview, PrepareError};
use super::run::{RunError, RunHandle};
use super::submit::Asked;

/// A re-run that has not been asked for yet. Awaiting it asks for it.
#[must_use = "a request does nothing until it is awaited"]
#[derive(Clone)]
pub struct RerunRequest {
    engine: Engine,
    group: GroupId,
    publishes: bool,
    key: Option<String>,
}

/// Why a group is not run again. Nothing of the new run exists.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RerunError {
    /// The group cannot be read, or there is none.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The group has not ended.
    #[error(
        "job group {group} is {status}: wait for its end, or cancel it, before it is run again"
    )]
    NotOver {
        /// The group.
        group: GroupId,
        /// How far it is.
        status: Status,
    },
    /// The group succeeded.
    #[error("job group {0} is Complete: there is nothing to run again")]
    Complete(GroupId),
    /// Nothing of the group publishes.
    #[error("no job of job group {0} publishes: there is nothing to publish again")]
    NoPublication(GroupId),
    /// What is to be published is not there.
    #[error(
        "step `{step}` of job group {group} has nothing to publish, since what it needs did not \
         succeed: run the job group again instead"
    )]
    NoResult {
        /// The group.
        group: GroupId,
        /// The step that publishes.
        step: StepName,
    },
    /// The run is refused.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<StoreError> for RerunError {
    fn from(error: StoreError) -> Self {
        RunError::from(error).into()
    }
}

impl From<PrepareError> for RerunError {
    fn from(error: PrepareError) -> Self {
        RunError::from(error).into()
    }
}

impl Engine {
    /// Prepares to run a failed or cancelled group again: a new run of one group, of the same
    /// release with the same parameters and payloads, whatever is active now. A job that succeeded
    /// is not run again if all that it rests on succeeded too: it is done from the beginning, and
    /// what it left is handed on. All others run again.
    pub fn rerun(&self, group: GroupId) -> RerunRequest {
        RerunRequest { engine: self.clone(), group, publishes: false, key: None }
    }

    /// Prepares to publish the results of a group again: a new run of one group as for
    /// [`Engine::rerun`], in which the jobs that publish run again although they succeeded, with
    /// what rests on them. A group that succeeded may be published again.
    pub fn publish(&self, group: GroupId) -> RerunRequest {
        RerunRequest { engine: self.clone(), group, publishes: true, key: None }
    }
}

impl RerunRequest {
    /// Makes asking twice the same as asking once, see
    /// [`RunRequest::idempotency_key`](super::RunRequest::idempotency_key). Runs and re-runs of a
    /// deployment share their keys.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    async fn start(self) -> Result<RunHandle, RerunError> {
        let engine = &self.engine;
        let group = engine.group(self.group).await?;
        let (asked, deployment) = (self.asked(&group), group.plan.run.deployment);
        let accepting = engine.0.gates.accept(deployment, self.key.as_deref()).await;
        if let Some(known) = engine.known(deployment, &asked).await? {
            return Ok(known);
        }
        match group.status {
            Status::Failed | Status::Canceled => {}
            Status::Complete if self.publishes => {}
            Status::Complete => return Err(RerunError::Complete(self.group)),
            status @ (Status::Created | Status::InProgress) => {
                return Err(RerunError::NotOver { group: self.group, status });
            }
        }
        let carried = carried(&group, self.publishes);
        if self.publishes {
            check_publications(&group)?;
        }
        let draft = engine.draft_again(&group, carried).await?;
        Ok(engine.begin(draft, &asked, accepting).await?)
    }

    fn asked(&self, group: &GroupView) -> Asked {
        let verb = if self.publishes { "publish" } else { "rerun" };
        let request = serde_json::json!([verb, self.group]);
        Asked {
            key: self.key.clone(),
            request: Digest::of(request.to_string().as_bytes()),
            overrides: Values::new(),
            trigger: group.plan.run.trigger,
            rerun_of: Some(self.group),
            traceparent: None,
            firing: None,
        }
    }
}

impl IntoFuture for RerunRequest {
    type Output = Result<RunHandle, RerunError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Asks for the re-run, and returns when it is durable. Dropping the future leaves open
    /// whether it was accepted; an idempotency key makes asking again safe.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl Engine {
    /// What a group was made of, for one more run of what did not succeed. How the deployment runs
    /// is asked anew; what it runs is not.
    async fn draft_again(
        &self,
        group: &GroupView,
        carried: Box<[CarriedJob]>,
    ) -> Result<Draft, PrepareError> {
        let plan = &group.plan;
        let (deployment, release) = (plan.run.deployment, plan.run.release);
        let found = self.find::<Deployment>(deployment).await?;
        let (deployment, _) = found.ok_or(PrepareError::NoDeployment(deployment))?;
        if deployment.paused {
            return Err(PrepareError::Paused(deployment.name));
        }
        let found = self.find::<Release>(release).await?;
        let (mut release, _) = found.ok_or(PrepareError::NoSuchRelease(release))?;
        release.package = plan.run.package;
        let prepared = self.prepared(release.package).await;
        let prepared =
            prepared.map_err(|source| PrepareError::Package { release: release.id, source })?;
        self.check_executors(&plan.jobs)?;
        let (outputs, jobs) = (plan.outputs.clone(), plan.jobs.clone());
        let preview = GroupPreview { outputs, on_failure: plan.on_failure, jobs, carried };
        let (parameters, groups) = (plan.run.parameters.clone(), vec![preview]);
        Ok(Draft { deployment, release, prepared, parameters, groups })
    }
}

/// The jobs that are not run again: they succeeded, and so did all that they rest on. What rests
/// on a job that runs again saw something that will be no more. Jobs that are to publish again run.
fn carried(group: &GroupView, publishes: bool) -> Box<[CarriedJob]> {
    let mut stays = vec![false; group.jobs.len()];
    let rests = |planned: &PlannedJob, stays: &[bool]| {
        planned.needs.iter().all(|need| stays[need.job.at()])
    };
    let mut carried = Vec::new();
    for (at, (job, planned)) in group.jobs.iter().zip(&group.plan.jobs).enumerate() {
        let again = publishes && job.kind == JobKind::Publish;
        if job.verdict == Some(Verdict::Succeeded) && rests(planned, &stays) && !again {
            stays[at] = true;
            let from = job.carried_from.unwrap_or(job.id);
            let result = Success::from(job.result.clone());
            carried.push(CarriedJob { job: job.index, from, result });
        }
    }
    carried.into()
}

/// Checks that there is something to publish, and that what it is made of is there.
fn check_publications(group: &GroupView) -> Result<(), RerunError> {
    let is_done = |job: JobIndex| group.jobs[job.at()].verdict == Some(Verdict::Succeeded);
    let mut any = false;
    for job in group.plan.jobs.iter().filter(|job| job.kind == JobKind::Publish) {
        any = true;
        if !job.needs.iter().all(|need| is_done(need.job)) {
            return Err(RerunError::NoResult { group: group.id, step: job.step.clone() });
        }
    }
    if any { Ok(()) } else { Err(RerunError::NoPublication(group.id)) }
}
