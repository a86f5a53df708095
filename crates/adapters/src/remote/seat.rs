//! An attempt's place at the executor, for as long as its future lives. When that is dropped,
//! nothing of the attempt may go on; unless another engine has it by now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jobwright_core::StopReason;
use tokio::sync::watch;

use super::Remote;
use super::cluster::{Cluster, Job, State};

pub(super) struct Seat<'r, C: Cluster> {
    remote: &'r Remote<C>,
    job: Job,
    seen: Arc<watch::Sender<Option<State>>>,
    /// Something may be on the cluster.
    exists: AtomicBool,
}

impl<'r, C: Cluster> Seat<'r, C> {
    pub(super) fn take(remote: &'r Remote<C>, job: Job) -> Self {
        let seen = remote.board.enter(&job);
        Self { remote, job, seen, exists: AtomicBool::new(false) }
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }

    /// Returns where sightings of the attempt arrive.
    pub(super) fn sightings(&self) -> watch::Receiver<Option<State>> {
        self.seen.subscribe()
    }

    pub(super) fn may_exist(&self) {
        self.exists.store(true, Ordering::Relaxed);
    }

    pub(super) fn does_not_exist(&self) {
        self.exists.store(false, Ordering::Relaxed);
    }

    /// Nothing of the attempt is on the cluster any more, or ever was.
    pub(super) fn leave(&self) {
        self.does_not_exist();
        self.remote.board.leave(self.job.key(), &self.seen);
    }
}

impl<C: Cluster> Drop for Seat<'_, C> {
    fn drop(&mut self) {
        self.remote.board.leave(self.job.key(), &self.seen);
        let stop = self.job.attempt().cancellation().requested();
        let is_elsewhere = stop.is_some_and(|stop| stop.reason == StopReason::GivenUp);
        if self.exists.load(Ordering::Relaxed) && !is_elsewhere {
            self.remote.orphans.add(self.job.clone());
        }
    }
}
