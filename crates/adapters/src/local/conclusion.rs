//! What the end of a process means for its attempt.

use jobwright_core::{Attempt, Failure, StopReason, Success, Timeout, spelled};
use serde_json::json;

use super::folder::{Folder, LOG, OUTPUT};
use crate::log::{LogEnd, ProcessEnd};
use crate::mask::Masker;

/// The most bytes of a result.
const MOST_OUTPUT: u64 = 1024 * 1024;

/// Everything that is known when a process has ended.
pub(crate) struct Conclusion<'a> {
    pub(crate) attempt: &'a Attempt,
    /// The command's first word.
    pub(crate) command: &'a str,
    pub(crate) folder: &'a Folder,
    pub(crate) end: LogEnd,
    /// The end of what it said.
    pub(crate) tail: &'a str,
    pub(crate) masker: &'a Masker,
}

impl Conclusion<'_> {
    /// Says what the end means. [`ProcessEnd::Unseen`] and [`ProcessEnd::Dropped`] tell nothing.
    pub(crate) fn outcome(&self) -> Option<Result<Success, Failure>> {
        let end = self.end;
        let (what, code) = match end.process {
            ProcessEnd::Exit(0) if !end.stopped => return Some(self.result()),
            _ if end.stopped => return Some(Err(self.stopped())),
            ProcessEnd::Exit(code) => (format!("exited with code {code}"), "exit"),
            ProcessEnd::Signal(number) => (format!("was ended by {}", signal(number)), "signal"),
            ProcessEnd::Unseen | ProcessEnd::Dropped => return None,
        };
        let mut message = format!("`{}` {what}", self.command);
        if !self.tail.is_empty() {
            message.push_str(", and last said:\n");
            message.push_str(self.tail);
        }
        Some(Err(Failure::retryable(code, message).details(self.details())))
    }

    /// Reads the result that the process left, if any.
    pub(crate) fn result(&self) -> Result<Success, Failure> {
        let refuse = |why: String| {
            let path = self.folder.path(OUTPUT);
            let message = format!("`{}` left a result that cannot be used: {why}", self.command);
            let details = json!({ "file": path.display().to_string() });
            Failure::permanent("output", message).details(details)
        };
        let content = self.folder.read(OUTPUT, MOST_OUTPUT);
        let Some(content) = content.map_err(|error| refuse(error.to_string()))? else {
            return Ok(Success::empty());
        };
        let document = serde_json::from_slice(&content);
        let document: serde_json::Value =
            document.map_err(|error| refuse(format!("`{OUTPUT}` is no JSON document: {error}")))?;
        Ok(Success::with(self.masked(document)))
    }

    /// Takes secrets out of a result, also where it lies: the folder may be kept for long.
    fn masked(&self, document: serde_json::Value) -> serde_json::Value {
        if self.masker.is_idle() {
            return document;
        }
        let masked = self.masker.mask_document(document.clone());
        if masked != document
            && let Err(error) = self.folder.replace(OUTPUT, masked.to_string().as_bytes())
        {
            tracing::warn!(%error, attempt = %self.attempt.id(), "a secret stays in a result's file");
        }
        masked
    }

    fn stopped(&self) -> Failure {
        let how =
            if self.end.killed { "was killed, since it did not stop in time" } else { "stopped" };
        let message = format!("`{}` was asked to stop{} and {how}", self.command, self.why());
        Failure::cancelled(message).details(self.details())
    }

    /// Says which time ran out, if one did, as an aside.
    fn why(&self) -> String {
        let timeouts = &self.attempt.job().policy.timeouts;
        let (what, after) = match self.attempt.cancellation().requested().map(|stop| &stop.reason) {
            Some(StopReason::TimedOut(Timeout::Attempt)) => ("attempt", Some(timeouts.attempt)),
            Some(StopReason::TimedOut(Timeout::Total)) => ("total", Some(timeouts.total)),
            Some(StopReason::TimedOut(Timeout::Heartbeat)) => ("heartbeat", timeouts.heartbeat),
            Some(StopReason::Cancelled { .. } | StopReason::Shutdown | StopReason::GivenUp)
            | None => ("", None),
        };
        let aside = |after| format!(", since its {what} timeout of {} was over,", spelled(after));
        after.map(aside).unwrap_or_default()
    }

    fn details(&self) -> serde_json::Value {
        let mut details = json!({ "log": self.folder.path(LOG).display().to_string() });
        match self.end.process {
            ProcessEnd::Exit(code) => details["exit_code"] = code.into(),
            ProcessEnd::Signal(number) => details["signal"] = number.into(),
            ProcessEnd::Unseen | ProcessEnd::Dropped => {}
        }
        for (set, word) in [(self.end.killed, "killed"), (self.end.leftovers, "leftovers")] {
            if set {
                details[word] = true.into();
            }
        }
        details
    }
}

/// Names a signal, with a hint where people ask.
fn signal(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL (an instruction that this processor does not know)",
        6 => "SIGABRT (it gave up)",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL (often the kernel, for want of memory)",
        11 => "SIGSEGV (it crashed)",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU (its limit of processor time)",
        25 => "SIGXFSZ (its limit of file size)",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
