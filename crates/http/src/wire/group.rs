//! Job groups and the runs that they belong to.

use jobwright_core::{GroupSummary, OutputTrigger, Run, Status};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::started::JobGraph;
use super::{Creator, Reference, Updater};
use crate::version::Version;
use crate::wrangled::WrangledId;

/// A job group.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobGroup)]
pub(crate) struct GroupBody {
    /// Its id.
    pub(crate) id: i64,
    /// The outputs that it produces, as one text.
    name: String,
    /// For people; always empty.
    description: String,
    /// What started it: `api` or `schedule`.
    ranfrom: &'static str,
    /// Always `recipe`.
    ranfor: &'static str,
    /// `Created`, `InProgress`, `Complete`, `Failed` or `Canceled`.
    status: &'static str,
    /// Whether the status is final.
    terminal: bool,
    /// Whether the results are profiled; absent where that is not known from a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profiling_enabled: Option<bool>,
    /// What "now" meant for its date parameters.
    run_parameter_reference_date: Option<String>,
    /// When it was accepted.
    created_at: String,
    /// When its status last changed.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
    #[serde(flatten)]
    updater: Updater,
    /// Always 1: an instance is one workspace.
    workspace: Reference,
    /// The run that it belongs to.
    flowrun: Reference,
    /// Its deployment.
    deployment: Reference,
    /// The release that it runs.
    release: Reference,
    /// The outputs that it produces.
    outputs: Vec<String>,
    /// The number of its first output; `/v4`, absent where its release is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrangled_dataset: Option<Reference>,
    /// The same; `/v3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrangle_script: Option<Reference>,
    /// The session of its run.
    session_id: Option<String>,
    /// Its jobs, where they are embedded; `{"data": null}` otherwise in `/v3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) jobs: Option<Value>,
    /// Which job needs which, where jobs are embedded; `/v4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job_graph: Option<Value>,
}

impl GroupBody {
    pub(crate) fn new(version: Version, group: &GroupSummary, run: Option<&Run>) -> Self {
        let outputs = run.and_then(|run| run.groups.iter().find(|it| it.id == group.id));
        let outputs: Vec<String> = outputs
            .map(|it| it.outputs.iter().map(ToString::to_string).collect())
            .unwrap_or_default();
        let by = run.and_then(|run| run.created_by);
        Self {
            id: group.id.get(),
            name: outputs.join(", "),
            description: String::new(),
            ranfrom: match run.map(|run| run.trigger) {
                Some(OutputTrigger::Scheduled) => "schedule",
                Some(OutputTrigger::Manual) | None => "api",
            },
            ranfor: "recipe",
            status: group.status.as_str(),
            terminal: group.status.is_terminal(),
            profiling_enabled: None,
            run_parameter_reference_date: run.map(|run| run.reference_date.to_string()),
            created_at: group.created_at.to_string(),
            updated_at: group.updated_at.to_string(),
            creator: Creator::new(version, by),
            updater: Updater::new(version, by),
            workspace: Reference { id: 1 },
            flowrun: Reference { id: group.run.get() },
            deployment: Reference { id: group.deployment.get() },
            release: Reference { id: group.release.get() },
            outputs,
            wrangled_dataset: None,
            wrangle_script: None,
            session_id: run.map(|run| run.session.to_string()),
            jobs: (version == Version::V3).then(|| serde_json::json!({ "data": null })),
            job_graph: None,
        }
    }

    /// Shows which output it is.
    pub(crate) fn with_output(mut self, version: Version, id: Option<WrangledId>) -> Self {
        let id = id.map(|id| Reference { id: id.get() });
        match version {
            Version::V3 => self.wrangle_script = id,
            Version::V4 => self.wrangled_dataset = id,
        }
        self
    }

    /// Shows the jobs along with it.
    pub(crate) fn with_jobs(
        mut self,
        version: Version,
        plan: &jobwright_core::Plan,
        jobs: &[Value],
    ) -> Self {
        self.jobs = Some(serde_json::json!({ "data": jobs }));
        if version == Version::V4 {
            self.job_graph = Some(super::json(&JobGraph::of(plan)));
        }
        self
    }
}

/// What a cancellation acts on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Canceled)]
pub(crate) struct CanceledBody {
    /// The jobs that had not ended.
    pub(crate) job_ids: Vec<i64>,
    /// Their group.
    #[serde(rename = "jobgroupId")]
    pub(crate) group: i64,
}

/// A run: one request, one or more job groups.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FlowRun)]
pub(crate) struct FlowRunBody {
    /// Its id.
    pub(crate) id: i64,
    /// When it was accepted.
    created_at: String,
    /// When the status of one of its groups last changed.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
    /// The key that it was asked for under.
    request_id: Option<String>,
    /// The schedule that started it; always null.
    schedule_execution_id: Option<i64>,
    /// What its job groups add up to.
    status: &'static str,
    /// Whether the status is final.
    terminal: bool,
    /// Its deployment.
    deployment: Reference,
    /// The release that it runs.
    release: Reference,
    /// The job group of which it runs again what did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun_of: Option<Reference>,
    /// Its session.
    session_id: String,
    /// The digest of its resolved parameters.
    parameter_digest: String,
    /// The values that the request gave, by name.
    #[schema(value_type = Object)]
    overrides: Value,
    /// Its job groups.
    job_groups: super::Data<Reference>,
}

impl FlowRunBody {
    pub(crate) fn new(
        version: Version,
        run: &Run,
        status: Status,
        groups: &[GroupSummary],
    ) -> Self {
        let updated = groups.iter().map(|it| it.updated_at).max().unwrap_or(run.created_at);
        let ids = run.groups.iter().map(|it| Reference { id: it.id.get() }).collect();
        let key = run.idempotency_key.as_deref();
        Self {
            id: run.id.get(),
            created_at: run.created_at.to_string(),
            updated_at: updated.to_string(),
            creator: Creator::new(version, run.created_by),
            request_id: key.map(|key| crate::run::shown_key(key).to_owned()),
            schedule_execution_id: None,
            status: status.as_str(),
            terminal: status.is_terminal(),
            deployment: Reference { id: run.deployment.get() },
            release: Reference { id: run.release.get() },
            rerun_of: run.rerun_of.map(|id| Reference { id: id.get() }),
            session_id: run.session.to_string(),
            parameter_digest: run.parameters.to_string(),
            overrides: super::json(&run.overrides),
            job_groups: super::Data { data: ids },
        }
    }
}
