//! What an end on the cluster means for the attempt: what it said and left is fetched into its
//! folder, in the form that local processes leave, and told from there.

use std::io;

use jobwright_core::{Attempt, Failure, Handle, Success};
use serde_json::json;

use super::Remote;
use super::cluster::{Cluster, End, Job};
use super::follow::Ended;
use crate::local::capture::Capture;
use crate::local::conclusion::Conclusion;
use crate::local::folder::{Folder, LOG, OUTPUT};
use crate::local::reattach::{tail, told};
use crate::local::start::{chain, io_failure};
use crate::log::{LogEnd, ProcessEnd};
use crate::mask::Masker;

/// The signals by which clusters stop programs.
const TERM: i32 = 15;
const KILL: i32 = 9;

impl<C: Cluster> Remote<C> {
    /// Fetches what an attempt said and left, and says what its end means.
    pub(super) async fn conclude(
        &self,
        job: &Job,
        handle: &Handle,
        ended: Ended,
        heard: Option<Capture>,
    ) -> Result<Success, Failure> {
        let Some(end) = ended.end else { return Err(self.lost(handle)) };
        let process = match &end {
            End::Work(process) => *process,
            End::Stopped => ProcessEnd::Signal(if ended.killed { KILL } else { TERM }),
            End::Cluster(_) => ProcessEnd::Unseen,
        };
        let Ended { stopped, killed, .. } = ended;
        let log_end = LogEnd { process, stopped, killed, leftovers: false };
        let kept = self.keep(job, handle, log_end, heard).await;
        let Kept { folder, end: log_end, tail, masker } = kept.map_err(|failure| *failure)?;
        self.cluster.release(job, handle).await;
        let attempt = job.attempt();
        let failed = |failure: Failure| {
            let mut details = failure.details.clone();
            if !details.is_object() {
                details = json!({});
            }
            details["log"] = folder.path(LOG).display().to_string().into();
            details["handle"] = handle.as_str().into();
            let mut message = failure.message;
            if !tail.is_empty() {
                message.push_str("; it last said:\n");
                message.push_str(&tail);
            }
            Err(Failure { message, details, ..failure })
        };
        let name = self.cluster.name();
        match end {
            End::Cluster(failure) => masker.mask_end(failed(failure)),
            End::Stopped if !stopped => {
                failed(Failure::retryable("stopped", format!("somebody else stopped it on {name}")))
            }
            End::Work(_) | End::Stopped => {
                let command = command(attempt);
                let (tail, masker) = (&*tail, &masker);
                let conclusion =
                    Conclusion { attempt, command, folder: &folder, end: log_end, tail, masker };
                conclusion.outcome().unwrap_or_else(|| Err(self.lost(handle)))
            }
        }
    }

    pub(super) fn lost(&self, handle: &Handle) -> Failure {
        let name = self.cluster.name();
        let handle = handle.as_str();
        Failure::lost(format!("{name} does not know `{handle}` any more, nor how it ended"))
    }

    /// Puts what it said and left into its folder, once.
    async fn keep(
        &self,
        job: &Job,
        handle: &Handle,
        end: LogEnd,
        heard: Option<Capture>,
    ) -> Result<Kept, Box<Failure>> {
        let attempt = job.attempt();
        let io = |what: &'static str| move |error: io::Error| io_failure(what, &error);
        let folder = self.folder(job).map_err(io("the folder of the attempt cannot be used"))?;
        let masker = Masker::new(attempt.secrets())
            .map_err(|error| Failure::permanent("secret", chain(&error)))?;
        let log = io("the log of the attempt cannot be kept");
        if heard.is_none()
            && let (_, Some(before)) = told(&folder).map_err(log)?
            && before.process != ProcessEnd::Dropped
        {
            let tail = tail(&folder).map_err(log)?;
            return Ok(Kept { folder, end: before, tail, masker });
        }
        let mut output = self.insist(job, || self.cluster.output(job, handle)).await;
        if let Some(result) = output.result.take() {
            folder.replace(OUTPUT, &result).map_err(io("the result cannot be kept"))?;
        }
        let capture = match heard {
            Some(capture) => capture,
            None => {
                let mut capture = self.begin_log(job, &folder, masker, output).map_err(log)?;
                capture.begin(handle.as_str());
                capture.read().await;
                capture
            }
        };
        let (tail, masker) = capture.end(end);
        Ok(Kept { folder, end, tail, masker })
    }

    /// Opens the folder of an attempt; makes it where another engine had it elsewhere.
    pub(super) fn folder(&self, job: &Job) -> io::Result<Folder> {
        match Folder::open(job.root(), job.attempt())? {
            Some(folder) => Ok(folder),
            None => Folder::create(job.root(), job.attempt()).map(|(folder, _)| folder),
        }
    }
}

/// What an attempt said and left, where it is kept.
struct Kept {
    folder: Folder,
    end: LogEnd,
    /// The end of what it said.
    tail: String,
    masker: Masker,
}

fn command(attempt: &Attempt) -> &str {
    attempt.payload()["command"][0].as_str().unwrap_or("the program")
}
