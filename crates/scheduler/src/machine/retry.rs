//! What becomes of a job when an attempt of it has ended.

use std::time::Duration;

use jobwright_core::{
    CancelReason, Cause, FailureClass, JobIndex, Next, OnLost, Outcome, RetryOn, StopReason,
    Timeout, Timestamp, Verdict,
};

use super::group::Group;
use super::job::{JobState, stopped_outcome};

/// How often executors may refuse a job before it fails: with the pauses below it is given about
/// ten minutes.
const REJECTION_LIMIT: u32 = 16;

/// The longest pause after an executor refused a job.
const REJECTION_PAUSE_CAP: Duration = Duration::from_secs(60);

impl Group {
    /// Decides what an attempt's end means: the outcome as it is recorded, and what comes next.
    pub(super) fn after_attempt(
        &self,
        job: JobIndex,
        outcome: Outcome,
        now: Timestamp,
    ) -> (Outcome, Next) {
        let end = |verdict, cause| Next::End { verdict, cause };
        let stopping = match &self.job(job).state {
            JobState::Stopping(stopping) => Some(&stopping.reason),
            JobState::Waiting { .. }
            | JobState::Ready { .. }
            | JobState::Requested(_)
            | JobState::Running(_)
            | JobState::BackingOff { .. }
            | JobState::Done { .. } => None,
        };
        let outcome = match stopping {
            Some(reason) if !self.stays_lost(job, reason, &outcome) => {
                stopped_outcome(reason, outcome)
            }
            Some(_) | None => outcome,
        };
        let class = match &outcome {
            Outcome::Succeeded(_) => return (outcome, end(Verdict::Succeeded, Cause::Attempt)),
            Outcome::Failed(failure) => failure.class,
        };
        let next = match stopping {
            Some(StopReason::TimedOut(Timeout::Total)) => end(Verdict::Failed, Cause::TotalTimeout),
            Some(StopReason::Cancelled { .. }) => end(Verdict::Cancelled, Cause::GroupCancelled),
            Some(_) | None if self.cancels(job) => end(Verdict::Cancelled, Cause::GroupCancelled),
            Some(StopReason::Shutdown | StopReason::GivenUp) if class != FailureClass::Lost => {
                Next::Retry { at: now }
            }
            Some(StopReason::TimedOut(_) | StopReason::Shutdown | StopReason::GivenUp) | None => {
                self.after_failure(job, class, now)
            }
        };
        (outcome, next)
    }

    /// Whether the loss of an attempt that was asked to stop must be told as one: the work may
    /// still go on somewhere, which matters where it is to happen at most once.
    fn stays_lost(&self, job: JobIndex, reason: &StopReason, outcome: &Outcome) -> bool {
        let is_lost = match outcome {
            Outcome::Succeeded(_) => false,
            Outcome::Failed(failure) => failure.class == FailureClass::Lost,
        };
        let is_cancelled = matches!(reason, StopReason::Cancelled { .. });
        is_lost && !is_cancelled && self.planned(job).policy.on_lost == OnLost::Fail
    }

    /// Whether the group's cancellation means this job too.
    pub(super) fn cancels(&self, job: JobIndex) -> bool {
        match &self.cancel {
            None => false,
            Some(CancelReason::FailFast { .. }) => !self.is_follow_up(job),
            Some(CancelReason::Requested(_) | CancelReason::Superseded) => true,
        }
    }

    fn after_failure(&self, job: JobIndex, class: FailureClass, now: Timestamp) -> Next {
        let end = |cause| Next::End { verdict: Verdict::Failed, cause };
        let policy = &self.planned(job).policy;
        let tally = self.tally(job);
        let retry_on = match class {
            FailureClass::Rejected if tally.rejected >= REJECTION_LIMIT => {
                return end(Cause::Rejected);
            }
            FailureClass::Rejected => {
                let pause = Duration::from_secs(1 << tally.rejected.min(6));
                return Next::Retry { at: now + pause.min(REJECTION_PAUSE_CAP) };
            }
            FailureClass::Lost => {
                return match policy.on_lost {
                    OnLost::Fail => end(Cause::Lost),
                    OnLost::Retry if tally.lost >= policy.crash_limit.0 => end(Cause::CrashLimit),
                    OnLost::Retry => Next::Retry { at: now },
                };
            }
            FailureClass::Cancelled => return end(Cause::Attempt),
            FailureClass::Retryable => RetryOn::Retryable,
            FailureClass::Permanent => RetryOn::Permanent,
            FailureClass::TimedOut => RetryOn::TimedOut,
        };
        let failures = tally.failures + 1;
        if failures >= policy.retry.max_attempts || !policy.retry.on.contains(&retry_on) {
            return end(Cause::Attempt);
        }
        let at = now + self.wait(job, failures);
        let total_by = self.job(job).total_by;
        let elapsed_by = policy.retry.max_elapsed.map(|most| {
            let first_ready = total_by.as_millis().saturating_sub(millis(policy.timeouts.total));
            Timestamp::from_millis(first_ready) + most
        });
        if elapsed_by.is_some_and(|by| at > by) || at >= total_by {
            return end(Cause::Attempt);
        }
        Next::Retry { at }
    }

    /// How long the job waits after so many failures: the backoff, and a jitter that is a hash of
    /// the attempt's id, so that it is spread over jobs and the same whenever it is computed.
    fn wait(&self, job: JobIndex, failures: u32) -> Duration {
        let retry = &self.planned(job).policy.retry;
        let wait = retry.backoff.wait(failures);
        let seed = self.plan.job_id(job).get().unsigned_abs() ^ (u64::from(failures) << 53);
        let per_mille = mix(seed) % (u64::from(retry.jitter.min(100)) * 10 + 1);
        let extra = millis(wait).saturating_mul(per_mille.cast_signed()) / 1000;
        wait.saturating_add(Duration::from_millis(extra.unsigned_abs()))
    }
}

/// The duration in whole milliseconds, at most a million years, so that sums cannot overflow.
fn millis(duration: Duration) -> i64 {
    const MOST: i64 = 1_000_000 * 365 * 86_400_000;
    i64::try_from(duration.as_millis()).unwrap_or(MOST).min(MOST)
}

/// The finalizer of splitmix64: every bit of the seed reaches every bit of the result.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
