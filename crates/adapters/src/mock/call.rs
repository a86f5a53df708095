//! The record of what a mock executor was asked to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobwright_core::{Attempt, AttemptId, Failure, FailureClass, GroupId, StepName, Success};
use tokio::time::Instant;

/// One call of a mock executor.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its job group.
    pub group: GroupId,
    /// Its step.
    pub step: StepName,
    /// It was a reattachment, not a hand-over.
    pub reattach: bool,
    /// When it began, on tokio's clock, counted from the first call.
    pub began: Duration,
    /// When and how it ended, if it has.
    pub ended: Option<(Duration, End)>,
    /// The place of begin and end among all begins and ends: exact where no time passes.
    order: (u64, Option<u64>),
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed(FailureClass),
    /// Its future was dropped, or it panicked.
    Dropped,
    /// A reattachment got its answer.
    Answered,
}

/// Calls of a mock executor, in the order in which they began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calls(Vec<Call>);

impl Calls {
    /// Goes through the calls.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Call> {
        self.0.iter()
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns those at one step.
    #[must_use]
    pub fn of(&self, step: &str) -> Calls {
        Self(self.0.iter().filter(|call| call.step.as_str() == step).cloned().collect())
    }

    /// Returns the names of their steps, in the order in which they began.
    #[must_use]
    pub fn steps(&self) -> Vec<&str> {
        self.0.iter().map(|call| call.step.as_str()).collect()
    }

    /// Returns the attempts, in the order in which they began.
    #[must_use]
    pub fn attempts(&self) -> Vec<AttemptId> {
        self.0.iter().map(|call| call.attempt).collect()
    }

    /// Returns the attempts that were handed over more than once; an engine must not have any in
    /// one life.
    #[must_use]
    pub fn repeated(&self) -> Vec<AttemptId> {
        let mut counts = BTreeMap::<AttemptId, u32>::new();
        for call in self.0.iter().filter(|call| !call.reattach) {
            *counts.entry(call.attempt).or_default() += 1;
        }
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(attempt, _)| attempt).collect()
    }

    /// Returns how many have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.iter().filter(|call| call.ended.is_none()).count()
    }

    /// Returns the most that were live at one time.
    #[must_use]
    pub fn max_concurrency(&self) -> usize {
        let begins = self.0.iter().map(|call| (call.order.0, true));
        let ends = self.0.iter().filter_map(|call| Some((call.order.1?, false)));
        let mut moves: Vec<_> = begins.chain(ends).collect();
        moves.sort_unstable();
        let (mut live, mut most) = (0usize, 0usize);
        for (_, begins) in moves {
            live = if begins { live + 1 } else { live.saturating_sub(1) };
            most = most.max(live);
        }
        most
    }
}

impl IntoIterator for Calls {
    type Item = Call;
    type IntoIter = std::vec::IntoIter<Call>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Where calls are recorded; clones share the record.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    calls: Vec<Call>,
    first: Option<Instant>,
    moves: u64,
}

impl Log {
    #[expect(clippy::disallowed_methods, reason = "a record of real calls reads tokio's clock")]
    fn tick(&mut self) -> (Duration, u64) {
        let now = Instant::now();
        self.moves += 1;
        (now.saturating_duration_since(*self.first.get_or_insert(now)), self.moves)
    }
}

impl Recorder {
    pub(super) fn begin(&self, attempt: &Attempt, reattach: bool) -> OpenCall {
        let mut log = self.log();
        let (began, order) = log.tick();
        log.calls.push(Call {
            attempt: attempt.id(),
            group: attempt.group(),
            step: attempt.job().step.clone(),
            reattach,
            began,
            ended: None,
            order: (order, None),
        });
        OpenCall { recorder: self.clone(), at: log.calls.len() - 1, end: End::Dropped }
    }

    pub(super) fn calls(&self) -> Calls {
        Calls(self.log().calls.clone())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that has begun. Its end is recorded when it is dropped.
pub(super) struct OpenCall {
    recorder: Recorder,
    at: usize,
    end: End,
}

impl OpenCall {
    pub(super) fn end(mut self, outcome: &Result<Success, Failure>) {
        self.end = match outcome {
            Ok(_) => End::Succeeded,
            Err(failure) => End::Failed(failure.class),
        };
    }

    pub(super) fn answered(mut self) {
        self.end = End::Answered;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut log = self.recorder.log();
        let (ended, order) = log.tick();
        if let Some(call) = log.calls.get_mut(self.at) {
            call.ended = Some((ended, self.end));
            call.order.1 = Some(order);
        }
    }
}
