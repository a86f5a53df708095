//! Whatever commits come, together or alone, the store answers as the store in memory does, refusal
//! by refusal, and keeps the same.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod cluster;
#[path = "support/stage.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod stage;

use std::sync::Arc;

use jobwright_core::{
    Append, Change, Commit, CommitError, DeploymentId, Document, EnvironmentId,
    EnvironmentParameter, GroupSummary, Key, Kind, ParameterName, Query, Refusal, ReleaseId,
    Revision, RunId, Seq, Status, Store,
};
use jobwright_store::MemoryStore;

use crate::stage::{AT, CLUSTER, ONE, group, row, store};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    /// From 0 to below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn id(&mut self) -> i64 {
        self.roll(4).cast_signed() + 1
    }
}

fn summary(dice: &mut Dice, id: i64) -> GroupSummary {
    let all = [Status::Created, Status::InProgress, Status::Complete, Status::Failed];
    GroupSummary {
        id: group(id),
        run: RunId::new(dice.id()).unwrap(),
        deployment: DeploymentId::new(1).unwrap(),
        release: ReleaseId::new(1).unwrap(),
        status: all[dice.roll(4) as usize],
        jobs: 1,
        created_at: AT,
        updated_at: AT,
    }
}

fn document(dice: &mut Dice, id: i64) -> Document {
    if dice.roll(4) == 0 {
        return Document::Group(summary(dice, id));
    }
    let name = ParameterName::new(&format!("env.{}", dice.roll(3))).unwrap();
    let (id, value) = (EnvironmentId::new(id).unwrap(), dice.roll(100).into());
    Document::Environment(EnvironmentParameter { id, name, value })
}

/// A commit of which most parts fit what is there.
async fn commit(dice: &mut Dice, known: &MemoryStore) -> Commit {
    let mut commit = Commit::default();
    for _ in 0..dice.roll(3) {
        let id = dice.id();
        let records = known.load(group(id), Seq(1)).await.unwrap();
        let last = records.last().map_or((1, 1), |it| (it.next().0, it.epoch.0));
        let planned = commit.journal.iter().filter(|it: &&Append| it.record.group == group(id));
        let first = last.0 + planned.count() as u64 + u64::from(dice.roll(12) == 0);
        let epoch = last.1 + u64::from(dice.roll(12) == 0);
        let summary = (dice.roll(2) == 0).then(|| summary(dice, id));
        commit.journal.push(Append { summary, ..row(ONE, id, first, epoch) });
    }
    for _ in 0..dice.roll(4) {
        let id = dice.id();
        let document = document(dice, id);
        let key = document.key();
        let found = known.find(key).await.unwrap().map_or(0, |it| it.revision.0);
        let planned = commit.catalog.iter().filter(|it: &&Change| it.key == key).count() as u64;
        let expected = Revision(found + planned + u64::from(dice.roll(12) == 0));
        let document = (dice.roll(5) > 0).then_some(document);
        commit.catalog.push(Change { key, expected, document });
    }
    if dice.roll(4) == 0 {
        commit.contents.push(Arc::from(&dice.roll(3).to_le_bytes()[..]));
    }
    commit
}

fn told(answer: Result<(), CommitError>) -> Vec<Refusal> {
    match answer {
        Ok(()) => Vec::new(),
        Err(CommitError::Refused(refusals)) => refusals,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_as_the_store_in_memory_does() {
    let address = CLUSTER.database();
    for seed in 1..=4 {
        let (mut dice, memory, tested) = (Dice(seed), MemoryStore::new(), store(&address).await);
        let (mut made, mut refused) = (0, 0);
        for turn in 0..150 {
            let mut commits = Vec::new();
            for _ in 0..=dice.roll(5) {
                commits.push(Arc::new(commit(&mut dice, &memory).await));
            }
            let mut expected = Vec::new();
            for commit in &commits {
                expected.push(told(memory.commit(Arc::clone(commit)).await));
            }
            let calls = commits.iter().map(|commit| tested.commit(Arc::clone(commit)));
            let found: Vec<_> =
                futures_util::future::join_all(calls).await.into_iter().map(told).collect();
            assert_eq!(found, expected, "seed {seed}, turn {turn}: {commits:?}");
            made += expected.iter().filter(|refusals| refusals.is_empty()).count();
            refused += expected.iter().filter(|refusals| !refusals.is_empty()).count();
            if turn % 10 == 0 {
                same(&memory, &tested).await;
            }
        }
        same(&memory, &tested).await;
        assert!(made > 100 && refused > 50, "seed {seed}: {made} made, {refused} refused");
    }
}

async fn same(expected: &dyn Store, found: &dyn Store) {
    for id in 1..=4 {
        let records = expected.load(group(id), Seq(1)).await.unwrap();
        assert_eq!(found.load(group(id), Seq(1)).await.unwrap(), records);
        for kind in [Kind::Group, Kind::Environment] {
            let key = Key { kind, id };
            assert_eq!(found.find(key).await.unwrap(), expected.find(key).await.unwrap());
        }
    }
    for kind in [Kind::Group, Kind::Environment] {
        let all = Query::all(kind);
        let live = Query { live: true, ..all.clone() };
        for query in [all.clone().parent(1), all.clone().unique("env.1"), all, live] {
            let expected = expected.list(query.clone()).await.unwrap();
            assert_eq!(found.list(query).await.unwrap(), expected);
        }
    }
}
