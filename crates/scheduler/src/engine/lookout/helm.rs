//! The helm of a deployment whose runs regard each other: whoever has it drives all of them.
//!
//! ```text
//! free, or its engine is dead ──(a commit that finds it so)──► taken
//! taken ──(all live groups that regard each other are claimed here, or have ended)──► complete
//! ```
//!
//! Only at a complete helm do runs begin, and groups go on: then the machine knows of all runs that
//! a policy speaks of, and of all attempts that a limit counts.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Change, Commit, CommitError, DeploymentId, Document, Event, GroupId, GroupSummary, Helm, Key,
    Kind, NodeId, Query, Revision, StoreError,
};

use super::claim::{Claimer, is_steered, journals, plan_of};
use super::peers::Life;
use super::{LOOK, Lookout, held};
use crate::clock::moment;
use crate::driver::Message;
use crate::engine::Engine;

/// The engine is at the helm of a deployment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    term: u64,
    is_complete: bool,
}

/// Who is at the helm of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Steered {
    /// This engine, and it knows of everything.
    Here,
    /// Another one.
    There(NodeId),
}

impl Lookout {
    /// Whether the engine drives all of the deployment's groups that regard each other.
    pub(super) fn has_helm(&self, deployment: DeploymentId, term: u64) -> bool {
        let helms = held(&self.helms);
        helms.get(&deployment).is_some_and(|hold| hold.term == term && hold.is_complete)
    }

    /// The loop has found that somebody else is at the helm.
    pub(in crate::engine) fn lose_helm(&self, deployment: DeploymentId) {
        held(&self.helms).remove(&deployment);
    }

    /// Whether another engine is at the helm of a deployment.
    pub(in crate::engine) async fn is_steered(
        &self,
        engine: &Engine,
        deployment: DeploymentId,
    ) -> Result<bool, StoreError> {
        let Some((helm, _)) = engine.helm(deployment).await? else { return Ok(false) };
        Ok(helm.node != engine.0.node && held(&self.peers).life(helm.node) != Life::Dead)
    }

    fn is_wanted_no_more(&self, deployment: DeploymentId) {
        held(&self.wanted).remove(&deployment);
        self.steered.send_modify(|count| *count += 1);
    }
}

impl Engine {
    /// Finds out who is at the helm of a deployment, and takes it where nobody is. Waits until all
    /// groups that regard each other are claimed here or have ended: as long as a lease if the
    /// last engine at the helm died.
    pub(in crate::engine) async fn steer(
        &self,
        lookout: &Lookout,
        deployment: DeploymentId,
    ) -> Result<Steered, StoreError> {
        let mut steered = lookout.steered.subscribe();
        let begun = moment();
        while begun.elapsed() < 3 * lookout.tenure.lease() {
            let term = lookout.tenure.term();
            if lookout.has_helm(deployment, term) {
                return Ok(Steered::Here);
            }
            let known = held(&lookout.helms).contains_key(&deployment);
            if !known && let Some((helm, _)) = self.helm(deployment).await? {
                let life = held(&lookout.peers).life(helm.node);
                if helm.node != self.0.node && life != Life::Dead {
                    return Ok(Steered::There(helm.node));
                }
            }
            steered.borrow_and_update();
            if held(&lookout.wanted).insert(deployment) {
                lookout.steered.send_modify(|count| *count += 1);
            }
            super::hint(&mut steered, LOOK / 4).await;
        }
        let reason =
            format!("the job groups of deployment {deployment} are still being taken over");
        Err(StoreError::Unavailable { reason, source: None })
    }

    pub(super) async fn helm(
        &self,
        deployment: DeploymentId,
    ) -> Result<Option<(Helm, Revision)>, StoreError> {
        let found = self.0.store.find(Key::helm(deployment)).await?;
        Ok(found.and_then(|it| match it.document {
            Document::Helm(helm) => Some((helm, it.revision)),
            _ => None,
        }))
    }
}

impl Claimer {
    /// Sees to all deployments whose helm is needed; tells whether nothing is left to wait for.
    pub(super) async fn steer_all(
        &mut self,
        engine: &Engine,
        lookout: &Lookout,
    ) -> Result<bool, StoreError> {
        let mut deployments = held(&lookout.wanted).clone();
        deployments.extend(self.waiting.keys());
        let mut is_done = true;
        for deployment in deployments {
            is_done &= self.steer_one(engine, lookout, deployment).await?;
        }
        Ok(is_done)
    }

    async fn steer_one(
        &mut self,
        engine: &Engine,
        lookout: &Lookout,
        deployment: DeploymentId,
    ) -> Result<bool, StoreError> {
        let hold = held(&lookout.helms).get(&deployment).copied();
        if hold.is_none_or(|hold| hold.term != self.term) {
            let found = engine.helm(deployment).await?;
            let other = found.filter(|(helm, _)| helm.node != engine.0.node);
            let life = other.map(|(helm, _)| held(&lookout.peers).life(helm.node));
            match life {
                Some(Life::Live) => return self.leave(engine, lookout, deployment).await,
                Some(Life::Unsure) => return Ok(false),
                Some(Life::Dead) | None => {}
            }
            let revision = found.map_or(Revision(0), |(_, revision)| revision);
            if !self.take(engine, lookout, deployment, revision).await? {
                return Ok(false);
            }
        }
        self.gather(engine, lookout, deployment).await
    }

    /// Leaves what was claimed of a deployment to the engine at its helm.
    async fn leave(
        &mut self,
        engine: &Engine,
        lookout: &Lookout,
        deployment: DeploymentId,
    ) -> Result<bool, StoreError> {
        let leases = self.waiting.remove(&deployment).unwrap_or_default();
        if !leases.is_empty() {
            let groups: Vec<_> = leases.iter().map(|lease| lease.group).collect();
            engine.0.store.give_up(engine.0.node, &groups).await?;
            self.rests_until = Some(moment() + lookout.tenure.pace() / 2);
        }
        lookout.is_wanted_no_more(deployment);
        Ok(true)
    }

    /// Takes the helm as it was found; tells whether that succeeded.
    async fn take(
        &self,
        engine: &Engine,
        lookout: &Lookout,
        deployment: DeploymentId,
        expected: Revision,
    ) -> Result<bool, StoreError> {
        let document = Some(Document::Helm(Helm { deployment, node: engine.0.node }));
        let change = Change { key: Key::helm(deployment), expected, document };
        let commit = Commit { catalog: vec![change], ..Commit::default() };
        match engine.0.store.commit(Arc::new(commit)).await {
            Ok(()) => {
                let hold = Hold { term: self.term, is_complete: false };
                held(&lookout.helms).insert(deployment, hold);
                Ok(true)
            }
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Refused(_) | _) => Ok(false),
        }
    }

    /// Completes the helm if all live groups that regard each other are claimed.
    async fn gather(
        &mut self,
        engine: &Engine,
        lookout: &Lookout,
        deployment: DeploymentId,
    ) -> Result<bool, StoreError> {
        if !lookout.has_helm(deployment, self.term) {
            if self.is_missing_any(engine, deployment).await? {
                return Ok(false);
            }
            let found = engine.helm(deployment).await?;
            let Some((_, revision)) = found.filter(|(helm, _)| helm.node == engine.0.node) else {
                held(&lookout.helms).remove(&deployment);
                return Ok(false);
            };
            let leases = self.waiting.remove(&deployment).unwrap_or_default();
            let claimed = journals(&*engine.0.store, leases).await?;
            // Runs begin in the order of their ids.
            let runs = claimed.iter().filter_map(|(_, records)| Some(plan_of(records)?.run.run));
            if let Some(last) = runs.max() {
                engine.0.ids.pass(last).await?;
            }
            engine.load_all(&claimed, self.term).await?;
            let term = self.term;
            let _ = engine.send(Message::Helm { deployment, revision, term }).await;
            let hold = Hold { term, is_complete: true };
            held(&lookout.helms).insert(deployment, hold);
            engine.adopt(claimed.iter().map(|(lease, _)| *lease).collect(), term).await;
        } else if let Some(leases) = self.waiting.remove(&deployment) {
            let claimed = journals(&*engine.0.store, leases).await?;
            engine.hand_over(claimed, self.term).await?;
        }
        lookout.is_wanted_no_more(deployment);
        Ok(true)
    }

    /// Whether a live group that regards the others is not claimed here.
    async fn is_missing_any(
        &mut self,
        engine: &Engine,
        deployment: DeploymentId,
    ) -> Result<bool, StoreError> {
        let claimed: Vec<GroupId> =
            self.waiting.get(&deployment).into_iter().flatten().map(|lease| lease.group).collect();
        let live = Query { live: true, ..Query::all(Kind::Group) };
        let live = engine.list_all::<GroupSummary>(live).await?;
        let others = live.iter().filter(|it| it.deployment == deployment).map(|it| it.id);
        let others = others.filter(|it| !claimed.contains(it) && !self.indifferent.contains(it));
        let others: Vec<_> = others.collect();
        for page in others.chunks(256) {
            let journals = engine.0.store.load_many(page).await?;
            for (group, records) in page.iter().zip(journals) {
                let last = records.last().and_then(|record| record.events.last());
                let is_over = matches!(last, Some(Event::GroupEnded { .. }));
                if is_over || plan_of(&records).is_none_or(|plan| !is_steered(plan)) {
                    self.indifferent.insert(*group);
                } else {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// How long an engine that asks another one to accept a run waits for it.
pub(in crate::engine) const PATIENCE: Duration = Duration::from_secs(60);
