//! A package made ready for expansion: steps numbered over all flows, needs as numbers, and
//! everything that does not differ between runs shared. Made once per release.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jobwright_core::reference;
use jobwright_core::{
    ExecutorName, FlowName, Package, PlannedStep, Policy, StepName, StepRef, Trigger,
};

/// A package made ready for expansion.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) package: Package,
    /// All steps, flow by flow in declared order.
    pub(crate) steps: Vec<TemplateStep>,
    /// The number of each step.
    numbers: BTreeMap<(FlowName, StepName), usize>,
}

/// A step with what its jobs share.
#[derive(Debug)]
pub(crate) struct TemplateStep {
    pub(crate) flow: usize,
    pub(crate) needs: Vec<(usize, Trigger)>,
    pub(crate) payload: Arc<serde_json::Value>,
    pub(crate) has_references: bool,
    /// What its jobs share, run after run.
    pub(crate) shared: Arc<PlannedStep>,
}

impl Template {
    /// Prepares a package that was checked when it was imported; what dangles all the same is
    /// left out.
    pub(crate) fn new(package: Package) -> Self {
        let mut numbers = BTreeMap::new();
        let mut total = 0;
        for flow in &package.flows {
            for (at, step) in flow.steps.iter().enumerate() {
                numbers.insert((flow.name.clone(), step.name.clone()), total + at);
            }
            total += flow.steps.len();
        }
        let (mut executors, mut policies) = (BTreeSet::new(), Vec::new());
        let mut steps = Vec::with_capacity(total);
        for (flow_at, flow) in package.flows.iter().enumerate() {
            for step in &flow.steps {
                let number = |on: &StepRef| {
                    let flow = on.flow.as_ref().unwrap_or(&flow.name);
                    numbers.get(&(flow.clone(), on.step.clone())).copied()
                };
                let needs =
                    step.needs.iter().filter_map(|need| Some((number(&need.on)?, need.when)));
                // One name for all steps of an executor: comparing them is comparing pointers.
                let executor = match executors.get(&step.executor) {
                    Some(known) => ExecutorName::clone(known),
                    None => {
                        executors.insert(step.executor.clone());
                        step.executor.clone()
                    }
                };
                let shared = PlannedStep {
                    step: step.name.clone(),
                    flow: flow.name.clone(),
                    kind: step.kind,
                    executor,
                    policy: share(&mut policies, &step.policy),
                    optional: step.optional,
                };
                steps.push(TemplateStep {
                    flow: flow_at,
                    needs: needs.collect(),
                    payload: Arc::new(step.payload.clone()),
                    has_references: reference::has_references(&step.payload),
                    shared: Arc::new(shared),
                });
            }
        }
        Self { package, steps, numbers }
    }

    /// The number of a step of a flow.
    pub(crate) fn number(&self, flow: usize, step: &StepName) -> Option<usize> {
        let flow = self.package.flows[flow].name.clone();
        self.numbers.get(&(flow, step.clone())).copied()
    }
}

/// So many policies are looked at: packages have few, and one that has many shares less.
const POLICIES: usize = 16;

/// Finds the policy among the latest ones, or adds it.
fn share(known: &mut Vec<Arc<Policy>>, policy: &Policy) -> Arc<Policy> {
    let latest = known.iter().rev().take(POLICIES).find(|it| ***it == *policy);
    let found = latest.map(Arc::clone);
    found.unwrap_or_else(|| {
        known.push(Arc::new(policy.clone()));
        known[known.len() - 1].clone()
    })
}
