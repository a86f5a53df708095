//! How groups are cancelled or dropped.

use std::collections::BTreeSet;

use jobwright_core::{
    CancelReason, Cause, Event, GroupId, JobIndex, StopReason, Timestamp, Verdict,
};

use super::Scheduler;
use super::io::StepResult;
use super::job::JobState;
use super::limits::Use;

impl Scheduler {
    /// Cancels a group; nothing happens if it has ended.
    pub(super) fn cancel(
        &mut self,
        group: GroupId,
        reason: &CancelReason,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let Some(slot) = self.by_id.get(&group).copied() else { return };
        if self.slot(slot).stands {
            self.slot_mut(slot).asked.get_or_insert_with(|| reason.clone());
        } else if self.may_cancel(slot) {
            self.cancel_slot(slot, reason, now, out);
            self.follow_ended(now, out);
        }
    }

    /// Whether a request to cancel the group says anything new.
    pub(super) fn may_cancel(&self, slot: u32) -> bool {
        match &self.group(slot).cancel {
            None | Some(CancelReason::FailFast { .. }) => true,
            Some(CancelReason::Requested(_) | CancelReason::Superseded) => false,
        }
    }

    pub(super) fn cancel_slot(
        &mut self,
        slot: u32,
        reason: &CancelReason,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        let event = Event::CancelRequested { reason: reason.clone() };
        self.record(slot, event, now, out);
        self.cancel_jobs(slot, now, out);
    }

    /// Ends or stops every job that the group's cancellation means.
    pub(super) fn cancel_jobs(&mut self, slot: u32, now: Timestamp, out: &mut StepResult) {
        let Some(reason) = self.group(slot).cancel.clone() else { return };
        for job in self.group(slot).indexes() {
            if self.group(slot).cancels(job) {
                self.cancel_job(slot, job, &reason, now, out);
            }
        }
    }

    fn cancel_job(
        &mut self,
        slot: u32,
        job: JobIndex,
        reason: &CancelReason,
        now: Timestamp,
        out: &mut StepResult,
    ) {
        match &self.group(slot).job(job).state {
            JobState::Waiting { .. } | JobState::Ready { .. } | JobState::BackingOff { .. } => {
                self.end_job(slot, job, Verdict::Cancelled, Cause::GroupCancelled, now, out);
            }
            JobState::Requested(_) | JobState::Running(_) => {
                let reason = StopReason::Cancelled { reason: reason.clone() };
                self.stop(slot, job, reason, now, out);
            }
            JobState::Stopping(_) | JobState::Done { .. } => {}
        }
    }

    /// Drops a group that another engine drives: no event, no effect, its slots are free.
    pub(super) fn forget(&mut self, group: GroupId, now: Timestamp, out: &mut StepResult) {
        let Some(slot) = self.by_id.get(&group).copied() else { return };
        self.open_jobs -= self.group(slot).open as usize;
        for uses in self.live_uses(slot) {
            self.limits.give_back(&uses);
        }
        let classes = self.slot(slot).classes.iter();
        let lanes: BTreeSet<_> = classes.map(|class| self.classes.get(*class).lane).collect();
        for lane in lanes {
            let uses = *self.lanes.uses(lane);
            self.lanes.unpark_uses(&uses);
        }
        if let Some(run) = self.remove(slot) {
            self.start_run(run, now, out);
        }
    }

    /// What the live attempts of a group use.
    pub(super) fn live_uses(&self, slot: u32) -> Vec<Use> {
        let it = self.slot(slot);
        let live = it.group.indexes().filter(|job| it.group.job(*job).live().is_some());
        live.map(|job| *self.lanes.uses(self.lane(slot, job))).collect()
    }
}
