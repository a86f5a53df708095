//! The logs of jobs, read from the files that local executors write.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_adapters::log::{self, LogEntry, LogError, LogRecord, LogStream};
use jobwright_core::AttemptId;
use jobwright_http::{LogLine, LogSource, LogSourceError};
use jobwright_scheduler::Engine;

/// Finds the log of an attempt below the folders of all local executors: whose steps it ran does
/// not matter, for an attempt has one folder.
pub(super) struct LocalLogs {
    engine: Engine,
    roots: Arc<BTreeSet<PathBuf>>,
}

impl LocalLogs {
    pub(super) fn new(engine: Engine, roots: BTreeSet<PathBuf>) -> Self {
        Self { engine, roots: Arc::new(roots) }
    }
}

#[async_trait::async_trait]
impl LogSource for LocalLogs {
    async fn read(
        &self,
        attempt: AttemptId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LogLine>, LogSourceError> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| LogSourceError { attempt, source };
        let group = self.engine.group_of(attempt.job).await.map_err(|it| failed(it.into()))?;
        let Some(group) = group else {
            return Ok(Vec::new());
        };
        let roots = Arc::clone(&self.roots);
        let below = format!("{group}/{attempt}/out.log");
        let read = move || {
            let mut paths = roots.iter().map(|root| root.join(&below));
            paths.find_map(|path| open(&path).transpose()).map(|log| lines(log?, after, limit))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(read)) => read.map_err(failed),
            Err(panicked) => Err(failed(panicked.into())),
        }
    }
}

fn open(path: &Path) -> io::Result<Option<log::LogReader>> {
    match log::read(path) {
        Ok(log) => Ok(Some(log)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lines after a number, in order. What is kept of a stream's end stands after what came
/// later, so all are read before the first is given.
fn lines(
    log: log::LogReader,
    after: u64,
    limit: u32,
) -> Result<Vec<LogLine>, Box<dyn std::error::Error + Send + Sync>> {
    let wanted = log.filter(|it| it.as_ref().map_or(true, |it| it.seq > after));
    let mut records = wanted.collect::<Result<Vec<LogRecord>, LogError>>()?;
    records.sort_by_key(|record| record.seq);
    records.truncate(limit as usize);
    Ok(records.into_iter().map(line).collect())
}

fn line(record: LogRecord) -> LogLine {
    let name = |stream| match stream {
        LogStream::Out => "out",
        LogStream::Err => "err",
    };
    let (stream, text) = match record.entry {
        LogEntry::Process(process) => ("engine", format!("process {process}")),
        LogEntry::Line { stream, text, .. } => (name(stream), text),
        LogEntry::Gap { stream, bytes } => {
            ("engine", format!("{bytes} bytes of stream `{}` are left out here", name(stream)))
        }
        LogEntry::End(end) => ("engine", end.to_string()),
    };
    LogLine::new(record.seq, record.at, stream, text)
}
