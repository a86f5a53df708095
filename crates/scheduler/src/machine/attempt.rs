//! Reports about attempts, and what follows when jobs have ended.

use std::time::Duration;

use jobwright_core::{CancelReason, Cause, Event, FailurePolicy, JobIndex, Timestamp, Verdict};

use super::Scheduler;
use super::io::{AttemptKey, Effect, Report, StepResult};
use super::job::JobState;

impl Scheduler {
    /// Takes a report; one about another attempt than the live one changes nothing.
    pub(super) fn report(
        &mut self,
        attempt: AttemptKey,
        report: Report,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let AttemptKey { group, slot, job, number } = attempt;
        let slot = self.locate(group, slot).filter(|slot| !self.slot(*slot).stands);
        let Some(slot) = slot else { return };
        let Some(it) = self.group(slot).jobs.get(job.at()) else { return };
        let Some(live) = it.live().filter(|live| live.number == number) else { return };
        match report {
            Report::Started(handle) => {
                // An overtaken report without a handle does not take the known one away.
                let is_new = handle.is_some() && live.handle != handle;
                if is_new || matches!(it.state, JobState::Requested(_)) {
                    self.record(slot, Event::Started { job, attempt: number, handle }, now, out);
                }
            }
            Report::Beat => {
                let period = self.class(slot, job).timeouts.heartbeat;
                let Some(period) = period else { return };
                // At most two records per period: the one before promised one and a half.
                let beat_by = silent_until(now, period);
                if beat_by.since(live.beat_by) >= period / 2 {
                    self.record(slot, Event::Beat { job, attempt: number, beat_by }, now, out);
                }
            }
            Report::Ended(outcome) => self.end_attempt(slot, job, outcome, now, out),
        }
    }

    /// Ends a job whose attempt, if it had one, ended before.
    pub(super) fn end_job(
        &mut self,
        slot: u32,
        job: JobIndex,
        verdict: Verdict,
        cause: Cause,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        self.record(slot, Event::JobEnded { job, verdict, cause }, now, out);
    }

    /// Ends a job one of whose needs can no longer be met.
    pub(super) fn skip(&mut self, slot: u32, job: JobIndex, now: Timestamp, out: &mut StepResult) {
        let Some((need, was)) = self.group(slot).unmet_need(job) else { return };
        let cause = Cause::Need { job: need, was };
        self.end_job(slot, job, Verdict::Skipped, cause, now, out);
    }

    /// Looks at what follows from jobs that ended: others become ready or are skipped, the group
    /// is cancelled or ends, the next run begins.
    pub(super) fn follow_ended(&mut self, now: Timestamp, out: &mut StepResult) {
        while let Some((slot, job)) = self.ended.pop() {
            let Some(verdict) = self.group(slot).job(job).verdict() else { continue };
            self.fail_fast(slot, job, verdict, now, out);
            let edges = self.group(slot).dependents.of_job(job).len();
            for at in 0..edges {
                let next = self.group(slot).dependents.of_job(job)[at].job;
                match self.group(slot).job(next).state {
                    JobState::Waiting { unmet: true, .. } => {
                        self.skip(slot, next, now, out);
                    }
                    JobState::Waiting { needs: 0, unmet: false } => {
                        self.make_ready(slot, next, now, out);
                    }
                    JobState::Waiting { .. }
                    | JobState::Ready { .. }
                    | JobState::Requested(_)
                    | JobState::Running(_)
                    | JobState::Stopping(_)
                    | JobState::BackingOff { .. }
                    | JobState::Done { .. } => {}
                }
            }
            self.end_group(slot, now, out);
        }
    }

    /// Cancels a group that fails fast when a job of it has failed.
    pub(super) fn fail_fast(
        &mut self,
        slot: u32,
        job: JobIndex,
        verdict: Verdict,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let group = self.group(slot);
        let is_failure = verdict == Verdict::Failed && !group.planned(job).optional;
        match group.plan.on_failure {
            FailurePolicy::FailFast if is_failure && group.cancel.is_none() => {
                self.cancel_slot(slot, &CancelReason::FailFast { job }, now, out);
            }
            FailurePolicy::FailFast | FailurePolicy::Continue => {}
        }
    }

    /// Ends a group whose jobs have all ended.
    pub(super) fn end_group(&mut self, slot: u32, now: Timestamp, out: &mut StepResult) {
        let group = self.group(slot);
        // Followers of other jobs that ended in this step may still have to be looked at.
        let is_last = group.open == 0 && self.ended.iter().all(|(other, _)| *other != slot);
        if !is_last {
            return;
        }
        let (id, verdict) = (group.id, group.verdict());
        self.record(slot, Event::GroupEnded { verdict }, now, out);
        if self.group(slot).plan.run.announce {
            out.announcements.push(self.group(slot).announcement(verdict, now));
        }
        out.effects.push(Effect::Announce { group: id, verdict });
        if let Some(run) = self.remove(slot) {
            self.start_run(run, now, out);
        }
    }
}

/// How long an attempt that was heard now may be silent: one period, and half of one in which
/// beats are not recorded.
pub(super) fn silent_until(now: Timestamp, period: Duration) -> Timestamp {
    now + period.saturating_mul(3) / 2
}
