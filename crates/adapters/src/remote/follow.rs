//! Following an attempt that the cluster has taken to its end, and stopping it when it is asked to.

use std::time::Duration;

use jobwright_core::{Handle, Stop};
use tokio::time::{Instant, sleep_until};

use super::circuit::pause;
use super::cluster::{Cluster, End, Force, State};
use super::seat::Seat;
use super::{Remote, within};
use crate::clock::instant;

/// How often an attempt is killed that does not die.
const AGAIN: Duration = Duration::from_secs(5);

/// How an attempt ended, and what was done to it.
#[derive(Debug)]
pub(super) struct Ended {
    /// Nothing where the cluster does not know it any more.
    pub(super) end: Option<End>,
    pub(super) stopped: bool,
    pub(super) killed: bool,
}

/// How far stopping it is.
struct Stopping {
    grace: Duration,
    /// When it is killed.
    kill_at: Instant,
    /// When something is done next.
    due: Instant,
    stopped: bool,
    killed: bool,
}

impl<C: Cluster> Remote<C> {
    /// Follows an attempt to its end.
    pub(super) async fn follow(&self, seat: &Seat<'_, C>, handle: &Handle) -> Ended {
        let attempt = seat.job().attempt();
        let mut sightings = seat.sightings();
        let mut stopping: Option<Stopping> = None;
        let mut is_away = false;
        let mut told: Option<State> = None;
        loop {
            let state = sightings.borrow_and_update().clone();
            let done = |end| {
                let (stopped, killed) = stopping.as_ref().map_or((false, false), Stopping::done);
                Ended { end, stopped, killed }
            };
            match state {
                Some(State::Ended(end)) => return done(Some(end)),
                // What was stopped may be removed by that.
                Some(State::Gone) if stopping.as_ref().is_some_and(|it| it.stopped) => {
                    return done(Some(End::Stopped));
                }
                Some(State::Gone) => match self.look_up(seat.job()).await {
                    Some(found) if found.handle == *handle => match found.state {
                        State::Ended(end) => return done(Some(end)),
                        State::Waiting(_) | State::Running(_) | State::Gone => {}
                    },
                    Some(_) | None => return done(None),
                },
                // What its program says about its progress is worth more than the same again.
                Some(state) if told.as_ref() == Some(&state) => attempt.heartbeat(),
                Some(State::Waiting(why)) => {
                    attempt.heartbeat();
                    told = Some(State::Waiting(why.clone()));
                    attempt.progress(0, &format!("waits on {}: {why}", self.cluster.name()));
                }
                Some(State::Running(place)) => {
                    attempt.heartbeat();
                    told = Some(State::Running(place.clone()));
                    let name = self.cluster.name();
                    let place = if place.is_empty() { place } else { format!(" ({place})") };
                    attempt.progress(0, &format!("runs on {name}{place}"));
                }
                None => attempt.heartbeat(),
            }
            let due = stopping.as_ref().map(|it| it.due);
            tokio::select! {
                changed = sightings.changed() => if changed.is_err() { return done(None) },
                stop = attempt.cancellation().wait(), if stopping.is_none() => {
                    stopping = Some(Stopping::new(stop));
                }
                () = sleep_until(due.unwrap_or_else(instant)), if due.is_some() => {
                    if let Some(stopping) = &mut stopping {
                        self.urge(seat, handle, stopping).await;
                    }
                }
                () = self.beat(attempt) => {}
                () = self.circuit.turned(is_away) => {
                    (is_away, told) = (!is_away, None);
                    self.circuit.tell(|trouble| self.tell_waiting(seat.job(), trouble));
                }
            }
        }
    }

    /// Asks it to stop, or kills it.
    async fn urge(&self, seat: &Seat<'_, C>, handle: &Handle, stopping: &mut Stopping) {
        let kills = instant() >= stopping.kill_at;
        let how = if kills { Force::Kill } else { Force::Ask { grace: stopping.grace } };
        let stop = self.cluster.stop(seat.job(), handle, how);
        let answer = within(self.options.call_time, stop).await;
        self.note(&answer);
        stopping.due = match answer {
            Ok(()) => {
                (stopping.stopped, stopping.killed) = (true, stopping.killed || kills);
                if kills { instant() + AGAIN } else { stopping.kill_at }
            }
            Err(_) => instant() + pause(1),
        };
    }
}

impl Stopping {
    fn new(stop: &Stop) -> Self {
        let now = instant();
        let (grace, kill_at) = (stop.grace, now + stop.grace);
        Self { grace, kill_at, due: now, stopped: false, killed: false }
    }

    fn done(&self) -> (bool, bool) {
        (self.stopped, self.killed)
    }
}
