//! The faults of a package, each with its place.

use thiserror::Error;

use super::{ArtifactError, MAX_FLOWS, MAX_PAYLOAD, MAX_PAYLOAD_DEPTH, MAX_STEPS, PolicyError};
use crate::faults::Listed;
use crate::flow::StepRef;
use crate::name::{FlowName, OutputName, ParameterName, StepName};
use crate::parameter::DeclarationError;
use crate::reference::ReferenceError;

/// Everything that is wrong with a package, sorted by place.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{}", Listed(.faults))]
pub struct PackageFaults {
    /// The faults; never empty.
    pub faults: Vec<PackageFault>,
}

/// One thing that is wrong with a package, and where.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{}{problem}", told(.flow.as_ref(), .step.as_ref(), .pointer))]
pub struct PackageFault {
    /// The flow; absent where the package as a whole is at fault.
    pub flow: Option<FlowName>,
    /// The step; absent where the flow as a whole is at fault.
    pub step: Option<StepName>,
    /// The place in the step's payload as a JSON pointer; empty where it is elsewhere.
    pub pointer: String,
    /// What is wrong.
    pub problem: PackageProblem,
}

impl PackageFault {
    pub(super) fn place(&self) -> (Option<&FlowName>, Option<&StepName>, &str) {
        (self.flow.as_ref(), self.step.as_ref(), &self.pointer)
    }
}

fn told(flow: Option<&FlowName>, step: Option<&StepName>, pointer: &str) -> String {
    let flow = flow.map(|flow| format!("flow `{flow}`"));
    let step = step.map(|step| format!("step `{step}`"));
    let pointer = (!pointer.is_empty()).then(|| format!("payload at `{pointer}`"));
    let place: Vec<_> = [flow, step, pointer].into_iter().flatten().collect();
    if place.is_empty() { String::new() } else { place.join(", ") + ": " }
}

/// What is wrong with a package, a flow or a step.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PackageProblem {
    /// There are too many flows.
    #[error("the package has {found} flows, {MAX_FLOWS} are allowed")]
    TooManyFlows {
        /// How many there are.
        found: usize,
    },
    /// There are too many steps.
    #[error("the package has {found} steps, {MAX_STEPS} are allowed")]
    TooManySteps {
        /// How many there are.
        found: usize,
    },
    /// No flow is primary, so that a run could select nothing.
    #[error("no flow is primary: name at least one under `primary`")]
    NoPrimary,
    /// A primary flow is not there.
    #[error("primary flow `{name}` is not in the package{}", meant(.near.as_ref()))]
    UnknownPrimary {
        /// The flow named.
        name: FlowName,
        /// A flow that is there.
        near: Option<FlowName>,
    },
    /// A flow is named primary twice.
    #[error("flow `{name}` is named primary twice")]
    DuplicatePrimary {
        /// The flow.
        name: FlowName,
    },
    /// Two flows have the name.
    #[error("another flow has the same name")]
    DuplicateFlow,
    /// Two steps of the flow have the name.
    #[error("another step of the flow has the same name")]
    DuplicateStep,
    /// Two outputs of the flow have the name.
    #[error("two outputs are named `{name}`")]
    DuplicateOutput {
        /// The name.
        name: OutputName,
    },
    /// Two parameters of the flow have the name.
    #[error("two parameters are named `{name}`")]
    DuplicateParameter {
        /// The name.
        name: ParameterName,
    },
    /// A parameter is declared wrongly.
    #[error("parameter `{name}`: {error}")]
    Parameter {
        /// The parameter.
        name: ParameterName,
        /// What is wrong with it.
        error: DeclarationError,
    },
    /// No step makes the output.
    #[error("output `{name}` names no steps")]
    EmptyOutput {
        /// The output.
        name: OutputName,
    },
    /// An output names a step that is not there.
    #[error("output `{name}` names step `{step}`, which is not in the flow{}",
        meant(.near.as_ref()))]
    OutputOfUnknownStep {
        /// The output.
        name: OutputName,
        /// The step named.
        step: StepName,
        /// A step that is there.
        near: Option<StepName>,
    },
    /// An output names a step twice.
    #[error("output `{name}` names step `{step}` twice")]
    OutputRepeatsStep {
        /// The output.
        name: OutputName,
        /// The step.
        step: StepName,
    },
    /// A step needs a step of a flow that is not there.
    #[error("it needs `{on}`, whose flow is not in the package{}", meant(.near.as_ref()))]
    NeedOfUnknownFlow {
        /// What it needs.
        on: StepRef,
        /// A flow that is there.
        near: Option<FlowName>,
    },
    /// A step needs a step that is not there.
    #[error("it needs `{on}`, which is not there{}", meant(.near.as_ref()))]
    NeedOfUnknownStep {
        /// What it needs.
        on: StepRef,
        /// A step that is there.
        near: Option<StepName>,
    },
    /// A step needs itself.
    #[error("it needs itself")]
    SelfNeed,
    /// A step needs another twice.
    #[error("it needs `{on}` twice")]
    DuplicateNeed {
        /// What it needs.
        on: StepRef,
    },
    /// Steps need each other in a circle, so that none could ever begin.
    #[error("the steps need each other in a circle: {}", circle(.steps))]
    Cycle {
        /// The whole circle: each needs the next, and the last needs the first.
        steps: Vec<StepRef>,
    },
    /// A policy makes no sense.
    #[error("policy: {0}")]
    Policy(PolicyError),
    /// A payload is too deep.
    #[error("the payload has more than {MAX_PAYLOAD_DEPTH} lists and objects inside each other")]
    PayloadTooDeep,
    /// A payload is too large.
    #[error("the payload has {found} bytes as JSON, {MAX_PAYLOAD} are allowed")]
    PayloadTooLarge {
        /// How many bytes it has.
        found: usize,
    },
    /// A reference cannot be read.
    #[error("{0}")]
    Reference(ReferenceError),
    /// A reference names no parameter of the flow.
    #[error("the flow declares no parameter `{name}` (a dollar sign is written `$$`){}",
        meant(.near.as_ref()))]
    Undeclared {
        /// The name.
        name: String,
        /// A parameter of the flow.
        near: Option<ParameterName>,
    },
    /// A secret is part of a longer text.
    #[error("secret `{name}` must be the whole text, not a part of it")]
    SecretInText {
        /// The parameter.
        name: String,
    },
    /// A value would become part of a shell's program.
    #[error(
        "a reference is part of a shell's program, where its value would be run as code: pass it \
         as an argument after the program (`$$1`) or read it from the environment"
    )]
    ReferenceInScript,
    /// An artifact's path is not to be trusted.
    #[error("artifact {path:?}: {error}")]
    Artifact {
        /// The path.
        path: String,
        /// What is wrong with it.
        error: ArtifactError,
    },
}

fn meant<N: std::fmt::Display>(near: Option<&N>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn circle(steps: &[StepRef]) -> String {
    let all = steps.iter().chain(steps.first());
    all.map(ToString::to_string).collect::<Vec<_>>().join(" -> ")
}
