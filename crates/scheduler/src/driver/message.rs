//! What enters the loop, and what it becomes for the machine.

use std::sync::Arc;

use jobwright_core::{
    Artifacts, CancelReason, Change, DeploymentId, Epoch, ExecutorName, GroupId, JobIndex, Lease,
    Plan, Record, Revision, RunId, Verdict,
};
use thiserror::Error;
use tokio::sync::oneshot;

use super::Driver;
use crate::engine::Accepting;
use crate::machine::{AttemptKey, Demand, Input, Report, WaitReason};

/// Why each job of a live group is where it is; empty if the group is not live here.
pub(crate) type Waiting = Vec<(JobIndex, WaitReason)>;

/// Something for the loop.
pub(crate) enum Message {
    /// A run begins.
    Submit(Box<Submission>),
    /// A group of an earlier engine, claimed in this term: it stands still until it is adopted.
    Load { group: GroupId, records: Vec<Record>, artifacts: Artifacts, term: u64 },
    /// Groups that were loaded are driven from now on.
    Adopt { leases: Vec<Lease>, term: u64 },
    /// The engine is at the helm of a deployment, and has loaded all groups of it that regard each
    /// other.
    Helm { deployment: DeploymentId, revision: Revision, term: u64 },
    /// What an executor may have of a limit that holds over all engines, if that changes; answered
    /// after the turn with what its jobs have and need.
    Share {
        executor: ExecutorName,
        limit: Option<u32>,
        term: u64,
        // What it has and needs.
        answer: oneshot::Sender<Demand>,
    },
    /// Another engine was asked to cancel a group: the request is removed with the cancellation.
    /// Nothing happens if the loop does not drive the group.
    Order { group: GroupId, reason: CancelReason, removal: Box<Change> },
    /// Somebody waits for the end of a group. Dropped at once if the loop does not drive it.
    Wait { group: GroupId, waiter: oneshot::Sender<Verdict> },
    /// A group is to be cancelled; answered when that is durable, and dropped at once if the loop
    /// does not drive the group.
    /// The record of who asked becomes durable together with the cancellation, if there is one.
    Cancel {
        group: GroupId,
        reason: CancelReason,
        record: Option<Box<Change>>,
        answer: oneshot::Sender<()>,
    },
    /// The engine's lease is over: the loop looks at once.
    Deposed,
    /// An executor says something about an attempt.
    Report { attempt: AttemptKey, report: Report },
    /// Why are the jobs of a group where they are?
    Ask { group: GroupId, answer: oneshot::Sender<Waiting> },
    /// The engine is to end.
    Shutdown { drain: std::time::Duration },
}

/// A run with everything that becomes durable with it.
pub(crate) struct Submission {
    pub(crate) deployment: DeploymentId,
    pub(crate) run: RunId,
    pub(crate) groups: Vec<(GroupId, Arc<Plan>)>,
    pub(crate) changes: Vec<Change>,
    pub(crate) artifacts: Artifacts,
    pub(crate) answer: oneshot::Sender<Result<(), SubmitError>>,
    /// Kept until the submission is answered.
    #[expect(dead_code, reason = "what counts is that it is held")]
    pub(crate) accepting: Accepting,
}

impl Submission {
    pub(super) fn key(&self) -> (DeploymentId, RunId) {
        (self.deployment, self.run)
    }
}

/// Why a run was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SubmitError {
    #[error("the deployment is running already, as run {0}")]
    Running(RunId),
    #[error("run {existing} has the same idempotency key")]
    Taken { existing: i64 },
    #[error("something that the run rests on changed meanwhile")]
    Changed,
    #[error("the engine is shutting down")]
    ShuttingDown,
    #[error("the engine has lost its lease and not got it back")]
    Away,
    #[error("another engine is at the helm of the deployment")]
    NoHelm,
}

impl Driver {
    /// Makes a message an input of the turn.
    pub(super) fn receive(&mut self, message: Message) {
        match message {
            Message::Submit(submission) => self.submit(submission),
            // What the loop has is of an earlier term, and it has not looked since.
            Message::Load { term, .. }
            | Message::Adopt { term, .. }
            | Message::Helm { term, .. }
            | Message::Share { term, .. }
                if term > self.term =>
            {
                self.start_over();
                self.receive(message);
            }
            Message::Load { term, .. }
            | Message::Adopt { term, .. }
            | Message::Share { term, .. }
                if term != self.term => {}
            Message::Deposed => {}
            Message::Load { group, records, artifacts, .. } => {
                self.load(group, &records, artifacts);
            }
            Message::Helm { deployment, revision, term } => {
                self.take_helm(deployment, revision, term);
            }
            Message::Share { executor, limit, answer, .. } => {
                let named = executor.clone();
                let limit = limit.map(|limit| self.own_limit(&executor).min(limit));
                let input = limit.map(|limit| Input::Limit { executor: named, limit });
                self.turn.inputs.push(input.unwrap_or(Input::Tick));
                self.turn.shares.push((executor, answer));
            }
            Message::Order { group, reason, removal } => {
                if self.machine.drives(group) {
                    self.turn.inputs.push(Input::Cancel { group, reason });
                    self.turn.orders.insert(group, *removal);
                }
            }
            Message::Adopt { leases, .. } => {
                let node = self.node;
                let adoptions = leases.into_iter().map(|Lease { group, epoch }| Input::Adopt {
                    group,
                    epoch,
                    node,
                });
                self.turn.inputs.extend(adoptions);
            }
            Message::Wait { group, waiter } => self.wait(group, waiter),
            Message::Cancel { group, reason, record, answer } => {
                if self.machine.drives(group) {
                    self.turn.inputs.push(Input::Cancel { group, reason });
                    if let Some(record) = record {
                        // Who comes second cancels nothing.
                        self.turn.records.entry(group).or_insert(*record);
                    }
                    self.turn.answers.push((group, answer));
                }
            }
            Message::Report { attempt, report } => {
                if let Report::Ended(_) = report {
                    self.attempts.remove(&attempt);
                    self.listener.forget(&attempt);
                }
                let inputs = match report {
                    Report::Beat => &mut self.turn.beats,
                    Report::Started(_) | Report::Ended(_) => &mut self.turn.inputs,
                };
                inputs.push(Input::Report { attempt, report });
            }
            Message::Ask { group, answer } => self.turn.questions.push((group, answer)),
            Message::Shutdown { drain } => self.begin_to_end(drain),
        }
    }

    fn submit(&mut self, submission: Box<Submission>) {
        if let Err(error) = self.may_accept(&submission) {
            let _ = submission.answer.send(Err(error));
            return;
        }
        let groups = submission.groups.clone();
        self.turn.inputs.push(Input::Submit { groups, epoch: Epoch(1) });
        self.turn.submissions.insert(submission.run, submission);
    }

    fn wait(&mut self, group: GroupId, waiter: oneshot::Sender<Verdict>) {
        if !self.machine.drives(group) {
            return;
        }
        let waiters = self.waiters.entry(group).or_default();
        // Those who gave up are looked for when the list has doubled: a look per doubling keeps
        // the list short and the work small.
        if waiters.len().is_power_of_two() {
            waiters.retain(|waiter| !waiter.is_closed());
        }
        waiters.push(waiter);
    }

    fn load(&mut self, group: GroupId, records: &[Record], artifacts: Artifacts) {
        if let Err(error) = self.machine.load(group, records) {
            tracing::error!(job_group.id = group.get(), %error, "job group cannot be taken up");
            return;
        }
        self.audience.loaded(records);
        if let Some(run) = self.machine.run_of(group)
            && !artifacts.is_empty()
        {
            self.artifacts.insert(run, artifacts);
        }
    }
}
