//! What a package declares: flows, their steps, what a step needs, and the outputs that a run
//! selects. Templates only; a run turns them into a [`Plan`](crate::Plan).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::{ExecutorName, FlowName, OutputName, StepName};
use crate::parameter::Parameter;
use crate::policy::{FailurePolicy, Policy};

/// A template of a DAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Its name, unique in the package.
    pub name: FlowName,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a failed job means for the rest of its group.
    #[serde(default)]
    pub on_failure: FailurePolicy,
    /// The values that the flow asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// The work.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The results that a run may select.
    #[serde(default)]
    pub outputs: Vec<Output>,
}

impl Flow {
    /// Finds a step by its name.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == *name)
    }
}

/// One unit of work as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the flow.
    pub name: StepName,
    /// What sort of work it is; `jobType` on the wire.
    pub kind: JobKind,
    /// Which executor runs it.
    pub executor: ExecutorName,
    /// What must have ended before it, and how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// What the executor is given. Strings in it may refer to parameters (`$name`, `${a name}`;
    /// `$$` is a dollar sign).
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub payload: serde_json::Value,
    /// How its job is driven.
    #[serde(default)]
    pub policy: Policy,
    /// Its failure does not fail the group; what depends on it is skipped all the same.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What sort of work a step is: the `jobType` words of the API.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Checks the present source schema against the stored one.
    SchemaDrift,
    /// Runs SQL before the sources are read or after the results are published.
    SqlExecution,
    /// Turns an odd file into a readable one.
    FileConverter,
    /// Copies a source into base storage.
    Ingest,
    /// Copies mapping artifacts to storage.
    ArtifactStaging,
    /// Reads from a file system.
    FileReader,
    /// The transform itself, and any other work.
    #[default]
    Wrangle,
    /// Profiles a result.
    Profile,
    /// Writes a file.
    FileWriter,
    /// Loads a result into a table or another external target.
    Publish,
}

impl JobKind {
    /// All kinds, in the order in which an exported flow goes through them.
    pub const ALL: [JobKind; 10] = [
        Self::SchemaDrift,
        Self::SqlExecution,
        Self::FileConverter,
        Self::Ingest,
        Self::ArtifactStaging,
        Self::FileReader,
        Self::Wrangle,
        Self::Profile,
        Self::FileWriter,
        Self::Publish,
    ];

    /// Returns the word of the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SchemaDrift => "schemadrift",
            Self::SqlExecution => "sqlexecution",
            Self::FileConverter => "fileconverter",
            Self::Ingest => "ingest",
            Self::ArtifactStaging => "artifactstaging",
            Self::FileReader => "filereader",
            Self::Wrangle => "wrangle",
            Self::Profile => "profile",
            Self::FileWriter => "filewriter",
            Self::Publish => "publish",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no kind of job.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a kind of job")]
pub struct JobKindError(String);

impl std::str::FromStr for JobKind {
    type Err = JobKindError;
    fn from_str(text: &str) -> Result<Self, JobKindError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| JobKindError(text.to_owned()))
    }
}

/// One thing that must have ended before a step begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The step that must have ended.
    #[serde(flatten)]
    pub on: StepRef,
    /// How it must have ended.
    #[serde(default)]
    pub when: Trigger,
}

/// Names a step, in this flow or in another flow of the package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepRef {
    /// The other flow; absent for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowName>,
    /// The step.
    pub step: StepName,
}

impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flow {
            Some(flow) => write!(f, "{flow}/{}", self.step),
            None => write!(f, "{}", self.step),
        }
    }
}

/// How a needed job must have ended for the one that needs it to go on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// It succeeded.
    #[default]
    Succeeded,
    /// It failed.
    Failed,
    /// It succeeded or failed; not skipped, not cancelled.
    Done,
    /// It ended, however.
    Always,
}

/// A named result of a flow, and the steps that produce it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name, unique in the flow.
    pub name: OutputName,
    /// Who asks for it.
    #[serde(default)]
    pub trigger: OutputTrigger,
    /// The steps whose success is the result; a run takes what they need along.
    pub steps: Vec<StepName>,
}

/// Which runs an output belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputTrigger {
    /// Runs that somebody asks for (`isAdhoc: true`).
    #[default]
    Manual,
    /// Runs that a schedule starts.
    Scheduled,
}
