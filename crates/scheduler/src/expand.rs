//! Expansion: from the outputs that a run selects to its job groups.
//!
//! ```text
//! outputs ─► all steps that they need, over flows ─► connected parts ─► one plan each
//! ```
//!
//! Outputs that share work share a group and the work runs once; outputs that share nothing run,
//! fail and are cancelled apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jobwright_core::parameter::Resolution;
use jobwright_core::reference::{self, FillError};
use jobwright_core::{
    FailurePolicy, Flow, FlowName, JobIndex, MAX_JOBS, OutputName, OutputTrigger, PlannedJob,
    PlannedNeed, StepName,
};
use thiserror::Error;

use crate::template::Template;

/// Which outputs a run produces.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// All of the primary flows that have this trigger.
    Trigger(OutputTrigger),
    /// The named ones of the primary flows, whatever their trigger.
    Outputs(Vec<OutputName>),
}

/// Why a release cannot be expanded.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// No primary flow has an output with the trigger.
    #[error("the release has no {} output in its primary flow{}", word(.trigger), listed(.others))]
    NoOutput {
        /// The trigger.
        trigger: OutputTrigger,
        /// The outputs that there are.
        others: Vec<OutputName>,
    },
    /// The selection names nothing.
    #[error("the release is asked for no output{}", listed(.others))]
    NothingSelected {
        /// The outputs that there are.
        others: Vec<OutputName>,
    },
    /// No primary flow has an output of the name.
    #[error("the release has no output `{name}` in its primary flow{}", listed(.others))]
    UnknownOutput {
        /// The name.
        name: OutputName,
        /// The outputs that there are.
        others: Vec<OutputName>,
    },
    /// One part of the release has more jobs than a group may have.
    #[error("a job group would have {found} jobs, {MAX_JOBS} are allowed")]
    TooLarge {
        /// How many it would have.
        found: usize,
    },
    /// References in a payload cannot be replaced.
    #[error("step `{step}` of flow `{flow}` cannot be given its values")]
    References {
        /// The flow.
        flow: FlowName,
        /// The step.
        step: StepName,
        /// What is wrong, all of it.
        #[source]
        source: FillError,
    },
}

fn word(trigger: &OutputTrigger) -> &'static str {
    match trigger {
        OutputTrigger::Manual => "manual",
        OutputTrigger::Scheduled => "scheduled",
    }
}

fn listed(names: &[OutputName]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("; it has {}", names.join(", "))
}

/// One connected part of a selection: what becomes one job group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The flow of its first output.
    pub(crate) flow: usize,
    pub(crate) outputs: Vec<OutputName>,
    /// The numbers of its steps, in an order in which they can run.
    pub(crate) steps: Vec<usize>,
}

/// Splits what a run selects into connected parts, in the order of the outputs.
pub(crate) fn parts(template: &Template, selection: &Selection) -> Result<Vec<Part>, ExpandError> {
    let outputs = selected(template, selection)?;
    let mut owner: BTreeMap<usize, usize> = BTreeMap::new();
    let mut sets = Sets::new(outputs.len());
    for (at, (_, _, roots)) in outputs.iter().enumerate() {
        let mut todo = roots.clone();
        while let Some(step) = todo.pop() {
            match owner.get(&step) {
                Some(other) if sets.find(*other) == sets.find(at) => {}
                Some(other) => sets.join(*other, at),
                None => {
                    owner.insert(step, at);
                    todo.extend(template.steps[step].needs.iter().map(|(need, _)| *need));
                }
            }
        }
    }
    let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
    for (at, (flow, name, _)) in outputs.into_iter().enumerate() {
        let part = parts.entry(sets.find(at));
        let blank = Part { flow, outputs: Vec::new(), steps: Vec::new() };
        part.or_insert(blank).outputs.push(name);
    }
    for (step, at) in owner {
        if let Some(part) = parts.get_mut(&sets.find(at)) {
            part.steps.push(step);
        }
    }
    let mut parts: Vec<_> = parts.into_values().filter(|part| !part.steps.is_empty()).collect();
    for part in &mut parts {
        if part.steps.len() > MAX_JOBS {
            return Err(ExpandError::TooLarge { found: part.steps.len() });
        }
        part.steps = in_order(template, &part.steps);
    }
    Ok(parts)
}

/// The selected outputs with the numbers of their steps, in declared order.
fn selected(
    template: &Template,
    selection: &Selection,
) -> Result<Vec<(usize, OutputName, Vec<usize>)>, ExpandError> {
    let package = &template.package;
    let mut all = Vec::new();
    for (at, flow) in package.flows.iter().enumerate() {
        if package.primary.contains(&flow.name) {
            all.extend(flow.outputs.iter().map(|output| (at, output)));
        }
    }
    let others = || all.iter().map(|(_, output)| output.name.clone()).collect();
    let chosen: Vec<_> = match selection {
        Selection::Trigger(trigger) => {
            all.iter().filter(|(_, output)| output.trigger == *trigger).copied().collect()
        }
        Selection::Outputs(names) => {
            let known = |name: &&OutputName| !all.iter().any(|(_, output)| output.name == **name);
            if let Some(name) = names.iter().find(known) {
                return Err(ExpandError::UnknownOutput { name: name.clone(), others: others() });
            }
            all.iter().filter(|(_, output)| names.contains(&output.name)).copied().collect()
        }
    };
    if chosen.is_empty() {
        return Err(match selection {
            Selection::Trigger(trigger) => {
                ExpandError::NoOutput { trigger: *trigger, others: others() }
            }
            Selection::Outputs(_) => ExpandError::NothingSelected { others: others() },
        });
    }
    let with_steps = chosen.into_iter().map(|(flow, output)| {
        let steps = output.steps.iter().filter_map(|step| template.number(flow, step));
        (flow, output.name.clone(), steps.collect())
    });
    Ok(with_steps.collect())
}

/// Orders steps so that each comes after those it needs; among those that could come next, the
/// one declared first does.
fn in_order(template: &Template, steps: &[usize]) -> Vec<usize> {
    let mut left: BTreeMap<usize, usize> = BTreeMap::new();
    let mut followers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut next = BTreeSet::new();
    for step in steps {
        let needs = &template.steps[*step].needs;
        left.insert(*step, needs.len());
        if needs.is_empty() {
            next.insert(*step);
        }
        for (need, _) in needs {
            followers.entry(*need).or_default().push(*step);
        }
    }
    let mut ordered = Vec::with_capacity(steps.len());
    while let Some(step) = next.pop_first() {
        ordered.push(step);
        for follower in followers.get(&step).into_iter().flatten() {
            if let Some(count) = left.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    next.insert(*follower);
                }
            }
        }
    }
    ordered
}

/// The flows whose steps are in the parts.
pub(crate) fn flows<'a>(template: &'a Template, parts: &[Part]) -> Vec<&'a Flow> {
    let steps = parts.iter().flat_map(|part| &part.steps);
    let flows: BTreeSet<_> = steps.map(|step| template.steps[*step].flow).collect();
    flows.into_iter().map(|at| &template.package.flows[at]).collect()
}

/// Makes the jobs of one part, with references replaced by the run's values.
pub(crate) fn jobs(
    template: &Template,
    part: &Part,
    parameters: &Resolution,
) -> Result<Vec<PlannedJob>, ExpandError> {
    let places: BTreeMap<usize, usize> =
        part.steps.iter().enumerate().map(|(at, step)| (*step, at)).collect();
    let mut jobs = Vec::with_capacity(part.steps.len());
    for number in &part.steps {
        let (step, declared) = (&template.steps[*number], template.declared(*number));
        let flow = &template.package.flows[step.flow].name;
        let payload = if step.has_references {
            let filled = reference::fill(&step.payload, |name| parameters.value(flow, name));
            Arc::new(filled.map_err(|source| {
                let (flow, step) = (flow.clone(), declared.name.clone());
                ExpandError::References { flow, step, source }
            })?)
        } else {
            Arc::clone(&step.payload)
        };
        let needs = step.needs.iter().filter_map(|(need, when)| {
            Some(PlannedNeed { job: JobIndex::from(*places.get(need)?), when: *when })
        });
        jobs.push(PlannedJob {
            step: declared.name.clone(),
            flow: flow.clone(),
            kind: declared.kind,
            executor: step.executor.clone(),
            payload,
            policy: Arc::clone(&step.policy),
            optional: declared.optional,
            needs: needs.collect(),
        });
    }
    Ok(jobs)
}

/// What a failed job means for the rest of the part: what the flow of its outputs says.
pub(crate) fn on_failure(template: &Template, part: &Part) -> FailurePolicy {
    template.package.flows[part.flow].on_failure
}

/// Sets of outputs that share work.
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn find(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    /// Joins two sets under their smaller member, so that parts keep the order of outputs.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.find(one), self.find(other));
        let (low, high) = (one.min(other), one.max(other));
        self.0[high] = low;
    }
}
