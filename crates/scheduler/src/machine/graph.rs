//! The edges of a plan the other way round: who needs a job. Made once per group.

use jobwright_core::{JobIndex, Plan, PlannedNeed};
use smallvec::{SmallVec, smallvec};

use super::FEW;

/// For each job, the jobs that need it, and how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dependents {
    /// Where each job's edges begin in `edges`; one more than there are jobs, or none at all
    /// where there are no edges.
    starts: SmallVec<[u32; FEW]>,
    edges: Box<[PlannedNeed]>,
}

impl Dependents {
    pub(super) fn of(plan: &Plan) -> Self {
        let total: usize = plan.jobs.iter().map(|job| job.needs.len()).sum();
        if total == 0 {
            return Self { starts: SmallVec::new(), edges: Box::default() };
        }
        let mut starts = smallvec![0_u32; plan.jobs.len() + 1];
        for need in plan.jobs.iter().flat_map(|job| &job.needs) {
            starts[need.job.at()] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let blank = PlannedNeed { job: JobIndex(0), when: jobwright_core::Trigger::Succeeded };
        let mut edges = vec![blank; total];
        // Each start is where the job's edges end until they are filled in, the last one first.
        for (index, job) in plan.jobs.iter().enumerate().rev() {
            for need in job.needs.iter().rev() {
                let at = &mut starts[need.job.at()];
                *at -= 1;
                edges[*at as usize] = PlannedNeed { job: index.into(), when: need.when };
            }
        }
        Self { starts, edges: edges.into() }
    }

    /// The jobs that need `job`, in their order.
    pub(super) fn of_job(&self, job: JobIndex) -> &[PlannedNeed] {
        match self.starts.get(job.at()..=job.at() + 1) {
            Some([start, end]) => &self.edges[*start as usize..*end as usize],
            Some(_) | None => &[],
        }
    }
}
