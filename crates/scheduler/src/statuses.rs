//! How far the loop's job groups are, in memory, for those who ask often and want no more.
//!
//! What stands here is what the store would say: a status comes in when the commit that holds it is
//! durable, in the place of the one before. Where other engines use the store, what stands here
//! counts only as long as this one holds its lease; it goes out before the next status of its group
//! is committed, so that nobody hears the old one here who heard the new one there; and groups that
//! have ended do not stay, since others may remove them. A store in memory is as fast to ask, so
//! that nothing stands here.

use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use jobwright_core::{Append, Durability, Event, GroupId, Status, Store};

use crate::driver::Spread;

/// How many groups that ended are remembered, the last ones.
const ENDED: usize = 8_192;

/// The statuses that are known.
#[derive(Debug)]
pub(crate) struct Statuses {
    known: RwLock<Known>,
    keeps: Keeps,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Keeps {
    /// The store has them in memory.
    Nothing,
    /// Other engines use the store.
    Live,
    All,
}

#[derive(Debug, Default)]
struct Known {
    statuses: HashMap<GroupId, Status, Spread>,
    /// The groups that ended, the earliest first.
    ended: VecDeque<GroupId>,
}

impl Statuses {
    /// Knows nothing yet. Groups that ended stay where no other engine could remove them.
    pub(crate) fn of(store: &dyn Store) -> Self {
        let keeps = match store.durability() {
            _ if store.is_shared() => Keeps::Live,
            Durability::Memory => Keeps::Nothing,
            Durability::Synced | Durability::Written | _ => Keeps::All,
        };
        Self { known: RwLock::default(), keeps }
    }

    pub(crate) fn find(&self, group: GroupId) -> Option<Status> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.statuses.get(&group).copied()
    }

    /// A commit is about to be made.
    pub(crate) fn doubt(&self, journal: &[Append]) {
        if self.keeps != Keeps::Live {
            return;
        }
        let changed = journal.iter().filter(|append| append.summary.is_some());
        self.forget(changed.map(|append| append.record.group));
    }

    /// A commit is durable. `standing` knows the status of a group that was taken up with it.
    pub(crate) fn settle(&self, journal: &[Append], standing: impl Fn(GroupId) -> Option<Status>) {
        if self.keeps == Keeps::Nothing {
            return;
        }
        let keeps_ended = self.keeps == Keeps::All;
        let mut known = self.known();
        for Append { record, summary, .. } in journal {
            let adopted = || match record.events.first() {
                Some(Event::Adopted { .. }) => standing(record.group),
                Some(_) | None => None,
            };
            let status = summary.as_ref().map(|it| it.status).or_else(adopted);
            let Some(status) = status.filter(|it| keeps_ended || !it.is_terminal()) else {
                continue;
            };
            known.statuses.insert(record.group, status);
            if status.is_terminal() {
                known.ended.push_back(record.group);
            }
        }
        while known.ended.len() > ENDED {
            let oldest = known.ended.pop_front();
            oldest.map(|group| known.statuses.remove(&group));
        }
    }

    /// Others drive these groups, or they are about to be removed.
    pub(crate) fn forget(&self, groups: impl Iterator<Item = GroupId>) {
        let mut known = self.known();
        for group in groups {
            known.statuses.remove(&group);
        }
    }

    /// Nothing is this engine's own any more.
    pub(crate) fn clear(&self) {
        *self.known() = Known::default();
    }

    fn known(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
