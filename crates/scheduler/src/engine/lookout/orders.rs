//! Doing what other engines ask: cancelling groups that this one drives, giving lines of logs that
//! it has, accepting runs of deployments at whose helm it is. What is asked is a document, so
//! nothing of it is lost when an engine dies: whoever drives the group then, or is at the helm,
//! finds it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use jobwright_core::{
    CancelOrder, CancelReason, Change, Document, GroupSummary, Kind, Query, Revision, RunAnswer,
    RunOrder, StoreError,
};

use super::{LOOK, Lookout, hint};
use crate::driver::{Message, SubmitError};
use crate::engine::catalog::WriteError;
use crate::engine::{Engine, Inner};

/// Looks are at least so far apart, however often the store tells of changes.
const GAP: Duration = Duration::from_millis(20);

/// An order of a run that lies there for so long was forgotten by whoever asked: that engine died.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Looks for orders until the engine ends.
pub(super) async fn run(inner: Weak<Inner>, lookout: Arc<Lookout>) {
    let mut woken = lookout.wakes();
    loop {
        hint(&mut woken, LOOK).await;
        tokio::time::sleep(GAP).await;
        let Some(engine) = Inner::engine(&inner) else { return };
        if lookout.tenure.holds(lookout.tenure.term())
            && let Err(error) = engine.obey(&lookout).await
        {
            tracing::error!(%error, "what other engines ask cannot be read");
        }
    }
}

impl Engine {
    async fn obey(&self, lookout: &Lookout) -> Result<(), StoreError> {
        for stored in self.0.store.list(Query::all(Kind::CancelOrder)).await? {
            if let Document::CancelOrder(order) = stored.document {
                self.obey_cancel(order, stored.revision).await?;
            }
        }
        self.obey_logs().await?;
        let orders = self.0.store.list(Query::all(Kind::RunOrder)).await?;
        let orders = orders.into_iter().filter_map(|stored| match stored.document {
            Document::RunOrder(order) => Some((*order, stored.revision)),
            _ => None,
        });
        let obeyed = orders.map(|(order, revision)| self.obey_run(lookout, order, revision));
        join_all(obeyed).await.into_iter().collect()
    }

    async fn obey_cancel(&self, order: CancelOrder, revision: Revision) -> Result<(), StoreError> {
        let CancelOrder { group, reason, .. } = order;
        let removal = Change::remove(jobwright_core::Key::cancel_order(group), revision);
        let summary = self.find::<GroupSummary>(group).await?;
        if summary.is_none_or(|(summary, _)| summary.status.is_terminal()) {
            return done(self.commit(vec![removal], Vec::new()).await);
        }
        let reason = CancelReason::Requested(reason);
        let _ = self.send(Message::Order { group, reason, removal: removal.into() }).await;
        Ok(())
    }

    async fn obey_run(
        &self,
        lookout: &Lookout,
        order: RunOrder,
        revision: Revision,
    ) -> Result<(), StoreError> {
        if self.0.clock.now().since(order.run.created_at) > FORGOTTEN {
            let removal = Change::remove(order.id.into(), revision);
            return done(self.commit(vec![removal], Vec::new()).await);
        }
        let deployment = order.run.deployment;
        let is_here = lookout.has_helm(deployment, lookout.tenure.term());
        if order.answer.is_some() || !is_here {
            return Ok(());
        }
        let answer = match self.accept_order(order.clone(), revision).await? {
            // The answer is durable with the run.
            Ok(()) => return Ok(()),
            Err(SubmitError::Running(run)) => RunAnswer::Running(run),
            Err(SubmitError::Changed | SubmitError::Taken { .. }) => RunAnswer::Changed,
            Err(SubmitError::NoHelm) => {
                lookout.lose_helm(deployment);
                return Ok(());
            }
            // Whoever is at the helm next finds it.
            Err(SubmitError::ShuttingDown | SubmitError::Away) => return Ok(()),
        };
        let answered = RunOrder { answer: Some(answer), ..order };
        let change = Change::update(Document::RunOrder(Box::new(answered)), revision);
        done(self.commit(vec![change], Vec::new()).await)
    }
}

/// What somebody else did first is done.
fn done(written: Result<(), WriteError>) -> Result<(), StoreError> {
    match written {
        Ok(()) | Err(WriteError::Changed | WriteError::Taken(_)) => Ok(()),
        Err(WriteError::Store(error)) => Err(error),
    }
}
