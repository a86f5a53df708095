//! What stands on the wire: plain shapes with the members that clients know, made from the model.

mod deployment;
mod environment;
mod event;
mod explained;
mod group;
mod job;
mod object;
mod overrides;
mod release;
mod rule;
mod schedule;
mod started;
mod token;
mod waiting;
mod webhook;

use jobwright_core::TokenId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::version::Version;

pub(crate) use deployment::{ChangeDeployment, CreateDeployment, DeploymentBody};
pub(crate) use environment::{EnvironmentBody, EnvironmentPackage, SetEnvironment};
pub(crate) use event::{EventBody, ServerSentEvent};
pub(crate) use explained::ExplainedBody;
pub(crate) use group::{CanceledBody, FlowRunBody, GroupBody};
pub(crate) use job::JobBody;
pub(crate) use object::{Object, Scalar};
pub(crate) use overrides::{ChangeOverride, CreateOverride, OverrideBody};
pub(crate) use release::{ChangeRelease, ImportBody, ReleaseBody};
pub(crate) use rule::{ObjectRuleBody, ValueRuleBody};
pub(crate) use schedule::{
    BackfillBody, ChangeSchedule, CreateBackfill, CreateSchedule, NextBody, ScheduleBody,
};
pub(crate) use started::{Override, RunBody, RunParameters, StartedBody, StartedGroup};
pub(crate) use token::{AuditBody, AuditCheckBody, CreateToken, CreatedToken, TokenBody};
pub(crate) use waiting::waiting;
pub(crate) use webhook::{ChangeWebhook, CreateWebhook, DeliveryBody, TestedBody, WebhookBody};

/// A reference to something by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Reference {
    /// Its id.
    #[schema(minimum = 1)]
    pub(crate) id: i64,
}

/// A list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Data<T> {
    /// What it holds.
    pub(crate) data: Vec<T>,
}

/// Who made something, in the words of the version.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct Creator {
    /// The access token it was made with; `/v4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<Reference>,
    /// The access token it was made with; `/v3`.
    #[serde(rename = "createdBy", skip_serializing_if = "Option::is_none")]
    created_by: Option<i64>,
}

/// Who changed something last, in the words of the version.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct Updater {
    /// The access token it was last changed with; `/v4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    updater: Option<Reference>,
    /// The access token it was last changed with; `/v3`.
    #[serde(rename = "updatedBy", skip_serializing_if = "Option::is_none")]
    updated_by: Option<i64>,
}

impl Creator {
    pub(crate) fn new(version: Version, token: Option<TokenId>) -> Self {
        let id = token.map(TokenId::get);
        match version {
            Version::V3 => Self { creator: None, created_by: id },
            Version::V4 => Self { creator: id.map(|id| Reference { id }), created_by: None },
        }
    }
}

impl Updater {
    pub(crate) fn new(version: Version, token: Option<TokenId>) -> Self {
        let id = token.map(TokenId::get);
        match version {
            Version::V3 => Self { updater: None, updated_by: id },
            Version::V4 => Self { updater: id.map(|id| Reference { id }), updated_by: None },
        }
    }
}

/// What a change answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Changed {
    /// The id of what was changed.
    pub(crate) id: i64,
    #[serde(flatten)]
    pub(crate) updater: Updater,
    /// When it was changed.
    #[serde(rename = "updatedAt")]
    pub(crate) updated_at: String,
}

/// A body as JSON, for what picks members of it.
pub(crate) fn json(body: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(body).unwrap_or_default()
}
