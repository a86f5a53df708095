//! What goes on beside the attempts: one task per executor looks at all of them, asks whether a
//! cluster that was away is back, and puts down what nobody waits for any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::circuit::pause;
use super::cluster::{Cluster, End, Fence, Force, Job, State};
use super::{Remote, within};
use crate::clock::instant;

/// The attempts that were dropped, and whether more can come.
#[derive(Default)]
pub(super) struct Orphans {
    jobs: Mutex<Vec<Job>>,
    closed: AtomicBool,
    changed: Notify,
}

impl Orphans {
    /// Takes an attempt that nobody waits for: nothing of it may go on.
    pub(super) fn add(&self, job: Job) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        self.changed.notify_one();
    }

    /// No more attempts come.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn take(&self) -> Vec<Job> {
        std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs until the executor is gone and nothing of its attempts is left.
pub(super) async fn tend<C: Cluster>(remote: Arc<Remote<C>>) {
    let mut dying = JoinSet::new();
    let round = async {
        tokio::join!(remote.survey(), remote.answer(), remote.probe());
    };
    let mut round = std::pin::pin!(round);
    loop {
        for job in remote.orphans.take() {
            let remote = Arc::clone(&remote);
            dying.spawn(async move { remote.put_down(&job).await });
        }
        let is_closed = remote.orphans.closed.load(Ordering::SeqCst);
        if is_closed && dying.is_empty() {
            return;
        }
        tokio::select! {
            () = &mut round => {}
            () = remote.orphans.changed.notified() => {}
            Some(_) = dying.join_next() => {}
        }
    }
}

impl<C: Cluster> Remote<C> {
    /// Looks at all attempts that the cluster has taken, again and again.
    async fn survey(&self) {
        loop {
            self.board.any_accepted().await;
            self.circuit.closed(|_| {}).await;
            let began = instant();
            let (number, jobs) = self.board.survey();
            let seen = within(self.options.call_time, self.cluster.observe(&jobs)).await;
            self.note(&seen);
            let mut rest = self.cluster.poll();
            match seen {
                Ok(survey) if !rest.is_zero() => {
                    self.board.take(number, survey);
                    // It is not busy with us for more than half of the time.
                    rest = rest.max(instant() - began);
                }
                Ok(survey) => self.board.take(number, survey),
                Err(_) => rest = rest.max(pause(0)),
            }
            sleep(rest).await;
        }
    }

    /// Asks a cluster that is away whether it is back, more and more seldom.
    async fn probe(&self) {
        loop {
            self.circuit.opened().await;
            let mut asked = 0;
            while self.circuit.is_open() {
                sleep(pause(asked)).await;
                let answer = within(self.options.call_time, self.cluster.ping()).await;
                self.note(&answer);
                asked += 1;
            }
        }
    }

    /// Kills an attempt that nobody waits for, also one whose submission was not answered.
    async fn put_down(&self, job: &Job) {
        let mut may_come = true;
        loop {
            match self.look_up(job).await {
                Some(sighting) => match sighting.state {
                    State::Ended(End::Work(_) | End::Stopped | End::Cluster(_)) => return,
                    State::Waiting(_) | State::Running(_) | State::Gone => {
                        let stop = self.cluster.stop(job, &sighting.handle, Force::Kill);
                        self.note(&within(self.options.call_time, stop).await);
                        sleep(self.cluster.poll().max(pause(0))).await;
                    }
                },
                None if may_come => may_come = self.shut_out(job).await == Fence::Started,
                None => return,
            }
        }
    }

    /// Sees to it that nothing starts any more under the key of an attempt that the cluster does
    /// not know; waits where there is no fence.
    pub(super) async fn shut_out(&self, job: &Job) -> Fence {
        let fence = self.insist(job, || self.cluster.fence(job)).await;
        if let Fence::Open | Fence::Started = fence {
            sleep(self.options.settle).await;
        }
        fence
    }
}
