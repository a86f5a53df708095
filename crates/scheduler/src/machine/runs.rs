//! The live runs: which of a deployment is the first, and which groups each has.

use std::collections::BTreeMap;

use jobwright_core::{DeploymentId, GroupId, RunId};

type Key = (DeploymentId, RunId);

/// So few groups are not worth tidying.
const TIDY: usize = 32;

/// The live runs of a machine.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: BTreeMap<Key, Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    /// In the order in which they came, with some that are not live any more.
    all: Vec<GroupId>,
    live: usize,
}

impl Runs {
    pub(super) fn contains(&self, deployment: DeploymentId, run: RunId) -> bool {
        self.runs.contains_key(&(deployment, run))
    }

    pub(super) fn insert(&mut self, deployment: DeploymentId, run: RunId, group: GroupId) {
        let groups = self.runs.entry((deployment, run)).or_default();
        groups.all.push(group);
        groups.live += 1;
    }

    /// Counts one group less, and tells which run of the deployment is now the first, if that
    /// changed. `is_live` tells which groups are left.
    pub(super) fn remove(
        &mut self,
        deployment: DeploymentId,
        run: RunId,
        is_live: impl Fn(GroupId) -> bool,
    ) -> Option<RunId> {
        let key = (deployment, run);
        let groups = self.runs.get_mut(&key)?;
        groups.live -= 1;
        if groups.live == 0 {
            let was_first = self.first(deployment) == Some(run);
            self.runs.remove(&key);
            return self.first(deployment).filter(|_| was_first);
        }
        if groups.all.len() > TIDY.max(groups.live * 4) {
            groups.all.retain(|group| is_live(*group));
            // Who was forgotten and came again was listed twice.
            groups.all.sort_unstable();
            groups.all.dedup();
        }
        None
    }

    /// The earliest live run of a deployment.
    pub(super) fn first(&self, deployment: DeploymentId) -> Option<RunId> {
        let least = RunId::new(1).ok()?;
        let mut runs = self.runs.range((deployment, least)..);
        runs.next().filter(|((of, _), _)| *of == deployment).map(|((_, run), _)| *run)
    }

    /// The groups of a run, with some that are not live any more.
    pub(super) fn groups(&self, deployment: DeploymentId, run: RunId) -> &[GroupId] {
        self.runs.get(&(deployment, run)).map_or(&[], |groups| &groups.all)
    }

    /// The groups of the runs of a deployment before one, with some that are not live any more.
    pub(super) fn earlier(&self, deployment: DeploymentId, run: RunId) -> Vec<GroupId> {
        let least = RunId::new(1).unwrap_or(run);
        let earlier = self.runs.range((deployment, least)..(deployment, run));
        earlier.flat_map(|(_, groups)| groups.all.iter().copied()).collect()
    }

    /// How many live groups each run has, for the check of invariants.
    pub(super) fn live(&self) -> BTreeMap<Key, usize> {
        self.runs.iter().map(|(run, groups)| (*run, groups.live)).collect()
    }
}
