//! What becomes of the loop's groups when its lease is over: nothing that anybody could see. Their
//! attempts are dropped, with the reason, so that none stays alive twice; the loop then knows no
//! group and accepts none until a new term has begun.

use std::time::Duration;

use jobwright_core::{Stop, StopReason};

use super::message::SubmitError;
use super::{Driver, Held};
use crate::machine::{Input, Scheduler};

impl Driver {
    /// Whether the groups are this engine's own. Always so where no other engine could take them.
    pub(super) fn trusts(&self) -> bool {
        self.tenure.as_ref().is_none_or(|tenure| tenure.holds(self.term))
    }

    /// Waits until the groups may be somebody else's. Cancel safe.
    pub(super) async fn distrust(&self) {
        match &self.tenure {
            Some(tenure) if !self.attempts.is_empty() => tenure.over(self.term).await,
            Some(_) | None => std::future::pending().await,
        }
    }

    /// Whether there is something to give up that is not this engine's own any more.
    pub(super) fn is_deposed(&self) -> bool {
        let Some(tenure) = &self.tenure else { return false };
        !tenure.holds(self.term) && !tenure.is_to_begin(self.term)
    }

    /// Drops all attempts. What runs in this process ends with that; work that the next engine
    /// finds by its handle goes on there.
    pub(super) fn drop_attempts(&mut self) {
        for (attempt, held) in self.attempts.drain() {
            held.give_up();
            self.listener.forget(&attempt);
        }
    }

    /// Gives everything up, without an event or effect.
    pub(super) fn start_over(&mut self) {
        let groups = self.machine.len();
        tracing::warn!(groups, "the engine's lease is over: it gives its job groups up");
        self.drop_attempts();
        self.waiters.clear();
        for group in self.machine.groups() {
            self.audience.forget(group);
        }
        self.statuses.clear();
        self.machine = Scheduler::new(&self.capacity);
        self.artifacts.clear();
        self.helms.clear();
        self.turn.inputs.clear();
        self.turn.beats.clear();
        self.turn.reports.clear();
        self.turn.records.clear();
        self.turn.orders.clear();
        self.turn.answers.clear();
        self.turn.questions.clear();
        self.turn.shares.clear();
        for (_, submission) in std::mem::take(&mut self.turn.submissions) {
            let _ = submission.answer.send(Err(SubmitError::Away));
        }
        if self.ending.has_begun() {
            self.turn.inputs.push(Input::Drain);
        }
        if let Some(tenure) = &self.tenure {
            self.term = tenure.hear(self.term);
        }
    }
}

impl Held {
    /// Drops the attempt. Its executor reads why in the cancellation, when its future is dropped.
    pub(super) fn give_up(self) {
        let (reason, grace) = (StopReason::GivenUp, Duration::ZERO);
        self.attempt.cancellation().stop(Stop { reason, grace });
        self.task.abort();
    }
}
