//! Limits of executors that hold over all engines of a store: one document divides them, and each
//! engine lets its machine have no more than it has there.
//!
//! ```text
//! the loop keeps to the smaller ─► the document says so ─► the loop may go up to the larger
//! ```
//!
//! An engine has what its jobs need, as far as there is something left. Where jobs of another one
//! wait, it keeps its fair part, and what it gives up follows as its attempts end. What an engine
//! had that is no more is free when others have taken it for dead: by then its attempts are over.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jobwright_core::{
    Allotment, Allotments, Change, Commit, CommitError, Document, ExecutorName, Key, NodeId,
    Revision, StoreError,
};
use tokio::sync::oneshot;

use super::{LOOK, Lookout, hint, peers};
use crate::driver::Message;
use crate::engine::{Engine, Inner};
use crate::machine::Demand;

/// Looks are at least so far apart.
const GAP: Duration = Duration::from_millis(20);

/// How long an engine that has less than it needs, or more than its part, waits for the next look.
const SOON: Duration = Duration::from_millis(100);

/// The limits that hold over all engines.
pub(in crate::engine) type Totals = BTreeMap<ExecutorName, u32>;

/// Sees to the engine's part until it ends.
pub(super) async fn run(inner: Weak<Inner>, lookout: Arc<Lookout>, totals: Totals) {
    let (mut woken, mut pause) = (lookout.wakes(), GAP);
    while !totals.is_empty() {
        tokio::select! {
            () = hint(&mut woken, pause) => {}
            () = lookout.tenure.lacking() => {}
        }
        // Where nothing changed the jobs that wait will wait a little longer.
        tokio::time::sleep(pause.min(SOON)).await;
        let Some(engine) = Inner::engine(&inner) else { return };
        pause = match engine.share(&lookout, &totals).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "what executors may do over all engines cannot be divided");
                LOOK
            }
        };
    }
}

impl Engine {
    /// Takes, keeps or gives up what the engine should have, and returns when to look again.
    async fn share(&self, lookout: &Lookout, totals: &Totals) -> Result<Duration, StoreError> {
        let (term, node) = (lookout.tenure.term(), self.0.node);
        if !lookout.tenure.holds(term) {
            return Ok(SOON);
        }
        // First the entries, then who is there: whoever has one has said before that it is there.
        let stored = self.0.store.find(Key::ALLOTMENTS).await?;
        let (before, revision) = match stored {
            Some(stored) => match stored.document {
                Document::Allotments(it) => (*it, stored.revision),
                _ => (Allotments::default(), stored.revision),
            },
            None => (Allotments::default(), Revision(0)),
        };
        let live: Vec<_> = peers::list(&*self.0.store).await?;
        let is_live = |node: NodeId| live.iter().any(|(presence, _)| presence.node == node);
        let (mut after, mut limits, mut is_calm) = (before.clone(), Vec::new(), true);
        for (executor, total) in totals {
            let entries = after.of.entry(executor.clone()).or_default();
            entries.retain(|entry| entry.node == node || is_live(entry.node));
            let had = entries.iter().find(|it| it.node == node).map_or(0, |it| it.slots);
            let Some(now) = self.demand(executor, None, term).await else { return Ok(SOON) };
            let wish = divide(entries, node, *total, now);
            // What was given up is not used from here on; what is live meanwhile still counts.
            let kept = wish.min(had);
            let Some(now) = self.demand(executor, Some(kept), term).await else { return Ok(SOON) };
            settle(entries, node, wish, now);
            is_calm &= !entries.iter().any(|it| it.wants);
            limits.push((executor, wish));
            if entries.is_empty() {
                after.of.remove(executor);
            }
        }
        if after != before && !self.write_allotments(after, revision).await? {
            return Ok(GAP);
        }
        for (executor, limit) in limits {
            if self.demand(executor, Some(limit), term).await.is_none() {
                return Ok(SOON);
            }
        }
        Ok(if is_calm { LOOK } else { SOON })
    }

    /// Lets the loop keep to a limit, if one is given, and asks it what it has and needs after
    /// that. None where the term is over.
    async fn demand(
        &self,
        executor: &ExecutorName,
        limit: Option<u32>,
        term: u64,
    ) -> Option<Demand> {
        let (answer, told) = oneshot::channel();
        let executor = executor.clone();
        self.send(Message::Share { executor, limit, term, answer }).await.ok()?;
        told.await.ok()
    }

    /// Tells whether nobody else was quicker.
    async fn write_allotments(
        &self,
        allotments: Allotments,
        expected: Revision,
    ) -> Result<bool, StoreError> {
        let document = Some(Document::Allotments(Box::new(allotments)));
        let change = Change { key: Key::ALLOTMENTS, expected, document };
        let commit = Commit { catalog: vec![change], ..Commit::default() };
        match self.0.store.commit(Arc::new(commit)).await {
            Ok(()) => Ok(true),
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Refused(_) | _) => Ok(false),
        }
    }
}

/// How many attempts an engine may have from now on. What is free goes to those first who wait in
/// front and have nothing.
fn divide(entries: &[Allotment], node: NodeId, total: u32, now: Demand) -> u32 {
    let others = || entries.iter().filter(|it| it.node != node);
    let had = entries.iter().find(|it| it.node == node).map_or(0, |it| it.slots);
    let needed = now.busy.saturating_add(now.waiting);
    let sharers = others().filter(|it| it.slots > 0 || it.wants).count() as u32 + 1;
    let is_wanted = others().any(|it| it.wants);
    let has_starving = others().any(|it| it.wants && it.slots == 0);
    // More engines than slots take turns.
    let fair = match total / sharers {
        0 if has_starving && had > 0 => 0,
        0 => 1,
        fair => fair,
    };
    let most = if is_wanted { fair } else { total };
    let taken: u32 = others().map(|it| it.slots).sum();
    let ahead = entries.iter().take_while(|it| it.node != node);
    let ahead = ahead.filter(|it| it.wants && it.slots == 0).count() as u32;
    let free = total.saturating_sub(taken).saturating_sub(had).saturating_sub(ahead);
    needed.min(most).min(had.saturating_add(free))
}

/// Writes down what an engine has. Whoever gives all up, or gets the first again, goes to the end.
fn settle(entries: &mut Vec<Allotment>, node: NodeId, wish: u32, now: Demand) {
    let slots = wish.max(now.busy);
    let wants = now.busy.saturating_add(now.waiting) > wish;
    let entry = Allotment { node, slots, wants };
    let at = entries.iter().position(|it| it.node == node);
    let had = at.map_or(0, |at| entries[at].slots);
    match at {
        Some(at) if slots == 0 && !wants => drop(entries.remove(at)),
        Some(at) if (had == 0) == (slots == 0) => entries[at] = entry,
        Some(at) => {
            entries.remove(at);
            entries.push(entry);
        }
        None if slots == 0 && !wants => {}
        None => entries.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TOTAL: u32 = 4;

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    /// Engines look in turn, each with so many jobs, until nothing changes; all that they get must
    /// fit at any moment.
    fn check(total: u32, jobs: &[u32], expect: &[u32]) {
        let mut entries = Vec::new();
        let mut busy = vec![0; jobs.len()];
        for _ in 0..8 {
            for (at, jobs) in jobs.iter().enumerate() {
                let id = node(at as u128);
                let demand = |busy: u32| Demand { busy, waiting: jobs - busy };
                let wish = divide(&entries, id, total, demand(busy[at]));
                // Attempts end at once where something is given up.
                busy[at] = busy[at].min(wish);
                settle(&mut entries, id, wish, demand(busy[at]));
                busy[at] = wish;
                assert!(entries.iter().map(|it| it.slots).sum::<u32>() <= total, "{entries:?}");
                assert!(busy.iter().sum::<u32>() <= total, "{busy:?}");
            }
        }
        assert_eq!(busy, expect, "{entries:?}");
    }

    #[test]
    fn engines_get_what_they_need_and_share_what_is_short() {
        check(TOTAL, &[9, 0, 0], &[4, 0, 0]);
        check(TOTAL, &[9, 9], &[2, 2]);
        check(TOTAL, &[1, 9], &[1, 3]);
        check(TOTAL, &[0, 2, 2], &[0, 2, 2]);
        check(3, &[9, 9], &[1, 1]);
    }

    #[test]
    fn engines_take_turns_where_there_are_more_of_them_than_slots() {
        let (mut entries, mut served) = (Vec::new(), [0; 3]);
        for _ in 0..30 {
            for (at, count) in served.iter_mut().enumerate() {
                let now = Demand { busy: 0, waiting: 5 };
                let wish = divide(&entries, node(at as u128), 1, now);
                settle(&mut entries, node(at as u128), wish, now);
                assert!(entries.iter().map(|it| it.slots).sum::<u32>() <= 1);
                *count += wish;
            }
        }
        assert!(served.iter().all(|count| *count >= 5), "{served:?}");
    }

    #[test]
    fn what_is_live_counts_until_it_ends() {
        let mut entries = vec![
            Allotment { node: node(1), slots: 4, wants: true },
            Allotment { node: node(2), slots: 0, wants: true },
        ];
        let now = Demand { busy: 4, waiting: 3 };
        let wish = divide(&entries, node(1), TOTAL, now);
        settle(&mut entries, node(1), wish, now);
        assert_eq!((wish, entries[0].slots), (2, 4));
        let other = Demand { busy: 0, waiting: 3 };
        assert_eq!(divide(&entries, node(2), TOTAL, other), 0);
        settle(&mut entries, node(1), wish, Demand { busy: 2, waiting: 5 });
        assert_eq!(divide(&entries, node(2), TOTAL, other), 2);
    }
}
