//! How an engine ends: it begins nothing more, waits, asks what still runs to stop, and leaves
//! what is unfinished to the next engine.

use std::time::Duration;

use jobwright_core::{GroupId, Timestamp};
use tokio::time::Instant;

use super::Driver;
use crate::machine::Input;

/// How long the store may take to give the groups up at the end.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

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
    Draining { until: Timestamp, report: ShutdownReport },
    /// Live attempts have been asked to stop; the machine's timers see to it that they end.
    Halting { report: ShutdownReport },
}

impl Ending {
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self, Self::NotYet)
    }
}

impl Driver {
    /// Begins to end; whoever asks once more can make the end come sooner, never later.
    pub(super) fn begin_to_end(&mut self, drain: Duration) {
        let until = self.clock.now() + drain;
        match &mut self.ending {
            Ending::NotYet => {
                self.turn.inputs.push(Input::Drain);
                let live = self.attempts.len();
                let report = ShutdownReport { live, ..ShutdownReport::default() };
                self.ending = Ending::Draining { until, report };
            }
            Ending::Draining { until: known, .. } => *known = until.min(*known),
            Ending::Halting { .. } => {}
        }
    }

    /// Waits until the engine should have ended. While the store is away nothing else ends it:
    /// what is not durable is then as if it had not happened.
    pub(super) async fn out_of_time(&mut self) {
        loop {
            let ends_by = *self.ends_by.borrow_and_update();
            let clock = self.clock;
            let over = async {
                match ends_by {
                    Some(at) => tokio::time::sleep_until(clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                changed = self.ends_by.changed() => if changed.is_err() { return },
            }
        }
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
            Ending::Draining { until, mut report } if until <= self.clock.now() => {
                report.interrupted = self.attempts.len();
                self.turn.inputs.push(Input::Halt);
                Ending::Halting { report }
            }
            other => other,
        };
    }

    pub(super) fn next_deadline(&self) -> Instant {
        let deadline = self.machine.next_deadline().unwrap_or(Timestamp::NEVER);
        let deadline = self.clock.instant(match &self.ending {
            Ending::Draining { until, .. } => deadline.min(*until),
            Ending::NotYet | Ending::Halting { .. } => deadline,
        });
        let ends = self.tenure.as_ref().and_then(|tenure| tenure.ends(self.term));
        ends.map_or(deadline, |ends| ends.min(deadline))
    }

    /// Lets the groups go and says how the engine ended. Everything is durable by now, so a store
    /// that cannot let go does not matter: the groups are then free when the lease is over.
    pub(super) async fn finish(&mut self) -> ShutdownReport {
        let released = tokio::time::timeout(RELEASE_WITHIN, self.store.release(self.node)).await;
        match released {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the engine's job groups are not given up"),
            Err(_) => tracing::warn!("the store does not answer; job groups are not given up"),
        }
        let mut report = match std::mem::take(&mut self.ending) {
            Ending::Draining { report, .. } | Ending::Halting { report } => report,
            Ending::NotYet => ShutdownReport::default(),
        };
        report.unfinished = self.machine.groups().collect();
        report
    }
}

/// However the loop ends, nothing of it goes on: what still runs is dropped, and those who wait
/// or listen are told that nothing more comes.
impl Drop for Driver {
    fn drop(&mut self) {
        // First closed, then told: whoever begins to wait in between sees that it is closed.
        self.inbox.close();
        for held in self.attempts.values() {
            held.task.abort();
        }
        self.waiters.clear();
        self.statuses.clear();
        self.hub.close();
    }
}
