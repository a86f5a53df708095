//! Following journals of a store that other engines write, too: that of one group, which has an
//! order of its own, or the feed of all.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{Cursor, Event, GroupId, Record, Seq, Store};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

/// How long an event of another engine may lie there if nobody is told of it.
const LOOK: Duration = Duration::from_secs(1);

/// How long the feed is left alone after a look, whatever happens.
const REST: Duration = Duration::from_millis(50);

/// The most records of one look at the feed; a listener who is behind by more misses them.
const MOST: u32 = 10_000;

/// How far one listener has read.
pub(crate) struct Tail {
    store: Arc<dyn Store>,
    /// Hears when another engine may have written.
    woken: watch::Receiver<u64>,
    place: Place,
    is_due: bool,
    pauses: Option<Pauses>,
    /// Something was written that was not read yet.
    is_behind: bool,
}

enum Place {
    Group {
        group: GroupId,
        next: Seq,
        has_ended: bool,
    },
    /// Nowhere before the first look.
    Feed(Option<Cursor>),
}

/// What runs since the last look.
struct Pauses {
    rest: Pin<Box<Sleep>>,
    look: Pin<Box<Sleep>>,
}

/// What a look has found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// How many records there were, where they were too many to be read.
    pub(super) missed: u64,
}

impl Tail {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        woken: watch::Receiver<u64>,
        group: Option<GroupId>,
    ) -> Self {
        let place = match group {
            Some(group) => Place::Group { group, next: Seq(1), has_ended: false },
            None => Place::Feed(None),
        };
        Self { store, woken, place, is_due: true, pauses: None, is_behind: false }
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether it is known from where on events are told.
    pub(super) fn is_placed(&self) -> bool {
        !matches!(self.place, Place::Feed(None))
    }

    /// Reads on; what cannot be read now is read at the next look. Cancel safe.
    pub(super) async fn read(&mut self) -> Found {
        let found = match &mut self.place {
            Place::Group { group, next, has_ended } => {
                let records = self.store.load(*group, *next).await.unwrap_or_default();
                let new = records.iter().filter_map(|it| following(it, next, has_ended));
                Found { records: new.collect(), missed: 0 }
            }
            Place::Feed(cursor) => match self.store.feed(*cursor, MOST).await {
                Ok(feed) => {
                    *cursor = Some(feed.end);
                    Found { records: feed.records, missed: feed.missed }
                }
                Err(_) => Found::default(),
            },
        };
        (self.is_due, self.is_behind, self.pauses) = (false, false, None);
        found
    }

    /// Takes what this engine wrote: what follows on what was read, without what was read already.
    /// Something that is missing before it makes the journal due; what stands in the feed is told
    /// when it is read there.
    pub(super) fn follow(&mut self, record: &Record) -> Option<Record> {
        match &mut self.place {
            Place::Group { next, has_ended, .. } => {
                self.is_due |= record.first > *next;
                following(record, next, has_ended)
            }
            Place::Feed(_) => {
                self.is_behind = true;
                None
            }
        }
    }

    /// Waits until it is time to look. Cancel safe.
    pub(super) async fn wait(&mut self) {
        let rest = match self.place {
            Place::Group { has_ended: true, .. } => return std::future::pending().await,
            Place::Group { .. } => Duration::ZERO,
            Place::Feed(_) => REST,
        };
        let pauses = self.pauses.get_or_insert_with(|| Pauses {
            rest: Box::pin(sleep(rest)),
            look: Box::pin(sleep(LOOK)),
        });
        let is_behind = &mut self.is_behind;
        let written = async {
            // An engine that has ended tells nothing more.
            if !*is_behind && self.woken.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            *is_behind = true;
            pauses.rest.as_mut().await;
        };
        tokio::select! {
            () = written => {}
            () = pauses.look.as_mut() => {}
        }
        self.is_due = true;
    }
}

/// The part of a record that follows on what was read.
fn following(record: &Record, next: &mut Seq, has_ended: &mut bool) -> Option<Record> {
    let known = next.0.checked_sub(record.first.0)?;
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    let events = record.events.get(known..).filter(|events| !events.is_empty())?;
    *has_ended = matches!(events.last(), Some(Event::GroupEnded { .. }));
    let new = Record { first: *next, events: events.into(), ..record.clone() };
    *next = new.next();
    Some(new)
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Group { group, next, .. } => write!(f, "tail of {group} from {}", next.0),
            Place::Feed(cursor) => write!(f, "tail of the feed from {cursor:?}"),
        }
    }
}
