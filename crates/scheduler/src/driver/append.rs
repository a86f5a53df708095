//! Making a turn durable.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Append, CancelReason, Change, Commit, CommitError, Document, Event, Events, GroupId, Key, Kind,
    Record, Refusal, RunId, StoreError, Timestamp,
};

use tokio::sync::watch;

use super::message::{Submission, SubmitError};
use super::tenure::Tenure;
use super::{Driver, Turn, may_pass};
use crate::machine::{Effect, Input};

/// The longest pause before a store that cannot write just now is asked again.
const PAUSE_CAP: Duration = Duration::from_secs(5);

/// The same once the engine is to end: a store that is back must not be missed.
const LAST_PAUSE: Duration = Duration::from_millis(100);

impl Driver {
    /// Makes the turn's events durable, with the documents of the runs that it accepted. Returns
    /// when they are. Parts that the store refuses are taken out, with all their effects.
    pub(super) async fn append(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let refused = self.refused();
        let mut pause = Duration::from_millis(50);
        let mut commit = self.commit(now);
        self.statuses.doubt(&commit.journal);
        while !commit.is_empty() {
            match self.make_durable(&commit).await {
                Ok(()) => break,
                Err(CommitError::Refused(refusals)) => {
                    let groups = self.take_out(&refusals);
                    let rest = self.without(&commit, &groups);
                    if parts(&rest) == parts(&commit) {
                        return Err(broken(CommitError::Refused(refusals)));
                    }
                    commit = rest;
                }
                Err(error) if may_pass(&error) => {
                    self.commit_failed(&error);
                    tracing::error!(%error, "the store cannot write; nothing goes on until it can");
                    let over = over(self.tenure.clone(), self.term);
                    let any_live = !self.attempts.is_empty();
                    let rest = rest(pause, self.ends_by.clone());
                    tokio::select! {
                        () = rest => pause = (pause * 2).min(PAUSE_CAP),
                        () = self.out_of_time() => return Err(broken(error)),
                        () = over, if any_live => self.drop_attempts(),
                    }
                }
                Err(error) => {
                    self.commit_failed(&error);
                    return Err(broken(error));
                }
            }
        }
        self.turn.records.clear();
        self.turn.orders.clear();
        self.count_helms();
        self.statuses.settle(&commit.journal, |group| self.machine.status(group));
        self.hub.turn(&commit);
        self.audience.kept(&commit);
        if !self.turn.out.announcements.is_empty() {
            self.announced.notify_one();
        }
        self.answer_refused(refused);
        Ok(())
    }

    /// Lets the store commit. Should the lease end meanwhile, then so do the attempts.
    async fn make_durable(&mut self, commit: &Arc<Commit>) -> Result<(), CommitError> {
        let store = Arc::clone(&self.store);
        let mut committing = store.commit(Arc::clone(commit));
        tokio::select! {
            biased;
            done = &mut committing => return done,
            () = self.distrust() => self.drop_attempts(),
        }
        committing.await
    }

    fn commit_failed(&mut self, error: &CommitError) {
        if let CommitError::Store(error) = error {
            self.audience.commit_failed(error);
        }
    }

    /// The commit without what was taken out.
    fn without(&self, commit: &Commit, groups: &BTreeSet<GroupId>) -> Arc<Commit> {
        let journal = commit.journal.iter().filter(|append| !groups.contains(&append.record.group));
        Arc::new(Commit {
            journal: journal.cloned().collect(),
            catalog: self.changes(),
            contents: Vec::new(),
        })
    }

    /// The documents that become durable with the turn: those of the runs that it accepted, who
    /// asked for cancellations, and what webhooks are to be told of the groups that ended.
    fn changes(&self) -> Vec<Change> {
        let runs = self.turn.submissions.values().flat_map(|it| &it.changes);
        let others = self.turn.records.values().chain(self.turn.orders.values());
        let told = self.turn.out.announcements.iter();
        let told = told.map(|it| Change::insert(Document::Announcement(it.clone())));
        runs.chain(others).cloned().chain(told).chain(self.guards()).collect()
    }

    /// Forgets who asked for cancellations that did not come about: the group had ended, or was
    /// being cancelled already.
    fn keep_true_records(&mut self) {
        let Turn { records, orders, out, .. } = &mut self.turn;
        if records.is_empty() && orders.is_empty() {
            return;
        }
        let journal = &out.journal;
        let asked = |event: &Event| {
            matches!(event, Event::CancelRequested { reason: CancelReason::Requested(_) })
        };
        let cancelled: BTreeSet<GroupId> = journal
            .iter()
            .filter(|entry| entry.events.iter().any(asked))
            .map(|entry| entry.group)
            .collect();
        let machine = &self.machine;
        // A group that stands is cancelled as soon as it is adopted.
        records.retain(|group, _| cancelled.contains(group) || machine.stands(*group));
        // Until then the request stays, for whoever may take the group up instead.
        orders.retain(|group, _| !machine.stands(*group));
    }

    fn commit(&mut self, now: Timestamp) -> Arc<Commit> {
        self.keep_true_records();
        let entries = &mut self.turn.out.journal;
        let counts: Vec<_> = entries.iter().map(|entry| entry.events.len()).collect();
        let mut events = Vec::with_capacity(counts.iter().sum());
        for entry in entries.iter_mut() {
            events.append(&mut entry.events);
        }
        let parts = Events::share(events, counts);
        let journal = entries.iter_mut().zip(parts).map(|(entry, events)| Append {
            owner: self.node,
            record: Record {
                group: entry.group,
                first: entry.first,
                epoch: entry.epoch,
                at: now,
                events,
            },
            summary: entry.summary.take(),
        });
        let journal = journal.collect();
        Arc::new(Commit { journal, catalog: self.changes(), contents: Vec::new() })
    }

    /// Takes the runs out that the machine refused, each with the run that goes on.
    fn refused(&mut self) -> Vec<(Box<Submission>, RunId)> {
        let refused = self.turn.out.effects.iter().filter_map(|effect| match effect {
            Effect::Refuse { run, running } => Some((self.turn.submissions.remove(run)?, *running)),
            _ => None,
        });
        refused.collect()
    }

    /// Answers the runs that the machine refused: the run because of which it did is durable now,
    /// or was itself refused by the store.
    fn answer_refused(&mut self, refused: Vec<(Box<Submission>, RunId)>) {
        for (submission, running) in refused {
            let error = match self.turn.gone.contains(&running) {
                true => SubmitError::Changed,
                false => SubmitError::Running(running),
            };
            let _ = submission.answer.send(Err(error));
        }
        self.turn.gone.clear();
    }

    /// Takes what the store refused out of the turn: groups that others drive, runs whose
    /// documents cannot be written. Returns their groups, which the machine forgets when the next
    /// turn begins.
    fn take_out(&mut self, refusals: &[Refusal]) -> BTreeSet<GroupId> {
        let mut groups = BTreeSet::new();
        for refusal in refusals {
            match refusal {
                Refusal::Fenced { group, .. } | Refusal::Conflict { group, .. } => {
                    tracing::warn!(job_group.id = group.get(), %refusal, "job group is given up");
                    groups.insert(*group);
                    // It may still be this node's: a commit that seemed to fail may have happened.
                    if let (Some(tenure), Refusal::Conflict { .. }) = (&self.tenure, refusal) {
                        tenure.stray(*group);
                    }
                }
                Refusal::Changed { key, .. } if key.kind == Kind::CancelOrder => {
                    self.turn.orders.retain(|_, removal| removal.key != *key);
                }
                Refusal::Changed { key, .. } if key.kind == Kind::Helm => {
                    groups.extend(self.lose_helm(key.id));
                }
                Refusal::Changed { key, .. } if key.kind == Kind::Run => {
                    groups.extend(self.refuse(key.id, SubmitError::Changed));
                }
                Refusal::Taken { key, existing } if key.kind == Kind::Run => {
                    let error = SubmitError::Taken { existing: *existing };
                    groups.extend(self.refuse(key.id, error));
                }
                // Documents that a run rests on: whoever wrote them is told by its own commit.
                Refusal::Changed { key, .. } | Refusal::Taken { key, .. } => {
                    groups.extend(self.refuse_resting(Some(*key)));
                }
                _ => groups.extend(self.refuse_resting(None)),
            }
        }
        self.let_go(&groups);
        self.turn
            .out
            .effects
            .retain(|effect| !effect.group().is_some_and(|it| groups.contains(&it)));
        self.turn.out.announcements.retain(|it| !groups.contains(&it.group));
        self.turn.reports.extend(groups.iter().map(|group| Input::Forget { group: *group }));
        groups
    }

    /// Lets groups go that the machine will forget: their attempts are others' now, and whoever
    /// waits for them, or cancels them, is told that nobody here will answer.
    fn let_go(&mut self, groups: &BTreeSet<GroupId>) {
        self.statuses.forget(groups.iter().copied());
        for group in groups {
            self.waiters.remove(group);
            self.audience.forget(*group);
        }
        self.turn.answers.retain(|(group, _)| !groups.contains(group));
        self.turn.records.retain(|group, _| !groups.contains(group));
        self.turn.orders.retain(|group, _| !groups.contains(group));
        let gone = self.attempts.extract_if(|attempt, _| groups.contains(&attempt.group));
        for (attempt, held) in gone {
            held.give_up();
            self.listener.forget(&attempt);
        }
    }

    /// Refuses the runs that would change the document, or all where none would: nobody knows then
    /// which of them rests on it.
    fn refuse_resting(&mut self, on: Option<Key>) -> Vec<GroupId> {
        let rests = |it: &Submission| it.changes.iter().any(|change| Some(change.key) == on);
        let all = &self.turn.submissions;
        let mut runs: Vec<_> =
            all.iter().filter(|(_, it)| rests(it)).map(|(run, _)| *run).collect();
        if runs.is_empty() {
            runs.extend(all.keys());
        }
        let refused = runs.into_iter().map(|run| self.refuse(run.get(), SubmitError::Changed));
        refused.flatten().collect()
    }

    pub(super) fn refuse(&mut self, run: i64, error: SubmitError) -> Vec<GroupId> {
        let submission = RunId::new(run).ok().and_then(|run| self.turn.submissions.remove(&run));
        let Some(submission) = submission else { return Vec::new() };
        self.turn.gone.insert(submission.run);
        let _ = submission.answer.send(Err(error));
        submission.groups.into_iter().map(|(group, _)| group).collect()
    }
}

/// Rests before the store is asked again, and no longer than a moment once the engine is to end.
async fn rest(pause: Duration, mut ends_by: watch::Receiver<Option<Timestamp>>) {
    let asked = async {
        let _ = ends_by.wait_for(Option::is_some).await;
        tokio::time::sleep(LAST_PAUSE).await;
    };
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = asked => {}
    }
}

/// Waits until the term is over; for ever where no other engine could take the groups.
async fn over(tenure: Option<Arc<Tenure>>, term: u64) {
    match tenure {
        Some(tenure) => tenure.over(term).await,
        None => std::future::pending().await,
    }
}

/// How many parts there are that may be refused.
fn parts(commit: &Commit) -> usize {
    commit.journal.len() + commit.catalog.len()
}

fn broken(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        CommitError::Refused(_) | _ => {
            StoreError::Broken { reason: error.to_string(), source: None }
        }
    }
}
