//! Where attempts report to while they run: into the loop, and to those who listen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use dashmap::DashMap;
use jobwright_core::{Attempt, GroupId, Handle, JobIndex, Reporter, Timestamp};
use tokio::sync::mpsc;

use super::Tenure;
use super::message::Message;
use crate::clock::Clock;
use crate::hub::{Hub, Notice};
use crate::machine::{AttemptKey, Report};

/// So few beats are not worth tidying.
const TIDY: usize = 1024;

/// The reporter of all attempts of an engine.
pub(crate) struct Listener {
    sender: mpsc::Sender<Message>,
    hub: Hub,
    clock: Clock,
    /// What the engine believes of its lease; none where the store is its own.
    tenure: Option<Arc<Tenure>>,
    /// Until when the beats of each attempt need not be passed on, so that a chatty one does not
    /// fill the loop's inbox.
    beats: DashMap<(GroupId, JobIndex), Timestamp>,
    /// Whether any attempt ever beat: most engines need not look.
    any_beats: AtomicBool,
    /// With how many entries the beats are next rid of those that say nothing any more: of
    /// attempts that beat in the very moment in which they ended.
    tidy_at: AtomicUsize,
    log_bytes: AtomicU64,
    logs_cut: AtomicU64,
}

impl Listener {
    pub(crate) fn new(
        sender: mpsc::Sender<Message>,
        hub: Hub,
        clock: Clock,
        tenure: Option<Arc<Tenure>>,
    ) -> Self {
        let (beats, any_beats) = (DashMap::new(), AtomicBool::new(false));
        let (log_bytes, logs_cut) = Default::default();
        let tidy_at = AtomicUsize::new(TIDY);
        Self { sender, hub, clock, tenure, beats, any_beats, tidy_at, log_bytes, logs_cut }
    }

    /// How many bytes of log lines came, and how many logs were too long to be kept whole.
    pub(crate) fn logged(&self) -> (u64, u64) {
        (self.log_bytes.load(Ordering::Relaxed), self.logs_cut.load(Ordering::Relaxed))
    }

    /// Puts a message into the loop's inbox.
    pub(super) async fn send(&self, message: Message) {
        // The loop is gone only when the engine is: nobody is left to tell.
        let _ = self.sender.send(message).await;
    }

    fn tidy(&self, now: Timestamp) {
        if self.beats.len() >= self.tidy_at.load(Ordering::Relaxed) {
            self.beats.retain(|_, until| now < *until);
            self.tidy_at.store(TIDY.max(2 * self.beats.len()), Ordering::Relaxed);
        }
    }

    pub(crate) fn forget(&self, attempt: &AttemptKey) {
        if self.any_beats.load(Ordering::Relaxed) {
            self.beats.remove(&(attempt.group, attempt.job));
        }
    }
}

fn key(attempt: &Attempt) -> AttemptKey {
    let (group, job, number) = (attempt.group(), attempt.index(), attempt.number());
    AttemptKey { group, slot: u32::MAX, job, number }
}

#[async_trait]
impl Reporter for Listener {
    async fn started(&self, attempt: &Attempt, handle: Handle) {
        tracing::Span::current().record("handle", handle.as_str());
        let report = Report::Started(Some(handle));
        self.send(Message::Report { attempt: key(attempt), report }).await;
    }

    fn heartbeat(&self, attempt: &Attempt) {
        let Some(period) = attempt.job().policy.timeouts.heartbeat else { return };
        let now = self.clock.now();
        let place = (attempt.group(), attempt.index());
        if self.beats.get(&place).is_some_and(|until| now < *until) {
            return;
        }
        let message = Message::Report { attempt: key(attempt), report: Report::Beat };
        // A full inbox drops the beat; the next one, a quarter of a period later at most, is
        // passed on.
        if self.sender.try_send(message).is_ok() {
            self.any_beats.store(true, Ordering::Relaxed);
            self.beats.insert(place, now + period / 4);
            self.tidy(now);
        }
    }

    fn progress(&self, attempt: &Attempt, percent: u8, words: &str) {
        let (group, attempt) = (attempt.group(), attempt.id());
        self.hub.line(|| Notice::Progress { group, attempt, percent, words: words.into() });
    }

    fn log(&self, attempt: &Attempt, line: &str) {
        self.log_bytes.fetch_add(line.len() as u64 + 1, Ordering::Relaxed);
        let (group, attempt) = (attempt.group(), attempt.id());
        self.hub.line(|| Notice::Log { group, attempt, line: line.into() });
    }

    fn log_cut(&self, _: &Attempt) {
        self.logs_cut.fetch_add(1, Ordering::Relaxed);
    }

    /// An attempt of an earlier term was given up before a later one began, and knows it.
    fn owns(&self, _: &Attempt) -> bool {
        self.tenure.as_ref().is_none_or(|tenure| !tenure.left().is_zero())
    }
}
