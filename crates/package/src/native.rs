//! Native packages: the format of `docs/package-format.md`, from YAML text to the model. What is
//! unknown, doubled or of the wrong shape is refused with its line, its column and its path.

mod document;
mod need;
mod ordered;
mod parameter;
mod yaml;

use jobwright_core::{ExecutorName, Flow, FlowName, Output, OutputName, Package, StepName};
use thiserror::Error;

use crate::limits::Limits;
use document::{Document, FlowDocument, Header, StepDocument};
pub use parameter::ParameterFault;
use yaml::Place;
pub use yaml::YamlError;

/// The file that makes a folder or archive a native package.
pub(crate) const DOCUMENT: &str = "package.yaml";

/// The version of the format that this engine reads.
const VERSION: u64 = 1;

/// Why a native package is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NativeError {
    /// The text is no YAML, or not of the format's shape.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The document does not say which version of the format it has.
    #[error("`jobwright` is missing: a package begins with `jobwright: 1`")]
    NoVersion,
    /// The document has a version of the format that is not known here.
    #[error("line {line}: the package has format version {found}, this engine reads version 1")]
    Version {
        /// The line.
        line: u64,
        /// The version.
        found: u64,
    },
    /// A parameter says what its type cannot mean.
    #[error("line {line}, column {column}, at `flows.{flow}.parameters.{parameter}`: {fault}")]
    Parameter {
        /// The line.
        line: u64,
        /// The column.
        column: u64,
        /// The flow.
        flow: FlowName,
        /// The parameter.
        parameter: jobwright_core::ParameterName,
        /// What is wrong with it.
        fault: ParameterFault,
    },
    /// A step does not say which executor runs it.
    #[error(
        "line {line}, column {column}, at `flows.{flow}.steps.{step}`: no executor: give \
         `executor` to the step or to its flow"
    )]
    NoExecutor {
        /// The line.
        line: u64,
        /// The column.
        column: u64,
        /// The flow.
        flow: FlowName,
        /// The step.
        step: StepName,
    },
    /// There are no flows.
    #[error("`flows` is empty: a package has at least one flow")]
    NoFlows,
    /// There are several flows, and none is called primary.
    #[error("`primary` is missing: with {found} flows, it names those whose outputs a run selects")]
    NoPrimary {
        /// How many flows there are.
        found: usize,
    },
    /// A primary flow does not exist.
    #[error("`primary` names flow `{0}`, which is not among the flows")]
    UnknownPrimary(FlowName),
    /// A primary flow is named twice.
    #[error("`primary` names flow `{0}` twice")]
    PrimaryTwice(FlowName),
    /// A step needs a step that does not exist.
    #[error("step `{step}` of flow `{flow}` needs `{need}`, which does not exist")]
    UnknownNeed {
        /// The flow.
        flow: FlowName,
        /// The step.
        step: StepName,
        /// What it needs.
        need: jobwright_core::StepRef,
    },
    /// An output names a step that does not exist.
    #[error("output `{output}` of flow `{flow}` names step `{step}`, which does not exist")]
    UnknownStep {
        /// The flow.
        flow: FlowName,
        /// The output.
        output: OutputName,
        /// The step.
        step: StepName,
    },
}

/// Reads a package from the text of its document.
pub(crate) fn read(text: &str, limits: &Limits) -> Result<Package, NativeError> {
    let header: Header = yaml::read(text, limits)?;
    match header.jobwright {
        None => return Err(NativeError::NoVersion),
        Some(version) if version.value != VERSION => {
            let line = version.referenced.line();
            return Err(NativeError::Version { line, found: version.value });
        }
        Some(_) => {}
    }
    let document: Document = yaml::read(text, limits)?;
    let flows: Vec<Flow> = document
        .flows
        .0
        .into_iter()
        .map(|(name, flow)| convert(name, flow))
        .collect::<Result<_, _>>()?;
    let primary = primary(document.primary, &flows)?;
    let package = Package {
        name: document.name,
        version: document.version,
        description: document.description,
        origin: None,
        primary,
        flows,
        artifacts: Vec::new(),
    };
    check_names(&package)?;
    Ok(package)
}

fn primary(named: Option<Vec<FlowName>>, flows: &[Flow]) -> Result<Vec<FlowName>, NativeError> {
    let Some(named) = named.filter(|named| !named.is_empty()) else {
        return match flows {
            [] => Err(NativeError::NoFlows),
            [only] => Ok(vec![only.name.clone()]),
            _ => Err(NativeError::NoPrimary { found: flows.len() }),
        };
    };
    for (at, name) in named.iter().enumerate() {
        if named[..at].contains(name) {
            return Err(NativeError::PrimaryTwice(name.clone()));
        }
        if !flows.iter().any(|flow| flow.name == *name) {
            return Err(NativeError::UnknownPrimary(name.clone()));
        }
    }
    Ok(named)
}

fn convert(name: FlowName, flow: FlowDocument) -> Result<Flow, NativeError> {
    let mut parameters = Vec::new();
    for (parameter, document) in flow.parameters.0 {
        let Place { line, column } = Place::of(&document);
        let converted = document.value.convert(parameter.clone());
        let flow = name.clone();
        parameters.push(converted.map_err(|fault| NativeError::Parameter {
            line,
            column,
            flow,
            parameter,
            fault,
        })?);
    }
    let mut steps = Vec::new();
    for (step, document) in flow.steps.0 {
        let Place { line, column } = Place::of(&document);
        let executor = document.value.executor.as_ref().or(flow.executor.as_ref()).cloned();
        let Some(executor) = executor else {
            return Err(NativeError::NoExecutor { line, column, flow: name, step });
        };
        steps.push(convert_step(step, executor, document.value));
    }
    let outputs = flow.outputs.0.into_iter();
    let outputs = outputs.map(|(name, it)| Output { name, trigger: it.trigger, steps: it.steps });
    Ok(Flow {
        name,
        description: flow.description,
        on_failure: flow.on_failure,
        parameters,
        steps,
        outputs: outputs.collect(),
    })
}

fn convert_step(
    name: StepName,
    executor: ExecutorName,
    step: StepDocument,
) -> jobwright_core::Step {
    jobwright_core::Step {
        name,
        kind: step.kind,
        executor,
        needs: step.needs.into_iter().map(|need| need.0).collect(),
        payload: step.payload,
        policy: jobwright_core::Policy {
            retry: step.retry,
            timeouts: step.timeouts,
            priority: step.priority,
            pool: step.pool,
            crash_limit: step.crash_limit,
            on_lost: step.on_lost,
            grace: step.grace,
        },
        optional: step.optional,
    }
}

/// Checks that every step that is named exists.
fn check_names(package: &Package) -> Result<(), NativeError> {
    let steps: std::collections::BTreeSet<(&str, &str)> = package
        .flows
        .iter()
        .flat_map(|flow| flow.steps.iter().map(|step| (flow.name.as_str(), step.name.as_str())))
        .collect();
    for flow in &package.flows {
        for step in &flow.steps {
            for need in &step.needs {
                let target = need.on.flow.as_ref().unwrap_or(&flow.name);
                if !steps.contains(&(target.as_str(), need.on.step.as_str())) {
                    let (flow, step) = (flow.name.clone(), step.name.clone());
                    let need = need.on.clone();
                    return Err(NativeError::UnknownNeed { flow, step, need });
                }
            }
        }
        for output in &flow.outputs {
            for step in &output.steps {
                if !steps.contains(&(flow.name.as_str(), step.as_str())) {
                    let (flow, output) = (flow.name.clone(), output.name.clone());
                    let step = step.clone();
                    return Err(NativeError::UnknownStep { flow, output, step });
                }
            }
        }
    }
    Ok(())
}
