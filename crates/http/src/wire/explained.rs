//! What a run would do.

use jobwright_core::parameter::{Resolved, Value as Typed};
use jobwright_scheduler::{Explanation, GroupPreview};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What a run would start, with where each value comes from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Explanation)]
pub(crate) struct ExplainedBody {
    /// The release that would run.
    release: super::Reference,
    /// What "now" would mean for date parameters.
    reference_date: String,
    /// The digest of the resolved parameters.
    parameter_digest: String,
    /// The resolved parameters: `name`, `flow`, `value`, the `layer` that won, and the ones that it
    /// `shadowed`.
    #[schema(value_type = Vec<Object>)]
    parameters: Vec<Value>,
    /// The job groups: `outputs`, and `jobs` with their `needs` as places in the list.
    #[schema(value_type = Vec<Object>)]
    job_groups: Vec<Value>,
}

impl ExplainedBody {
    pub(crate) fn new(explanation: &Explanation) -> Self {
        let parameters = &explanation.parameters;
        Self {
            release: super::Reference { id: explanation.release.get() },
            reference_date: parameters.reference_date.to_string(),
            parameter_digest: parameters.digest.to_string(),
            parameters: parameters.parameters.iter().map(parameter).collect(),
            job_groups: explanation.groups.iter().map(group).collect(),
        }
    }
}

fn parameter(it: &Resolved) -> Value {
    let shadowed =
        it.shadowed.iter().map(|it| json!({ "layer": it.layer, "value": shown(&it.value) }));
    json!({
        "name": it.name,
        "flow": it.flow,
        "value": shown(&it.value),
        "layer": it.layer,
        "shadowed": shadowed.collect::<Vec<_>>(),
    })
}

/// A value; of a secret, only that it is one.
fn shown(value: &Typed) -> Value {
    match value {
        Typed::Secret(_) => json!({ "secret": true }),
        Typed::Text(_) | Typed::Integer(_) | Typed::Number(_) | Typed::Boolean(_) => {
            value.to_json()
        }
    }
}

fn group(it: &GroupPreview) -> Value {
    let jobs = it.jobs.iter().map(|job| {
        let needs: Vec<u32> = job.needs.iter().map(|need| need.job.0).collect();
        json!({
            "name": job.step,
            "flowName": job.flow,
            "jobType": job.kind,
            "executionLanguage": job.executor,
            "needs": needs,
        })
    });
    json!({ "outputs": it.outputs, "onFailure": it.on_failure, "jobs": jobs.collect::<Vec<_>>() })
}
