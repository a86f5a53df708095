//! Takes up attempts whose engine died. When it is done, no process of the attempt is left.
//!
//! What tells how it ended, in this order: the end record of its log, written by the engine that
//! died after the end; a stop that was asked for now; the result file. Else nobody knows.

use std::io;
use std::path::PathBuf;

use jobwright_core::{Attempt, Failure, Outcome, Reattached, Success};
use rustix::process::{Pid, Signal, kill_process_group, pidfd_send_signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::LocalProcessExecutor;
use super::capture::Tail;
use super::conclusion::Conclusion;
use super::folder::{Folder, LOG, OUTPUT};
use super::identity::{Identity, Live, marked, members};
use super::process::Ended;
use crate::clock::now;
use crate::log::{LogEnd, LogEntry, LogReader, LogWriter, ProcessEnd, last};
use crate::mask::Masker;

/// How often leftovers are looked for and killed, at most: what forks faster than it is killed is
/// given up.
const ROUNDS: usize = 100;

impl LocalProcessExecutor {
    pub(super) async fn take_up(&self, attempt: &Attempt) -> Reattached {
        match self.end_of(attempt).await {
            Ok(Some(Ok(success))) => Reattached::Ended(Outcome::Succeeded(success)),
            Ok(Some(Err(failure))) => Reattached::Ended(Outcome::Failed(Box::new(failure))),
            Ok(None) => Reattached::Unknown,
            Err(error) => {
                tracing::warn!(%error, attempt = %attempt.id(), "an attempt cannot be taken up");
                Reattached::Unknown
            }
        }
    }

    async fn end_of(&self, attempt: &Attempt) -> io::Result<Option<Result<Success, Failure>>> {
        let Some(folder) = Folder::open(&self.root, attempt)? else { return Ok(None) };
        let (last_seq, told) = told(&folder)?;
        let end = match told {
            Some(end) => end,
            None => self.adopt(attempt, &folder).await?,
        };
        sweep(&folder, None).await?;
        if told.is_none()
            && let Some(file) = folder.open_to_append(LOG)?
        {
            let mut log = LogWriter::resume(file, last_seq);
            log.at(now());
            log.end(end);
        }
        let masker = Masker::new(attempt.secrets()).map_err(io::Error::other)?;
        let command = attempt.payload()["command"][0].as_str().unwrap_or("the program");
        let tail = if told.is_some() { tail(&folder)? } else { String::new() };
        let (tail, masker) = (&*tail, &masker);
        let conclusion = Conclusion { attempt, command, folder: &folder, end, tail, masker };
        if let Some(outcome) = conclusion.outcome() {
            return Ok(Some(outcome));
        }
        let left = folder.open_file(OUTPUT).is_ok_and(|file| file.is_some());
        let proof = left && end.process == ProcessEnd::Unseen;
        Ok(if proof { conclusion.result().ok().map(Ok) } else { None })
    }

    /// Waits for the end of a process that another engine started, and stops it when it is asked
    /// to.
    async fn adopt(&self, attempt: &Attempt, folder: &Folder) -> io::Result<LogEnd> {
        let mut end = LogEnd::plain(ProcessEnd::Unseen);
        let recorded = self.recorded(attempt, folder)?;
        let leader = match recorded.and_then(|it| it.live(&self.boot)) {
            Some(leader) => Some(leader),
            None => {
                let output = folder.path(OUTPUT);
                let found = spawn_blocking(move || marked(&output)).await?;
                found.into_iter().find(|it| it.leads_its_group())
            }
        };
        let leader = leader.and_then(|it| Some(Adopted { pid: it.pid, ended: watch(it)? }));
        let Some(leader) = leader else { return Ok(end) };
        let stop = tokio::select! {
            () = leader.ended.wait() => None,
            stop = attempt.cancellation().wait() => Some(stop),
        };
        if let Some(stop) = stop {
            end.stopped = true;
            leader.signal(Signal::TERM);
            end.killed = tokio::select! {
                () = leader.ended.wait() => false,
                () = sleep(stop.grace) => true,
            };
            if end.killed {
                leader.signal(Signal::KILL);
                leader.ended.wait().await;
            }
        }
        sweep(folder, Some(leader.pid)).await?;
        Ok(end)
    }

    /// Reads which process the attempt is, from its record or from what the engine kept.
    fn recorded(&self, attempt: &Attempt, folder: &Folder) -> io::Result<Option<Identity>> {
        let first = folder.open_file(LOG)?.and_then(|log| LogReader::from(log).next()?.ok());
        let record = first.and_then(|record| match record.entry {
            LogEntry::Process(process) => process.parse().ok(),
            LogEntry::Line { .. } | LogEntry::Gap { .. } | LogEntry::End(_) => None,
        });
        Ok(record.or_else(|| attempt.handle()?.as_str().parse().ok()))
    }
}

/// The leader of a group that another engine started. Dropping it kills the group if the leader
/// still runs.
struct Adopted {
    pid: Pid,
    ended: Ended,
}

impl Adopted {
    /// Signals the group. The number of a group is its leader's, so it is ours for as long as the
    /// leader is there, which the handle of the leader tells.
    fn signal(&self, signal: Signal) {
        if pidfd_send_signal(self.ended.handle(), signal).is_ok() {
            let _ = kill_process_group(self.pid, signal);
        }
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Takes hold of a process; nothing if it has ended since it was found, even if its number has
/// gone to another one.
fn watch(process: Live) -> Option<Ended> {
    let ended = Ended::of(process.pid).ok()?;
    process.is_still_there().then_some(ended)
}

/// Reads how far the log goes, and whether it has its end.
pub(crate) fn told(folder: &Folder) -> io::Result<(u64, Option<LogEnd>)> {
    let Some(mut log) = folder.open_file(LOG)? else { return Ok((0, None)) };
    Ok(match last(&mut log)? {
        Some(record) => match record.entry {
            LogEntry::End(end) => (record.seq, Some(end)),
            LogEntry::Process(_) | LogEntry::Line { .. } | LogEntry::Gap { .. } => {
                (record.seq, None)
            }
        },
        None => (0, None),
    })
}

/// Reads the end of what the process said.
pub(crate) fn tail(folder: &Folder) -> io::Result<String> {
    use crate::log::LogStream::{Err, Out};
    let Some(log) = folder.open_file(LOG)? else { return Ok(String::new()) };
    let (mut out, mut err) = (Tail::default(), Tail::default());
    for record in LogReader::from(log).filter_map(Result::ok) {
        match record.entry {
            LogEntry::Line { stream: Out, text, .. } => out.push(&text),
            LogEntry::Line { stream: Err, text, .. } => err.push(&text),
            LogEntry::Process(_) | LogEntry::Gap { .. } | LogEntry::End(_) => {}
        }
    }
    Ok(if err.is_empty() { out.text() } else { err.text() })
}

/// Kills everything that bears the attempt's mark, and what is left of the group of a leader that
/// has just ended.
pub(super) async fn sweep(folder: &Folder, leader: Option<Pid>) -> io::Result<()> {
    let find = move |output: PathBuf| {
        let mut found: Vec<Live> = marked(&output);
        found.extend(leader.map(members).unwrap_or_default());
        found
    };
    for _ in 0..ROUNDS {
        let output = folder.path(OUTPUT);
        let found = spawn_blocking(move || find(output)).await?;
        if found.is_empty() {
            return Ok(());
        }
        for process in found {
            let Some(ended) = watch(process) else { continue };
            let _ = pidfd_send_signal(ended.handle(), Signal::KILL);
            ended.wait().await;
        }
    }
    Err(io::Error::other("processes of the attempt come up faster than they can be killed"))
}
