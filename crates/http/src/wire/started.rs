//! What starts a run, and what it answers.

use std::sync::Arc;

use jobwright_core::{Plan, Run};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Data, Object, Reference, Scalar};
use crate::version::Version;

/// What a run is asked with; everything may be absent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RunRequest)]
pub(crate) struct RunBody {
    /// Values for this run.
    #[serde(default)]
    #[schema(value_type = Option<RunParameters>)]
    pub(crate) run_parameters: Option<Object<RunParameters>>,
}

/// Values for one run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RunParameters {
    /// The values.
    #[serde(default)]
    #[schema(value_type = Option<Overrides>)]
    pub(crate) overrides: Option<Object<Overrides>>,
    /// What "now" means for date parameters, in RFC 3339.
    #[serde(default)]
    pub(crate) reference_date: Option<String>,
}

/// The values.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overrides {
    /// One by one.
    #[serde(default)]
    #[schema(value_type = Vec<Override>)]
    pub(crate) data: Vec<Object<Override>>,
}

/// A value for one parameter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    /// The parameter's name, with upper and lower case as declared.
    #[schema(
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub(crate) key: String,
    /// Its value: a string for every type; numbers and truth values are taken as well.
    #[schema(value_type = Scalar)]
    pub(crate) value: serde_json::Value,
}

/// What was started: one element per job group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Started)]
pub(crate) struct StartedBody {
    /// The job groups, in the order of their outputs.
    pub(crate) data: Vec<StartedGroup>,
}

/// A job group that was started.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartedGroup {
    /// Always `JobStarted`.
    #[schema(value_type = String, example = "JobStarted")]
    reason: &'static str,
    /// The session of the run.
    session_id: String,
    /// The job group.
    id: i64,
    /// Its jobs, in an order in which they can run.
    jobs: Data<Reference>,
    /// Which job needs which; `/v4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_graph: Option<JobGraph>,
    /// The run that the group belongs to; `/v4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_run: Option<Reference>,
}

/// Jobs and what they need.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobGraph {
    /// The ids of the jobs.
    vertices: Vec<i64>,
    /// The job `source` comes before the job `target`.
    edges: Vec<Edge>,
}

/// A job that another one needs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Edge {
    source: i64,
    target: i64,
}

impl StartedBody {
    /// `plans` are those of the run's groups; they are looked at for `/v4` only.
    pub(crate) fn new(version: Version, run: &Run, plans: &[Arc<Plan>]) -> Self {
        let groups = run.groups.iter().enumerate().map(|(at, group)| {
            let first = group.first_job.get();
            let ids = first..first + i64::from(group.jobs);
            let v4 = version == Version::V4;
            StartedGroup {
                reason: "JobStarted",
                session_id: run.session.to_string(),
                id: group.id.get(),
                jobs: Data { data: ids.map(|id| Reference { id }).collect() },
                job_graph: plans.get(at).filter(|_| v4).map(|plan| JobGraph::of(plan)),
                flow_run: v4.then_some(Reference { id: run.id.get() }),
            }
        });
        Self { data: groups.collect() }
    }
}

impl JobGraph {
    pub(crate) fn of(plan: &Plan) -> Self {
        let id = |at| plan.job_id(at).get();
        let vertices = (0..plan.jobs.len()).map(|at| id(at.into())).collect();
        let edges = plan.jobs.iter().enumerate().flat_map(|(at, job)| {
            let target = id(at.into());
            job.needs.iter().map(move |need| Edge { source: id(need.job), target })
        });
        Self { vertices, edges: edges.collect() }
    }
}
