//! Taking up groups that nobody drives: of engines that died, were stopped for too long, or ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use jobwright_core::{DeploymentId, Event, GroupId, Lease, Plan, Record, Store, StoreError};
use tokio::time::Instant;

use super::{LOOK, Lookout, held, hint, jittered, peers};
use crate::clock::moment;
use crate::driver::regards;
use crate::engine::bucket::Bucket;
use crate::engine::{Engine, Inner};

/// How many groups are claimed and loaded at a time.
const PAGE: u32 = 256;

/// Rounds are at least this far apart, however often the store tells of changes.
const GAP: Duration = Duration::from_millis(100);

/// A group that was claimed, with its journal.
pub(in crate::engine) type Claimed = (Lease, Vec<Record>);

/// What was claimed and what is to be done with it.
pub(super) struct Claimer {
    bucket: Bucket,
    pub(super) term: u64,
    round: u64,
    /// Claimed groups that wait until the engine is at the helm of their deployment.
    pub(super) waiting: BTreeMap<DeploymentId, Vec<Lease>>,
    /// Live groups that need no helm, although their deployment has one by now.
    pub(super) indifferent: BTreeSet<GroupId>,
    /// Nothing is claimed until then, so that those get it whom it was left for.
    pub(super) rests_until: Option<Instant>,
}

impl Claimer {
    pub(super) fn new(engine: &Engine, lookout: &Lookout) -> Self {
        Self {
            bucket: Bucket::new(engine.0.readmission),
            term: lookout.tenure.term(),
            round: 0,
            waiting: BTreeMap::new(),
            indifferent: BTreeSet::new(),
            rests_until: None,
        }
    }

    /// Goes on until the engine ends.
    pub(super) async fn run(mut self, inner: Weak<Inner>, lookout: Arc<Lookout>) {
        let (mut woken, mut steered) = (lookout.wakes(), lookout.steered.subscribe());
        let mut terms = lookout.tenure.terms();
        let mut pause = GAP;
        loop {
            tokio::select! {
                () = hint(&mut woken, pause) => {}
                _ = steered.changed() => {}
                _ = terms.changed() => {}
            }
            let Some(engine) = Inner::engine(&inner) else { return };
            pause = match self.round(&engine, &lookout).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "job groups that nobody drives cannot be taken up");
                    LOOK
                }
            };
            drop(engine);
            tokio::time::sleep(GAP.min(pause)).await;
        }
    }

    /// Looks around once, and returns when to look again at the latest.
    pub(super) async fn round(
        &mut self,
        engine: &Engine,
        lookout: &Lookout,
    ) -> Result<Duration, StoreError> {
        let term = lookout.tenure.term();
        if !lookout.tenure.holds(term) || engine.is_ending() {
            return Ok(GAP);
        }
        if self.term != term {
            self.term = term;
            self.waiting.clear();
            self.indifferent.clear();
            held(&lookout.helms).clear();
        }
        let (store, node) = (&engine.0.store, engine.0.node);
        let found = peers::list(&**store).await?;
        let dead = held(&lookout.peers).look(found);
        peers::bury(&**store, dead).await?;
        store.give_up(node, &lookout.tenure.take_stray()).await?;
        let is_all = self.claim(engine, lookout).await?;
        let is_steered = self.steer_all(engine, lookout).await?;
        self.round += 1;
        Ok(match (is_all, is_steered) {
            (false, _) => self.bucket.pause(),
            (true, false) => LOOK / 4,
            (true, true) => jittered(lookout.tenure.pace(), node, self.round),
        })
    }

    /// Claims what the bucket admits by now; tells whether that was all there is. What comes into
    /// the bucket meanwhile is for the next round: with much to take up this one would not end.
    async fn claim(&mut self, engine: &Engine, lookout: &Lookout) -> Result<bool, StoreError> {
        if self.rests_until.is_some_and(|until| moment() < until) {
            return Ok(true);
        }
        let mut admitted = self.bucket.take(u32::MAX);
        while admitted > 0 {
            let page = admitted.min(PAGE);
            let claimed = self.claim_page(engine, lookout, page).await?;
            admitted -= claimed;
            if claimed < page {
                self.bucket.put_back(admitted);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Claims up to so many groups and hands them over; returns how many there were.
    async fn claim_page(
        &mut self,
        engine: &Engine,
        lookout: &Lookout,
        page: u32,
    ) -> Result<u32, StoreError> {
        if !lookout.tenure.holds(self.term) {
            return Ok(0);
        }
        let leases = engine.0.store.claim(engine.0.node, page).await?;
        if lookout.tenure.term() != self.term {
            // The claim may have come after the release with which the next term began.
            let groups: Vec<_> = leases.iter().map(|lease| lease.group).collect();
            engine.0.store.give_up(engine.0.node, &groups).await?;
            return Ok(0);
        }
        let claimed = leases.len() as u32;
        if claimed > 0 {
            tracing::info!(groups = claimed, "unfinished job groups are taken up");
            let claimed = journals(&*engine.0.store, leases).await?;
            let ready = self.sort(lookout, claimed);
            engine.hand_over(ready, self.term).await?;
        }
        Ok(claimed)
    }

    /// Keeps those back that need a helm that the engine does not have.
    fn sort(&mut self, lookout: &Lookout, claimed: Vec<Claimed>) -> Vec<Claimed> {
        let mut ready = Vec::with_capacity(claimed.len());
        for (lease, records) in claimed {
            match plan_of(&records).filter(|plan| is_steered(plan)) {
                Some(plan) if !lookout.has_helm(plan.run.deployment, self.term) => {
                    self.waiting.entry(plan.run.deployment).or_default().push(lease);
                }
                Some(_) | None => ready.push((lease, records)),
            }
        }
        ready
    }
}

/// The journals of groups that were claimed.
pub(super) async fn journals(
    store: &dyn Store,
    leases: Vec<Lease>,
) -> Result<Vec<Claimed>, StoreError> {
    let groups: Vec<_> = leases.iter().map(|lease| lease.group).collect();
    let journals = store.load_many(&groups).await?;
    Ok(leases.into_iter().zip(journals).collect())
}

pub(super) fn plan_of(records: &[Record]) -> Option<&Plan> {
    match records.first()?.events.first()? {
        Event::Accepted { plan } => Some(plan),
        _ => None,
    }
}

/// Whether a group is one of those of its deployment that regard each other.
pub(super) fn is_steered(plan: &Plan) -> bool {
    regards(plan.run.policy, plan.run.deployment_limit)
}
