//! What happens, told live to whoever listens. A slow listener misses some and is told how much;
//! it never slows the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jobwright_core::{AttemptId, Commit, Event, GroupId, Seq, Timestamp};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many turns a listener may be behind before it misses some.
const DEPTH: usize = 1024;

/// Something that happened. Events are durable when they are told; progress and log lines are
/// told once and kept nowhere.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// A fact of a group.
    Event {
        /// The group.
        group: GroupId,
        /// Its position in the group's journal.
        seq: Seq,
        /// When it happened.
        at: Timestamp,
        /// The fact.
        event: Event,
    },
    /// How far an attempt is.
    Progress {
        /// The group.
        group: GroupId,
        /// The attempt.
        attempt: AttemptId,
        /// Per cent.
        percent: u8,
        /// A few words.
        words: Arc<str>,
    },
    /// A line of an attempt's log.
    Log {
        /// The group.
        group: GroupId,
        /// The attempt.
        attempt: AttemptId,
        /// The line.
        line: Arc<str>,
    },
    /// The listener was too slow: read the history of the groups it cares for, then go on.
    Gap {
        /// How many turns and lines it missed.
        missed: u64,
    },
}

#[derive(Debug, Clone)]
enum Told {
    Turn(Arc<Commit>),
    Line(Notice),
    Over,
}

/// Where everything is told.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    sender: broadcast::Sender<Told>,
    is_over: Arc<AtomicBool>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(DEPTH), is_over: Arc::default() }
    }

    /// Tells that nothing will be told any more.
    pub(crate) fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = self.sender.send(Told::Over);
    }

    /// Tells what became durable in a turn.
    pub(crate) fn turn(&self, commit: &Arc<Commit>) {
        if self.sender.receiver_count() > 0 && !commit.journal.is_empty() {
            let _ = self.sender.send(Told::Turn(Arc::clone(commit)));
        }
    }

    /// Tells a line; `notice` is only made where somebody listens.
    pub(crate) fn line(&self, notice: impl FnOnce() -> Notice) {
        if self.sender.receiver_count() > 0 {
            let _ = self.sender.send(Told::Line(notice()));
        }
    }

    pub(crate) fn subscribe(&self, group: Option<GroupId>) -> Subscription {
        // First subscribed, then looked: who misses the flag hears that it is over.
        let receiver = self.sender.subscribe();
        let is_over = self.is_over.load(Ordering::SeqCst);
        Subscription { receiver, group, pending: Vec::new().into_iter(), is_over }
    }
}

/// A listener. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Told>,
    group: Option<GroupId>,
    pending: std::vec::IntoIter<Notice>,
    is_over: bool,
}

impl Subscription {
    /// Waits for what happens next; none when the engine has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.pending.next() {
                return Some(notice);
            }
            if self.is_over {
                return None;
            }
            match self.receiver.recv().await {
                Ok(Told::Turn(commit)) => self.pending = self.events(&commit).into_iter(),
                Ok(Told::Line(notice)) if self.wants(&notice) => return Some(notice),
                Ok(Told::Line(_)) => {}
                Err(RecvError::Lagged(missed)) => return Some(Notice::Gap { missed }),
                Ok(Told::Over) | Err(RecvError::Closed) => self.is_over = true,
            }
        }
    }

    fn events(&self, commit: &Commit) -> Vec<Notice> {
        let records = commit.journal.iter().map(|append| &append.record);
        let records = records.filter(|record| self.group.is_none_or(|only| only == record.group));
        let notices = records.flat_map(|record| {
            record.events.iter().enumerate().map(|(at, event)| Notice::Event {
                group: record.group,
                seq: Seq(record.first.0 + at as u64),
                at: record.at,
                event: event.clone(),
            })
        });
        notices.collect()
    }

    fn wants(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Event { group, .. }
            | Notice::Progress { group, .. }
            | Notice::Log { group, .. } => self.group.is_none_or(|only| only == *group),
            Notice::Gap { .. } => true,
        }
    }
}
