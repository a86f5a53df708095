//! What an engine does first: it takes up the groups that an earlier one left.

use jobwright_core::{Artifacts, Event, Lease, Record, Seq, StoreError};

use super::Engine;
use crate::driver::Message;

/// How many groups are claimed at a time.
const PAGE: u32 = 256;

impl Engine {
    /// Takes up every unfinished group that no live engine drives, in the order of their ids.
    pub(super) async fn resume(&self) -> Result<(), StoreError> {
        loop {
            let leases = self.0.store.claim(self.0.node, self.0.clock.now(), PAGE).await?;
            if leases.is_empty() {
                return Ok(());
            }
            tracing::info!(groups = leases.len(), "unfinished job groups are taken up");
            for lease in leases {
                self.take_up(lease).await?;
            }
        }
    }

    async fn take_up(&self, lease: Lease) -> Result<(), StoreError> {
        let Lease { group, epoch } = lease;
        let records = self.0.store.load(group, Seq(1)).await?;
        let artifacts = self.artifacts_of(&records).await?;
        // An engine that has ended meanwhile says so by itself.
        let _ = self.send(Message::Adopt { group, epoch, records, artifacts }).await;
        Ok(())
    }

    /// The artifacts of the package that a group runs.
    async fn artifacts_of(&self, records: &[Record]) -> Result<Artifacts, StoreError> {
        match records.first().and_then(|record| record.events.first()) {
            Some(Event::Accepted { plan }) => match self.prepared(plan.run.package).await {
                Ok(prepared) => Ok(prepared.artifacts.clone()),
                Err(super::prepare::PackageError::Store(error)) => Err(error),
                Err(error) => {
                    tracing::error!(%error, "a job group goes on without its package's artifacts");
                    Ok(Artifacts::default())
                }
            },
            Some(_) | None => Ok(Artifacts::default()),
        }
    }
}
