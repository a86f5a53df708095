//! What engines on one store tell each other: who is there, who drives a deployment whose runs
//! regard each other, and what one asks of another. All of it is documents, so it needs nothing of
//! a store that other documents do not need.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::Audit;
use crate::catalog::Run;
use crate::id::{
    AttemptId, DeploymentId, GroupId, LogOrderId, PresenceId, RunId, RunOrderId, TokenId,
};
use crate::name::ExecutorName;
use crate::plan::Plan;
use crate::store::NodeId;
use crate::time::Timestamp;

/// An engine that is there. It writes this anew as often as it renews its lease, so that the others
/// see by the revision that it lives; whoever sees none for the length of the lease removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The document's id.
    pub id: PresenceId,
    /// The engine.
    pub node: NodeId,
    /// The length of its lease, in milliseconds.
    pub lease_ms: u64,
    /// When it began, by its own clock.
    pub began_at: Timestamp,
}

/// Who drives the runs of a deployment that has a limit, or a run policy under which runs regard
/// each other. Every run of it is accepted in a commit that finds this unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Helm {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The engine.
    pub node: NodeId,
}

/// Somebody wants a group to end that another engine drives. Removed in the commit that cancels it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrder {
    /// The group.
    pub group: GroupId,
    /// Why.
    pub reason: Arc<str>,
    /// Whose token asked, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<TokenId>,
    /// When.
    pub at: Timestamp,
}

/// A run that an engine prepared and the one at the helm of its deployment is to accept: with ids
/// of its own, since runs of a deployment begin in the order of their ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOrder {
    /// The document's id.
    pub id: RunOrderId,
    /// The run. Its ids, and those of its groups and jobs, stand for those that it gets.
    pub run: Run,
    /// The plans of its groups.
    pub plans: Vec<Arc<Plan>>,
    /// Who asked, if that is to be recorded; what it says of the deed is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// What became of it; the engine that asked removes the document then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<RunAnswer>,
}

/// What became of a run that another engine was asked to accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunAnswer {
    /// It is accepted, as this run.
    Accepted(RunId),
    /// The deployment is running already, as this run.
    Running(RunId),
    /// Another run has its idempotency key, or something that it rests on changed: ask again.
    Changed,
}

/// How the limits of executors that hold over all engines are divided. The slots of an executor's
/// entries are never more than its limit, and an engine has no more live attempts than its slots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allotments {
    /// Of each executor, in the order in which engines are served.
    pub of: BTreeMap<ExecutorName, Vec<Allotment>>,
}

/// What one engine has of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allotment {
    /// The engine.
    pub node: NodeId,
    /// So many attempts it may have.
    pub slots: u32,
    /// It has jobs that wait for more.
    pub wants: bool,
}

/// That the instance got its first access token. It is made in the same commit, so that of engines
/// that begin at once one makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// The token.
    pub token: TokenId,
    /// When.
    pub at: Timestamp,
}

/// Lines of an attempt's log that an engine asks whoever has them for. It removes the order itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOrder {
    /// The document's id.
    pub id: LogOrderId,
    /// The attempt's group.
    pub group: GroupId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Lines after this number.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
    /// When it was asked.
    pub at: Timestamp,
    /// The engines that have no log of the attempt.
    pub without: Vec<NodeId>,
    /// The lines, when somebody has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<LogRow>>,
}

/// A line of a log on its way from one engine to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Its number in the attempt's log.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub stream: Arc<str>,
    /// The line.
    pub text: Arc<str>,
}
