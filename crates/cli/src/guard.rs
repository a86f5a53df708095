//! The guard: a second process beside a server whose store is shared. It ends the processes of
//! attempts when the server is dead, or stopped for longer than its lease, before another server
//! may start the same jobs.
//!
//! ```text
//! server ── "until MILLISECONDS" ──▶ guard      a line whenever the lease was renewed
//!        ── end of the pipe ───────▶            the server is dead, or has ended
//! ```
//!
//! Moments are milliseconds since the machine's start, a clock that both read and that goes on
//! while one of them is stopped.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Context;
use jobwright_adapters::local::kill_below;
use jobwright_scheduler::Engine;

/// How often the server looks whether its lease was renewed.
const PACE: Duration = Duration::from_millis(100);

/// How many lines the guard takes at once.
const QUEUE: usize = 16;

/// How long a process that was killed may take to be gone before it is killed again.
const AGAIN: Duration = Duration::from_millis(20);

/// Watches over the processes of a server; the server starts it
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The folders of the attempts
    #[arg(required = true)]
    roots: Vec<PathBuf>,
}

/// The guard's own process: ends when its standard input does.
pub(crate) fn guard(args: &Watch) -> ExitCode {
    let (sender, lines) = mpsc::sync_channel(QUEUE);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(until) = line.parse() else { continue };
            if sender.send(Duration::from_millis(until)).is_err() {
                return;
            }
        }
    });
    watch(&args.roots, &lines);
    end_all(&args.roots);
    ExitCode::SUCCESS
}

/// Ends what a server that is dead left running. Blocks until nothing is left.
pub(crate) fn end_all(roots: &[PathBuf]) {
    // What begins later is of the next server on these folders; what the last one was just about to
    // begin when it died is not.
    let end = Some(uptime() + AGAIN);
    while kill_below(roots, end) > 0 {
        std::thread::park_timeout(AGAIN);
    }
}

/// Returns when the server is no more.
fn watch(roots: &[PathBuf], lines: &Receiver<Duration>) {
    let mut until: Option<Duration> = None;
    loop {
        let next = match until {
            Some(until) => lines.recv_timeout(until.saturating_sub(uptime())),
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(moment) => until = Some(moment),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                // What began later is of a lease that is not known here yet.
                while kill_below(roots, until) > 0 {
                    std::thread::park_timeout(AGAIN);
                }
                until = None;
            }
        }
    }
}

/// The time since the machine's start; to the hundredth of a second, rounded down.
fn uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|it| it.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs_f64)
}

/// A guard that was started. Dropped, it ends what is left, and itself.
pub(crate) struct Guard {
    child: Child,
    roots: Vec<PathBuf>,
}

/// A guard that is told about an engine's lease. Dropped, it ends what is left, and itself.
pub(crate) struct Guarded {
    /// Ends the thread that writes to the guard, and with it the pipe.
    _end: mpsc::SyncSender<()>,
}

impl Guard {
    /// Starts a guard of these folders.
    ///
    /// # Errors
    /// The program cannot be started once more.
    pub(crate) fn start(roots: Vec<PathBuf>) -> anyhow::Result<Self> {
        let child = spawn(&roots).context("the guard of local processes does not start")?;
        Ok(Self { child, roots })
    }

    /// Tells the guard from now on for how long an engine's lease lasts.
    pub(crate) fn of(mut self, engine: &Engine) -> Guarded {
        let (end, ended) = mpsc::sync_channel::<()>(1);
        let engine = engine.clone();
        std::thread::spawn(move || {
            let mut told = Duration::ZERO;
            while ended.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                // The clock is read first: a stop in between makes the moment earlier.
                let until = uptime() + engine.lease_left().unwrap_or_default();
                if until > told + PACE {
                    told = until;
                    self.tell(until);
                }
            }
            drop(self.child.stdin.take());
            let _ = self.child.wait();
        });
        Guarded { _end: end }
    }

    /// Tells a moment; starts another guard where this one is no more.
    fn tell(&mut self, until: Duration) {
        let line = format!("{}\n", until.as_millis());
        let pipe = self.child.stdin.as_mut();
        if pipe.is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok()) {
            return;
        }
        tracing::error!("the guard of local processes is gone: another is started");
        let _ = self.child.wait();
        match spawn(&self.roots) {
            Ok(child) => self.child = child,
            Err(error) => tracing::error!(%error, "no guard can be started"),
        }
    }
}

/// Starts this program as a guard: in a group of its own, so that signals to the server's group do
/// not reach it, and with nothing of the server's environment.
fn spawn(roots: &[PathBuf]) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("jobwright").arg("guard").args(roots).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
