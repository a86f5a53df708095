//! Listening to what an attempt says while it runs, where the cluster lets one.

use std::fs::File;
use std::io;
use std::time::Duration;

use jobwright_core::Handle;
use tokio::time::timeout;

use super::Remote;
use super::cluster::{Cluster, Job, Output, State};
use super::follow::Ended;
use super::seat::Seat;
use crate::local::capture::Capture;
use crate::local::folder::{Folder, LOG};
use crate::local::reattach::told;
use crate::log::{LogWriter, ProcessEnd};
use crate::mask::Masker;

/// How long after an attempt's end the rest of what it said is waited for.
const DRAIN: Duration = Duration::from_secs(10);

impl<C: Cluster> Remote<C> {
    /// Follows an attempt to its end, and takes down what it says meanwhile.
    pub(super) async fn attend(
        &self,
        seat: &Seat<'_, C>,
        handle: &Handle,
    ) -> (Ended, Option<Capture>) {
        let mut capture = None;
        let ended = {
            let mut listens = std::pin::pin!(self.listen(seat, handle, &mut capture));
            let mut follows = std::pin::pin!(self.follow(seat, handle));
            let mut has_heard = false;
            let ended = loop {
                tokio::select! {
                    ended = &mut follows => break ended,
                    () = &mut listens, if !has_heard => has_heard = true,
                }
            };
            if !has_heard && ended.end.is_some() {
                // What comes later is lost; a cluster that is away must not hold the end back.
                let _ = timeout(DRAIN, listens).await;
            }
            ended
        };
        (ended, capture)
    }

    /// Reads what an attempt says, to its end. Dropping the future keeps what was read.
    async fn listen(&self, seat: &Seat<'_, C>, handle: &Handle, capture: &mut Option<Capture>) {
        let mut sightings = seat.sightings();
        let has_begun =
            |it: &Option<State>| matches!(it, Some(State::Running(_) | State::Ended(_)));
        if sightings.wait_for(has_begun).await.is_err() {
            return;
        }
        let ask = || self.cluster.stream(seat.job(), handle);
        let Some(output) = self.insist(seat.job(), ask).await else { return };
        match self.capture(seat.job(), output) {
            Ok(Some(opened)) => {
                let capture = capture.insert(opened);
                capture.begin(handle.as_str());
                capture.read().await;
            }
            Ok(None) => {}
            Err(error) => {
                let attempt = seat.job().attempt().id();
                tracing::warn!(%error, %attempt, "what an attempt says cannot be kept");
            }
        }
    }

    /// Begins the log of an attempt; not where it is whole already.
    fn capture(&self, job: &Job, output: Output) -> io::Result<Option<Capture>> {
        let folder = self.folder(job)?;
        if told(&folder)?.1.is_some_and(|end| end.process != ProcessEnd::Dropped) {
            return Ok(None);
        }
        let masker = Masker::new(job.attempt().secrets()).map_err(io::Error::other)?;
        self.begin_log(job, &folder, masker, output).map(Some)
    }

    /// Begins the log of an attempt anew, with what it says from its begin on.
    pub(super) fn begin_log(
        &self,
        job: &Job,
        folder: &Folder,
        masker: Masker,
        output: Output,
    ) -> io::Result<Capture> {
        let log = LogWriter::new(fresh_log(folder)?, self.options.log_cap);
        Ok(Capture::new(job.attempt().clone(), masker, log, output.out, output.err))
    }
}

/// Makes a log in the place of one that an engine began that died, or that lost its lease and does
/// not know yet: what that one still writes goes nowhere.
fn fresh_log(folder: &Folder) -> io::Result<File> {
    let mut tries = 0;
    loop {
        folder.remove_file(LOG)?;
        match folder.create_file(LOG) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 8 => tries += 1,
            made => return made,
        }
    }
}

impl Capture {
    /// Reads until there is no more.
    pub(super) async fn read(&mut self) {
        while !self.is_closed() {
            tokio::select! {
                () = self.out.fill() => self.take(),
                () = self.err.fill() => self.take(),
            }
        }
    }
}
