//! Deployments.

use jobwright_core::parameter::Values;
use jobwright_core::{Deployment, RunPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Creator, Data, Reference, Updater};
use crate::version::Version;

/// A named container of releases.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Deployment)]
pub(crate) struct DeploymentBody {
    /// Its id.
    pub(crate) id: i64,
    /// Its name, unique in the instance.
    name: String,
    /// When it was made.
    created_at: String,
    /// When it, or which release is active, was last changed.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
    #[serde(flatten)]
    updater: Updater,
    /// The release that runs; null where there is none.
    active_release: Option<Reference>,
    /// No run of it begins until it is resumed.
    paused: bool,
    /// What a run does when the deployment is already running: `allow`, `queue`, `skip`,
    /// `cancel_previous`.
    run_policy: Value,
    /// The most live attempts over all its runs.
    limit: Option<u32>,
    /// How long its runs are kept when they are over: a duration or `forever`; null for what the
    /// engine says.
    retention: Option<String>,
    /// Its parameter values, by name.
    #[schema(value_type = Object)]
    parameters: Value,
    /// Its releases, where they are embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) releases: Option<Data<Value>>,
}

impl DeploymentBody {
    pub(crate) fn new(version: Version, deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.get(),
            name: deployment.name.to_string(),
            created_at: deployment.created_at.to_string(),
            updated_at: deployment.updated_at.to_string(),
            creator: Creator::new(version, deployment.created_by),
            updater: Updater::new(version, deployment.updated_by),
            active_release: deployment.active.map(|id| Reference { id: id.get() }),
            paused: deployment.paused,
            run_policy: super::json(&deployment.run_policy),
            limit: deployment.limit,
            retention: deployment.retention.map(|it| it.to_string()),
            parameters: super::json(&deployment.values),
            releases: None,
        }
    }
}

/// A deployment to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDeployment {
    /// Its name, unique in the instance.
    #[schema(
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub(crate) name: String,
}

/// What is to change of a deployment; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeDeployment {
    /// Its name.
    #[serde(default)]
    #[schema(
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub(crate) name: Option<String>,
    /// What a run does when the deployment is already running.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(allow|queue|skip|cancel_previous)$")]
    pub(crate) run_policy: Option<RunPolicy>,
    /// The most live attempts; null takes the limit away.
    #[serde(default, with = "present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 4294967295_i64)]
    pub(crate) limit: Option<Option<u32>>,
    /// How long its runs are kept when they are over: `30d`, `12h` or `forever`; null for what the
    /// engine says.
    #[serde(default, with = "present")]
    #[schema(value_type = Option<String>, max_length = 64)]
    pub(crate) retention: Option<Option<String>>,
    /// Its parameter values, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) parameters: Option<Values>,
    /// Whether it is paused.
    #[serde(default)]
    pub(crate) paused: Option<bool>,
}

/// Tells a null from what is absent.
mod present {
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::deserialize(from).map(Some)
    }
}
