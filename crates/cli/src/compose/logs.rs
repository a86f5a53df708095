//! The logs of jobs, read from the files that local executors write.

mod pages;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jobwright_core::AttemptId;
use jobwright_http::{LogLine, LogSource, LogSourceError};
use jobwright_scheduler::Engine;

use pages::Pages;

/// Finds the log of an attempt below the folders of all local executors: whose steps it ran does
/// not matter, for an attempt has one folder.
pub(super) struct LocalLogs {
    engine: Engine,
    pages: Arc<Pages>,
}

impl LocalLogs {
    pub(super) fn new(engine: Engine, roots: BTreeSet<PathBuf>) -> Self {
        Self { engine, pages: Arc::new(Pages::new(roots)) }
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
        let pages = Arc::clone(&self.pages);
        let read = move || pages.read(group, attempt, after, limit as usize);
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read.map_err(|it| failed(it.into())),
            Err(panicked) => Err(failed(panicked.into())),
        }
    }
}
