//! How an engine ends: it begins nothing more, waits, asks what still runs to stop, and leaves
//! what is unfinished to the next engine.

use std::time::Duration;

use jobwright_core::{GroupId, StoreError, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use crate::machine::Input;

/// How an engine ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Attempts that were live when the shutdown began.
    pub live: usize,
    /// Those of them that did not end by themselves in the time given, and were asked to stop;
    /// their jobs are run anew by the next engine.
    pub interrupted: usize,
    /// Groups that have not ended: the next engine takes them up.
    pub unfinished: Vec<GroupId>,
}

/// How far the end is.
#[derive(Debug, Default)]
pub(crate) enum Ending {
    /// Nobody has asked for it.
    #[default]
    NotYet,
    /// Nothing begins any more; live attempts may end by themselves until then.
    Draining { until: Timestamp, report: ShutdownReport, answer: oneshot::Sender<ShutdownReport> },
    /// Live attempts have been asked to stop; the machine's timers see to it that they end.
    Halting { report: ShutdownReport, answer: oneshot::Sender<ShutdownReport> },
}

impl Ending {
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self, Self::NotYet)
    }
}

impl Driver {
    pub(super) fn begin_to_end(
        &mut self,
        drain: Duration,
        answer: oneshot::Sender<ShutdownReport>,
    ) {
        if self.ending.has_begun() {
            return;
        }
        self.turn.inputs.push(Input::Drain);
        let until = self.clock.now() + drain;
        let report = ShutdownReport { live: self.attempts.len(), ..ShutdownReport::default() };
        self.ending = Ending::Draining { until, report, answer };
    }

    /// Whether nothing is left to do before the end.
    pub(super) fn is_over(&self) -> bool {
        match &self.ending {
            Ending::NotYet => false,
            Ending::Draining { .. } | Ending::Halting { .. } => {
                self.attempts.is_empty() && self.turn.inputs.is_empty()
            }
        }
    }

    /// Asks what still runs to stop, when it was given time enough.
    pub(super) fn halt_when_due(&mut self) {
        self.ending = match std::mem::take(&mut self.ending) {
            Ending::Draining { until, mut report, answer } if until <= self.clock.now() => {
                report.interrupted = self.attempts.len();
                self.turn.inputs.push(Input::Halt);
                Ending::Halting { report, answer }
            }
            other => other,
        };
    }

    pub(super) fn next_deadline(&self) -> Instant {
        let deadline = self.machine.next_deadline().unwrap_or(Timestamp::NEVER);
        self.clock.instant(match &self.ending {
            Ending::Draining { until, .. } => deadline.min(*until),
            Ending::NotYet | Ending::Halting { .. } => deadline,
        })
    }

    /// Lets the groups go and answers whoever asked for the end.
    pub(super) async fn finish(mut self) -> Result<ShutdownReport, StoreError> {
        let unfinished = self.machine.groups().collect();
        match std::mem::take(&mut self.ending) {
            Ending::Draining { mut report, answer, .. }
            | Ending::Halting { mut report, answer } => {
                self.store.release(self.node).await?;
                report.unfinished = unfinished;
                let _ = answer.send(report.clone());
                Ok(report)
            }
            Ending::NotYet => Ok(ShutdownReport { unfinished, ..ShutdownReport::default() }),
        }
    }
}

/// However the loop ends, nothing of it goes on: what still runs is dropped, and those who wait
/// are told that nobody will answer.
impl Drop for Driver {
    fn drop(&mut self) {
        // First closed, then told: whoever begins to wait in between sees that it is closed.
        self.inbox.close();
        for held in self.attempts.values() {
            held.abort.abort();
        }
        self.tracker.close();
        self.waiters.clear();
    }
}
