//! Asking another engine for what only it can do: to accept a run of a deployment at whose helm it
//! is. The order has placeholders for ids, and gets those of the engine that accepts it, so that
//! the runs of the deployment begin in the order of their ids.

use std::sync::Arc;

use jobwright_core::{
    Change, DeploymentId, Document, GroupId, JobId, Kind, Plan, Run, RunAnswer, RunContext, RunId,
    RunOrder, RunOrderId, StoreError,
};
use tokio::sync::oneshot;

use super::Engine;
use super::audit::deeds;
use super::catalog::WriteError;
use super::lookout::{Lookout, PATIENCE, hint};
use super::prepare::{Draft, PackageError};
use super::run::{RunError, RunHandle};
use super::submit::{Asked, Numbered, Planned, id};
use crate::clock::moment;
use crate::driver::{Message, Submission, SubmitError};

impl Engine {
    /// Asks the engine at the deployment's helm to accept a run. None if it died before it did:
    /// then the order is taken back.
    pub(super) async fn order(
        &self,
        lookout: &Lookout,
        draft: &Draft,
        asked: &Asked,
    ) -> Result<Option<RunHandle>, RunError> {
        let number = self.0.store.allocate(Kind::RunOrder, 1).await?;
        let number = id(RunOrderId::new(number))?;
        let first = Numbered::FIRST;
        let (run, groups) = self.number(draft.clone(), asked, first)?;
        let plans = groups.into_iter().map(|(_, plan)| plan).collect();
        let audit = self.audited(Vec::new()).await?.and_then(|change| match change.document {
            Some(Document::Audit(audit)) => Some(audit),
            Some(_) | None => None,
        });
        let order = RunOrder { id: number, run, plans, audit, answer: None };
        let change = Change::insert(Document::RunOrder(Box::new(order)));
        match self.commit(vec![change], Vec::new()).await {
            Ok(()) => {}
            Err(WriteError::Store(error)) => return Err(error.into()),
            Err(WriteError::Changed | WriteError::Taken(_)) => return Err(RunError::Changed),
        }
        self.await_order(lookout, number, draft.deployment.id, asked).await
    }

    async fn await_order(
        &self,
        lookout: &Lookout,
        order: RunOrderId,
        deployment: DeploymentId,
        asked: &Asked,
    ) -> Result<Option<RunHandle>, RunError> {
        let (mut woken, begun) = (lookout.wakes(), moment());
        loop {
            let found = self.0.store.find(order.into()).await?;
            let Some(found) = found else { return Err(RunError::Changed) };
            let Document::RunOrder(known) = found.document else { return Err(RunError::Changed) };
            let is_in_time = begun.elapsed() < PATIENCE;
            if known.answer.is_none() && is_in_time && lookout.is_steered(self, deployment).await? {
                hint(&mut woken, super::lookout::LOOK / 4).await;
                continue;
            }
            let removal = Change::remove(order.into(), found.revision);
            match (self.commit(vec![removal], Vec::new()).await, known.answer) {
                (Err(WriteError::Store(error)), None) => return Err(error.into()),
                // It was answered in this very moment.
                (Err(_), None) => continue,
                (_, Some(RunAnswer::Accepted(run))) => {
                    let found = self.find_run(run).await?;
                    return found.map(Some).ok_or(RunError::Changed);
                }
                (_, Some(RunAnswer::Running(run))) => return Err(RunError::Running(run)),
                (_, Some(RunAnswer::Changed)) => {
                    let known = self.known(deployment, asked).await?;
                    return known.map(Some).ok_or(RunError::Changed);
                }
                (Ok(()), None) if is_in_time => return Ok(None),
                (Ok(()), None) => return Err(RunError::Overloaded),
            }
        }
    }

    /// Accepts a run that another engine prepared, under ids of this engine.
    pub(super) async fn accept_order(
        &self,
        order: RunOrder,
        revision: jobwright_core::Revision,
    ) -> Result<Result<(), SubmitError>, StoreError> {
        let accepting = {
            let key = order.run.idempotency_key.as_deref();
            self.0.gates.accept(order.run.deployment, key).await
        };
        let Some(context) = order.plans.first().map(|plan| Arc::clone(&plan.run)) else {
            return Ok(Err(SubmitError::Changed));
        };
        let prepared = match self.prepared(context.package).await {
            Ok(prepared) => prepared,
            Err(PackageError::Store(error)) => return Err(error),
            Err(_) => return Ok(Err(SubmitError::Changed)),
        };
        let _in_order = self.0.submitting.lock().await;
        let jobs = order.run.groups.iter().map(|group| group.jobs).sum();
        let numbers = self.numbers(order.run.groups.len(), jobs).await?;
        let (run, groups) = renumbered(&order, &context, numbers)?;
        let run = Arc::new(run);
        let mut changes = super::submit::documents(&run);
        if let Some(mut audit) = order.audit.clone() {
            audit.deeds = deeds(&changes[..1]);
            changes.push(Change::insert(Document::Audit(audit)));
        }
        let answer = Some(RunAnswer::Accepted(run.id));
        let answered = RunOrder { answer, ..order };
        changes.push(Change::update(Document::RunOrder(Box::new(answered)), revision));
        let (answer, answered) = oneshot::channel();
        let submission = Submission {
            deployment: run.deployment,
            run: run.id,
            groups,
            changes,
            artifacts: prepared.artifacts.clone(),
            answer,
            accepting,
        };
        if self.0.sender.try_send(Message::Submit(Box::new(submission))).is_err() {
            return Ok(Err(SubmitError::Away));
        }
        drop(_in_order);
        Ok(answered.await.unwrap_or(Err(SubmitError::Away)))
    }
}

/// The run of an order under these ids.
fn renumbered(
    order: &RunOrder,
    context: &RunContext,
    numbers: Numbered,
) -> Result<Planned, StoreError> {
    let run_id = id(RunId::new(numbers.run))?;
    let context = Arc::new(RunContext { run: run_id, ..context.clone() });
    let mut run = Run { id: run_id, ..order.run.clone() };
    let (mut next_group, mut next_job) = (numbers.group, numbers.job);
    let mut groups = Vec::with_capacity(order.plans.len());
    for (plan, listed) in order.plans.iter().zip(&mut run.groups) {
        listed.id = id(GroupId::new(next_group))?;
        listed.first_job = id(JobId::new(next_job))?;
        next_group += 1;
        next_job += i64::from(listed.jobs);
        let run = Arc::clone(&context);
        let plan = Plan { run, first_job: listed.first_job, ..(**plan).clone() };
        groups.push((listed.id, Arc::new(plan)));
    }
    Ok((run, groups))
}
