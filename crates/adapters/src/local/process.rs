//! A child process that leads a group of its own, and the promise that nothing of the group is
//! left when it goes out of scope.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::forks;
use crate::log::ProcessEnd;

/// The leader of a process group.
///
/// While the leader is not reaped, no other process or group can have its number; so the group
/// is signalled only until then.
pub(super) struct Process {
    child: Child,
    pid: Pid,
    ended: Ended,
    reaped: bool,
}

impl Process {
    /// Starts a command as the leader of a new group. The command says where its output goes.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = forks::spawn(command)?;
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the process has no pid"))?;
        let ended = Ended::of(pid).inspect_err(|_| {
            let _ = kill_process_group(pid, Signal::KILL);
        })?;
        Ok(Self { child, pid, ended, reaped: false })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn pipes(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits until the leader has ended, without reaping it. Cancel safe.
    pub(super) async fn ended(&self) {
        self.ended.wait().await;
    }

    /// Sends a signal to the whole group, also when its leader has already ended.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.reaped {
            // The group is there as long as its leader is not reaped, and it is ours.
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Kills what is left of the group and reaps the leader.
    pub(super) async fn reap(mut self) -> io::Result<ProcessEnd> {
        self.ended().await;
        self.signal(Signal::KILL);
        let status = match self.child.try_wait()? {
            Some(status) => status,
            None => self.child.wait().await?,
        };
        self.reaped = true;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => ProcessEnd::Exit(code),
            (None, signal) => ProcessEnd::Signal(signal.unwrap_or_default()),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Before the fields: dropping the child may reap it.
        self.signal(Signal::KILL);
    }
}

/// Tells when a process has ended; needs not be its parent.
pub(super) struct Ended(AsyncFd<OwnedFd>);

impl Ended {
    /// Watches a process. Needs Linux 5.3.
    #[expect(deprecated, reason = "the handle is owned and never replaced; its heir is unsafe")]
    pub(super) fn of(pid: Pid) -> io::Result<Self> {
        let handle = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        Ok(Self(AsyncFd::with_interest(handle, Interest::READABLE)?))
    }

    /// Waits for the end; the process is not reaped by that. Cancel safe.
    pub(super) async fn wait(&self) {
        // Readiness stays set, since it is never cleared: an ended process remains ended. An error
        // means that the runtime shuts down, and then nobody waits any more.
        if self.0.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns the handle, for signals that cannot hit another process.
    pub(super) fn handle(&self) -> &OwnedFd {
        self.0.get_ref()
    }
}
