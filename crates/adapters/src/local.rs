//! Local processes as attempts: argument vectors, never a shell; an environment of its own; a
//! folder, a process group and a bounded log per attempt. Linux only.
//!
//! What it must never do: build a command line from text, use a person's text as a path, leave a
//! process of an ended attempt behind, or write a secret anywhere.

mod attend;
pub(crate) mod capture;
pub(crate) mod conclusion;
pub(crate) mod environment;
pub(crate) mod folder;
mod gate;
mod guard;
mod identity;
mod limits;
pub(crate) mod payload;
mod process;
mod program;
pub(crate) mod reattach;
pub(crate) mod start;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{Attempt, Executor, ExecutorTraits, Failure, GroupId, Reattached, Success};
use tracing::Instrument;

use attend::attend;
use conclusion::Conclusion;

use crate::log::ProcessEnd;

pub use guard::kill_below;
pub use limits::Limits;

/// How long output is read after the program's end while something else holds it open.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs attempts as processes of this machine.
///
/// The payload is documented with the package format: `command`, `env`, `stdin`, `limits`.
///
/// **Where it runs.** Each attempt gets a folder `<root>/<job group>/<job>-<attempt>/`, readable
/// by its owner only, with the package's artifacts in `work/`, where the program starts, and its
/// log in `out.log` (see [`log`](crate::log)). `root` belongs on a local disk. Folders are kept;
/// see [`LocalProcessExecutor::keep`] and [`LocalProcessExecutor::remove_group`].
///
/// **What it sees.** Standard input is the payload's text or nothing. The environment holds the
/// inherited variables (`LANG`, `LC_ALL`, `TZ` by default), `PATH` (the search path), `HOME` (its
/// working directory), the `JOBWRIGHT_*` variables, `TRACEPARENT` (the attempt's span in the trace
/// of its run), and the payload's `env`, in that order. A program is a process group of its own.
///
/// **How it ends.** Exit code 0 is success; another code (`exit`) or a signal (`signal`) is a
/// retryable failure, whose message has the end of what the program said. Everything that the
/// program leaves in its process group is killed at the end of the attempt, two seconds after its
/// own end if it still holds the output open, else at once. When it is asked to stop, the group
/// gets SIGTERM, and SIGKILL after the grace. Processes that leave the group (`setsid`) are out of
/// reach, except on reattachment.
///
/// **What it says.** Each line of output is a heartbeat and goes to the log and the live log;
/// `::progress 42 words` on standard output is also progress. Secrets are masked, in what it
/// says and in the result.
///
/// **After a crash of the engine** a program goes on, but its output has no reader: writing
/// ends most programs with SIGPIPE. [`Executor::reattach`] finds the program by its record (pid,
/// start time, boot) or by the mark in its environment, waits for its end, and ends what is left.
/// Nobody but the parent learns an exit code, so the result file decides: a valid one is
/// success (write it last), none is [`Reattached::Unknown`]. If the attempt had ended before the
/// crash, its log tells how.
#[derive(Debug, Clone)]
pub struct LocalProcessExecutor {
    root: PathBuf,
    search: Vec<PathBuf>,
    path: OsString,
    inherited: Vec<(OsString, OsString)>,
    log_cap: usize,
    keep: Keep,
    slots: u32,
    limits: Limits,
    boot: String,
}

/// Which folders of ended attempts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// All: later jobs may read what earlier ones left in theirs.
    #[default]
    All,
    /// Those of attempts that did not succeed.
    Failed,
}

impl LocalProcessExecutor {
    /// Takes the folder below which attempts get theirs. It is made when it is first needed.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let executor = Self {
            root: std::path::absolute(&root).unwrap_or(root),
            search: Vec::new(),
            path: OsString::new(),
            inherited: Vec::new(),
            log_cap: 8 * 1024 * 1024,
            keep: Keep::All,
            slots: u32::try_from(2 * cores).unwrap_or(u32::MAX),
            limits: Limits::default(),
            boot: identity::boot(),
        };
        let executor = executor.search_path(["/usr/local/bin", "/usr/bin", "/bin"]);
        executor.inherit("LANG").inherit("LC_ALL").inherit("TZ")
    }

    /// Sets the folders in which programs without a `/` are looked up; also the `PATH` of
    /// programs. Folders whose name holds a `:` are left out.
    #[must_use]
    pub fn search_path<T: Into<PathBuf>>(mut self, folders: impl IntoIterator<Item = T>) -> Self {
        let folders = folders.into_iter().map(Into::into);
        self.search = folders.filter(|it: &PathBuf| std::env::join_paths([it]).is_ok()).collect();
        self.path = std::env::join_paths(&self.search).unwrap_or_default();
        self
    }

    /// Lets programs inherit a variable of this process, with the value that it has now.
    #[must_use]
    pub fn inherit(mut self, variable: &str) -> Self {
        if let Some(value) = std::env::var_os(variable) {
            self.inherited.push((variable.into(), value));
        }
        self
    }

    /// Sets the most bytes that are kept of each stream of an attempt, half of them (at most
    /// 1 MiB) from its end. Default 8 MiB.
    #[must_use]
    pub fn log_cap(mut self, bytes: usize) -> Self {
        self.log_cap = bytes;
        self
    }

    /// Says which folders of ended attempts are kept. Default all.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Sets how many attempts run at a time. Default twice the number of cores.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Sets limits for every program. A payload may narrow them, never widen them. Default none.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Returns the folder of an attempt, where its log is.
    #[must_use]
    pub fn folder(&self, attempt: &Attempt) -> PathBuf {
        self.root.join(attempt.group().to_string()).join(attempt.id().to_string())
    }

    /// Removes the folders of a job group that has ended. Blocks.
    ///
    /// # Errors
    /// As removing files does; a group without a folder is no error.
    pub fn remove_group(&self, group: GroupId) -> io::Result<()> {
        match std::fs::remove_dir_all(self.root.join(group.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    async fn run(&self, attempt: &Attempt) -> Result<Success, Box<Failure>> {
        let mut started = self.start(attempt).await?;
        let handle = started.record(&self.boot)?;
        attempt.started(handle).await;
        let start::Started { process, mut capture, folder, command } = started;
        let span = tracing::debug_span!(
            "process",
            otel.kind = "internal",
            attempt.id = %attempt.id(),
            process.pid = process.pid().as_raw_nonzero().get(),
            process.executable.name = &*command,
            process.exit.code = tracing::field::Empty,
        );
        let end = attend(process, &mut capture, attempt, DRAIN).instrument(span.clone()).await;
        let end = end.map_err(|error| start::io_failure("the process cannot be reaped", &error))?;
        if let ProcessEnd::Exit(code) = end.process {
            span.record("process.exit.code", code);
        }
        span.in_scope(|| tracing::debug!(end = %end, "process ended"));
        let (tail, masker) = capture.end(end);
        let (command, tail, masker) = (&*command, &*tail, &masker);
        let conclusion = Conclusion { attempt, command, folder: &folder, end, tail, masker };
        let outcome = conclusion.outcome();
        let outcome =
            outcome.unwrap_or_else(|| Err(Failure::lost("nobody saw how the process ended")));
        if outcome.is_ok() && self.keep == Keep::Failed {
            let removed = tokio::task::spawn_blocking(move || folder.remove()).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, attempt = %attempt.id(), "a folder cannot be removed");
            }
        }
        outcome.map_err(Box::new)
    }
}

#[async_trait]
impl Executor for LocalProcessExecutor {
    async fn execute(&self, attempt: Attempt) -> Result<Success, Failure> {
        self.run(&attempt).await.map_err(|failure| *failure)
    }

    async fn reattach(&self, attempt: Attempt) -> Reattached {
        self.take_up(&attempt).await
    }

    async fn forget(&self, group: GroupId) {
        let executor = self.clone();
        let removed = tokio::task::spawn_blocking(move || executor.remove_group(group)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, job_group.id = group.get(), "folders cannot be removed");
        }
    }

    fn traits(&self) -> ExecutorTraits {
        ExecutorTraits::default().slots(self.slots)
    }
}
