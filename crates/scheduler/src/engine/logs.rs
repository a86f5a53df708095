//! Logs of attempts that another engine ran: whoever keeps them answers an order. The order is a
//! document like all that engines ask of each other, so that it needs no way but the store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    AttemptId, Change, Document, GroupId, Kind, LogOrder, LogOrderId, LogRow, Query, Revision,
    StoreError,
};

use super::Engine;
use super::catalog::WriteError;
use super::lookout::{LOOK, hint, present};
use super::submit::id;
use crate::clock::moment;

/// How long whoever asks waits for the answers of all engines.
const PATIENCE: Duration = Duration::from_secs(5);

/// An order that is so old was forgotten: whoever asked died.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// The most bytes of text that an answer has, besides one line.
const MOST: usize = 1 << 20;

/// Has the logs of attempts that ran on this engine.
#[async_trait]
pub trait LogKeeper: Send + Sync + 'static {
    /// Reads the lines of an attempt whose numbers come after `after`, in order, at most `limit`.
    /// None for an attempt that has no log here. Cancel safe.
    async fn read(
        &self,
        group: GroupId,
        attempt: AttemptId,
        after: u64,
        limit: u32,
    ) -> Option<Vec<LogRow>>;
}

impl Engine {
    /// Reads lines of an attempt's log that another engine on the store has; nothing where no live
    /// one has any. An answer may have fewer lines than asked for, but has some if there are some.
    ///
    /// # Errors
    /// The store failed.
    pub async fn log_elsewhere(
        &self,
        attempt: AttemptId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LogRow>, StoreError> {
        let Some(lookout) = &self.0.lookout else { return Ok(Vec::new()) };
        let (group, node) = (self.group_of(attempt.job).await?, self.0.node);
        let others = present(&*self.0.store, node).await?;
        let Some(group) = group.filter(|_| !others.is_empty()) else { return Ok(Vec::new()) };
        let number = id(LogOrderId::new(self.0.store.allocate(Kind::LogOrder, 1).await?))?;
        let order = LogOrder {
            id: number,
            group,
            attempt,
            after,
            limit,
            at: self.0.clock.now(),
            without: vec![node],
            rows: None,
        };
        let change = Change::insert(Document::LogOrder(Box::new(order)));
        written(self.commit(vec![change], Vec::new()).await)?;
        let (mut woken, begun) = (lookout.wakes(), moment());
        loop {
            let found = self.0.store.find(number.into()).await?;
            let Some(found) = found else { return Ok(Vec::new()) };
            let Document::LogOrder(order) = found.document else { return Ok(Vec::new()) };
            let is_over = others.iter().all(|other| order.without.contains(other));
            if order.rows.is_none() && !is_over && begun.elapsed() < PATIENCE {
                hint(&mut woken, LOOK / 8).await;
                continue;
            }
            let removal = Change::remove(number.into(), found.revision);
            match self.commit(vec![removal], Vec::new()).await {
                // Another answer came in this moment.
                Err(WriteError::Changed | WriteError::Taken(_)) => {}
                Err(WriteError::Store(error)) => return Err(error),
                Ok(()) => return Ok(order.rows.unwrap_or_default()),
            }
        }
    }

    /// Answers what others ask for.
    pub(super) async fn obey_logs(&self) -> Result<(), StoreError> {
        for stored in self.0.store.list(Query::all(Kind::LogOrder)).await? {
            if let Document::LogOrder(order) = stored.document {
                self.obey_log(*order, stored.revision).await?;
            }
        }
        Ok(())
    }

    async fn obey_log(&self, mut order: LogOrder, revision: Revision) -> Result<(), StoreError> {
        let key = order.id.into();
        if self.0.clock.now().since(order.at) > FORGOTTEN {
            return written(self.commit(vec![Change::remove(key, revision)], Vec::new()).await);
        }
        if order.rows.is_some() || order.without.contains(&self.0.node) {
            return Ok(());
        }
        let rows = match &self.0.logs {
            Some(logs) => logs.read(order.group, order.attempt, order.after, order.limit).await,
            None => None,
        };
        match rows {
            Some(rows) => order.rows = Some(bounded(rows)),
            None => order.without.push(self.0.node),
        }
        let change = Change::update(Document::LogOrder(Box::new(order)), revision);
        // Where another engine was quicker the next look finds what is left to be said.
        written(self.commit(vec![change], Vec::new()).await)
    }
}

/// As many of the lines as an answer has room for.
fn bounded(mut rows: Vec<LogRow>) -> Vec<LogRow> {
    let mut bytes = 0;
    let fits = rows.iter().take_while(|row| {
        let had = bytes;
        bytes += row.text.len();
        had < MOST
    });
    let count = fits.count();
    rows.truncate(count);
    rows
}

fn written(done: Result<(), WriteError>) -> Result<(), StoreError> {
    match done {
        Ok(()) | Err(WriteError::Changed | WriteError::Taken(_)) => Ok(()),
        Err(WriteError::Store(error)) => Err(error),
    }
}

/// The keeper of an engine, if it has one.
pub(super) type Logs = Option<Arc<dyn LogKeeper>>;
