//! From a draft to a run: ids, the documents that become durable with it, and the loop's answer.

use std::sync::Arc;

use jobwright_core::parameter::Values;
use jobwright_core::{
    Change, DeploymentId, Digest, Document, GroupId, JobBlock, JobId, Kind, OutputTrigger, Plan,
    Query, Run, RunContext, RunGroup, RunId, StoreError, TraceParent,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::firing::Firing;
use super::lookout::Steered;
use super::prepare::{Draft, GroupPreview};
use super::run::{RunError, RunHandle};
use super::{Accepting, Engine};
use crate::driver::{Message, Submission, SubmitError, regards};

/// The longest idempotency key, in bytes.
pub(super) const MAX_KEY: usize = 255;

/// A run that was handed to the loop, what was planned, and where the answer comes.
type Submitted = (Arc<Run>, Arc<[Arc<Plan>]>, oneshot::Receiver<Result<(), SubmitError>>);

/// A run, and its groups with their plans.
pub(super) type Planned = (Run, Vec<(GroupId, Arc<Plan>)>);

/// What is kept of a request for a run.
pub(super) struct Asked {
    pub(super) key: Option<String>,
    /// The hash of everything that was asked for.
    pub(super) request: Digest,
    pub(super) overrides: Values,
    pub(super) trigger: OutputTrigger,
    /// The group of which it runs again what did not succeed.
    pub(super) rerun_of: Option<GroupId>,
    /// The trace of whoever asked.
    pub(super) traceparent: Option<TraceParent>,
    /// The firing that the run is.
    pub(super) firing: Option<Arc<Firing>>,
}

impl Engine {
    /// Begins a run, or finds the one that has its key. Where another engine is at the helm of the
    /// deployment, that one begins it.
    pub(super) async fn begin(
        &self,
        draft: Draft,
        asked: &Asked,
        accepting: Accepting,
    ) -> Result<RunHandle, RunError> {
        let deployment = draft.deployment.id;
        let is_steered = regards(draft.deployment.run_policy, draft.deployment.limit);
        if let Some(lookout) = self.0.lookout.as_ref().filter(|_| is_steered) {
            while let Steered::There(_) = self.steer(lookout, deployment).await? {
                if let Some(known) = self.order(lookout, &draft, asked).await? {
                    return Ok(known);
                }
            }
        }
        let (run, plans, answer) = self.submit(draft, asked, accepting).await?;
        match answer.await {
            Ok(Ok(())) => {
                let plans = Some(plans);
                Ok(RunHandle { plans, ..self.handle(run, false) })
            }
            Ok(Err(SubmitError::Running(running))) => Err(RunError::Running(running)),
            Ok(Err(SubmitError::Changed)) => Err(RunError::Changed),
            Ok(Err(SubmitError::ShuttingDown)) => Err(RunError::ShuttingDown),
            Ok(Err(SubmitError::Taken { .. })) => {
                self.known(deployment, asked).await?.ok_or(RunError::Changed)
            }
            Ok(Err(SubmitError::NoHelm)) => {
                if let Some(lookout) = &self.0.lookout {
                    lookout.lose_helm(deployment);
                }
                Err(RunError::Changed)
            }
            Ok(Err(error @ SubmitError::Away)) => {
                Err(StoreError::Unavailable { reason: error.to_string(), source: None }.into())
            }
            Err(_) => Err(self.ended().into()),
        }
    }

    /// The run that the same request under the same key led to.
    pub(super) async fn known(
        &self,
        deployment: DeploymentId,
        asked: &Asked,
    ) -> Result<Option<RunHandle>, RunError> {
        let Some(key) = &asked.key else { return Ok(None) };
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(RunError::Key(key.len()));
        }
        let query = Query::all(Kind::Run).parent(deployment.get()).unique(key);
        let Some(run) = self.list::<Run>(query).await?.pop() else { return Ok(None) };
        if run.request == asked.request {
            Ok(Some(self.handle(run, true)))
        } else {
            Err(RunError::KeyReused { key: key.clone(), run: run.id })
        }
    }

    async fn submit(
        &self,
        draft: Draft,
        asked: &Asked,
        accepting: Accepting,
    ) -> Result<Submitted, RunError> {
        // Run policies go by the order of runs: who has the lower id is submitted first.
        let _in_order = self.0.submitting.lock().await;
        let jobs = count(draft.groups.iter().map(|group| group.jobs.len()).sum());
        let numbers = self.numbers(draft.groups.len(), jobs).await?;
        let artifacts = draft.prepared.artifacts.clone();
        let (run, groups) = self.number(draft, asked, numbers)?;
        let plans = groups.iter().map(|(_, plan)| Arc::clone(plan)).collect();
        let run = Arc::new(run);
        let mut changes = self.changes(&run).await?;
        changes.extend(asked.firing.as_ref().map(|firing| firing.begun(run.id)));
        let (answer, answered) = oneshot::channel();
        let submission = Submission {
            deployment: run.deployment,
            run: run.id,
            groups,
            changes,
            artifacts,
            answer,
            accepting,
        };
        let sent = self.0.sender.try_send(Message::Submit(Box::new(submission)));
        match sent {
            Ok(()) => Ok((run, plans, answered)),
            Err(tokio::sync::mpsc::error::TrySendError::Full(_)) => Err(RunError::Overloaded),
            Err(tokio::sync::mpsc::error::TrySendError::Closed(_)) => Err(self.ended().into()),
        }
    }

    /// Takes the ids of a run.
    pub(super) async fn numbers(&self, groups: usize, jobs: u32) -> Result<Numbered, StoreError> {
        let ids = &self.0.ids;
        let run = ids.take(Kind::Run, 1).await?;
        let group = ids.take(Kind::Group, count(groups)).await?;
        let job = ids.take(Kind::Job, jobs).await?;
        Ok(Numbered { run, group, job })
    }

    /// Makes a run of a draft, under these ids.
    pub(super) fn number(
        &self,
        draft: Draft,
        asked: &Asked,
        numbers: Numbered,
    ) -> Result<Planned, StoreError> {
        let context = context(&draft, asked, id(RunId::new(numbers.run))?);
        let mut next_job = numbers.job;
        let mut groups = Vec::with_capacity(draft.groups.len());
        let mut listed = Vec::with_capacity(draft.groups.len());
        for (group, at) in draft.groups.into_iter().zip(numbers.group..) {
            let group_id = id(GroupId::new(at))?;
            let first_job = id(JobId::new(next_job))?;
            let jobs = count(group.jobs.len());
            next_job += i64::from(jobs);
            let GroupPreview { outputs, on_failure, jobs: planned, carried } = group;
            listed.push(RunGroup { id: group_id, outputs: outputs.clone(), first_job, jobs });
            let run = Arc::clone(&context);
            let plan = Plan { run, first_job, outputs, on_failure, jobs: planned, carried };
            groups.push((group_id, Arc::new(plan)));
        }
        Ok((self.document(&context, asked, listed), groups))
    }

    /// The documents that become durable with the run: itself, the ids of its jobs, and who asked.
    async fn changes(&self, run: &Arc<Run>) -> Result<Vec<Change>, StoreError> {
        let mut changes = documents(run);
        let record = self.audited(super::audit::deeds(&changes[..1])).await?;
        changes.extend(record);
        Ok(changes)
    }

    fn document(&self, context: &RunContext, asked: &Asked, groups: Vec<RunGroup>) -> Run {
        Run {
            id: context.run,
            session: context.session,
            deployment: context.deployment,
            release: context.release,
            groups,
            idempotency_key: asked.key.clone(),
            request: asked.request,
            overrides: asked.overrides.clone(),
            rerun_of: asked.rerun_of,
            trigger: context.trigger,
            reference_date: context.parameters.reference_date,
            parameters: context.parameters.digest,
            created_by: self.actor(),
            created_at: self.0.clock.now(),
        }
    }
}

/// The first ids of a run, its groups and its jobs; the others follow without gaps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    pub(super) run: i64,
    pub(super) group: i64,
    pub(super) job: i64,
}

impl Numbered {
    /// Ids that stand for others.
    pub(super) const FIRST: Self = Self { run: 1, group: 1, job: 1 };
}

/// The documents of a run: itself, and the ids of its jobs.
pub(super) fn documents(run: &Arc<Run>) -> Vec<Change> {
    let mut changes = vec![Change::insert(Document::Run(Arc::clone(run)))];
    let first = run.groups.first().map(|group| group.first_job);
    let count = run.groups.iter().map(|group| group.jobs).sum();
    let block = first.map(|first| JobBlock { first, count, run: run.id });
    changes.extend(block.map(|block| Change::insert(Document::Jobs(block))));
    changes
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn context(draft: &Draft, asked: &Asked, run: RunId) -> Arc<RunContext> {
    #[expect(clippy::disallowed_methods, reason = "the engine's door: one session per run")]
    let session = Uuid::now_v7();
    Arc::new(RunContext {
        run,
        session,
        deployment: draft.deployment.id,
        release: draft.release.id,
        package: draft.release.package,
        trigger: asked.trigger,
        policy: draft.deployment.run_policy,
        deployment_limit: draft.deployment.limit,
        announce: draft.deployment.webhooks > 0,
        parameters: draft.parameters.clone(),
        traceparent: asked.traceparent,
    })
}

/// A store that gives ids out of bounds is broken.
pub(super) fn id<T>(id: Result<T, jobwright_core::IdError>) -> Result<T, StoreError> {
    id.map_err(|error| StoreError::Broken {
        reason: "it gave an id out of bounds".to_owned(),
        source: Some(Box::new(error)),
    })
}
