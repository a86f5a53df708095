//! Policies of a step: when to try again, how long to wait, what to share. Plain data with
//! defaults; the machine reads them, events carry what they led to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::PoolName;
use crate::time::duration;

/// Everything that a step says about how its job is driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// When a failed attempt is followed by another.
    #[serde(skip_serializing_if = "is_default")]
    pub retry: Retry,
    /// How long each phase may take.
    #[serde(skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// Which ready job goes first.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// The pool that the job takes a share of while it is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolShare>,
    /// How often an attempt may be lost (its engine, executor or host died) before the job fails;
    /// counted apart from retries, so that a job that kills its engine cannot do so for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub crash_limit: CrashLimit,
    /// What follows an attempt of which nobody knows how it ended.
    #[serde(skip_serializing_if = "is_default")]
    pub on_lost: OnLost,
    /// How long an attempt that is asked to stop may take before it is killed.
    #[serde(skip_serializing_if = "is_default")]
    pub grace: Grace,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// When a failed attempt is followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How many attempts may fail in all, at least 1; lost and rejected attempts do not count.
    pub max_attempts: u32,
    /// How long to wait before the next attempt.
    pub backoff: Backoff,
    /// By how many per cent of the wait it may be longer, 0 to 100. The amount is a hash of the
    /// attempt's id: spread over jobs, and the same whenever it is computed.
    pub jitter: u8,
    /// No attempt begins later than this after the job first became ready.
    #[serde(with = "duration::optional")]
    pub max_elapsed: Option<Duration>,
    /// Which failures are followed by another attempt.
    pub on: Vec<RetryOn>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff: Backoff::default(),
            jitter: 20,
            max_elapsed: None,
            on: vec![RetryOn::Retryable, RetryOn::TimedOut],
        }
    }
}

/// A class of failures that may be followed by another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// The executor called the failure retryable.
    Retryable,
    /// The attempt, or its heartbeat, timed out.
    TimedOut,
    /// The executor called the failure permanent.
    Permanent,
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Backoff {
    /// Always the same wait.
    Fixed {
        /// The wait.
        #[serde(with = "duration")]
        delay: Duration,
    },
    /// Doubles after each attempt, up to a cap.
    Exponential {
        /// The wait after the first attempt.
        #[serde(with = "duration")]
        delay: Duration,
        /// The longest wait.
        #[serde(with = "duration")]
        cap: Duration,
    },
}

impl Default for Backoff {
    /// One second, doubling up to a minute.
    fn default() -> Self {
        Self::Exponential { delay: Duration::from_secs(1), cap: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// Returns the wait after `failures` failed attempts (at least 1), without jitter.
    #[must_use]
    pub fn wait(self, failures: u32) -> Duration {
        match self {
            Self::Fixed { delay } => delay,
            Self::Exponential { delay, cap } => {
                let doublings = failures.saturating_sub(1).min(31);
                delay.saturating_mul(1 << doublings).min(cap)
            }
        }
    }
}

/// How long each phase of a job may take. All but the heartbeat have a value always, so that no
/// job can wait or run for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From ready to dispatched. Default 7 days.
    #[serde(with = "duration")]
    pub queue: Duration,
    /// From the dispatch of an attempt to its end. Default 24 hours.
    #[serde(with = "duration")]
    pub attempt: Duration,
    /// From first ready to the end of the job, all attempts and waits together. Default 30 days.
    #[serde(with = "duration")]
    pub total: Duration,
    /// The longest silence of an attempt that promises heartbeats; none by default. It fires one
    /// to one and a half times this long after the last beat, since beats are recorded at most
    /// twice per period.
    #[serde(with = "duration::optional")]
    pub heartbeat: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            queue: Duration::from_secs(7 * DAY),
            attempt: Duration::from_secs(DAY),
            total: Duration::from_secs(30 * DAY),
            heartbeat: None,
        }
    }
}

/// Which ready job goes first: higher is sooner, 0 is the default. A waiting job gains one level
/// per minute, so that nothing starves; jobs of a group that has begun count one level higher, so
/// that what was begun is finished first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Priority(pub i8);

/// A share of a pool that a live attempt holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolShare {
    /// The pool.
    pub name: PoolName,
    /// How much of it, at least 1.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// How often an attempt may be lost before the job fails; 3 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CrashLimit(pub u32);

impl Default for CrashLimit {
    fn default() -> Self {
        Self(3)
    }
}

/// What follows an attempt of which nobody knows how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// Another attempt: the work happens at least once.
    #[default]
    Retry,
    /// The job fails: the work happens at most once.
    Fail,
}

/// How long an attempt that is asked to stop may take before it is killed; 10 s by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grace(#[serde(with = "duration")] pub Duration);

impl Default for Grace {
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

/// What a failed job means for the rest of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// Independent branches go on.
    #[default]
    Continue,
    /// Everything that has not ended is cancelled, except jobs that wait for failure.
    FailFast,
}

/// What a run does when its deployment is already running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPolicy {
    /// It runs beside the others.
    #[default]
    Allow,
    /// It waits until all earlier runs of the deployment have ended.
    Queue,
    /// It is refused.
    Skip,
    /// It cancels the others and begins when they have ended.
    CancelPrevious,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_cap_and_never_overflows() {
        let secs = Duration::from_secs;
        let backoff = Backoff::Exponential { delay: secs(1), cap: secs(10) };
        let waits: Vec<_> = [1, 2, 3, 4, 5, u32::MAX].map(|n| backoff.wait(n).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        let forever = Backoff::Exponential { delay: Duration::MAX, cap: Duration::MAX };
        assert_eq!(forever.wait(9), Duration::MAX);
    }

    #[test]
    fn a_default_policy_is_written_as_nothing() {
        assert_eq!(serde_json::to_string(&Policy::default()).unwrap(), "{}");
        let typo = serde_json::from_str::<Policy>(r#"{"retries":{}}"#).unwrap_err();
        assert!(typo.to_string().contains("unknown field `retries`"), "{typo}");
    }
}
