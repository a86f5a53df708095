//! A plan: one job group as expansion made it, with everything resolved. It is kept whole in the
//! group's first event, so that nothing else is needed to drive the group or to read about it.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::digest::Digest;
use crate::flow::{JobKind, OutputTrigger, Trigger};
use crate::id::{DeploymentId, JobId, JobIndex, ReleaseId, RunId};
use crate::name::{ExecutorName, FlowName, OutputName, StepName};
use crate::outcome::Success;
use crate::parameter::Resolution;
use crate::policy::{FailurePolicy, Policy, RunPolicy};
use crate::trace::TraceParent;

/// The most jobs that a group may have.
pub const MAX_JOBS: usize = 1_000_000;

/// One job group, expanded and resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The run, shared by all its groups.
    pub run: Arc<RunContext>,
    /// The id of the group's first job; the others follow without gaps.
    pub first_job: JobId,
    /// The outputs that the group produces.
    pub outputs: Vec<OutputName>,
    /// What a failed job means for the rest.
    #[serde(default)]
    pub on_failure: FailurePolicy,
    /// The jobs in an order in which they can run: a job needs only earlier ones.
    pub jobs: Vec<PlannedJob>,
    /// The jobs that an earlier group has done already, in their order: they are done when the
    /// group is accepted. Empty but in a re-run.
    #[serde(default, skip_serializing_if = "<[CarriedJob]>::is_empty")]
    pub carried: Box<[CarriedJob]>,
}

/// A job that is not run again: it succeeded in an earlier group of the same release with the same
/// parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CarriedJob {
    /// Its place in this group.
    pub job: JobIndex,
    /// The job that did the work: its attempts and its log are found there.
    pub from: JobId,
    /// What that left for the jobs that need it.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub result: Success,
}

fn is_empty(result: &Success) -> bool {
    result.result().is_none()
}

/// What the groups of a run have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunContext {
    /// The run.
    pub run: RunId,
    /// Its session.
    pub session: Uuid,
    /// The deployment that runs.
    pub deployment: DeploymentId,
    /// The release that was active.
    pub release: ReleaseId,
    /// The package of the release: where artifacts are found.
    pub package: Digest,
    /// Who asked for it.
    pub trigger: OutputTrigger,
    /// What happens while earlier runs of the deployment are live.
    #[serde(default)]
    pub policy: RunPolicy,
    /// The most live attempts of the deployment; no limit where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_limit: Option<u32>,
    /// The trace that the request came with; see [`RunContext::trace`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// The resolved parameters.
    pub parameters: Resolution,
    /// The ends of its groups are announced: the deployment had webhooks when it was accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub announce: bool,
}

impl RunContext {
    /// Returns the run's place in its trace: the one that it came with, else its session's own.
    #[must_use]
    pub fn trace(&self) -> TraceParent {
        self.traceparent.unwrap_or_else(|| TraceParent::of_session(self.session))
    }
}

/// One job of a plan: a step with the values of one run. What does not differ between runs is
/// reached as if it were the job's own: `job.step`, `job.policy`, ….
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "WireJob")]
pub struct PlannedJob {
    /// What the jobs of the same step share.
    #[serde(flatten)]
    pub shared: Arc<PlannedStep>,
    /// What the executor is given, with references replaced by values.
    #[serde(skip_serializing_if = "is_null")]
    pub payload: Arc<serde_json::Value>,
    /// The earlier jobs that must have ended, and how.
    #[serde(skip_serializing_if = "<[PlannedNeed]>::is_empty")]
    pub needs: Box<[PlannedNeed]>,
}

/// What the jobs of one step have in common, run after run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// The step.
    pub step: StepName,
    /// The flow of the step.
    pub flow: FlowName,
    /// What sort of work it is.
    pub kind: JobKind,
    /// Which executor runs it.
    pub executor: ExecutorName,
    /// How it is driven: one policy for all steps that have the same.
    pub policy: Arc<Policy>,
    /// Its failure does not fail the group.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl Deref for PlannedJob {
    type Target = PlannedStep;
    fn deref(&self) -> &PlannedStep {
        &self.shared
    }
}

/// A job as it is stored: flat.
#[derive(Deserialize)]
struct WireJob {
    step: StepName,
    flow: FlowName,
    kind: JobKind,
    executor: ExecutorName,
    #[serde(default)]
    payload: Arc<serde_json::Value>,
    #[serde(default)]
    policy: Arc<Policy>,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    needs: Box<[PlannedNeed]>,
}

impl From<WireJob> for PlannedJob {
    fn from(wire: WireJob) -> Self {
        let WireJob { step, flow, kind, executor, payload, policy, optional, needs } = wire;
        let shared = PlannedStep { step, flow, kind, executor, policy, optional };
        Self { shared: Arc::new(shared), payload, needs }
    }
}

fn is_null(value: &Arc<serde_json::Value>) -> bool {
    value.is_null()
}

/// One earlier job that must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedNeed {
    /// The job.
    pub job: JobIndex,
    /// How it must have ended.
    #[serde(default)]
    pub when: Trigger,
}

/// A plan that cannot be driven. Expansion never makes one; bytes from a disk can hold one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is no job in it.
    #[error("the plan has no jobs")]
    Empty,
    /// There are too many jobs in it.
    #[error("the plan has {found} jobs, {MAX_JOBS} are allowed")]
    TooLarge {
        /// How many it has.
        found: usize,
    },
    /// A job needs itself or a later one.
    #[error("job {} needs job {}, which does not come before it", .job.0, .need.0)]
    Order {
        /// The job.
        job: JobIndex,
        /// What it needs.
        need: JobIndex,
    },
    /// A job cannot have been done already.
    #[error("job {} cannot have been done by an earlier group", .0.0)]
    Carried(JobIndex),
    /// There is nothing left to do.
    #[error("every job of the plan has been done by an earlier group")]
    AllCarried,
}

impl Plan {
    /// Checks that the plan can be driven: it has jobs, not too many, each needs only earlier ones,
    /// and what was done already could be done.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.jobs.is_empty() {
            return Err(PlanError::Empty);
        }
        if self.jobs.len() > MAX_JOBS {
            return Err(PlanError::TooLarge { found: self.jobs.len() });
        }
        for (index, job) in self.jobs.iter().enumerate() {
            if let Some(need) = job.needs.iter().find(|need| need.job.at() >= index) {
                return Err(PlanError::Order { job: index.into(), need: need.job });
            }
        }
        self.check_carried()
    }

    /// Checks that what was done already could be done: a job rests only on jobs that succeeded
    /// and are done too, and something is left.
    fn check_carried(&self) -> Result<(), PlanError> {
        let carried = &self.carried;
        let is_carried = |job| carried.binary_search_by_key(&job, |it| it.job).is_ok();
        for (at, it) in carried.iter().enumerate() {
            let follows = at == 0 || carried[at - 1].job < it.job;
            let needs = self.jobs.get(it.job.at()).map(|job| &job.needs);
            let rests = |need: &PlannedNeed| need.when != Trigger::Failed && is_carried(need.job);
            if !follows || !needs.is_some_and(|needs| needs.iter().all(rests)) {
                return Err(PlanError::Carried(it.job));
            }
        }
        if carried.len() == self.jobs.len() {
            return Err(PlanError::AllCarried);
        }
        Ok(())
    }

    /// Returns the id of a job of this group.
    #[must_use]
    pub fn job_id(&self, job: JobIndex) -> JobId {
        JobId::new(self.first_job.get() + i64::from(job.0)).unwrap_or(self.first_job)
    }

    /// Finds the place of a job of this group by its id.
    #[must_use]
    pub fn index_of(&self, job: JobId) -> Option<JobIndex> {
        let at = usize::try_from(job.get() - self.first_job.get()).ok()?;
        (at < self.jobs.len()).then(|| at.into())
    }
}
