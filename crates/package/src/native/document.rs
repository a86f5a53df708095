//! The shape of a native document: what may stand in it, and nothing else.

use jobwright_core::{
    CrashLimit, ExecutorName, FailurePolicy, FlowName, Grace, JobKind, OnLost, OutputName,
    OutputTrigger, PackageName, ParameterName, PoolShare, Priority, Retry, StepName, Timeouts,
};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::need::NeedDocument;
use super::ordered::Ordered;
use super::parameter::ParameterDocument;

/// What is read first: a document of another version may have another shape.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) jobwright: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "jobwright")]
    _version: u64,
    pub(super) name: PackageName,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) primary: Option<Vec<FlowName>>,
    pub(super) flows: Ordered<FlowName, FlowDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowDocument {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) on_failure: FailurePolicy,
    pub(super) executor: Option<ExecutorName>,
    #[serde(default)]
    pub(super) parameters: Ordered<ParameterName, Spanned<ParameterDocument>>,
    #[serde(default)]
    pub(super) steps: Ordered<StepName, Spanned<StepDocument>>,
    #[serde(default)]
    pub(super) outputs: Ordered<OutputName, OutputDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepDocument {
    #[serde(default)]
    pub(super) kind: JobKind,
    pub(super) executor: Option<ExecutorName>,
    #[serde(default)]
    pub(super) needs: Vec<NeedDocument>,
    #[serde(default)]
    pub(super) payload: serde_json::Value,
    #[serde(default)]
    pub(super) retry: Retry,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    #[serde(default)]
    pub(super) priority: Priority,
    pub(super) pool: Option<PoolShare>,
    #[serde(default)]
    pub(super) crash_limit: CrashLimit,
    #[serde(default)]
    pub(super) on_lost: OnLost,
    #[serde(default)]
    pub(super) grace: Grace,
    #[serde(default)]
    pub(super) optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputDocument {
    pub(super) steps: Vec<StepName>,
    #[serde(default)]
    pub(super) trigger: OutputTrigger,
}
