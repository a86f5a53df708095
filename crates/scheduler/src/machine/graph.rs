//! The edges of a plan the other way round: who needs a job. Two flat vectors, made once per group.

use jobwright_core::{JobIndex, Plan, PlannedNeed};

/// For each job, the jobs that need it, and how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dependents {
    /// Where each job's edges begin in `edges`; one more than there are jobs, or none at all
    /// where there are no edges.
    starts: Box<[u32]>,
    edges: Box<[PlannedNeed]>,
}

impl Dependents {
    pub(super) fn of(plan: &Plan) -> Self {
        let total: usize = plan.jobs.iter().map(|job| job.needs.len()).sum();
        if total == 0 {
            return Self { starts: Box::default(), edges: Box::default() };
        }
        let mut starts = vec![0_u32; plan.jobs.len() + 1];
        for need in plan.jobs.iter().flat_map(|job| &job.needs) {
            starts[need.job.at() + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let blank = PlannedNeed { job: JobIndex(0), when: jobwright_core::Trigger::Succeeded };
        let mut edges = vec![blank; total];
        let mut filled = starts.clone();
        for (index, job) in plan.jobs.iter().enumerate() {
            for need in &job.needs {
                let at = &mut filled[need.job.at()];
                edges[*at as usize] = PlannedNeed { job: index.into(), when: need.when };
                *at += 1;
            }
        }
        Self { starts: starts.into(), edges: edges.into() }
    }

    /// The jobs that need `job`, in their order.
    pub(super) fn of_job(&self, job: JobIndex) -> &[PlannedNeed] {
        match self.starts.get(job.at()..=job.at() + 1) {
            Some([start, end]) => &self.edges[*start as usize..*end as usize],
            Some(_) | None => &[],
        }
    }
}
