//! The driver: the one loop around one machine. It makes the machine's events durable, then does
//! what the machine asked for; what that brings back is the next input.
//!
//! ```text
//!           ┌──────────────── reports ────────────────┐
//! inbox ─► collect ─► step … step ─► append (durable) ─► perform ─► executors
//! ```
//!
//! Nothing leaves the loop before the events that justify it are durable: no effect, no answer.
//! Where other engines use the same store, nothing leaves it either when its lease is over, see
//! [`tenure`].

mod account;
mod append;
mod audience;
mod helm;
mod ledger;
mod lost;
mod message;
mod perform;
mod reporter;
mod shutdown;
mod spread;
mod tenure;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use jobwright_core::secret::SecretSource;
use jobwright_core::{
    Artifacts, Attempt, Change, CommitError, DeploymentId, Executor, ExecutorName, ExecutorTraits,
    GroupId, NodeId, Revision, RunId, Store, StoreError, Timestamp, Verdict,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::hub::Hub;
use crate::machine::{AttemptKey, Capacity, Demand, Input, Scheduler, StepResult};
use crate::statuses::Statuses;

pub(crate) use audience::Audience;
pub(crate) use helm::regards;
pub(crate) use message::{Message, Submission, SubmitError, Waiting};
pub(crate) use reporter::Listener;
pub use shutdown::ShutdownReport;
pub(crate) use spread::Spread;
pub(crate) use tenure::Tenure;

/// How many messages are taken into one turn. The bound keeps the time of a turn, and so the wait
/// of the first message in it, within a few milliseconds.
const TURN: usize = 4096;

/// How often the loop lets others run before a turn, as long as each time something comes of it.
const YIELDS: u32 = 16;

/// After so many turns without waiting the loop lets others run.
const TURNS_BEFORE_YIELD: u32 = 16;

/// Those who wait for the end of groups.
pub(crate) type Waiters = HashMap<GroupId, Vec<oneshot::Sender<Verdict>>>;

/// An executor with how it wants to be driven.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) traits: ExecutorTraits,
}

/// Everything that the loop is given.
pub(crate) struct Driver {
    pub(crate) machine: Scheduler,
    pub(crate) capacity: Capacity,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) node: NodeId,
    /// The executors with a limit that holds over all engines, and what each may have here besides.
    pub(crate) shared: BTreeMap<ExecutorName, Option<u32>>,
    /// What the engine believes of its lease; none where the store is its own.
    pub(crate) tenure: Option<Arc<Tenure>>,
    /// The term in which what the machine drives was accepted or claimed.
    pub(crate) term: u64,
    /// The deployments at whose helm the engine is, with the revision of the document.
    pub(crate) helms: BTreeMap<DeploymentId, Revision>,
    pub(crate) clock: Clock,
    /// The executors, in the order of the capacity.
    pub(crate) seats: Vec<Seat>,
    pub(crate) secrets: Option<Arc<dyn SecretSource>>,
    pub(crate) hub: Hub,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) audience: Audience,
    pub(crate) waiters: Waiters,
    pub(crate) listener: Arc<Listener>,
    pub(crate) inbox: mpsc::Receiver<Message>,
    pub(crate) turn: Turn,
    pub(crate) attempts: HashMap<AttemptKey, Held, Spread>,
    pub(crate) artifacts: HashMap<(DeploymentId, RunId), Artifacts>,
    pub(crate) inline: Option<perform::Room>,
    /// Told when something has been announced.
    pub(crate) announced: Arc<Notify>,
    pub(crate) ending: shutdown::Ending,
    /// When the engine must have ended although its store is away, once somebody asked for it.
    pub(crate) ends_by: watch::Receiver<Option<Timestamp>>,
}

/// What one turn collects and answers. Kept between turns for its room.
#[derive(Default)]
pub(crate) struct Turn {
    messages: Vec<Message>,
    inputs: Vec<Input>,
    /// Heartbeats: they come first, so that after a spell in which the loop was deaf nothing times
    /// out whose beat has come.
    beats: Vec<Input>,
    /// Reports of attempts that ended while they were handed over: the next turn's first inputs.
    reports: Vec<Input>,
    submissions: BTreeMap<RunId, Box<Submission>>,
    /// Who asked for the cancellation of a group, to be written with it.
    records: BTreeMap<GroupId, Change>,
    /// Requests of other engines to cancel a group, to be removed with its cancellation.
    orders: BTreeMap<GroupId, Change>,
    /// Answers that wait for the turn to be durable.
    answers: Vec<(GroupId, oneshot::Sender<()>)>,
    /// Runs that the store refused.
    gone: BTreeSet<RunId>,
    questions: Vec<(GroupId, oneshot::Sender<Waiting>)>,
    shares: Vec<(ExecutorName, oneshot::Sender<Demand>)>,
    out: StepResult,
}

/// A live attempt of this engine.
pub(crate) struct Held {
    attempt: Attempt,
    /// The task that drives it, which goes on where this is dropped.
    task: JoinHandle<()>,
}

impl Driver {
    /// Drives until the engine is shut down or the store breaks.
    pub(crate) async fn run(&mut self) -> Result<ShutdownReport, StoreError> {
        let mut turns = 0;
        while self.collect(&mut turns).await {
            if self.is_deposed() {
                self.start_over();
                continue;
            }
            let now = self.clock.now();
            self.audience.begin(now, &self.machine);
            for input in self.turn.inputs.drain(..) {
                self.machine.step(now, input, &mut self.turn.out);
            }
            if self.turn.out.more {
                self.turn.reports.push(Input::Tick);
            }
            self.audience.decided();
            self.append(now).await?;
            self.perform();
            self.audience.tell(now, &self.machine);
            self.turn.out.clear();
        }
        Ok(self.finish().await)
    }

    /// Takes what has come into the turn, without waiting.
    fn drain(&mut self, messages: &mut Vec<Message>) {
        // Together, so that those who wait for room in the inbox are looked for once.
        let room = TURN.saturating_sub(messages.len());
        let _ = self.inbox.recv_many(messages, room).now_or_never();
    }

    /// Waits until there is something to do, and makes it the turn's inputs; false when the
    /// engine has been shut down.
    async fn collect(&mut self, turns: &mut u32) -> bool {
        self.turn.inputs.append(&mut self.turn.reports);
        if self.is_over() {
            return false;
        }
        let mut messages = std::mem::take(&mut self.turn.messages);
        if self.turn.inputs.is_empty() {
            *turns = 0;
            let deadline = self.next_deadline();
            tokio::select! {
                biased;
                count = self.inbox.recv_many(&mut messages, TURN) => if count == 0 { return false },
                () = tokio::time::sleep_until(deadline) => self.turn.inputs.push(Input::Tick),
            }
            // The first of many reports wakes the loop: let those come along that are about to be
            // made, so that they share a turn.
            for _ in 0..YIELDS {
                let before = messages.len();
                if self.attempts.len() <= before || before >= TURN {
                    break;
                }
                tokio::task::yield_now().await;
                self.drain(&mut messages);
                if messages.len() == before {
                    break;
                }
            }
        } else {
            *turns += 1;
            if turns.is_multiple_of(TURNS_BEFORE_YIELD) {
                step_aside().await;
            }
        }
        self.drain(&mut messages);
        for message in messages.drain(..) {
            self.receive(message);
        }
        self.turn.messages = messages;
        if !self.turn.beats.is_empty() {
            self.turn.inputs.push(Input::Tick);
            let beats = self.turn.beats.drain(..);
            self.turn.inputs.splice(0..0, beats);
        }
        self.halt_when_due();
        true
    }
}

/// Lets others run, as tokio's own `yield_now` does; but that keeps a task from all threads until
/// its own has done everything else, while here another thread that is idle goes on with the loop.
/// Where there is no other thread it is `yield_now`, which also looks at timers and sockets.
async fn step_aside() {
    if Handle::current().metrics().num_workers() == 1 {
        return tokio::task::yield_now().await;
    }
    let mut is_back = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Tells whether a commit may be tried again as it is.
fn may_pass(error: &CommitError) -> bool {
    match error {
        CommitError::Store(error) => error.is_retryable(),
        CommitError::Refused(_) | _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    /// A listener that was woken by the loop runs on the loop's thread as soon as the loop lets
    /// others run, and may take long.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[expect(clippy::disallowed_methods, reason = "both tasks are waited for")]
    async fn a_loop_that_steps_aside_is_back_before_others_are_done() {
        let (sender, receiver) = sync_channel(1);
        let stepping = tokio::spawn(async move {
            let wait = async move { receiver.recv_timeout(Duration::from_secs(20)) };
            let other = tokio::spawn(wait);
            super::step_aside().await;
            let _ = sender.send(());
            other.await.expect("it ends")
        });
        let waited = stepping.await.expect("it ends");
        assert_eq!(waited, Ok(()), "the loop was kept until the other task was done");
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "both tasks are waited for")]
    async fn timers_are_looked_at_when_a_loop_on_the_only_thread_steps_aside() {
        let timed = tokio::spawn(tokio::time::sleep(Duration::from_millis(1)));
        let stepping = tokio::spawn(async move {
            // The thread is kept until the time has come.
            let (_sender, receiver) = sync_channel::<()>(0);
            let _ = receiver.recv_timeout(Duration::from_millis(20));
            for _ in 0..3 {
                super::step_aside().await;
            }
            timed.is_finished()
        });
        assert!(stepping.await.expect("it ends"), "the timer was not looked at");
    }
}
