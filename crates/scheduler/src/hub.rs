//! What happens, told live to whoever listens. A slow listener misses some and is told how much;
//! it never slows the engine.

mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jobwright_core::{AttemptId, Commit, Event, GroupId, Record, Seq, Timestamp};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use tail::Found;
pub(crate) use tail::Tail;

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
        /// How many turns, records and lines it missed.
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
        Subscription { receiver, group, tail: None, pending: Vec::new().into_iter(), is_over }
    }
}

/// A listener. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Told>,
    group: Option<GroupId>,
    /// Where other engines may drive groups: how far journals were read.
    tail: Option<Tail>,
    pending: std::vec::IntoIter<Notice>,
    is_over: bool,
}

impl Subscription {
    /// Hears also what other engines write.
    pub(crate) fn following(self, tail: Tail) -> Self {
        Self { tail: Some(tail), ..self }
    }

    /// Waits for what happens next; none when the engine has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.pending.next() {
                return Some(notice);
            }
            if self.is_over {
                return None;
            }
            if self.tail.as_ref().is_some_and(Tail::is_due) {
                self.look().await;
                continue;
            }
            let told = tokio::select! {
                told = self.receiver.recv() => told,
                () = wait(&mut self.tail) => continue,
            };
            match told {
                Ok(Told::Turn(commit)) => self.pending = self.take(&commit).into_iter(),
                Ok(Told::Line(notice)) if self.wants(&notice) => return Some(notice),
                Ok(Told::Line(_)) => {}
                Err(RecvError::Lagged(missed)) => return Some(Notice::Gap { missed }),
                Ok(Told::Over) | Err(RecvError::Closed) => self.is_over = true,
            }
        }
    }

    /// Waits until everything that becomes durable from then on will be heard. That takes a moment
    /// only for listeners to all groups of a store that engines share, who else hear what becomes
    /// durable after the first call of [`next`](Self::next). Cancel safe.
    pub async fn ready(&mut self) {
        while !self.is_over && self.tail.as_ref().is_some_and(|tail| !tail.is_placed()) {
            if !self.tail.as_ref().is_some_and(Tail::is_due) {
                wait(&mut self.tail).await;
            }
            self.look().await;
        }
    }

    /// Reads on in the journals. Cancel safe.
    async fn look(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        let Found { records, missed } = tail.read().await;
        let gap = (missed > 0).then_some(Notice::Gap { missed });
        let pending: Vec<_> = gap.into_iter().chain(records.iter().flat_map(events)).collect();
        self.pending = pending.into_iter();
    }

    fn take(&mut self, commit: &Commit) -> Vec<Notice> {
        let records = commit.journal.iter().map(|append| &append.record);
        let records = records.filter(|record| self.group.is_none_or(|only| only == record.group));
        match &mut self.tail {
            None => records.flat_map(events).collect(),
            Some(tail) => {
                let new = records.filter_map(|record| tail.follow(record));
                new.collect::<Vec<_>>().iter().flat_map(events).collect()
            }
        }
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

/// Waits until a journal is to be looked at; for ever where none is followed.
async fn wait(tail: &mut Option<Tail>) {
    match tail {
        Some(tail) => tail.wait().await,
        None => std::future::pending().await,
    }
}

fn events(record: &Record) -> Vec<Notice> {
    let events = record.events.iter().enumerate().map(|(at, event)| Notice::Event {
        group: record.group,
        seq: Seq(record.first.0 + at as u64),
        at: record.at,
        event: event.clone(),
    });
    events.collect()
}
