//! Deployments whose runs regard each other are driven by one engine at a time: the one at the
//! helm. Each of its commits that accepts a run of such a deployment finds the helm as it was.

use jobwright_core::{
    Change, DeploymentId, Document, GroupId, Helm, Revision, RunContext, RunId, RunPolicy,
};

use super::Driver;
use super::message::{Submission, SubmitError};

/// Whether the runs of a deployment regard each other: by their policy, or by a common limit.
pub(crate) fn regards(policy: RunPolicy, limit: Option<u32>) -> bool {
    policy != RunPolicy::Allow || limit.is_some()
}

impl Driver {
    /// Whether the engine may accept the run.
    pub(super) fn may_accept(&self, submission: &Submission) -> Result<(), SubmitError> {
        if self.ending.has_begun() {
            return Err(SubmitError::ShuttingDown);
        }
        if self.tenure.is_none() {
            return Ok(());
        }
        if !self.trusts() {
            return Err(SubmitError::Away);
        }
        match submission.context() {
            Some(run) if is_steered(run) && !self.helms.contains_key(&run.deployment) => {
                Err(SubmitError::NoHelm)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The engine is at the helm of a deployment, all of whose groups it drives.
    pub(super) fn take_helm(&mut self, deployment: DeploymentId, revision: Revision, term: u64) {
        if term == self.term && !self.is_deposed() {
            self.helms.insert(deployment, revision);
        }
    }

    /// The changes without which no run of a steered deployment is accepted.
    pub(super) fn guards(&self) -> Vec<Change> {
        let guard = |deployment: DeploymentId| {
            let helm = Helm { deployment, node: self.node };
            Some(Change::update(Document::Helm(helm), *self.helms.get(&deployment)?))
        };
        self.steered().into_iter().filter_map(guard).collect()
    }

    /// A turn that accepted runs has written their helms.
    pub(super) fn count_helms(&mut self) {
        for deployment in self.steered() {
            if let Some(revision) = self.helms.get_mut(&deployment) {
                revision.0 += 1;
            }
        }
    }

    /// Somebody else is at the helm of a deployment: none of its runs is accepted here.
    pub(super) fn lose_helm(&mut self, deployment: i64) -> Vec<GroupId> {
        self.helms.retain(|it, _| it.get() != deployment);
        let runs: Vec<(DeploymentId, RunId)> =
            self.turn.submissions.values().map(|it| (it.deployment, it.run)).collect();
        let runs = runs.into_iter().filter(|(of, _)| of.get() == deployment);
        runs.flat_map(|(_, run)| self.refuse(run.get(), SubmitError::NoHelm)).collect()
    }

    /// The deployments of the turn's runs that are steered.
    fn steered(&self) -> Vec<DeploymentId> {
        if self.tenure.is_none() {
            return Vec::new();
        }
        let runs = self.turn.submissions.values().filter_map(|it| it.context());
        let mut steered: Vec<_> =
            runs.filter(|it| is_steered(it)).map(|it| it.deployment).collect();
        steered.sort_unstable();
        steered.dedup();
        steered
    }
}

fn is_steered(run: &RunContext) -> bool {
    regards(run.policy, run.deployment_limit)
}

impl Submission {
    fn context(&self) -> Option<&RunContext> {
        self.groups.first().map(|(_, plan)| &*plan.run)
    }
}
