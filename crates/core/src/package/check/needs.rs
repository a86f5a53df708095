//! What steps need: it is there, it is another step, and nothing needs itself by a detour.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, PackageProblem, graph};
use crate::flow::{Need, Step, StepRef};
use crate::name::{FlowName, StepName};
use crate::package::Package;

/// The steps of a package as nodes of one graph over all flows, by flow and name.
struct Nodes<'p> {
    named: BTreeMap<&'p FlowName, BTreeMap<&'p StepName, usize>>,
    all: Vec<(&'p FlowName, &'p Step)>,
}

impl<'p> Nodes<'p> {
    /// Where two steps have one name, the first is meant; that there are two is a fault already.
    fn of(package: &'p Package) -> Self {
        let mut nodes = Nodes { named: BTreeMap::new(), all: Vec::new() };
        for flow in &package.flows {
            let named = nodes.named.entry(&flow.name).or_default();
            for step in &flow.steps {
                named.entry(&step.name).or_insert(nodes.all.len());
                nodes.all.push((&flow.name, step));
            }
        }
        nodes
    }

    fn find(
        &self,
        need: &Need,
        flow: &FlowName,
        found: &mut Found,
    ) -> Result<usize, PackageProblem> {
        let StepRef { flow: other, step } = &need.on;
        let other = other.as_ref().unwrap_or(flow);
        let Some(steps) = self.named.get(other) else {
            let flows = self.named.keys().copied();
            let near = found.nearest.find(other.as_str(), flows).cloned();
            return Err(PackageProblem::NeedOfUnknownFlow { on: need.on.clone(), near });
        };
        steps.get(step).copied().ok_or_else(|| {
            let near = found.nearest.find(step.as_str(), steps.keys().copied()).cloned();
            PackageProblem::NeedOfUnknownStep { on: need.on.clone(), near }
        })
    }
}

pub(super) fn check(package: &Package, found: &mut Found) {
    let nodes = Nodes::of(package);
    let mut edges = vec![Vec::new(); nodes.all.len()];
    for (node, (flow, step)) in nodes.all.iter().copied().enumerate() {
        let at = (flow, &step.name);
        let mut seen = BTreeSet::new();
        for need in &step.needs {
            let problem = match nodes.find(need, flow, found) {
                Err(problem) => problem,
                Ok(needed) if needed == node => PackageProblem::SelfNeed,
                Ok(needed) if seen.insert(needed) => {
                    edges[node].push(needed);
                    continue;
                }
                Ok(_) => PackageProblem::DuplicateNeed { on: need.on.clone() },
            };
            found.step(at, String::new(), problem);
        }
    }
    for cycle in graph::cycles(&edges) {
        let steps: Vec<_> = cycle.into_iter().map(|node| nodes.all[node]).collect();
        let Some((flow, first)) = steps.first().copied() else { continue };
        let steps = steps
            .into_iter()
            .map(|(flow, step)| StepRef { flow: Some(flow.clone()), step: step.name.clone() });
        let problem = PackageProblem::Cycle { steps: steps.collect() };
        found.step((flow, &first.name), String::new(), problem);
    }
}
