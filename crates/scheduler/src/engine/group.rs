//! What is known of a group: its history, and what that adds up to. Both are read from the journal,
//! so only what is durable shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwright_core::{
    CancelReason, Cause, Event, ExecutorName, Failure, GroupId, GroupSummary, JobId, JobIndex,
    JobKind, Kind, Next, Outcome, Plan, Query, Record, RunId, Seq, Status, StepName, StoreError,
    Timestamp, Verdict,
};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Ended, Engine};
use crate::driver::Message;
use crate::machine::{ReplayError, WaitReason, status_of};

/// Why a group cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such group.
    #[error("job group {0} does not exist")]
    NotFound(GroupId),
    /// Its journal makes no sense.
    #[error("the journal of job group {group} cannot be read")]
    Journal {
        /// The group.
        group: GroupId,
        /// Why.
        #[source]
        source: ReplayError,
    },
    /// The engine has ended.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// One fact of a group's history.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its position.
    pub seq: Seq,
    /// When it happened.
    pub at: Timestamp,
    /// The fact.
    pub event: Event,
}

/// What is known of a group.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupView {
    /// The group.
    pub id: GroupId,
    /// Its plan, with the run and the resolved parameters.
    pub plan: Arc<Plan>,
    /// How far it is, in the wire's word.
    pub status: Status,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// Why it was cancelled.
    pub cancel: Option<CancelReason>,
    /// Its jobs, in an order in which they can run.
    pub jobs: Vec<JobView>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When something of it last happened.
    pub updated_at: Timestamp,
    /// The position of its next event: read on from there.
    pub next: Seq,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its place in the group.
    pub index: JobIndex,
    /// The step that it does.
    pub step: StepName,
    /// What sort of work it is.
    pub kind: JobKind,
    /// Which executor runs it.
    pub executor: ExecutorName,
    /// How far it is, in the wire's word.
    pub status: Status,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// Why it ended so.
    pub cause: Option<Cause>,
    /// Its attempts, the first one first.
    pub attempts: Vec<AttemptView>,
    /// When it was first ready.
    pub ready_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it left for the jobs that need it.
    pub result: Option<Arc<serde_json::Value>>,
    /// The job of an earlier group that did the work, where this one is a re-run's and is not run
    /// again: attempts and log are found there.
    pub carried_from: Option<JobId>,
}

impl JobView {
    /// Returns the last failure of an attempt, if the last attempt failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.attempts.last()?.outcome {
            Some(Outcome::Failed(failure)) => Some(failure),
            Some(Outcome::Succeeded(_)) | None => None,
        }
    }
}

/// What is known of an attempt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AttemptView {
    /// Its number, from 1.
    pub number: u32,
    /// When it was handed over.
    pub requested_at: Timestamp,
    /// When the executor said that it took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

impl Engine {
    /// Reads the history of a group from a position on: everything that is durable.
    ///
    /// # Errors
    /// There is no such group, or the store fails.
    pub async fn history(&self, group: GroupId, from: Seq) -> Result<Vec<HistoryEntry>, ReadError> {
        let records = self.0.store.load(group, from).await?;
        if records.is_empty() && self.find::<GroupSummary>(group).await?.is_none() {
            return Err(ReadError::NotFound(group));
        }
        let entries = records.iter().flat_map(|record| {
            record.events.iter().enumerate().map(|(at, event)| HistoryEntry {
                seq: Seq(record.first.0 + at as u64),
                at: record.at,
                event: event.clone(),
            })
        });
        Ok(entries.filter(|entry| entry.seq >= from).collect())
    }

    /// Reads what is known of a group.
    ///
    /// # Errors
    /// There is no such group, its journal makes no sense, or the store fails.
    pub async fn group(&self, group: GroupId) -> Result<GroupView, ReadError> {
        let records = self.0.store.load(group, Seq(1)).await?;
        if records.is_empty() {
            return Err(ReadError::NotFound(group));
        }
        GroupView::of(group, &records).map_err(|source| ReadError::Journal { group, source })
    }

    /// Reads how far a group is, in a word. Of a group that this engine drives, or drove until a
    /// short while ago, no store is asked: for those who ask often.
    ///
    /// # Errors
    /// There is no such group, or the store fails.
    pub async fn status(&self, group: GroupId) -> Result<Status, ReadError> {
        // First read, then asked: if the lease holds now, it held when it was read.
        if let Some(status) = self.0.statuses.find(group)
            && self.lease_left().is_none_or(|left| !left.is_zero())
        {
            return Ok(status);
        }
        Ok(self.summary(group).await?.status)
    }

    /// Reads how far a group is: one look-up, for those who ask often.
    ///
    /// # Errors
    /// There is no such group, or the store fails.
    pub async fn summary(&self, group: GroupId) -> Result<GroupSummary, ReadError> {
        let found = self.find::<GroupSummary>(group).await?;
        found.map(|(summary, _)| summary).ok_or(ReadError::NotFound(group))
    }

    /// Lists the groups of a run, in the order of their outputs.
    ///
    /// # Errors
    /// The store failed.
    pub async fn groups(&self, run: RunId) -> Result<Vec<GroupSummary>, StoreError> {
        self.list_all(Query::all(Kind::Group).parent(run.get())).await
    }

    /// Says why each open job of a group is where it is: what it needs, which limit is reached,
    /// until when it waits. Of a group that another engine on the store drives, this one only
    /// knows which engine that is, by the journal. Empty for a group that has ended.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn waiting(&self, group: GroupId) -> Result<BTreeMap<JobIndex, WaitReason>, Ended> {
        let (answer, waiting) = oneshot::channel();
        self.send(Message::Ask { group, answer }).await?;
        let waiting = match waiting.await {
            Ok(waiting) => waiting,
            // The loop has just given its groups up.
            Err(_) if self.0.lookout.is_some() && !self.0.sender.is_closed() => Vec::new(),
            Err(_) => return Err(self.ended()),
        };
        if waiting.is_empty() && self.0.lookout.is_some() {
            return Ok(self.waiting_elsewhere(group).await.unwrap_or_default());
        }
        Ok(waiting.into_iter().collect())
    }

    async fn waiting_elsewhere(
        &self,
        group: GroupId,
    ) -> Result<BTreeMap<JobIndex, WaitReason>, ReadError> {
        let records = self.0.store.load(group, Seq(1)).await?;
        let mut events = records.iter().flat_map(|record| record.events.iter()).rev();
        let node = events.find_map(|event| match event {
            Event::Adopted { node, .. } => Some(*node),
            _ => None,
        });
        let view = GroupView::of(group, &records);
        let view = view.map_err(|source| ReadError::Journal { group, source })?;
        let open = view.jobs.iter().filter(|job| job.verdict.is_none());
        Ok(open.map(|job| (job.index, WaitReason::Elsewhere(node))).collect())
    }
}

impl GroupView {
    /// Adds a journal up. The journal is checked as in recovery.
    fn of(id: GroupId, records: &[Record]) -> Result<Self, ReplayError> {
        let group = crate::machine::Group::replay(id, records)?;
        let plan = Arc::clone(group.plan());
        let jobs = plan.jobs.iter().enumerate().map(|(at, job)| JobView {
            id: plan.job_id(at.into()),
            index: at.into(),
            step: job.step.clone(),
            kind: job.kind,
            executor: job.executor.clone(),
            status: Status::Created,
            verdict: None,
            cause: None,
            attempts: Vec::new(),
            ready_at: None,
            ended_at: None,
            result: None,
            carried_from: None,
        });
        let first = records.first().map(|record| record.at).unwrap_or_default();
        let mut view = Self {
            id,
            status: group.status(),
            verdict: None,
            cancel: None,
            jobs: jobs.collect(),
            created_at: first,
            updated_at: first,
            next: group.next(),
            plan,
        };
        for it in &view.plan.carried {
            let job = &mut view.jobs[it.job.at()];
            job.status = Status::Complete;
            job.verdict = Some(Verdict::Succeeded);
            job.ended_at = Some(first);
            job.result = it.result.result().cloned();
            job.carried_from = Some(it.from);
        }
        for record in records {
            view.updated_at = record.at;
            for event in record.events.iter() {
                view.add(event, record.at);
            }
        }
        Ok(view)
    }

    fn add(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Accepted { .. } | Event::Adopted { .. } => {}
            Event::Beat { .. } | Event::Stopping { .. } => {}
            Event::Ready { job, .. } => {
                self.jobs[job.at()].ready_at.get_or_insert(at);
            }
            Event::Requested { job, attempt, .. } => {
                let job = &mut self.jobs[job.at()];
                job.status = Status::InProgress;
                let (number, requested_at) = (*attempt, at);
                let (started_at, ended_at, outcome) = (None, None, None);
                job.attempts.push(AttemptView {
                    number,
                    requested_at,
                    started_at,
                    ended_at,
                    outcome,
                });
            }
            Event::Started { job, .. } => {
                if let Some(attempt) = self.jobs[job.at()].attempts.last_mut() {
                    attempt.started_at.get_or_insert(at);
                }
            }
            Event::AttemptEnded { job, outcome, next, .. } => {
                if let Some(attempt) = self.jobs[job.at()].attempts.last_mut() {
                    attempt.ended_at = Some(at);
                    attempt.outcome = Some(outcome.clone());
                }
                if let Outcome::Succeeded(success) = outcome {
                    self.jobs[job.at()].result = success.result().cloned();
                }
                match next {
                    Next::End { verdict, cause } => self.end(*job, *verdict, *cause, at),
                    Next::Retry { .. } => {}
                }
            }
            Event::JobEnded { job, verdict, cause } => self.end(*job, *verdict, *cause, at),
            Event::CancelRequested { reason } => self.cancel = Some(reason.clone()),
            Event::GroupEnded { verdict } => self.verdict = Some(*verdict),
        }
    }

    fn end(&mut self, job: JobIndex, verdict: Verdict, cause: Cause, at: Timestamp) {
        let job = &mut self.jobs[job.at()];
        job.status = status_of(verdict);
        job.verdict = Some(verdict);
        job.cause = Some(cause);
        job.ended_at = Some(at);
    }
}
