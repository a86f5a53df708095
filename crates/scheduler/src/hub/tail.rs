//! Following the journal of one group, for listeners to a group that another engine may drive.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{Event, GroupId, Record, Seq, Store};
use tokio::sync::watch;

/// How long an event of another engine may lie there if nobody is told of it.
const LOOK: Duration = Duration::from_secs(1);

/// How far one listener has read the journal of one group.
pub(crate) struct Tail {
    store: Arc<dyn Store>,
    /// Hears when another engine may have written.
    woken: watch::Receiver<u64>,
    group: GroupId,
    next: Seq,
    is_due: bool,
    has_ended: bool,
}

impl Tail {
    pub(crate) fn new(store: Arc<dyn Store>, woken: watch::Receiver<u64>, group: GroupId) -> Self {
        Self { store, woken, group, next: Seq(1), is_due: true, has_ended: false }
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Reads on; what cannot be read now is read at the next look. Cancel safe.
    pub(super) async fn read(&mut self) -> Vec<Record> {
        let found = self.store.load(self.group, self.next).await;
        let new = found.unwrap_or_default().iter().filter_map(|it| self.follow(it)).collect();
        self.is_due = false;
        new
    }

    /// Takes what follows on what was read, without what was read already. Something that is
    /// missing before it makes the journal due.
    pub(super) fn follow(&mut self, record: &Record) -> Option<Record> {
        if record.first > self.next {
            self.is_due = true;
            return None;
        }
        let known = usize::try_from(self.next.0 - record.first.0).unwrap_or(usize::MAX);
        let events = record.events.get(known..).filter(|events| !events.is_empty())?;
        self.has_ended = matches!(events.last(), Some(Event::GroupEnded { .. }));
        let new = Record { first: self.next, events: events.into(), ..record.clone() };
        self.next = new.next();
        Some(new)
    }

    /// Waits until it is time to look. Cancel safe.
    pub(super) async fn wait(&mut self) {
        if self.has_ended {
            return std::future::pending().await;
        }
        tokio::select! {
            changed = self.woken.changed() => if changed.is_err() {
                tokio::time::sleep(LOOK).await;
            },
            () = tokio::time::sleep(LOOK) => {}
        }
        self.is_due = true;
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tail of {} from {}", self.group, self.next.0)
    }
}
