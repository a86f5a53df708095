//! Who may have how many live attempts. What is used is derived from the states of jobs: it
//! changes only where a job's state changes, and is counted anew by the check of invariants.

use std::collections::BTreeMap;

use jobwright_core::{DeploymentId, ExecutorName, PoolName, Slots};

/// A limit, and how much of it live attempts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gauge {
    pub(super) limit: u32,
    /// Wide enough for the largest shares of many attempts, which replay may find live.
    pub(super) used: u64,
}

impl Gauge {
    pub(super) fn new(limit: Option<u32>) -> Self {
        Self { limit: limit.unwrap_or(u32::MAX), used: 0 }
    }

    /// A share that is larger than the limit fits when nothing else is used, so that it cannot
    /// wait for ever.
    fn admits(self, weight: u32) -> bool {
        self.used == 0 && self.limit > 0 || self.used + u64::from(weight) <= u64::from(self.limit)
    }
}

/// One of the things that limit how many attempts are live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    Executor(u32),
    Pool(u32),
    Deployment(DeploymentId),
}

/// What a live attempt uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) executor: u32,
    pub(super) pool: Option<(u32, u32)>,
    pub(super) deployment: Option<DeploymentId>,
}

/// All limits of a machine.
#[derive(Debug, Default)]
pub(super) struct Limits {
    executors: Vec<(ExecutorName, Gauge)>,
    pools: Vec<(PoolName, Gauge)>,
    deployments: BTreeMap<DeploymentId, Gauge>,
}

impl Limits {
    /// Declares an executor with its limit.
    pub(super) fn executor(&mut self, name: ExecutorName, limit: Option<u32>) {
        self.executors.push((name, Gauge::new(limit)));
    }

    /// Declares a pool with its limit.
    pub(super) fn pool(&mut self, name: PoolName, limit: u32) {
        self.pools.push((name, Gauge::new(Some(limit))));
    }

    /// Finds an executor; one that nobody declared has no slots until somebody does.
    pub(super) fn executor_index(&mut self, name: &ExecutorName) -> u32 {
        let found = self.executors.iter().position(|(known, _)| known == name);
        let index = found.unwrap_or_else(|| {
            self.executors.push((name.clone(), Gauge::new(Some(0))));
            self.executors.len() - 1
        });
        index as u32
    }

    /// Sets an executor's limit, and tells which one it is.
    pub(super) fn limit_executor(&mut self, name: &ExecutorName, limit: u32) -> u32 {
        let index = self.executor_index(name);
        self.executors[index as usize].1.limit = limit;
        index
    }

    /// Which executor that is, and how many live attempts it has.
    pub(super) fn executor_use(&self, name: &ExecutorName) -> Option<(u32, u32)> {
        let index = self.executors.iter().position(|(known, _)| known == name)?;
        let used = u32::try_from(self.executors[index].1.used).unwrap_or(u32::MAX);
        Some((index as u32, used))
    }

    /// Finds a pool; one that nobody declared has one slot, so that its jobs run one at a time.
    pub(super) fn pool_index(&mut self, name: &PoolName) -> u32 {
        let found = self.pools.iter().position(|(known, _)| known == name);
        let index = found.unwrap_or_else(|| {
            self.pools.push((name.clone(), Gauge::new(Some(1))));
            self.pools.len() - 1
        });
        index as u32
    }

    /// Sets a deployment's limit; the newest run's word counts.
    pub(super) fn deployment(&mut self, id: DeploymentId, limit: u32) {
        let gauge = self.deployments.entry(id).or_insert(Gauge::new(Some(limit)));
        gauge.limit = limit;
    }

    /// The first limit that does not admit another attempt.
    pub(super) fn blocks(&self, needs: &Use) -> Option<Limit> {
        if !self.executors[needs.executor as usize].1.admits(1) {
            return Some(Limit::Executor(needs.executor));
        }
        if let Some((pool, weight)) = needs.pool
            && !self.pools[pool as usize].1.admits(weight)
        {
            return Some(Limit::Pool(pool));
        }
        let deployment = needs.deployment?;
        let gauge = self.deployments.get(&deployment)?;
        (!gauge.admits(1)).then_some(Limit::Deployment(deployment))
    }

    pub(super) fn take(&mut self, uses: &Use) {
        self.executors[uses.executor as usize].1.used += 1;
        if let Some((pool, weight)) = uses.pool {
            self.pools[pool as usize].1.used += u64::from(weight);
        }
        if let Some(gauge) = uses.deployment.and_then(|id| self.deployments.get_mut(&id)) {
            gauge.used += 1;
        }
    }

    pub(super) fn give_back(&mut self, uses: &Use) {
        self.executors[uses.executor as usize].1.used -= 1;
        if let Some((pool, weight)) = uses.pool {
            self.pools[pool as usize].1.used -= u64::from(weight);
        }
        if let Some(gauge) = uses.deployment.and_then(|id| self.deployments.get_mut(&id)) {
            gauge.used -= 1;
        }
    }

    /// The slots of all executors.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slots<'_>> {
        self.executors.iter().map(|(executor, gauge)| {
            let limit = (gauge.limit != u32::MAX).then_some(gauge.limit);
            Slots { executor, limit, busy: gauge.used }
        })
    }

    pub(super) fn executor_gauge(&self, index: u32) -> (&ExecutorName, Gauge) {
        let (name, gauge) = &self.executors[index as usize];
        (name, *gauge)
    }

    pub(super) fn pool_gauge(&self, index: u32) -> (&PoolName, Gauge) {
        let (name, gauge) = &self.pools[index as usize];
        (name, *gauge)
    }

    pub(super) fn deployment_gauge(&self, id: DeploymentId) -> Option<Gauge> {
        self.deployments.get(&id).copied()
    }

    /// Everything used, for the check of invariants.
    pub(super) fn used(&self) -> (Vec<u64>, Vec<u64>, BTreeMap<DeploymentId, u64>) {
        (
            self.executors.iter().map(|(_, gauge)| gauge.used).collect(),
            self.pools.iter().map(|(_, gauge)| gauge.used).collect(),
            self.deployments.iter().map(|(id, gauge)| (*id, gauge.used)).collect(),
        )
    }
}
