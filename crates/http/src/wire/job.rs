//! Jobs.

use jobwright_core::{Cause, Failure, Outcome, TokenId};
use jobwright_scheduler::{AttemptView, GroupView, JobView};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Creator, Reference};
use crate::version::Version;

/// A job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(crate) struct JobBody {
    /// Its id.
    pub(crate) id: i64,
    /// `Created`, `InProgress`, `Complete`, `Failed` or `Canceled`.
    status: &'static str,
    /// Whether the status is final.
    terminal: bool,
    /// What sort of work it is.
    job_type: &'static str,
    /// Always 100.
    sample_size: u32,
    /// 100 for a job that is complete, else 0.
    percent_complete: u32,
    /// Its group.
    job_group: Reference,
    /// The step that it does.
    name: String,
    /// The flow of the step.
    flow_name: String,
    /// Which executor runs it.
    execution_language: String,
    /// Why it failed; null where it did not.
    error_message: Option<String>,
    /// When it was last known to be alive; null before it began.
    last_heartbeat_at: Option<String>,
    /// When its group was accepted.
    created_at: String,
    /// When something of it last happened.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
    /// How often it was tried, one by one.
    attempts: Vec<AttemptBody>,
    /// The job that did the work, where this one belongs to a re-run and was not run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    carried_from: Option<Reference>,
}

/// One try at a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
pub(crate) struct AttemptBody {
    /// Its number, from 1.
    number: u32,
    /// When it was handed over.
    requested_at: String,
    /// When the executor took it.
    started_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// `succeeded` or `failed`; null while it runs.
    outcome: Option<&'static str>,
    /// What sort of failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'static str>,
    /// The failure's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl JobBody {
    pub(crate) fn new(
        version: Version,
        group: &GroupView,
        job: &JobView,
        by: Option<TokenId>,
    ) -> Self {
        let complete = job.status == jobwright_core::Status::Complete;
        let failed = job.status == jobwright_core::Status::Failed;
        let last = job.attempts.last();
        let began = last.map(|it| it.started_at.unwrap_or(it.requested_at));
        let at = job.ended_at.or(last.and_then(|it| it.ended_at)).or(began).or(job.ready_at);
        let plan = &group.plan.jobs[job.index.at()];
        Self {
            id: job.id.get(),
            status: job.status.as_str(),
            terminal: job.status.is_terminal(),
            job_type: job.kind.as_str(),
            sample_size: 100,
            percent_complete: if complete { 100 } else { 0 },
            job_group: Reference { id: group.id.get() },
            name: job.step.to_string(),
            flow_name: plan.flow.to_string(),
            execution_language: job.executor.to_string(),
            error_message: failed.then(|| message(job)),
            last_heartbeat_at: last.and_then(|it| it.ended_at).or(began).map(|at| at.to_string()),
            created_at: group.created_at.to_string(),
            updated_at: at.unwrap_or(group.created_at).to_string(),
            creator: Creator::new(version, by),
            attempts: job.attempts.iter().map(AttemptBody::new).collect(),
            carried_from: job.carried_from.map(|id| Reference { id: id.get() }),
        }
    }
}

/// Why a job failed: its last attempt's failure, or what ended it without one.
fn message(job: &JobView) -> String {
    let failure = job.failure().map(ToString::to_string);
    let ended = job.cause.map(|cause| match cause {
        Cause::Attempt => "its attempt failed".to_owned(),
        Cause::Need { .. } => "a job that it needs did not end as it should".to_owned(),
        Cause::QueueTimeout => "it waited for a slot for too long".to_owned(),
        Cause::TotalTimeout => "all attempts together took too long".to_owned(),
        Cause::GroupCancelled => "its job group was cancelled".to_owned(),
        Cause::CrashLimit => "its attempts were lost too often".to_owned(),
        Cause::Lost => "its attempt was lost".to_owned(),
        Cause::Rejected => "its executor refused it too often".to_owned(),
    });
    match (failure, ended) {
        (Some(failure), None) => failure,
        (Some(failure), Some(_)) if job.cause == Some(Cause::Attempt) => failure,
        (Some(failure), Some(ended)) => format!("{ended}; the last attempt: {failure}"),
        (None, ended) => ended.unwrap_or_default(),
    }
}

impl AttemptBody {
    fn new(attempt: &AttemptView) -> Self {
        let failure: Option<&Failure> = match &attempt.outcome {
            Some(Outcome::Failed(failure)) => Some(failure),
            Some(Outcome::Succeeded(_)) | None => None,
        };
        Self {
            number: attempt.number,
            requested_at: attempt.requested_at.to_string(),
            started_at: attempt.started_at.map(|at| at.to_string()),
            ended_at: attempt.ended_at.map(|at| at.to_string()),
            outcome: attempt.outcome.as_ref().map(|outcome| match outcome {
                Outcome::Succeeded(_) => "succeeded",
                Outcome::Failed(_) => "failed",
            }),
            error_class: failure.map(|it| it.class.as_str()),
            error_code: failure.map(|it| it.code.to_string()),
            error_message: failure.map(|it| it.message.clone()),
        }
    }
}
