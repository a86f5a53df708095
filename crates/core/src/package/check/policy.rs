//! Policies that make no sense: a job under one would never run, or never end.

use std::time::Duration;

use thiserror::Error;

use crate::policy::Policy;

/// One thing that is wrong with the policy of a step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No attempt is allowed.
    #[error("`retry.max_attempts` is 0: at least 1 attempt is needed")]
    NoAttempts,
    /// The jitter is no share.
    #[error("`retry.jitter` is {found} per cent: 0 to 100 are allowed")]
    Jitter {
        /// The jitter.
        found: u8,
    },
    /// Time is over before it begins.
    #[error("`{which}` is zero: leave it out or give it a length")]
    ZeroTimeout {
        /// Which time.
        which: &'static str,
    },
    /// The job takes no share of its pool.
    #[error("`pool.weight` is 0: at least 1 is needed")]
    NoWeight,
}

pub(super) fn check(policy: &Policy) -> Vec<PolicyError> {
    let retry = &policy.retry;
    let mut faults = Vec::new();
    if retry.max_attempts == 0 {
        faults.push(PolicyError::NoAttempts);
    }
    if retry.jitter > 100 {
        faults.push(PolicyError::Jitter { found: retry.jitter });
    }
    let times = [
        ("retry.max_elapsed", retry.max_elapsed),
        ("timeouts.queue", Some(policy.timeouts.queue)),
        ("timeouts.attempt", Some(policy.timeouts.attempt)),
        ("timeouts.total", Some(policy.timeouts.total)),
        ("timeouts.heartbeat", policy.timeouts.heartbeat),
    ];
    let zero = times.into_iter().filter(|(_, time)| *time == Some(Duration::ZERO));
    faults.extend(zero.map(|(which, _)| PolicyError::ZeroTimeout { which }));
    if policy.pool.as_ref().is_some_and(|pool| pool.weight == 0) {
        faults.push(PolicyError::NoWeight);
    }
    faults
}
