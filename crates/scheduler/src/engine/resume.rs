//! Taking groups up that an earlier engine left, or that another one cannot drive any more.

use std::sync::Arc;

use jobwright_core::{Artifacts, Event, Lease, Record, StoreError};

use super::bucket::Bucket;
use super::lookout::Claimed;
use super::{Engine, Inner};
use crate::driver::Message;

/// How many groups are claimed and loaded at a time.
const PAGE: u32 = 256;

impl Engine {
    /// Takes up what nobody drives, once or again and again.
    pub(super) async fn take_up(&self) -> Result<(), StoreError> {
        match &self.0.lookout {
            Some(lookout) => self.stand_watch(lookout).await,
            None => self.resume().await,
        }
    }

    /// Takes up every unfinished group of a store that no other engine uses, in the order of their
    /// ids. All are loaded before the first goes on: their live attempts hold their slots, and
    /// earlier runs are known when later ones ask whether they may begin. They go on as the bucket
    /// admits them.
    async fn resume(&self) -> Result<(), StoreError> {
        let mut taken = Vec::new();
        loop {
            let leases = self.0.store.claim(self.0.node, PAGE).await?;
            if leases.is_empty() {
                break;
            }
            let groups: Vec<_> = leases.iter().map(|lease| lease.group).collect();
            let journals = self.0.store.load_many(&groups).await?;
            let claimed: Vec<_> = leases.iter().copied().zip(journals).collect();
            self.load_all(&claimed, 0).await?;
            taken.extend(leases);
        }
        if taken.is_empty() {
            return Ok(());
        }
        tracing::info!(groups = taken.len(), "unfinished job groups are taken up");
        let mut bucket = Bucket::new(self.0.readmission);
        let first = bucket.take(u32::MAX) as usize;
        let rest = taken.split_off(first.min(taken.len()));
        self.adopt(taken, 0).await;
        if !rest.is_empty() {
            let readmitting = readmit(Arc::downgrade(&self.0), bucket, rest);
            let _ = self.0.watching.set([super::lookout::spawn(readmitting)].into());
        }
        Ok(())
    }

    /// Hands groups that were claimed over to the loop, which drives them from then on.
    pub(super) async fn hand_over(
        &self,
        claimed: Vec<Claimed>,
        term: u64,
    ) -> Result<(), StoreError> {
        self.load_all(&claimed, term).await?;
        self.adopt(claimed.into_iter().map(|(lease, _)| lease).collect(), term).await;
        Ok(())
    }

    /// Lets the loop know groups that were claimed: they stand still until they are adopted.
    pub(super) async fn load_all(&self, claimed: &[Claimed], term: u64) -> Result<(), StoreError> {
        for (lease, records) in claimed {
            let (group, records) = (lease.group, records.clone());
            let artifacts = self.artifacts_of(&records).await?;
            let _ = self.send(Message::Load { group, records, artifacts, term }).await;
        }
        Ok(())
    }

    /// Lets groups go on that were loaded.
    pub(super) async fn adopt(&self, leases: Vec<Lease>, term: u64) {
        for leases in leases.chunks(PAGE as usize) {
            // An engine that has ended meanwhile says so by itself.
            let _ = self.send(Message::Adopt { leases: leases.to_vec(), term }).await;
        }
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

/// Lets groups go on as the bucket admits them.
async fn readmit(inner: std::sync::Weak<Inner>, mut bucket: Bucket, mut rest: Vec<Lease>) {
    while !rest.is_empty() {
        tokio::time::sleep(bucket.pause()).await;
        let Some(engine) = Inner::engine(&inner) else { return };
        let admitted = bucket.take(u32::MAX) as usize;
        let later = rest.split_off(admitted.min(rest.len()));
        engine.adopt(std::mem::replace(&mut rest, later), 0).await;
    }
}
