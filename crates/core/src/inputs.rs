//! What a job gets of the jobs that it needs.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::event::Verdict;
use crate::id::JobIndex;
use crate::name::StepName;
use crate::plan::Plan;

/// How a needed job ended, and what it left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobInput {
    /// The needed step.
    pub step: StepName,
    /// How it ended.
    pub verdict: Verdict,
    /// What it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Arc<serde_json::Value>>,
}

/// How a needed job ended if it did not just succeed and leave nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Its place among the needs of the job that needs it.
    pub need: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// What it left.
    pub result: Option<Arc<serde_json::Value>>,
}

/// The inputs of an attempt. Most needed jobs succeed and leave nothing: those are not listed, and
/// names are looked up in the plan when somebody asks for them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    left: Vec<Left>,
    named: OnceLock<Vec<JobInput>>,
}

impl Inputs {
    /// Returns the inputs of a job of a plan, in the order of its needs.
    ///
    /// # Panics
    /// If the plan has no such job.
    #[must_use]
    pub fn of(&self, plan: &Plan, job: JobIndex) -> &[JobInput] {
        self.named.get_or_init(|| {
            let needs = plan.jobs[job.at()].needs.iter();
            let mut inputs: Vec<_> = needs
                .map(|need| JobInput {
                    step: plan.jobs[need.job.at()].step.clone(),
                    verdict: Verdict::Succeeded,
                    result: None,
                })
                .collect();
            for left in &self.left {
                let Some(input) = inputs.get_mut(left.need as usize) else { continue };
                (input.verdict, input.result) = (left.verdict, left.result.clone());
            }
            inputs
        })
    }
}

impl From<Vec<Left>> for Inputs {
    fn from(left: Vec<Left>) -> Self {
        Self { left, named: OnceLock::new() }
    }
}

/// Inputs that are known with their names.
impl From<Vec<JobInput>> for Inputs {
    fn from(named: Vec<JobInput>) -> Self {
        Self { left: Vec::new(), named: named.into() }
    }
}
