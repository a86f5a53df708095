//! The oracle's rules about attempts and limits: what may follow an attempt's end, and who may
//! have how many.

use std::collections::BTreeMap;
use std::time::Duration;

use jobwright_core::{
    Cause, DeploymentId, ExecutorName, Failure, FailureClass, GroupId, JobIndex, Next, OnLost,
    Outcome, PoolName, RetryOn, StopReason, Timeout, Timestamp, Verdict,
};
use jobwright_scheduler::machine::Capacity;

use crate::oracle::{Model, Oracle, State};

/// Checks and takes the end of a live attempt.
pub(crate) fn attempt_ended(
    model: &mut Model,
    job: JobIndex,
    outcome: &Outcome,
    next: &Next,
    at: Timestamp,
) {
    let State::Live(live) = model.jobs[job.at()].state.clone() else { return };
    let reason = live.stopping.map(|(reason, _)| reason);
    match outcome {
        Outcome::Succeeded(_) => {
            let end = Next::End { verdict: Verdict::Succeeded, cause: Cause::Attempt };
            assert_eq!(*next, end, "a success ends job {}", job.0);
        }
        Outcome::Failed(failure) => {
            check_class(reason.as_ref(), failure);
            let it = &mut model.jobs[job.at()];
            match failure.class {
                FailureClass::Retryable | FailureClass::Permanent | FailureClass::TimedOut => {
                    it.failures += 1;
                }
                FailureClass::Lost => it.lost += 1,
                FailureClass::Rejected => it.rejected += 1,
                FailureClass::Cancelled => {}
            }
            check_next(model, job, reason.as_ref(), failure.class, next, at);
        }
    }
    model.jobs[job.at()].state = match next {
        Next::Retry { at } => State::BackingOff { until: *at },
        Next::End { verdict, .. } => State::Done(*verdict),
    };
}

/// An attempt that was asked to stop fails for that reason; only a loss stays a loss, where losses
/// may not be repeated.
fn check_class(reason: Option<&StopReason>, failure: &Failure) {
    let is_right = match reason {
        None => true,
        Some(StopReason::Cancelled { .. }) => failure.class == FailureClass::Cancelled,
        Some(StopReason::Shutdown | StopReason::GivenUp) => {
            matches!(failure.class, FailureClass::Cancelled | FailureClass::Lost)
        }
        Some(StopReason::TimedOut(_)) => {
            matches!(failure.class, FailureClass::TimedOut | FailureClass::Lost)
        }
    };
    assert!(is_right, "an attempt stopped for {reason:?} is recorded as {:?}", failure.class);
}

fn check_next(
    model: &Model,
    job: JobIndex,
    reason: Option<&StopReason>,
    class: FailureClass,
    next: &Next,
    now: Timestamp,
) {
    let verdict = match reason {
        Some(StopReason::TimedOut(Timeout::Total)) => Some(Verdict::Failed),
        Some(StopReason::Cancelled { .. }) => Some(Verdict::Cancelled),
        Some(_) | None => model.cancels(job).then_some(Verdict::Cancelled),
    };
    let window = match verdict {
        Some(_) => None,
        None if matches!(reason, Some(StopReason::Shutdown))
            && class == FailureClass::Cancelled =>
        {
            Some((now, now))
        }
        None => window(model, job, class, now),
    };
    match (next, window) {
        (Next::Retry { at }, Some((from, to))) => {
            assert!(from <= *at && *at <= to, "job {} waits from {from} to {to}: {at}", job.0);
        }
        (Next::End { verdict: found, .. }, None) => {
            assert_eq!(*found, verdict.unwrap_or(Verdict::Failed), "job {} ends", job.0);
        }
        (Next::End { .. }, Some((from, to))) => {
            // Jitter decides whether the wait still fits into the job's time.
            let it = &model.jobs[job.at()];
            let elapsed = model.plan.jobs[job.at()].policy.retry.max_elapsed;
            let first = it.first_ready.expect("an attempt follows readiness");
            let last = elapsed.map_or(Timestamp::NEVER, |most| first + most).min(it.total_by);
            assert!(to >= last, "job {} may be tried again from {from}, not ended", job.0);
        }
        (Next::Retry { at }, None) => {
            panic!("job {} is not tried again at {at} after {class:?}, {reason:?}", job.0)
        }
    }
}

/// When the next attempt may be ready after a failure that nobody asked for; none if never.
fn window(
    model: &Model,
    job: JobIndex,
    class: FailureClass,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let policy = &model.plan.jobs[job.at()].policy;
    let it = &model.jobs[job.at()];
    let second = Duration::from_secs(1);
    let on = match class {
        FailureClass::Rejected => {
            return (it.rejected <= 16).then_some((now + second, now + 60 * second));
        }
        FailureClass::Lost => {
            let again = policy.on_lost == OnLost::Retry && it.lost <= policy.crash_limit.0;
            return again.then_some((now, now));
        }
        FailureClass::Cancelled => return None,
        FailureClass::Retryable => RetryOn::Retryable,
        FailureClass::Permanent => RetryOn::Permanent,
        FailureClass::TimedOut => RetryOn::TimedOut,
    };
    if it.failures >= policy.retry.max_attempts || !policy.retry.on.contains(&on) {
        return None;
    }
    let wait = policy.retry.backoff.wait(it.failures);
    let longest =
        wait.saturating_add(wait.saturating_mul(u32::from(policy.retry.jitter.min(100))) / 100);
    let elapsed = policy.retry.max_elapsed;
    let first = it.first_ready.expect("an attempt follows readiness");
    let last = elapsed.map_or(Timestamp::NEVER, |most| first + most);
    let is_over = now + wait > last || now + wait >= it.total_by;
    (!is_over).then_some((now + wait, now + longest))
}

/// One of the things that limit live attempts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Limit {
    Executor(ExecutorName),
    Pool(PoolName),
    Deployment(DeploymentId),
}

/// How much of a limit is used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauge {
    limit: u32,
    used: u64,
    live: u32,
}

/// What limits attempts on one engine, and how much of each limit is used, as the journals say.
#[derive(Debug, Default)]
pub(crate) struct Usage(BTreeMap<Limit, Gauge>);

impl Usage {
    /// Counts the live attempts of the groups for which `mine` holds.
    pub(crate) fn of(
        oracle: &Oracle,
        capacity: &Capacity,
        deployments: &BTreeMap<DeploymentId, u32>,
        mine: impl Fn(GroupId) -> bool,
    ) -> Self {
        let mut usage = Self::default();
        let mut declare = |limit: Limit, most: u32| {
            usage.0.insert(limit, Gauge { limit: most, used: 0, live: 0 });
        };
        for (name, limit) in &capacity.executors {
            declare(Limit::Executor(name.clone()), limit.unwrap_or(u32::MAX));
        }
        for (name, limit) in &capacity.pools {
            declare(Limit::Pool(name.clone()), *limit);
        }
        for (id, limit) in deployments {
            declare(Limit::Deployment(*id), *limit);
        }
        for (_, model) in oracle.groups.iter().filter(|(id, _)| mine(**id)) {
            for (at, job) in model.jobs.iter().enumerate() {
                if matches!(job.state, State::Live(_)) {
                    for (limit, share) in shares(model, at) {
                        let gauge = usage.gauge(limit);
                        gauge.used += u64::from(share);
                        gauge.live += 1;
                    }
                }
            }
        }
        usage
    }

    /// The same, where a deployment's limit was higher before.
    pub(crate) fn raised_to(&self, old: &BTreeMap<DeploymentId, u32>) -> Self {
        let mut raised = Self(self.0.clone());
        for (id, limit) in old {
            if let Some(gauge) = raised.0.get_mut(&Limit::Deployment(*id)) {
                gauge.limit = gauge.limit.max(*limit);
            }
        }
        raised
    }

    fn gauge(&mut self, limit: Limit) -> &mut Gauge {
        let most = u32::from(matches!(limit, Limit::Pool(_)));
        self.0.entry(limit).or_insert(Gauge { limit: most, used: 0, live: 0 })
    }

    /// Checks that an attempt that began in this turn fits, also after the turn.
    pub(crate) fn check_fits(&mut self, model: &Model, at: usize) {
        for (limit, _) in shares(model, at) {
            let it = *self.gauge(limit.clone());
            let fits = it.used <= u64::from(it.limit) || it.live == 1 && it.limit > 0;
            assert!(fits, "{limit:?} is exceeded when job {at} began: {it:?}");
        }
    }

    /// The limits that keep a ready job from starting.
    pub(crate) fn blocks(&mut self, model: &Model, at: usize) -> Vec<Limit> {
        let mut limits = shares(model, at);
        limits.retain(|(limit, share)| {
            let it = *self.gauge(limit.clone());
            let is_alone = it.used == 0 && it.limit > 0;
            !is_alone && it.used + u64::from(*share) > u64::from(it.limit)
        });
        limits.into_iter().map(|(limit, _)| limit).collect()
    }
}

/// What a live attempt of a job takes.
fn shares(model: &Model, at: usize) -> Vec<(Limit, u32)> {
    let (planned, run) = (&model.plan.jobs[at], &model.plan.run);
    let mut shares = vec![(Limit::Executor(planned.executor.clone()), 1)];
    if let Some(pool) = &planned.policy.pool {
        shares.push((Limit::Pool(pool.name.clone()), pool.weight));
    }
    if run.deployment_limit.is_some() {
        shares.push((Limit::Deployment(run.deployment), 1));
    }
    shares
}
