//! What is true between any two steps, counted anew from the states of jobs. Tests and the
//! simulation ask after every step.

use std::collections::BTreeMap;

use jobwright_core::Timestamp;

use super::Scheduler;
use super::group::accepts;
use super::job::JobState;
use super::timers::BLOCK;

impl Scheduler {
    /// Checks everything that must be true between two steps.
    ///
    /// # Panics
    /// When something is not: that is a fault of the machine.
    pub fn check_invariants(&self) {
        assert!(self.ended.is_empty(), "jobs that ended have been followed up");
        self.check_usage();
        self.check_waiters();
        let (mut open, mut live) = (0, BTreeMap::new());
        for (id, slot) in &self.by_id {
            let it = self.slot(*slot);
            assert_eq!(it.group.id, *id, "the register finds the group");
            let run = &it.group.plan.run;
            let known = self.runs.groups(run.deployment, run.run).contains(id);
            assert!(known, "the run knows group {id}");
            *live.entry((run.deployment, run.run)).or_default() += 1;
            open += it.group.open as usize;
            self.check_group(*slot);
        }
        assert_eq!(self.runs.live(), live, "the live groups of each run are counted");
        assert_eq!(open, self.open_jobs, "open jobs are counted");
    }

    fn check_group(&self, slot: u32) {
        let it = self.slot(slot);
        let group = &it.group;
        let open = group.jobs.iter().filter(|job| job.verdict().is_none()).count();
        assert_eq!(open, group.open as usize, "open jobs of group {} are counted", group.id);
        if it.stands {
            return;
        }
        assert!(open > 0, "group {} has not ended and has an open job", group.id);
        let held = self.run_ahead(&group.plan.run).is_some();
        for index in group.indexes() {
            let job = group.job(index);
            if let JobState::Waiting { needs, unmet } = job.state {
                let all = group.planned(index).needs.iter();
                let left = all.filter(|need| {
                    let verdict = group.job(need.job).verdict();
                    !verdict.is_some_and(|verdict| accepts(need.when, verdict))
                });
                assert_eq!(left.count(), needs as usize, "needs of job {} are counted", index.0);
                assert!(!unmet || held, "job {} whose need is unmet has been skipped", index.0);
                assert!(needs > 0 || held, "job {} that needs nothing more is ready", index.0);
            }
            let deadline = job.deadline();
            let is_idle = matches!(job.state, JobState::Waiting { .. } | JobState::Done { .. });
            assert_eq!(deadline == Timestamp::NEVER, is_idle, "job {} has a deadline", index.0);
            assert!(it.armed[index.at() / BLOCK] <= deadline, "job {} has a timer", index.0);
        }
    }

    fn check_usage(&self) {
        let (mut executors, mut pools, deployments) = self.limits.used();
        let mut expected: BTreeMap<_, u64> = deployments.keys().map(|id| (*id, 0)).collect();
        let mut counted = (vec![0; executors.len()], vec![0; pools.len()]);
        for slot in self.by_id.values() {
            let it = self.slot(*slot);
            for index in it.group.indexes() {
                if it.group.job(index).live().is_none() {
                    continue;
                }
                let uses = self.lanes.uses(self.lane(*slot, index));
                counted.0[uses.executor as usize] += 1;
                if let Some((pool, weight)) = uses.pool {
                    counted.1[pool as usize] += u64::from(weight);
                }
                if let Some(deployment) = uses.deployment {
                    *expected.entry(deployment).or_default() += 1;
                }
            }
        }
        assert_eq!(std::mem::take(&mut executors), counted.0, "slots used are live attempts");
        assert_eq!(std::mem::take(&mut pools), counted.1, "pool shares used are live attempts");
        assert_eq!(deployments, expected, "deployments' attempts are live attempts");
    }

    fn check_waiters(&self) {
        let mut found = BTreeMap::new();
        for (lane, waiter) in self.lanes.waiters() {
            found.insert((waiter.place.slot, waiter.place.job, waiter.since), lane);
        }
        for slot in self.by_id.values() {
            let it = self.slot(*slot);
            if it.stands {
                continue;
            }
            for index in it.group.indexes() {
                if let JobState::Ready { since, .. } = it.group.job(index).state {
                    let lane = found.get(&(*slot, index, since));
                    let lane = *lane.expect("a ready job waits in a lane");
                    assert!(
                        self.lanes.reachable(lane),
                        "a lane with a ready job is open or parked"
                    );
                }
            }
        }
    }
}
