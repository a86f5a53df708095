//! The catalog: what a store keeps beside journals. Documents are plain data with a kind, an id
//! and a revision; the engine reads and writes them, a store finds them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::{Audit, Token};
use crate::digest::Digest;
use crate::flow::OutputTrigger;
use crate::id::{
    AuditId, BackfillId, DeliveryId, DeploymentId, EnvironmentId, GroupId, JobId, LogOrderId,
    PresenceId, ReleaseId, RunId, RunOrderId, ScheduleId, TokenId, WebhookId,
};
use crate::name::{DeploymentName, FlowName, OutputName, PackageName, ParameterName};
use crate::nodes::{Allotments, CancelOrder, First, Helm, LogOrder, Presence, RunOrder};
use crate::parameter::Values;
use crate::policy::RunPolicy;
use crate::retention::Retention;
use crate::rule::{ObjectRule, RuleChanges, ValueRule};
use crate::schedule::{Backfill, BackfillState, Schedule};
use crate::time::Timestamp;
use crate::webhook::{Announcement, Delivery, Webhook};

/// A named container of releases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its name, unique in the instance.
    pub name: DeploymentName,
    /// The release that runs; zero or one.
    pub active: Option<ReleaseId>,
    /// Its parameter values.
    #[serde(default)]
    pub values: Values,
    /// Rules that replace connections at import, in order.
    #[serde(default)]
    pub object_rules: Vec<ObjectRule>,
    /// Rules that replace values at import, in order.
    #[serde(default)]
    pub value_rules: Vec<ValueRule>,
    /// What a run does when the deployment is already running.
    #[serde(default)]
    pub run_policy: RunPolicy,
    /// The most live attempts over all its runs.
    #[serde(default)]
    pub limit: Option<u32>,
    /// How long its runs are kept when they are over; as the engine says where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// No run of it begins until it is resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// How many webhooks are told of its runs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub webhooks: u32,
    /// Whose token it was made with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// Whose token it was last changed with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, or which release is active, was last changed.
    pub updated_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One imported package with its frozen parameter values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Its deployment.
    pub deployment: DeploymentId,
    /// The package as it is run: after the import rules.
    pub package: Digest,
    /// The package's name.
    pub package_name: PackageName,
    /// The primary flows.
    pub primary: Vec<FlowName>,
    /// Its parameter values, fixed at import.
    #[serde(default)]
    pub values: Values,
    /// What the import rules changed.
    #[serde(default)]
    pub changes: RuleChanges,
    /// Whose token it was imported with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// When it was imported.
    pub created_at: Timestamp,
    /// When it was last activated or deactivated.
    pub updated_at: Timestamp,
}

/// One request to run a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its session.
    pub session: Uuid,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that was active.
    pub release: ReleaseId,
    /// Its job groups, in the order of their outputs.
    pub groups: Vec<RunGroup>,
    /// The key under which repeating the request gives this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The hash of the request, to tell a repetition from another request under the same key.
    pub request: Digest,
    /// The values that the request gave.
    #[serde(default)]
    pub overrides: Values,
    /// The job group of which it runs again what did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<GroupId>,
    /// Who asked for it.
    pub trigger: OutputTrigger,
    /// What "now" means for its date parameters.
    pub reference_date: Timestamp,
    /// The digest of the resolved parameters.
    pub parameters: Digest,
    /// Whose token it was asked for with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// One job group of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunGroup {
    /// The group.
    pub id: GroupId,
    /// The outputs that it produces.
    pub outputs: Vec<OutputName>,
    /// Its first job.
    pub first_job: JobId,
    /// How many jobs it has; their ids follow the first without gaps.
    pub jobs: u32,
}

/// The wire's word for how far a job or a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// It exists; nothing has begun.
    Created,
    /// Something has begun.
    InProgress,
    /// It succeeded.
    Complete,
    /// It failed.
    Failed,
    /// It was cancelled, or skipped. One `l`.
    Canceled,
}

impl Status {
    /// Tells whether the status is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Canceled)
    }

    /// Returns the word of the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::InProgress => "InProgress",
            Self::Complete => "Complete",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far a group is: a projection of its journal, written with it, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// The group.
    pub id: GroupId,
    /// Its run.
    pub run: RunId,
    /// Its deployment.
    pub deployment: DeploymentId,
    /// Its release.
    pub release: ReleaseId,
    /// How far it is.
    pub status: Status,
    /// How many jobs it has.
    pub jobs: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
}

/// A parameter of the environment layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentParameter {
    /// Its id.
    pub id: EnvironmentId,
    /// Its name; begins with `env.`.
    pub name: ParameterName,
    /// Its value.
    pub value: serde_json::Value,
}

/// Which ids the jobs of a run have: how a job's run, and so its group, is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobBlock {
    /// The first job.
    pub first: JobId,
    /// How many there are; their ids follow without gaps.
    pub count: u32,
    /// Their run.
    pub run: RunId,
}

/// A document of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Document {
    /// A deployment.
    Deployment(Deployment),
    /// A release.
    Release(Release),
    /// A run.
    Run(Arc<Run>),
    /// A group's summary.
    Group(GroupSummary),
    /// A parameter of the environment.
    Environment(EnvironmentParameter),
    /// The ids of a run's jobs.
    Jobs(JobBlock),
    /// An access token.
    Token(Token),
    /// An audit record.
    Audit(Audit),
    /// A webhook.
    Webhook(Webhook),
    /// What webhooks are to be told of a group.
    Announcement(Announcement),
    /// A message to a webhook.
    Delivery(Delivery),
    /// A schedule.
    Schedule(Box<Schedule>),
    /// A backfill of a schedule.
    Backfill(Box<Backfill>),
    /// An engine that is there.
    Presence(Presence),
    /// Who drives a deployment.
    Helm(Helm),
    /// A group that the engine that drives it is to cancel.
    CancelOrder(CancelOrder),
    /// A run that the engine at its deployment's helm is to accept.
    RunOrder(Box<RunOrder>),
    /// Lines of a log that whoever has them is to give.
    LogOrder(Box<LogOrder>),
    /// How limits that hold over all engines are divided.
    Allotments(Box<Allotments>),
    /// That there was a first access token.
    First(First),
}

/// The kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Deployments.
    Deployment,
    /// Releases.
    Release,
    /// Runs.
    Run,
    /// Groups' summaries.
    Group,
    /// Parameters of the environment.
    Environment,
    /// Jobs: one document for all of a run, under the id of the first.
    Job,
    /// Access tokens.
    Token,
    /// Audit records.
    Audit,
    /// Webhooks.
    Webhook,
    /// Announcements: under the id of the group.
    Announcement,
    /// Messages to webhooks.
    Delivery,
    /// Schedules.
    Schedule,
    /// Backfills.
    Backfill,
    /// Engines that are there.
    Presence,
    /// Who drives a deployment, under the deployment's id.
    Helm,
    /// Groups that are to be cancelled, under the group's id.
    CancelOrder,
    /// Runs that are to be accepted.
    RunOrder,
    /// Lines of logs that are to be given.
    LogOrder,
    /// How limits that hold over all engines are divided: one document.
    Allotments,
    /// That there was a first access token: one document.
    First,
}

impl Kind {
    /// Returns the word under which stores file the kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Release => "release",
            Self::Run => "run",
            Self::Group => "group",
            Self::Environment => "environment",
            Self::Job => "job",
            Self::Token => "token",
            Self::Audit => "audit",
            Self::Webhook => "webhook",
            Self::Announcement => "announcement",
            Self::Delivery => "delivery",
            Self::Schedule => "schedule",
            Self::Backfill => "backfill",
            Self::Presence => "presence",
            Self::Helm => "helm",
            Self::CancelOrder => "cancel_order",
            Self::RunOrder => "run_order",
            Self::LogOrder => "log_order",
            Self::Allotments => "allotments",
            Self::First => "first",
        }
    }
}

/// Where a document is found: its kind and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind.
    pub kind: Kind,
    /// The id.
    pub id: i64,
}

macro_rules! keys {
    ($($id:ident => $kind:ident,)+) => {$(
        impl From<$id> for Key {
            fn from(id: $id) -> Key {
                Key { kind: Kind::$kind, id: id.get() }
            }
        }
    )+};
}

keys! {
    DeploymentId => Deployment,
    ReleaseId => Release,
    RunId => Run,
    GroupId => Group,
    EnvironmentId => Environment,
    JobId => Job,
    TokenId => Token,
    AuditId => Audit,
    WebhookId => Webhook,
    DeliveryId => Delivery,
    ScheduleId => Schedule,
    BackfillId => Backfill,
    PresenceId => Presence,
    RunOrderId => RunOrder,
    LogOrderId => LogOrder,
}

impl Key {
    /// Returns where it is found who drives a deployment.
    #[must_use]
    pub fn helm(deployment: DeploymentId) -> Self {
        Self { kind: Kind::Helm, id: deployment.get() }
    }

    /// Where it is found how limits that hold over all engines are divided.
    pub const ALLOTMENTS: Self = Self { kind: Kind::Allotments, id: 1 };

    /// Where it is found whether there was a first access token.
    pub const FIRST: Self = Self { kind: Kind::First, id: 1 };

    /// Returns where it is found whether a group is to be cancelled.
    #[must_use]
    pub fn cancel_order(group: GroupId) -> Self {
        Self { kind: Kind::CancelOrder, id: group.get() }
    }
}

impl Document {
    /// Returns where the document is found.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Deployment(it) => it.id.into(),
            Self::Release(it) => it.id.into(),
            Self::Run(it) => it.id.into(),
            Self::Group(it) => it.id.into(),
            Self::Environment(it) => it.id.into(),
            Self::Jobs(it) => it.first.into(),
            Self::Token(it) => it.id.into(),
            Self::Audit(it) => it.id.into(),
            Self::Webhook(it) => it.id.into(),
            Self::Announcement(it) => Key { kind: Kind::Announcement, id: it.group.get() },
            Self::Delivery(it) => it.id.into(),
            Self::Schedule(it) => it.id.into(),
            Self::Backfill(it) => it.id.into(),
            Self::Presence(it) => it.id.into(),
            Self::Helm(it) => Key::helm(it.deployment),
            Self::CancelOrder(it) => Key::cancel_order(it.group),
            Self::RunOrder(it) => it.id.into(),
            Self::LogOrder(it) => it.id.into(),
            Self::Allotments(_) => Key::ALLOTMENTS,
            Self::First(_) => Key::FIRST,
        }
    }

    /// Returns the id of what the document belongs to: a release's, a run's, a webhook's and a
    /// schedule's deployment, a group's and an announcement's run, the run of jobs, a delivery's
    /// webhook, a backfill's schedule, the deployment of a run that is to be accepted; 0 where it
    /// belongs to nothing.
    #[must_use]
    pub fn parent(&self) -> i64 {
        match self {
            Self::Deployment(_)
            | Self::Environment(_)
            | Self::Token(_)
            | Self::Audit(_)
            | Self::Presence(_)
            | Self::Helm(_)
            | Self::CancelOrder(_)
            | Self::LogOrder(_)
            | Self::Allotments(_)
            | Self::First(_) => 0,
            Self::RunOrder(it) => it.run.deployment.get(),
            Self::Jobs(it) => it.run.get(),
            Self::Release(it) => it.deployment.get(),
            Self::Run(it) => it.deployment.get(),
            Self::Group(it) => it.run.get(),
            Self::Webhook(it) => it.deployment.get(),
            Self::Announcement(it) => it.run.get(),
            Self::Delivery(it) => it.webhook.get(),
            Self::Schedule(it) => it.deployment.get(),
            Self::Backfill(it) => it.schedule.get(),
        }
    }

    /// Returns the text that no other document of the same kind and parent may have: a name, a
    /// run's idempotency key, a token's hash. None where there is no such text.
    #[must_use]
    pub fn unique(&self) -> Option<&str> {
        match self {
            Self::Deployment(it) => Some(it.name.as_str()),
            Self::Environment(it) => Some(it.name.as_str()),
            Self::Run(it) => it.idempotency_key.as_deref(),
            Self::Token(it) => Some(&it.hash),
            Self::Schedule(it) => Some(it.name.as_str()),
            Self::Release(_)
            | Self::Group(_)
            | Self::Jobs(_)
            | Self::Audit(_)
            | Self::Webhook(_)
            | Self::Announcement(_)
            | Self::Delivery(_)
            | Self::Backfill(_)
            | Self::Presence(_)
            | Self::Helm(_)
            | Self::CancelOrder(_)
            | Self::RunOrder(_)
            | Self::LogOrder(_)
            | Self::Allotments(_)
            | Self::First(_) => None,
        }
    }

    /// Tells whether the document speaks of work that is not over: a group that has not ended, an
    /// announcement, a message that is neither taken nor given up, a schedule that is not paused, a
    /// backfill that goes on.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Group(it) => !it.status.is_terminal(),
            Self::Schedule(it) => !it.paused,
            Self::Backfill(it) => it.state == BackfillState::Running,
            Self::Deployment(_)
            | Self::Release(_)
            | Self::Run(_)
            | Self::Environment(_)
            | Self::Jobs(_)
            | Self::Token(_)
            | Self::Audit(_)
            | Self::Webhook(_)
            | Self::Presence(_)
            | Self::Helm(_)
            | Self::CancelOrder(_)
            | Self::RunOrder(_)
            | Self::LogOrder(_)
            | Self::Allotments(_)
            | Self::First(_) => false,
            Self::Announcement(_) => true,
            Self::Delivery(it) => !it.failed,
        }
    }
}
