//! Journals: who may append what, and what is loaded.

use std::sync::Arc;

use jobwright_core::{Epoch, Refusal, Seq, Store};

use super::sample::{append, group, journals, record, rows};
use super::{Fault, refusals, same};

pub(super) async fn first_row(store: Arc<dyn Store>) -> Result<(), Fault> {
    let found = refusals(store.commit(rows(vec![append(1, 2, 5, 1)]).into()).await)?;
    let conflict = Refusal::Conflict { group: group(1), given: Seq(2), current: Seq(1) };
    same("a row at 2", &found, &vec![conflict])?;
    store.commit(rows(vec![append(1, 1, 5, 2)]).into()).await?;
    let found = refusals(store.commit(rows(vec![append(1, 3, 1, 1)]).into()).await)?;
    let fenced = Refusal::Fenced { group: group(1), given: Epoch(1), current: Epoch(5) };
    same("a row under epoch 1", &found, &vec![fenced])?;
    store.commit(rows(vec![append(1, 3, 5, 1)]).into()).await?;
    Ok(())
}

pub(super) async fn conflicts(store: Arc<dyn Store>) -> Result<(), Fault> {
    store.commit(rows(vec![append(1, 1, 1, 3)]).into()).await?;
    for given in [1, 2, 3, 5, 1 << 40] {
        let found = refusals(store.commit(rows(vec![append(1, given, 1, 1)]).into()).await)?;
        let conflict = Refusal::Conflict { group: group(1), given: Seq(given), current: Seq(4) };
        same("a row that does not follow", &found, &vec![conflict])?;
    }
    store.commit(rows(vec![append(1, 4, 1, 1)]).into()).await?;
    let chained = rows(vec![append(1, 5, 1, 1), append(1, 5, 1, 1)]);
    let found = refusals(store.commit(chained.into()).await)?;
    let conflict = Refusal::Conflict { group: group(1), given: Seq(5), current: Seq(6) };
    same("the same row twice in a commit", &found, &vec![conflict])
}

pub(super) async fn fences(store: Arc<dyn Store>) -> Result<(), Fault> {
    store.commit(rows(vec![append(1, 1, 4, 1)]).into()).await?;
    for (first, epoch) in [(2, 3), (2, 5), (1, 3), (9, 5)] {
        let found = refusals(store.commit(rows(vec![append(1, first, epoch, 1)]).into()).await)?;
        let fenced = Refusal::Fenced { group: group(1), given: Epoch(epoch), current: Epoch(4) };
        same("a row under another epoch", &found, &vec![fenced])?;
    }
    Ok(())
}

pub(super) async fn loads_from(store: Arc<dyn Store>) -> Result<(), Fault> {
    let all = [record(1, 1, 1, 2), record(1, 3, 1, 3), record(1, 6, 1, 1)];
    for (first, events) in [(1, 2), (3, 3), (6, 1)] {
        store.commit(rows(vec![append(1, first, 1, events)]).into()).await?;
    }
    let cases = [(0, 0), (1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (7, 3), (u64::MAX, 3)];
    for (from, skipped) in cases {
        let found = store.load(group(1), Seq(from)).await?;
        same(&format!("records from {from}"), &found, &all[skipped..].to_vec())?;
    }
    Ok(())
}

pub(super) async fn loads_many(store: Arc<dyn Store>) -> Result<(), Fault> {
    journals(&*store, &[1, 2, 3]).await?;
    store.commit(rows(vec![append(2, 2, 1, 2)]).into()).await?;
    let asked = [3, 9, 2, 1].map(group);
    let mut expected = Vec::new();
    for group in asked {
        expected.push(store.load(group, Seq(1)).await?);
    }
    same("journals", &store.load_many(&asked).await?, &expected)?;
    same("how long they are", &expected.iter().map(Vec::len).collect(), &vec![1, 0, 2, 1])?;
    same("of no groups", &store.load_many(&[]).await?, &Vec::new())
}

pub(super) async fn nothing_to_load(store: Arc<dyn Store>) -> Result<(), Fault> {
    same("records", &store.load(group(1), Seq(1)).await?, &Vec::new())
}

pub(super) async fn apart(store: Arc<dyn Store>) -> Result<(), Fault> {
    let ids = [1, 2, 256, 257, 65_536, 1 << 40, (1 << 53) - 1];
    for first in [1, 2] {
        store.commit(rows(ids.map(|id| append(id, first, 1, 1)).to_vec()).into()).await?;
    }
    for id in ids {
        let expected = vec![record(id, 1, 1, 1), record(id, 2, 1, 1)];
        same(&format!("group {id}"), &store.load(group(id), Seq(1)).await?, &expected)?;
    }
    Ok(())
}
