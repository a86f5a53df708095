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
        let step = &template.steps[*number];
        let flow = &template.package.flows[step.flow].name;
        let payload = if step.has_references {
            let filled = reference::fill(&step.payload, |name| parameters.value(flow, name));
            Arc::new(filled.map_err(|source| {
                let (flow, step) = (flow.clone(), step.shared.step.clone());
                ExpandError::References { flow, step, source }
            })?)
        } else {
            Arc::clone(&step.payload)
        };
        let needs = step.needs.iter().filter_map(|(need, when)| {
            Some(PlannedNeed { job: JobIndex::from(*places.get(need)?), when: *when })
        });
        jobs.push(PlannedJob { shared: Arc::clone(&step.shared), payload, needs: needs.collect() });
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

#[cfg(test)]
mod tests {
    use jobwright_core::parameter::{Layers, Values, resolve};
    use jobwright_core::{Package, ParameterName, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn step(name: &str, needs: &[&str], payload: &Value) -> Value {
        let needs: Vec<_> = needs
            .iter()
            .map(|need| match need.split_once('/') {
                Some((flow, step)) => json!({ "flow": flow, "step": step }),
                None => json!({ "step": need }),
            })
            .collect();
        json!({ "name": name, "kind": "wrangle", "executor": "mock", "needs": needs,
                "payload": payload })
    }

    /// `main` has two outputs that share `a`, one that stands alone, one that needs steps of
    /// `lib`, one declared before what it needs, and two for schedules; `more` is primary too.
    fn template() -> Template {
        let none = Value::Null;
        let main = json!({
            "name": "main",
            "on_failure": "fail_fast",
            "parameters": [
                { "name": "region", "type": "string", "default": "$count" },
                { "name": "count", "type": "integer", "default": 3 },
                { "name": "login", "type": "secret", "default": "db-login" },
            ],
            "steps": [
                step("a", &[], &json!({ "n": 1 })),
                step("b", &["a"], &json!({
                    "text": "in $region for $$5", "whole": ["$count"], "host": "${env.host}",
                })),
                step("c", &["a"], &json!({ "login": "$login", "as": "x" })),
                step("late", &["early"], &none),
                step("early", &[], &none),
                step("x", &[], &none),
                step("y", &["lib/clean"], &none),
            ],
            "outputs": [
                { "name": "left", "steps": ["b"] },
                { "name": "alone", "steps": ["x"] },
                { "name": "right", "steps": ["c"] },
                { "name": "far", "steps": ["y"] },
                { "name": "last", "steps": ["late"] },
                { "name": "nightly", "trigger": "scheduled", "steps": ["x"] },
                { "name": "weekly", "trigger": "scheduled", "steps": ["x", "late"] },
            ],
        });
        let lib = json!({
            "name": "lib",
            "parameters": [{ "name": "region", "type": "string", "default": "lib's own" }],
            "steps": [
                step("read", &[], &json!("$region")),
                step("clean", &["read"], &none),
                step("unused", &["clean"], &none),
            ],
            "outputs": [{ "name": "hidden", "steps": ["unused"] }],
        });
        let more = json!({
            "name": "more",
            "steps": [step("m", &["lib/read"], &none)],
            "outputs": [{ "name": "extra", "steps": ["m"] }],
        });
        let package: Package = serde_json::from_value(json!({
            "name": "shop", "primary": ["main", "more"], "flows": [main, lib, more],
        }))
        .unwrap();
        package.check().unwrap();
        Template::new(package)
    }

    fn resolution(template: &Template, parts: &[Part]) -> Resolution {
        let host = ParameterName::new("env.host").unwrap();
        let environment = Values::from([(host, json!("db1"))]);
        let layers = Layers { environment, ..Layers::default() };
        resolve(&flows(template, parts), &layers, Timestamp::default()).unwrap()
    }

    /// One line per group: its outputs, then its jobs in order, each with what it needs.
    fn check(selection: &Selection, expect: &str) {
        let template = template();
        let found = parts(&template, selection).map(|parts| {
            let parameters = resolution(&template, &parts);
            let lines = parts.iter().map(|part| {
                let jobs = jobs(&template, part, &parameters).unwrap();
                let words = jobs.iter().map(|job| {
                    let needs = job.needs.iter().map(|need| jobs[need.job.at()].step.as_str());
                    let needs: String = needs.flat_map(|need| ["<", need]).collect();
                    format!("{}/{}{needs}", job.flow, job.step)
                });
                let outputs: Vec<_> = part.outputs.iter().map(OutputName::as_str).collect();
                format!("{}: {}", outputs.join("+"), words.collect::<Vec<_>>().join(" "))
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        let found = found.unwrap_or_else(|error| error.to_string());
        let expect: Vec<_> = expect.trim().lines().map(str::trim).collect();
        assert_eq!(found, expect.join("\n"));
    }

    fn named(names: &[&str]) -> Selection {
        Selection::Outputs(names.iter().map(|name| OutputName::new(name).unwrap()).collect())
    }

    #[test]
    fn outputs_that_share_work_share_a_group() {
        check(
            &Selection::Trigger(OutputTrigger::Manual),
            "left+right: main/a main/b<a main/c<a
             alone: main/x
             far+extra: lib/read lib/clean<read main/y<clean more/m<read
             last: main/early main/late<early",
        );
        check(
            &Selection::Trigger(OutputTrigger::Scheduled),
            "nightly+weekly: main/early main/late<early main/x",
        );
        check(&named(&["right"]), "right: main/a main/c<a");
        // The order is that of the package, whatever the caller's, and twice is once.
        check(
            &named(&["nightly", "far", "left", "left"]),
            "left: main/a main/b<a
             far: lib/read lib/clean<read main/y<clean
             nightly: main/x",
        );
        check(
            &named(&["left", "hidden"]),
            "the release has no output `hidden` in its primary flow; it has `left`, `alone`, \
             `right`, `far`, `last`, `nightly`, `weekly`, `extra`",
        );
        check(
            &named(&[]),
            "the release is asked for no output; it has `left`, `alone`, `right`, `far`, `last`, \
             `nightly`, `weekly`, `extra`",
        );
    }

    #[test]
    fn a_trigger_without_outputs_is_refused() {
        let mut template = template();
        template.package.flows[0].outputs.truncate(1);
        template.package.primary.truncate(1);
        let error = parts(&template, &Selection::Trigger(OutputTrigger::Scheduled)).unwrap_err();
        let text = "the release has no scheduled output in its primary flow; it has `left`";
        assert_eq!(error.to_string(), text);
        template.package.flows[0].outputs.clear();
        let error = parts(&template, &Selection::Trigger(OutputTrigger::Manual)).unwrap_err();
        assert_eq!(error.to_string(), "the release has no manual output in its primary flow");
    }

    #[test]
    fn references_are_filled_once_and_what_has_none_is_shared() {
        let template = template();
        let parts = parts(&template, &named(&["left", "right", "far"])).unwrap();
        let parameters = resolution(&template, &parts);
        let all: Vec<_> =
            parts.iter().flat_map(|it| jobs(&template, it, &parameters).unwrap()).collect();
        let payload =
            |step: &str| &all.iter().find(|job| job.step.as_str() == step).unwrap().payload;
        // A value is text: the `$count` in it is not a reference.
        let filled = json!({ "text": "in $count for $5", "whole": [3], "host": "db1" });
        assert_eq!(**payload("b"), filled);
        assert_eq!(**payload("c"), json!({ "login": { "$secret": "db-login" }, "as": "x" }));
        // The same name is another parameter in another flow.
        assert_eq!(**payload("read"), json!("lib's own"));
        assert!(Arc::ptr_eq(payload("a"), &template.steps[0].payload));
        // The flow of the first output says what a failure means.
        let policies: Vec<_> = parts.iter().map(|part| on_failure(&template, part)).collect();
        assert_eq!(policies, [FailurePolicy::FailFast; 2]);
    }

    #[test]
    fn payloads_that_cannot_be_filled_name_their_step() {
        let mut template = template();
        template.steps[0].payload = Arc::new(json!({ "deep": ["$nowhere"] }));
        template.steps[0].has_references = true;
        let parts = parts(&template, &named(&["left"])).unwrap();
        let error = jobs(&template, &parts[0], &resolution(&template, &parts)).unwrap_err();
        assert_eq!(error.to_string(), "step `a` of flow `main` cannot be given its values");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("at `/deep/0`: no parameter is named `nowhere`"), "{cause}");
    }
}
