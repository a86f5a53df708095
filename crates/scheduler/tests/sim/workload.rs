//! What a simulated engine has to do: capacities, and runs of random groups that arrive in time.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Backoff, CrashLimit, ExecutorName, FailurePolicy, Grace, GroupId, OnLost, Plan, PlannedJob,
    Policy, PoolName, PoolShare, Priority, Retry, RetryOn, RunContext, RunPolicy, Timeouts,
    Trigger,
};
use jobwright_scheduler::machine::Capacity;

use crate::plan;
use crate::random::Random;

/// The longest that a job may take in all, in milliseconds: what the bound on a group's end is
/// made of.
pub(crate) const LONGEST_TOTAL: u64 = 2 * 3_600_000;

/// A run and when it is asked for.
pub(crate) struct Submission {
    pub(crate) at: u64,
    pub(crate) groups: Vec<(GroupId, Arc<Plan>)>,
}

pub(crate) fn capacity(random: &mut Random) -> Capacity {
    let slots = [None, Some(1), Some(2), Some(4)];
    let executor = |name| ExecutorName::new(name).expect("an executor's name");
    let pool = |name| PoolName::new(name).expect("a pool's name");
    Capacity {
        executors: vec![
            (executor("local"), random.pick(&slots)),
            (executor("remote"), random.pick(&slots)),
        ],
        pools: vec![
            (pool("licences"), random.between(1, 4) as u32),
            (pool("database"), random.between(1, 2) as u32),
        ],
    }
}

pub(crate) fn submissions(random: &mut Random) -> Vec<Submission> {
    let policies = [RunPolicy::Allow, RunPolicy::Queue, RunPolicy::Skip, RunPolicy::CancelPrevious];
    let of_deployment = [random.pick(&policies), random.pick(&policies)];
    let (mut at, mut next_group, mut next_job) = (0, 1, 1);
    let mut all = Vec::new();
    for run in 1..=random.between(1, 4) {
        let deployment = random.below(2);
        let policy = match random.chance(85) {
            true => of_deployment[deployment as usize],
            false => random.pick(&policies),
        };
        let limit = random.pick(&[None, None, Some(1), Some(3)]);
        let context = plan::run(run, deployment + 1, policy, limit);
        let mut groups = Vec::new();
        for _ in 0..random.pick(&[1, 1, 2]) {
            let plan = group(random, &context, next_job);
            next_job += plan.jobs.len() as u64;
            groups.push((plan::group_id(next_group), plan));
            next_group += 1;
        }
        all.push(Submission { at, groups });
        at += random.pick(&[0, 10, 3000, 60_000]);
    }
    all
}

fn group(random: &mut Random, run: &Arc<RunContext>, first_job: u64) -> Arc<Plan> {
    let count = random.pick(&[1, 2, 3, 4, 5, 6, 8, 12]);
    let alike = policy(random);
    let jobs: Vec<_> = (0..count).map(|at| one_job(random, at, &alike)).collect();
    let on_failure = random.pick(&[FailurePolicy::Continue, FailurePolicy::FailFast]);
    let carried = if random.chance(25) { carried(random, &jobs) } else { Vec::new() };
    plan::rerun(run, first_job, on_failure, jobs, &carried)
}

/// Some jobs that an earlier group may have done: what they need is among them.
fn carried(random: &mut Random, jobs: &[PlannedJob]) -> Vec<usize> {
    let mut done = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let mut needs = job.needs.iter();
        let rests = needs.all(|it| it.when != Trigger::Failed && done.contains(&it.job.at()));
        if rests && random.chance(60) && done.len() + 1 < jobs.len() {
            done.push(at);
        }
    }
    done
}

fn one_job(random: &mut Random, at: usize, alike: &Policy) -> PlannedJob {
    let triggers = [
        Trigger::Succeeded,
        Trigger::Succeeded,
        Trigger::Succeeded,
        Trigger::Failed,
        Trigger::Done,
        Trigger::Always,
    ];
    let mut needs = Vec::new();
    let most = random.pick(&[0, 1, 1, 2, 3]).min(at);
    for _ in 0..most {
        let need = plan::need(random.below(at as u64) as usize, random.pick(&triggers));
        if needs.iter().all(|other: &jobwright_core::PlannedNeed| other.job != need.job) {
            needs.push(need);
        }
    }
    let executor = random.pick(&["local", "local", "local", "remote", "remote", "nowhere"]);
    let executor = if executor == "nowhere" && random.chance(80) { "local" } else { executor };
    let policy = if random.chance(60) { policy(random) } else { alike.clone() };
    let mut job = plan::job(at, executor, policy, needs);
    Arc::make_mut(&mut job.shared).optional = random.chance(15);
    job
}

fn policy(random: &mut Random) -> Policy {
    let millis = |random: &mut Random, of: &[u64]| Duration::from_millis(random.pick(of));
    let backoff = match random.chance(50) {
        true => Backoff::Fixed { delay: millis(random, &[0, 100, 5000]) },
        false => Backoff::Exponential {
            delay: millis(random, &[10, 1000]),
            cap: millis(random, &[1000, 60_000]),
        },
    };
    let mut on = vec![RetryOn::Retryable, RetryOn::TimedOut, RetryOn::Permanent];
    on.retain(|_| random.chance(70));
    let pool = |name, weight| {
        let name = PoolName::new(name).expect("a pool's name");
        Some(PoolShare { name, weight })
    };
    Policy {
        retry: Retry {
            max_attempts: random.between(1, 4) as u32,
            backoff,
            jitter: random.pick(&[0, 20, 100]),
            max_elapsed: random
                .pick(&[None, None, Some(10_000), Some(600_000)])
                .map(Duration::from_millis),
            on,
        },
        timeouts: Timeouts {
            queue: millis(random, &[5000, 60_000, 600_000, 3_600_000]),
            attempt: millis(random, &[2000, 30_000, 300_000, 1_800_000]),
            total: millis(random, &[20_000, 300_000, 3_600_000, LONGEST_TOTAL]),
            heartbeat: random
                .pick(&[None, None, Some(1000), Some(10_000)])
                .map(Duration::from_millis),
        },
        priority: Priority(random.pick(&[0, 0, 0, 1, -1, 5, i8::MIN, i8::MAX])),
        pool: match random.below(10) {
            0 | 1 => pool("licences", 1),
            2 => pool("licences", 3),
            3 => pool("database", 5),
            4 => pool("undeclared", 1),
            _ => None,
        },
        crash_limit: CrashLimit(random.below(4) as u32),
        on_lost: random.pick(&[OnLost::Retry, OnLost::Retry, OnLost::Fail]),
        grace: Grace(millis(random, &[0, 1000, 10_000])),
    }
}
