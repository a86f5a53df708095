//! Several nodes on one store: whose groups are safe from whom, and until when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{
    Append, CommitError, Cursor, Epoch, GroupId, Lease, NodeId, Record, Refusal, Seq, Store,
    StoreError,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::sample::{ONE, TWO, append, group, journals, record, rows};
use super::{Fault, holds, refusals, same};

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

fn groups(leases: &[Lease]) -> Vec<GroupId> {
    leases.iter().map(|lease| lease.group).collect()
}

/// Tells that the append was refused by the fence.
fn fenced(what: &str, result: Result<(), CommitError>) -> Result<(), Fault> {
    let found = refusals(result)?;
    let [Refusal::Fenced { .. }] = found[..] else {
        return Err(Fault::Differs(format!("{what}: expected to be fenced, found {found:?}")));
    };
    Ok(())
}

pub(super) async fn live(store: Arc<dyn Store>) -> Result<(), Fault> {
    if !store.is_shared() {
        return Ok(());
    }
    store.renew(ONE, LONG).await?;
    journals(&*store, &[1, 2]).await?;
    same("claimed", &store.claim(TWO, 10).await?, &Vec::new())?;
    store.commit(rows(vec![append(1, 2, 1, 1), append(2, 2, 1, 1)]).into()).await?;
    store.renew(ONE, LONG).await?;
    same("claimed after it was renewed", &store.claim(TWO, 10).await?, &Vec::new())
}

pub(super) async fn ended(store: Arc<dyn Store>) -> Result<(), Fault> {
    if !store.is_shared() {
        return Ok(());
    }
    store.renew(ONE, Duration::from_millis(1)).await?;
    journals(&*store, &[1, 2]).await?;
    let leases = claimed_in_time(&*store, TWO).await?;
    let expect = |id| Lease { group: group(id), epoch: Epoch(2) };
    same("claimed", &leases, &vec![expect(1), expect(2)])?;
    fenced("the old owner", store.commit(rows(vec![append(1, 2, 1, 1)]).into()).await)?;
    let row = Append { owner: TWO, record: record(1, 2, 2, 1), summary: None };
    store.commit(rows(vec![row]).into()).await?;
    same("records", &store.load(group(1), Seq(1)).await?.len(), &2)
}

/// Claims until a lease has ended, by however few milliseconds the store's clock is behind.
async fn claimed_in_time(store: &dyn Store, owner: NodeId) -> Result<Vec<Lease>, StoreError> {
    for _ in 0..100_000 {
        let leases = store.claim(owner, 10).await?;
        if !leases.is_empty() {
            return Ok(leases);
        }
        tokio::task::yield_now().await;
    }
    Ok(Vec::new())
}

pub(super) async fn not_given_back(store: Arc<dyn Store>) -> Result<(), Fault> {
    if !store.is_shared() {
        return Ok(());
    }
    store.renew(ONE, Duration::ZERO).await?;
    store.renew(TWO, LONG).await?;
    journals(&*store, &[1, 2]).await?;
    same("claimed", &groups(&store.claim(TWO, 1).await?), &vec![group(1)])?;
    store.renew(ONE, LONG).await?;
    fenced("what was taken", store.commit(rows(vec![append(1, 2, 1, 1)]).into()).await)?;
    same("claimed back", &store.claim(ONE, 10).await?, &Vec::new())?;
    store.commit(rows(vec![append(2, 2, 1, 1)]).into()).await?;
    same("claimed later", &store.claim(TWO, 10).await?, &Vec::new())
}

pub(super) async fn released(store: Arc<dyn Store>) -> Result<(), Fault> {
    if !store.is_shared() {
        return Ok(());
    }
    store.renew(ONE, LONG).await?;
    store.renew(TWO, LONG).await?;
    journals(&*store, &[1, 2]).await?;
    store.release(ONE).await?;
    fenced("before the claim", store.commit(rows(vec![append(2, 2, 1, 1)]).into()).await)?;
    same("claimed", &groups(&store.claim(TWO, 1).await?), &vec![group(1)])?;
    let back = store.claim(ONE, 10).await?;
    same("by who released them", &back, &vec![Lease { group: group(2), epoch: Epoch(2) }])
}

pub(super) async fn other_owner(store: Arc<dyn Store>) -> Result<(), Fault> {
    if !store.is_shared() {
        return Ok(());
    }
    store.renew(ONE, LONG).await?;
    journals(&*store, &[1]).await?;
    let row = Append { owner: TWO, record: record(1, 2, 1, 1), summary: None };
    let found = refusals(store.commit(rows(vec![row]).into()).await)?;
    let fenced = Refusal::Fenced { group: group(1), given: Epoch(1), current: Epoch(1) };
    same("the other's row", &found, &vec![fenced])
}

pub(super) async fn feed(store: Arc<dyn Store>) -> Result<(), Fault> {
    if !store.is_shared() {
        return Ok(());
    }
    store.renew(ONE, LONG).await?;
    journals(&*store, &[1]).await?;
    let begin = store.feed(None, 10).await?;
    same("records before a cursor", &begin.records, &Vec::new())?;
    store.commit(rows(vec![append(1, 2, 1, 2), append(2, 1, 1, 1)]).into()).await?;
    store.commit(rows(vec![append(1, 4, 1, 1), append(3, 1, 1, 1)]).into()).await?;
    store.commit(rows(vec![append(3, 2, 1, 1), append(1, 5, 1, 1)]).into()).await?;
    let (all, end) = fed_in_time(&*store, begin.end).await?;
    let of = |id| all.iter().filter(move |it| it.group == group(id)).map(|it| it.first.0);
    // What was there before may come again where an older transaction held it back.
    same("of the first group", &of(1).filter(|it| *it > 1).collect::<Vec<_>>(), &vec![2, 4, 5])?;
    same("of the others", &of(2).chain(of(3)).collect::<Vec<_>>(), &vec![1, 1, 2])?;
    same("the same again", &store.feed(Some(end), 10).await?.records, &Vec::new())?;
    let few = store.feed(Some(begin.end), 5).await?;
    same("records where there are too many", &few.records, &Vec::new())?;
    same("missed", &few.missed, &(all.len() as u64))?;
    holds("it says where to read on", few.end >= end)
}

/// Reads on until the last record has come, however long other transactions hold it back.
async fn fed_in_time(
    store: &dyn Store,
    mut cursor: Cursor,
) -> Result<(Vec<Record>, Cursor), StoreError> {
    let mut all: Vec<Record> = Vec::new();
    for _ in 0..100_000 {
        let feed = store.feed(Some(cursor), 10).await?;
        all.extend(feed.records);
        cursor = feed.end;
        if all.iter().any(|it| (it.group, it.first) == (group(3), Seq(2))) {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok((all, cursor))
}

pub(super) async fn apart(store: Arc<dyn Store>) -> Result<(), Fault> {
    const GROUPS: usize = 100;
    if !store.is_shared() {
        return Ok(());
    }
    let ids: Vec<i64> = (1..).take(GROUPS).collect();
    journals(&*store, &ids).await?;
    let mut claimers = JoinSet::new();
    for claimer in 0..4 {
        let (store, owner) = (Arc::clone(&store), NodeId(Uuid::from_u128(claimer + 7)));
        claimers.spawn(async move {
            store.renew(owner, LONG).await?;
            let mut taken = Vec::new();
            // Groups that another claimer holds for a moment are passed over, so that an empty
            // answer does not mean that all are taken.
            for _ in 0..GROUPS {
                taken.extend(store.claim(owner, 7).await?);
            }
            Ok::<_, StoreError>(taken)
        });
    }
    let mut all = Vec::new();
    while let Some(Ok(taken)) = claimers.join_next().await {
        all.extend(groups(&taken?));
    }
    same("leases", &all.len(), &GROUPS)?;
    let apart: BTreeSet<_> = all.into_iter().collect();
    holds("no group was given twice", apart.len() == GROUPS)
}
