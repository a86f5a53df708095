//! The logs of jobs, read from the files that local executors write: of this server, or, where the
//! store is shared, of another one, which is asked by way of the store.

mod pages;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jobwright_core::{AttemptId, GroupId, LogRow};
use jobwright_http::{LogLine, LogSource, LogSourceError};
use jobwright_scheduler::{Engine, LogKeeper};

use pages::Pages;

/// Finds the log of an attempt below the folders of all local executors: whose steps it ran does
/// not matter, for an attempt has one folder.
pub(super) struct LocalLogs {
    engine: Engine,
    pages: Arc<Pages>,
}

impl LocalLogs {
    pub(super) fn new(engine: Engine, kept: &KeptLogs) -> Self {
        Self { engine, pages: Arc::clone(&kept.0) }
    }
}

/// The logs below the folders of this server's executors.
pub(super) struct KeptLogs(Arc<Pages>);

impl KeptLogs {
    pub(super) fn new(roots: BTreeSet<PathBuf>) -> Self {
        Self(Arc::new(Pages::new(roots)))
    }
}

#[async_trait::async_trait]
impl LogKeeper for KeptLogs {
    async fn read(
        &self,
        group: GroupId,
        attempt: AttemptId,
        after: u64,
        limit: u32,
    ) -> Option<Vec<LogRow>> {
        let pages = Arc::clone(&self.0);
        let read = move || pages.read(group, attempt, after, limit as usize);
        let lines = match tokio::task::spawn_blocking(read).await.ok()? {
            Ok(lines) => lines?,
            Err(error) => {
                tracing::error!(%error, %attempt, "a log that another server asks for cannot be read");
                return None;
            }
        };
        let row = |it: LogLine| LogRow {
            seq: it.seq,
            at: it.at,
            stream: it.stream.into(),
            text: it.text.into(),
        };
        Some(lines.into_iter().map(row).collect())
    }
}

/// A line of another server's log.
fn received(row: &LogRow) -> LogLine {
    let stream = ["out", "err", "engine"].into_iter().find(|it| **it == *row.stream);
    LogLine::new(row.seq, row.at, stream.unwrap_or("engine"), &*row.text)
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
        let pages = Arc::clone(&self.pages);
        let read = move || pages.read(group, attempt, after, limit as usize);
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(Some(lines))) => Ok(lines),
            Ok(Ok(None)) => {
                let rows = self.engine.log_elsewhere(attempt, after, limit).await;
                let rows = rows.map_err(|it| failed(it.into()))?;
                Ok(rows.iter().map(received).collect())
            }
            Ok(Err(error)) => Err(failed(error.into())),
            Err(panicked) => Err(failed(panicked.into())),
        }
    }
}
