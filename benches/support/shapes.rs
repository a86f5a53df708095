//! The shapes of the runs that are measured: for every job of every group, which earlier jobs of
//! the group it needs. The same shape becomes a package for the engine or plans for the machine.

#![allow(dead_code, reason = "no bench runs every shape")]

use anyhow::Result;
use jobwright::core::{
    Bundle, ExecutorName, Flow, FlowName, JobKind, Need, Output, OutputName, OutputTrigger,
    Package, PackageName, Policy, Step, StepName, StepRef, Trigger,
};
use serde_json::Value;

/// The executor that every step names.
pub(crate) const EXECUTOR: &str = "bench";

/// One run: its groups, and for each of a group's jobs the places of those that it needs.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) groups: Vec<Vec<Vec<usize>>>,
}

impl Shape {
    /// Diamonds of ten jobs, 1 → 8 → 1, each a group of its own.
    pub(crate) fn diamonds(groups: usize) -> Self {
        Self { groups: vec![ladder(1); groups] }
    }

    /// One group of jobs that need nothing.
    pub(crate) fn wide(jobs: usize) -> Self {
        Self { groups: vec![vec![Vec::new(); jobs]] }
    }

    /// One group in which each job needs the one before.
    pub(crate) fn chain(jobs: usize) -> Self {
        let needs = |job: usize| job.checked_sub(1).into_iter().collect();
        Self { groups: vec![(0..jobs).map(needs).collect()] }
    }

    /// One group of diamonds, 1 → 8 → 1, one after another.
    pub(crate) fn ladder(rungs: usize) -> Self {
        Self { groups: vec![ladder(rungs)] }
    }

    /// One group of layers; each job needs one to four of the layer above. The same every time.
    pub(crate) fn layered(layers: usize, width: usize) -> Self {
        let mut chance = Chance(20_260_131);
        let mut jobs = vec![Vec::new(); width];
        for above in (0..layers.saturating_sub(1)).map(|layer| layer * width) {
            for _ in 0..width {
                let count = 1 + chance.below(4.min(width));
                let mut needs = Vec::with_capacity(count);
                while needs.len() < count {
                    let need = above + chance.below(width);
                    if !needs.contains(&need) {
                        needs.push(need);
                    }
                }
                jobs.push(needs);
            }
        }
        Self { groups: vec![jobs] }
    }

    /// How many jobs the run has.
    pub(crate) fn jobs(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    /// Makes a package of it: one flow, with an output per group that names the jobs which no
    /// other needs. Every step has the same payload.
    pub(crate) fn bundle(&self, payload: &Value) -> Result<Bundle> {
        let flow = FlowName::new("main")?;
        let mut steps = Vec::with_capacity(self.jobs());
        let mut outputs = Vec::with_capacity(self.groups.len());
        for (group, jobs) in self.groups.iter().enumerate() {
            let name = |job: usize| StepName::new(&format!("{group}-{job}"));
            let mut is_needed = vec![false; jobs.len()];
            for (job, needs) in jobs.iter().enumerate() {
                let mut step = step(name(job)?, payload)?;
                for need in needs {
                    is_needed[*need] = true;
                    let on = StepRef { flow: None, step: name(*need)? };
                    step.needs.push(Need { on, when: Trigger::Succeeded });
                }
                steps.push(step);
            }
            let ends = (0..jobs.len()).filter(|job| !is_needed[*job]).map(name);
            outputs.push(Output {
                name: OutputName::new(&group.to_string())?,
                trigger: OutputTrigger::Manual,
                steps: ends.collect::<Result<_, _>>()?,
            });
        }
        let flows = vec![Flow {
            name: flow.clone(),
            description: String::new(),
            on_failure: Default::default(),
            parameters: Vec::new(),
            steps,
            outputs,
        }];
        Ok(Bundle::from(Package {
            name: PackageName::new("shape")?,
            version: String::new(),
            description: String::new(),
            origin: None,
            primary: vec![flow],
            flows,
            artifacts: Vec::new(),
        }))
    }
}

fn ladder(rungs: usize) -> Vec<Vec<usize>> {
    let mut jobs = Vec::with_capacity(rungs * 10);
    for first in (0..rungs).map(|rung| rung * 10) {
        jobs.push(first.checked_sub(1).into_iter().collect());
        jobs.extend((1..9).map(|_| vec![first]));
        jobs.push((first + 1..first + 9).collect());
    }
    jobs
}

fn step(name: StepName, payload: &Value) -> Result<Step> {
    Ok(Step {
        name,
        kind: JobKind::Wrangle,
        executor: ExecutorName::new(EXECUTOR)?,
        needs: Vec::new(),
        payload: payload.clone(),
        policy: Policy::default(),
        optional: false,
    })
}

/// Numbers that look random and are the same every time: splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
