//! Which attempts are on the cluster, and what was last seen of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jobwright_core::Handle;
use tokio::sync::{Notify, watch};

use super::cluster::{Job, Sighting, State, Survey};
use super::key::Key;

/// The attempts of one executor.
#[derive(Default)]
pub(super) struct Board {
    entries: Mutex<Entries>,
    /// Somebody was accepted.
    accepted: Notify,
}

#[derive(Default)]
struct Entries {
    of: BTreeMap<Key, Entry>,
    /// The number of the last survey that began.
    surveys: u64,
}

struct Entry {
    job: Job,
    /// Since it was accepted: under which name, and the last survey that had begun before.
    accepted: Option<(Handle, u64)>,
    /// What was seen before that.
    early: Option<Sighting>,
    seen: Arc<watch::Sender<Option<State>>>,
}

impl Board {
    /// Enters an attempt before it is handed over. One of the same key that is there already is
    /// replaced: nobody waits for it any more.
    pub(super) fn enter(&self, job: &Job) -> Arc<watch::Sender<Option<State>>> {
        let seen = Arc::new(watch::Sender::new(None));
        let entry = Entry { job: job.clone(), accepted: None, early: None, seen: seen.clone() };
        self.lock().of.insert(job.key().clone(), entry);
        seen
    }

    /// Takes an attempt off the board, if this is still the one.
    pub(super) fn leave(&self, key: &Key, seen: &Arc<watch::Sender<Option<State>>>) {
        let mut entries = self.lock();
        if entries.of.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.seen, seen)) {
            entries.of.remove(key);
        }
    }

    /// The cluster has taken an attempt under this name.
    pub(super) fn accept(&self, key: &Key, handle: &Handle) {
        let mut entries = self.lock();
        let surveys = entries.surveys;
        if let Some(entry) = entries.of.get_mut(key) {
            entry.accepted = Some((handle.clone(), surveys));
            if let Some(early) = entry.early.take() {
                entry.see(early);
            }
        }
        self.accepted.notify_one();
    }

    /// Waits until there is somebody to look at. Cancel safe.
    pub(super) async fn any_accepted(&self) {
        while !self.lock().of.values().any(|entry| entry.accepted.is_some()) {
            self.accepted.notified().await;
        }
    }

    /// Begins a survey: its number, and whom to look at.
    pub(super) fn survey(&self) -> (u64, Vec<Job>) {
        let mut entries = self.lock();
        entries.surveys += 1;
        let live = entries.of.values().filter(|entry| entry.accepted.is_some());
        (entries.surveys, live.map(|entry| entry.job.clone()).collect())
    }

    /// Takes what a survey saw.
    pub(super) fn take(&self, number: u64, survey: Survey) {
        let mut entries = self.lock();
        let is_whole = survey.is_whole;
        let mut unseen: BTreeMap<Key, Handle> = BTreeMap::new();
        if is_whole {
            let before = |entry: &Entry| {
                let (handle, after) = entry.accepted.as_ref()?;
                (*after < number).then(|| (entry.job.key().clone(), handle.clone()))
            };
            unseen = entries.of.values().filter_map(before).collect();
        }
        for sighting in survey.sightings {
            if unseen.get(&sighting.key) == Some(&sighting.handle) {
                unseen.remove(&sighting.key);
            }
            if let Some(entry) = entries.of.get_mut(&sighting.key) {
                entry.see(sighting);
            }
        }
        for (key, handle) in unseen {
            if let Some(entry) = entries.of.get_mut(&key) {
                entry.see(Sighting { key, handle, state: State::Gone });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Takes a sighting of this attempt, not of a namesake. An end is final.
    fn see(&mut self, sighting: Sighting) {
        match &self.accepted {
            Some((handle, _)) if *handle == sighting.handle => {
                self.seen.send_if_modified(|seen| {
                    let is_final = matches!(seen, Some(State::Ended(_)));
                    let is_news = !is_final && seen.as_ref() != Some(&sighting.state);
                    if is_news {
                        *seen = Some(sighting.state);
                    }
                    is_news
                });
            }
            Some(_) => {}
            None => self.early = Some(sighting),
        }
    }
}
