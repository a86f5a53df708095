//! What the tests share: an executor over a folder of its own, and a reporter that hands on lines.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::LocalProcessExecutor;
use jobwright_adapters::conformance::{AttemptBuilder, attempt};
use jobwright_adapters::log::{LogEnd, LogEntry, LogRecord, read};
use jobwright_core::{
    Attempt, CancelReason, Executor, Failure, Handle, Reporter, Stop, StopReason, Success,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// No test takes this long unless something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) root: TempDir,
    pub(crate) executor: LocalProcessExecutor,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let executor = LocalProcessExecutor::new(root.path());
        Self { root, executor }
    }

    pub(crate) async fn run(&self, attempt: &Attempt) -> Result<Success, Failure> {
        let run = self.executor.execute(attempt.clone());
        tokio::time::timeout(LONG, run).await.expect("the attempt hangs")
    }

    pub(crate) fn folder(&self, attempt: &Attempt) -> PathBuf {
        self.executor.folder(attempt)
    }

    pub(crate) fn log(&self, attempt: &Attempt) -> Vec<LogRecord> {
        let log = read(self.folder(attempt).join("out.log")).unwrap();
        log.map(Result::unwrap).collect()
    }

    /// The lines of the log, and its end.
    pub(crate) fn said(&self, attempt: &Attempt) -> (Vec<String>, LogEnd) {
        let (mut lines, mut ends) = (Vec::new(), Vec::new());
        for record in self.log(attempt) {
            match record.entry {
                LogEntry::Line { text, .. } => lines.push(text),
                LogEntry::Process(_) | LogEntry::Gap { .. } => {}
                LogEntry::End(end) => ends.push(end),
            }
        }
        assert_eq!(ends.len(), 1, "a log has one end");
        (lines, ends[0])
    }
}

/// An attempt at a shell script; the package names the shell, the executor never does.
pub(crate) fn script(text: &str) -> AttemptBuilder {
    attempt(shell(text))
}

pub(crate) fn shell(text: &str) -> Value {
    json!({ "command": ["sh", "-c", text] })
}

pub(crate) fn stop(attempt: &Attempt, grace: Duration) {
    let reason = StopReason::Cancelled { reason: CancelReason::Superseded };
    attempt.cancellation().stop(Stop { reason, grace });
}

/// Hands on what attempts say.
pub(crate) struct Heard(mpsc::Sender<String>);

pub(crate) fn heard() -> (Arc<Heard>, mpsc::Receiver<String>) {
    let (sender, receiver) = mpsc::channel(1000);
    (Arc::new(Heard(sender)), receiver)
}

#[async_trait]
impl Reporter for Heard {
    async fn started(&self, _: &Attempt, handle: Handle) {
        let _ = self.0.try_send(format!("started {}", handle.as_str()));
    }
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, percent: u8, words: &str) {
        let _ = self.0.try_send(format!("progress {percent} {words}"));
    }
    fn log(&self, _: &Attempt, line: &str) {
        let _ = self.0.try_send(line.to_owned());
    }
}

/// Waits for a line that begins so, and returns the rest of it.
pub(crate) async fn expect(lines: &mut mpsc::Receiver<String>, begin: &str) -> String {
    let wait = async {
        loop {
            let line = lines.recv().await.expect("the attempt ended first");
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("the line never came")
}

/// Waits until a process is gone. A killed process takes a moment to die, and nothing tells those
/// who are not its parent when it has.
pub(crate) async fn gone(pid: &str) {
    let dead = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    let wait = async {
        while !dead() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("process {pid} is left"));
}
