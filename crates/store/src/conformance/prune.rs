//! Runs that are over are removed, or kept whole.

use std::sync::Arc;

use jobwright_core::{
    Change, Commit, Document, JobBlock, Key, Kind, Pruned, Query, Seq, Status, Store,
};

use super::sample::{append, group, job, rows, run, run_id, summary};
use super::{Fault, holds, same};

/// Makes a run of these groups, all of which have ended but for those of `live`.
async fn made(store: &dyn Store, id: i64, groups: &[i64], live: &[i64]) -> Result<(), Fault> {
    let block = JobBlock { first: job(id * 100), count: 3, run: run_id(id) };
    let key = format!("key {id}");
    let documents = [run(id, 1, Some(&key)), Document::Jobs(block)];
    let of = |at: i64, first: u64, status: Status| {
        let summary = Some(summary(at, id, status));
        jobwright_core::Append { summary, ..append(at, first, 1, 2) }
    };
    let journal = groups.iter().map(|at| of(*at, 1, Status::Created)).collect();
    let catalog = documents.map(Change::insert).to_vec();
    store.commit(Commit { journal, catalog, ..Commit::default() }.into()).await?;
    let ended = groups.iter().filter(|at| !live.contains(at));
    let journal = ended.map(|at| of(*at, 3, Status::Complete)).collect();
    Ok(store.commit(rows(journal).into()).await?)
}

/// How much of a run is there: the run, its block, its summaries, its journals.
async fn there(store: &dyn Store, id: i64, groups: &[i64]) -> Result<[usize; 4], Fault> {
    let run = store.find(run_id(id).into()).await?;
    let of = |kind| Query::all(kind).parent(id);
    let blocks = store.list(of(Kind::Job)).await?.len();
    let summaries = store.list(of(Kind::Group)).await?.len();
    let mut journals = 0;
    for at in groups {
        journals += usize::from(!store.load(group(*at), Seq(1)).await?.is_empty());
    }
    Ok([usize::from(run.is_some()), blocks, summaries, journals])
}

/// A store may keep everything; then it says so, and does.
async fn prune(store: &dyn Store, runs: &[i64], limit: u32) -> Result<Option<Pruned>, Fault> {
    let runs: Vec<_> = runs.iter().map(|id| run_id(*id)).collect();
    let pruned = store.prune(&runs, limit).await?;
    Ok((pruned != Pruned::default()).then_some(pruned))
}

pub(super) async fn whole(store: Arc<dyn Store>) -> Result<(), Fault> {
    made(&*store, 1, &[1, 2], &[]).await?;
    made(&*store, 2, &[3], &[]).await?;
    let pruned = prune(&*store, &[1, 99], 10).await?;
    let (one, two) = (there(&*store, 1, &[1, 2]).await?, there(&*store, 2, &[3]).await?);
    same("what is there of another run", &two, &[1, 1, 1, 1])?;
    let Some(pruned) = pruned else { return same("what is kept", &one, &[1, 1, 2, 2]) };
    same("what was removed", &pruned, &Pruned { runs: 1, groups: 2, more: false })?;
    same("what is there of the run", &one, &[0, 0, 0, 0])?;
    let gone = store.find(Key { kind: Kind::Group, id: 1 }).await?;
    holds("the summary of a removed group is found", gone.is_none())?;
    // The key is free, and the ids are not: a new run takes the one and not the other.
    store
        .commit(
            Commit { catalog: vec![Change::insert(run(3, 1, Some("key 1")))], ..Commit::default() }
                .into(),
        )
        .await?;
    let live = Query { live: true, ..Query::all(Kind::Group) };
    same("live groups", &store.list(live).await?.len(), &0)
}

pub(super) async fn live(store: Arc<dyn Store>) -> Result<(), Fault> {
    made(&*store, 1, &[1, 2], &[2]).await?;
    same("what was removed", &prune(&*store, &[1], 10).await?, &None)?;
    same("what is there", &there(&*store, 1, &[1, 2]).await?, &[1, 1, 2, 2])?;
    store.commit(rows(vec![append(2, 3, 1, 1)]).into()).await?;
    Ok(())
}

pub(super) async fn bounded(store: Arc<dyn Store>) -> Result<(), Fault> {
    made(&*store, 1, &[1, 2, 3], &[]).await?;
    made(&*store, 2, &[4], &[]).await?;
    let expected = [
        (Pruned { runs: 0, groups: 2, more: true }, [1, 1, 1, 1]),
        (Pruned { runs: 2, groups: 2, more: false }, [0, 0, 0, 0]),
    ];
    for (expected, left) in expected {
        let Some(pruned) = prune(&*store, &[1, 2], 2).await? else { return Ok(()) };
        same("what was removed", &pruned, &expected)?;
        same("what is there", &there(&*store, 1, &[1, 2, 3]).await?, &left)?;
    }
    same("what is left to remove", &prune(&*store, &[1, 2], 2).await?, &None)
}
