//! Leases: who may take a group up, and under which epoch.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{Append, Epoch, GroupId, Lease, NodeId, Refusal, Seq, Status, Store};

use super::sample::{ONE, TWO, append, group, journals, record, rows, summed};
use super::{Fault, holds, refusals, same};

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

fn groups(leases: &[Lease]) -> Vec<GroupId> {
    leases.iter().map(|lease| lease.group).collect()
}

pub(super) async fn claims(store: Arc<dyn Store>) -> Result<(), Fault> {
    journals(&*store, &[5, 3, 300, 4]).await?;
    same("with limit 0", &store.claim(TWO, 0).await?, &Vec::new())?;
    let found = store.claim(TWO, 3).await?;
    same("the first three", &groups(&found), &[3, 4, 5].map(group).to_vec())?;
    let found = store.claim(TWO, 3).await?;
    same("the last one", &groups(&found), &vec![group(300)])?;
    same("then", &store.claim(TWO, 3).await?, &Vec::new())
}

pub(super) async fn epochs_grow(store: Arc<dyn Store>) -> Result<(), Fault> {
    store.commit(rows(vec![append(1, 1, 7, 1)]).into()).await?;
    let (mut next, mut before) = (Seq(2), Epoch(7));
    for owner in [TWO, ONE, TWO] {
        let leases = store.claim(owner, 10).await?;
        same("claimed", &groups(&leases), &vec![group(1)])?;
        for lease in leases {
            holds(&format!("{:?} is greater than {before:?}", lease.epoch), lease.epoch > before)?;
            before = lease.epoch;
        }
        let record = record(1, next.0, before.0, 1);
        next = record.next();
        store.commit(rows(vec![Append { owner, record, summary: None }]).into()).await?;
    }
    Ok(())
}

pub(super) async fn claimed_away(store: Arc<dyn Store>) -> Result<(), Fault> {
    journals(&*store, &[1]).await?;
    let leases = store.claim(TWO, 10).await?;
    let current = leases.first().map_or(Epoch(0), |lease| lease.epoch);
    let found = refusals(store.commit(rows(vec![append(1, 2, 1, 1)]).into()).await)?;
    let fenced = Refusal::Fenced { group: group(1), given: Epoch(1), current };
    same("the old engine's row", &found, &vec![fenced])
}

pub(super) async fn not_its_own(store: Arc<dyn Store>) -> Result<(), Fault> {
    journals(&*store, &[1, 2]).await?;
    store.renew(ONE, LONG).await?;
    same("its own", &store.claim(ONE, 10).await?, &Vec::new())?;
    store.commit(rows(vec![append(1, 2, 1, 1)]).into()).await?;
    Ok(())
}

/// A store that serves one engine at a time may take whoever claims for the only live node.
pub(super) async fn renewed(store: Arc<dyn Store>) -> Result<(), Fault> {
    journals(&*store, &[1]).await?;
    store.renew(ONE, LONG).await?;
    let mut leases = store.claim(TWO, 10).await?;
    if leases.is_empty() {
        store.commit(rows(vec![append(1, 2, 1, 1)]).into()).await?;
        store.renew(ONE, Duration::ZERO).await?;
        leases = store.claim(TWO, 10).await?;
    }
    same("claimed", &groups(&leases), &vec![group(1)])?;
    let found = refusals(store.commit(rows(vec![append(1, 3, 1, 1)]).into()).await)?;
    holds("the old engine is fenced", matches!(found[..], [Refusal::Fenced { .. }]))
}

pub(super) async fn released(store: Arc<dyn Store>) -> Result<(), Fault> {
    journals(&*store, &[1, 2]).await?;
    store.renew(ONE, LONG).await?;
    store.release(TWO).await?;
    same("another's release", &store.claim(ONE, 10).await?, &Vec::new())?;
    store.release(ONE).await?;
    let taken = store.claim(TWO, 1).await?;
    same("claimed by another", &groups(&taken), &vec![group(1)])?;
    let again = store.claim(ONE, 1).await?;
    let free: Vec<GroupId> =
        if groups(&again) == [group(1)] { vec![group(1)] } else { vec![group(2)] };
    same("claimed by the one that gave it up", &groups(&again), &free)
}

pub(super) async fn ended(store: Arc<dyn Store>) -> Result<(), Fault> {
    let other = NodeId(uuid::Uuid::from_u128(3));
    store
        .commit(rows((1..=5).map(|id| summed(id, 1, 1, Status::Created)).collect()).into())
        .await?;
    let end = [Status::Complete, Status::Failed, Status::Canceled];
    let ends = end.iter().zip(1..).map(|(status, id)| summed(id, 2, 1, *status)).collect();
    store.commit(rows(ends).into()).await?;
    store.commit(rows(vec![summed(4, 2, 1, Status::InProgress)]).into()).await?;
    store.commit(rows(vec![summed(6, 1, 1, Status::Complete)]).into()).await?;
    store.release(ONE).await?;
    let found = store.claim(other, 10).await?;
    same("unfinished", &groups(&found), &vec![group(4), group(5)])
}
