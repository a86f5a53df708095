//! Overrides of flow runs.

use jobwright_core::{DeploymentId, ParameterName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Reference, Scalar, Updater};
use crate::overrides::Kept;
use crate::problem::Problem;
use crate::version::Version;

/// A value that a deployment gives to its runs.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FlowRunParameterOverride)]
pub(crate) struct OverrideBody {
    /// Its id.
    id: i64,
    /// The id of its deployment, whose releases hold the flow.
    flow_id: i64,
    /// Its deployment.
    deployment: Reference,
    /// The parameter's name.
    override_key: String,
    /// The value.
    value: Value,
    /// When its deployment was last changed.
    updated_at: String,
    #[serde(flatten)]
    updater: Updater,
}

impl OverrideBody {
    pub(crate) fn new(version: Version, kept: &Kept) -> Self {
        let deployment = &kept.deployment;
        Self {
            id: kept.id,
            flow_id: deployment.id.get(),
            deployment: Reference { id: deployment.id.get() },
            override_key: kept.name.to_string(),
            value: kept.value().clone(),
            updated_at: deployment.updated_at.to_string(),
            updater: Updater::new(version, deployment.updated_by),
        }
    }
}

/// An override to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CreateFlowRunParameterOverride)]
pub(crate) struct CreateOverride {
    /// The id of the deployment.
    #[schema(value_type = i64, minimum = 1, maximum = 9007199254740991_i64)]
    flow_id: DeploymentId,
    /// The parameter's name, with upper and lower case as declared.
    #[schema(
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    override_key: String,
    /// The value: text, a number or a truth value, or `{"variable": {"value": …}}`.
    #[schema(value_type = Scalar)]
    value: Value,
}

impl CreateOverride {
    pub(crate) fn deployment(&self) -> DeploymentId {
        self.flow_id
    }

    pub(crate) fn name(&self) -> Result<ParameterName, Problem> {
        let name = ParameterName::new(&self.override_key);
        name.map_err(|error| Problem::at("#/overrideKey", error.to_string()))
    }

    pub(crate) fn plain_value(&self) -> Value {
        unwrapped(&self.value)
    }
}

/// An override to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ChangeFlowRunParameterOverride)]
pub(crate) struct ChangeOverride {
    /// The parameter's name; it cannot be changed.
    #[serde(default)]
    pub(crate) override_key: Option<String>,
    /// The value: text, a number or a truth value, or `{"variable": {"value": …}}`.
    #[schema(value_type = Scalar)]
    value: Value,
}

impl ChangeOverride {
    pub(crate) fn plain_value(&self) -> Value {
        unwrapped(&self.value)
    }
}

/// The value without the wrapping that some clients put around it.
fn unwrapped(value: &Value) -> Value {
    value.get("variable").and_then(|it| it.get("value")).unwrap_or(value).clone()
}
