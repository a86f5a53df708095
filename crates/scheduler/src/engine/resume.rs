//! What an engine does first: it takes up the groups that an earlier one left.

use jobwright_core::{Artifacts, Event, GroupId, Record, Seq, StoreError};

use super::Engine;
use crate::driver::Message;

/// How many groups are claimed at a time.
const PAGE: u32 = 256;

impl Engine {
    /// Takes up every unfinished group that no live engine drives, in the order of their ids. All
    /// are loaded before the first goes on: their live attempts hold their slots, and earlier runs
    /// are known when later ones ask whether they may begin.
    pub(super) async fn resume(&self) -> Result<(), StoreError> {
        let mut taken = Vec::new();
        loop {
            let leases = self.0.store.claim(self.0.node, PAGE).await?;
            if leases.is_empty() {
                break;
            }
            for lease in &leases {
                self.load(lease.group).await?;
            }
            taken.extend(leases);
        }
        if !taken.is_empty() {
            tracing::info!(groups = taken.len(), "unfinished job groups are taken up");
        }
        for leases in taken.chunks(PAGE as usize) {
            // An engine that has ended meanwhile says so by itself.
            let _ = self.send(Message::Adopt { leases: leases.to_vec() }).await;
        }
        Ok(())
    }

    async fn load(&self, group: GroupId) -> Result<(), StoreError> {
        let records = self.0.store.load(group, Seq(1)).await?;
        let artifacts = self.artifacts_of(&records).await?;
        let _ = self.send(Message::Load { group, records, artifacts }).await;
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
