//! For how long an engine over a shared store may believe that its groups are its own: the length
//! of its lease, from the moment at which the last renewal that succeeded was *begun*, by a clock
//! that goes on while the process is stopped.
//!
//! ```text
//!  begin ──► renewed … renewed ──► (too late, or told that others think it dead) ──► lost
//!    ▲                                                                                │
//!    └───────── the engine has given its groups up, released and renewed ◄────────────┘
//! ```
//!
//! Each turn of the circle is a *term*. What was claimed in one term is worth nothing in the next.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobwright_core::GroupId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::clock::moment;

/// An engine's belief in its lease.
pub(crate) struct Tenure {
    lease: Duration,
    held: Mutex<Held>,
    /// The number of the term, told to those who wait for the next.
    term: watch::Sender<u64>,
    /// The last term of which the loop knows: it has given up what it had before.
    heard: watch::Sender<u64>,
    /// Told when jobs wait for more of an executor than the engine has.
    lacks: Notify,
    /// Groups that the loop has dropped, although they may be the node's.
    stray: watch::Sender<Vec<GroupId>>,
}

struct Held {
    term: u64,
    /// Until when the groups are the engine's own; none before the term has begun.
    until: Option<Instant>,
}

impl Tenure {
    pub(crate) fn new(lease: Duration) -> Self {
        let held = Mutex::new(Held { term: 1, until: None });
        let (term, heard) = (watch::Sender::new(1), watch::Sender::new(1));
        let (lacks, stray) = (Notify::new(), watch::Sender::new(Vec::new()));
        Self { lease, held, term, heard, lacks, stray }
    }

    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// Renewals are this far apart.
    pub(crate) fn pace(&self) -> Duration {
        self.lease / 3
    }

    pub(crate) fn term(&self) -> u64 {
        self.held().term
    }

    /// The numbers of terms, as they come.
    pub(crate) fn terms(&self) -> watch::Receiver<u64> {
        self.term.subscribe()
    }

    /// A renewal that was begun at that moment succeeded. Tells whether the term goes on, or has
    /// begun by it; a renewal that comes too late ends the term.
    pub(crate) fn renewed(&self, term: u64, begun: Instant) -> bool {
        let mut held = self.held();
        if held.term != term {
            return false;
        }
        if held.until.is_some_and(|until| until <= moment()) {
            self.end(&mut held);
            return false;
        }
        held.until = Some(begun + self.trusted());
        true
    }

    /// Ends the term, if it has not ended, and returns the number of the present one.
    pub(crate) fn lose(&self, term: u64) -> u64 {
        let mut held = self.held();
        if held.term == term {
            self.end(&mut held);
        }
        held.term
    }

    /// Tells whether the term has begun and the lease lasts.
    pub(crate) fn holds(&self, term: u64) -> bool {
        let held = self.held();
        held.term == term && held.until.is_some_and(|until| moment() < until)
    }

    /// Tells whether the term has not begun.
    pub(crate) fn is_to_begin(&self, term: u64) -> bool {
        let held = self.held();
        held.term == term && held.until.is_none()
    }

    /// When the term ends unless it is renewed; none where it has not begun.
    pub(crate) fn ends(&self, term: u64) -> Option<Instant> {
        let held = self.held();
        let now = moment();
        if held.term == term { held.until } else { Some(now) }
    }

    /// For how long the groups are still the engine's own; zero before the term has begun.
    pub(crate) fn left(&self) -> Duration {
        let until = self.held().until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(moment()))
    }

    /// Waits until the term is over. Cancel safe.
    pub(crate) async fn over(&self, term: u64) {
        let mut terms = self.terms();
        while let Some(until) = self.ends(term)
            && moment() < until
        {
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                _ = terms.changed() => {}
            }
        }
    }

    /// The loop has given up what it had in earlier terms, and returns the number of this one.
    pub(crate) fn hear(&self, before: u64) -> u64 {
        let term = self.lose(before);
        self.heard.send_replace(term);
        term
    }

    /// Waits until the loop has given up what it had in earlier terms: only then may others take
    /// it. Cancel safe.
    pub(crate) async fn is_heard(&self, term: u64) {
        // The sender lives as long as `self`.
        let _ = self.heard.subscribe().wait_for(|heard| *heard >= term).await;
    }

    /// Jobs wait for more of an executor than the engine has.
    pub(crate) fn lack(&self) {
        self.lacks.notify_one();
    }

    /// Waits until jobs wait for more of an executor than the engine has. Cancel safe.
    pub(crate) async fn lacking(&self) {
        self.lacks.notified().await;
    }

    /// A group is the node's own by the store's word, and the loop has dropped it.
    pub(crate) fn stray(&self, group: GroupId) {
        self.stray.send_modify(|groups| groups.push(group));
    }

    /// Takes the groups that the loop has dropped.
    pub(crate) fn take_stray(&self) -> Vec<GroupId> {
        let mut taken = Vec::new();
        self.stray.send_if_modified(|groups| {
            taken = std::mem::take(groups);
            false
        });
        taken
    }

    /// A tenth of the lease is left for clocks of unequal rate, and for the time between a look at
    /// the clock and the deed.
    fn trusted(&self) -> Duration {
        self.lease - self.lease / 10
    }

    fn end(&self, held: &mut Held) {
        held.term += 1;
        held.until = None;
        self.term.send_replace(held.term);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renews at these seconds under a lease of ten, and says whether the term holds at the end.
    async fn check(renewals: &[u64], end: u64, holds: bool) {
        let (tenure, origin) = (Tenure::new(Duration::from_secs(10)), moment());
        for at in renewals {
            tokio::time::sleep_until(origin + Duration::from_secs(*at)).await;
            tenure.renewed(1, moment());
        }
        tokio::time::sleep_until(origin + Duration::from_secs(end)).await;
        assert_eq!(tenure.holds(1), holds, "{renewals:?} at {end}");
        assert_eq!(tenure.holds(tenure.term()), holds, "no term begins by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn a_term_lasts_as_long_as_no_renewal_is_late() {
        check(&[], 0, false).await;
        check(&[0], 8, true).await;
        check(&[0], 9, false).await;
        check(&[0, 8], 16, true).await;
        check(&[0, 8, 16], 25, false).await;
        // Too late: others may have taken the groups, whatever comes after.
        check(&[0, 9], 10, false).await;
        check(&[0, 3, 20, 21], 22, false).await;
    }
}
