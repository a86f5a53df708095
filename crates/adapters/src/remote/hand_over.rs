//! Handing attempts over, and taking up those that another engine handed over.
//!
//! ```text
//!            answered: taken ──────────────────────────────▶ accepted
//!   submit ─ answered: refused ────────────────────────────▶ its failure
//!      ▲   ─ not sent, or the cluster is busy ─▶ wait ─┐
//!      │   ─ not answered ─▶ look up ─ there ──────────┼───▶ accepted
//!      │                        │ not there            │
//!      │                      fence ─ shut ────────────┼───▶ rejected: it never starts
//!      │                        │ none: wait, look     │
//!      └────────────────────────┴──────────────────────┘
//! ```

use jobwright_core::{Failure, Handle};
use tokio::time::sleep;

use super::circuit::pause;
use super::cluster::{Cluster, Fence, Job, Sighting, Submitted, Trouble};
use super::seat::Seat;
use super::{Remote, within};

/// What became of a submission that was not answered.
enum Fate {
    Taken(Handle),
    /// It never starts anything.
    Barred,
    /// Nothing is there, and nothing is on its way.
    Nothing,
}

impl<C: Cluster> Remote<C> {
    /// Hands an attempt over, and waits for that as long as it takes.
    pub(super) async fn hand_over(
        &self,
        seat: &Seat<'_, C>,
        order: &C::Order,
    ) -> Result<Handle, Failure> {
        let job = seat.job();
        let mut tries = 0;
        loop {
            let permit = tokio::select! {
                biased;
                _ = job.attempt().cancellation().wait() => return Err(never_began(&self.cluster)),
                permit = self.turn(job) => permit,
            };
            seat.may_exist();
            let sent = within(self.options.call_time, self.cluster.submit(job, order)).await;
            self.note(&sent);
            match &sent {
                Err(Trouble::Busy { after, .. }) => self.gate.hold(permit, *after),
                Ok(_) => {
                    self.gate.went_well();
                    drop(permit);
                }
                Err(_) => drop(permit),
            }
            let is_taken = match sent {
                Ok(Submitted::Accepted(handle)) => return Ok(handle),
                Ok(Submitted::Refused(failure)) => {
                    seat.leave();
                    return Err(failure);
                }
                Ok(Submitted::AlreadyThere) => true,
                Err(Trouble::Unanswered(_)) => false,
                Err(trouble) => {
                    seat.does_not_exist();
                    self.rest(job, &trouble, tries).await;
                    tries += 1;
                    continue;
                }
            };
            match self.fate(job).await {
                Fate::Taken(handle) => return Ok(handle),
                Fate::Barred => {
                    seat.leave();
                    let message = format!("{} did not take the attempt", self.cluster.name());
                    return Err(Failure::rejected("unanswered", message));
                }
                Fate::Nothing if is_taken => {
                    seat.leave();
                    return Err(taken_name(&self.cluster, job));
                }
                Fate::Nothing => seat.does_not_exist(),
            }
        }
    }

    /// Finds an attempt that was handed over before. Nothing where there is none, and never will
    /// be.
    pub(super) async fn find_again(&self, job: &Job) -> Option<Sighting> {
        if let Some(found) = self.look_up(job).await {
            return Some(found);
        }
        if job.attempt().handle().is_some() {
            // It was there, so its submission is not on its way.
            return None;
        }
        match self.shut_out(job).await {
            Fence::Shut => None,
            Fence::Started | Fence::Open => self.look_up(job).await,
        }
    }

    async fn fate(&self, job: &Job) -> Fate {
        if let Some(found) = self.look_up(job).await {
            return Fate::Taken(found.handle);
        }
        if self.cluster.enforces_keys() {
            return Fate::Nothing;
        }
        match self.shut_out(job).await {
            Fence::Shut => Fate::Barred,
            Fence::Started | Fence::Open => match self.look_up(job).await {
                Some(found) => Fate::Taken(found.handle),
                None => Fate::Nothing,
            },
        }
    }

    async fn turn(&self, job: &Job) -> tokio::sync::SemaphorePermit<'_> {
        loop {
            self.answering(job).await;
            let permit = self.gate.enter().await;
            if !self.circuit.is_open() {
                return permit;
            }
        }
    }

    /// Rests after a submission of which nothing is left.
    async fn rest(&self, job: &Job, trouble: &Trouble, tries: u32) {
        self.tell_waiting(job, trouble);
        if let Trouble::Busy { .. } = trouble {
            // The gate knows for how long.
            return;
        }
        tokio::select! {
            _ = job.attempt().cancellation().wait() => {}
            () = sleep(pause(tries)) => {}
        }
    }
}

pub(super) fn never_began(cluster: &impl Cluster) -> Failure {
    let name = cluster.name();
    Failure::cancelled(format!("it was asked to stop before it was handed over to {name}"))
}

fn taken_name(cluster: &impl Cluster, job: &Job) -> Failure {
    let message = format!(
        "{} has something else under the name `{}`: two installations need two prefixes",
        cluster.name(),
        job.key(),
    );
    Failure::permanent("name_taken", message)
}
