//! Commits: whole or not at all, all refusals at once, in order.

use std::sync::Arc;

use jobwright_core::{
    Change, Commit, Digest, Epoch, Refusal, Revision, Seq, Status, Store, StoreError,
};
use tokio::task::JoinSet;

use super::sample::{append, deployment, environment, group, record, rows, summed};
use super::{Fault, holds, refusals, same};

pub(super) async fn whole(store: Arc<dyn Store>) -> Result<(), Fault> {
    let content: Arc<[u8]> = Arc::from(&b"content"[..]);
    let (document, other) = (deployment(1, "sales"), environment(1, "env.a"));
    let commit = Commit {
        journal: vec![summed(1, 1, 1, Status::Created), append(2, 1, 1, 3)],
        catalog: vec![Change::insert(document.clone()), Change::insert(other)],
        contents: vec![content.clone()],
    };
    store.commit(commit.into()).await?;
    same("group 1", &store.load(group(1), Seq(1)).await?, &vec![record(1, 1, 1, 1)])?;
    same("group 2", &store.load(group(2), Seq(1)).await?, &vec![record(2, 1, 1, 3)])?;
    let found = store.find(document.key()).await?;
    same("the document", &found.map(|it| it.document), &Some(document))?;
    holds("the summary is there", store.find(group(1).into()).await?.is_some())?;
    let found = store.content(Digest::of(&content)).await?;
    same("the content", &found, &Some(content))
}

pub(super) async fn nothing_of_a_refused_one(store: Arc<dyn Store>) -> Result<(), Fault> {
    store
        .commit(Commit { catalog: vec![Change::insert(deployment(1, "a"))], ..rows(vec![]) }.into())
        .await?;
    let content: Arc<[u8]> = Arc::from(&b"content"[..]);
    let good = || Commit {
        journal: vec![summed(1, 1, 1, Status::Created)],
        catalog: vec![
            Change::update(deployment(1, "b"), Revision(1)),
            Change::insert(environment(1, "env.a")),
        ],
        contents: vec![content.clone()],
    };
    let mut bad_row = good();
    bad_row.journal.push(append(2, 7, 1, 1));
    let mut bad_document = good();
    bad_document.catalog.push(Change::insert(deployment(1, "c")));
    for (what, commit) in [("row", bad_row), ("document", bad_document)] {
        same(what, &refusals(store.commit(commit.into()).await)?.len(), &1)?;
        same("records", &store.load(group(1), Seq(1)).await?, &Vec::new())?;
        same("the summary", &store.find(group(1).into()).await?, &None)?;
        let found = store.find(deployment(1, "a").key()).await?;
        same("the old document", &found.map(|it| it.document), &Some(deployment(1, "a")))?;
        same("the new one", &store.find(environment(1, "env.a").key()).await?, &None)?;
        same("the content", &store.content(Digest::of(&content)).await?, &None)?;
        let leases = store.claim(super::sample::TWO, 10).await?;
        holds("there is nothing to claim", leases.is_empty())?;
    }
    store.commit(good().into()).await?;
    same("records", &store.load(group(1), Seq(1)).await?.len(), &1)
}

pub(super) async fn all_refusals_at_once(store: Arc<dyn Store>) -> Result<(), Fault> {
    let (first, second) = (deployment(1, "a"), deployment(2, "b"));
    let commit = Commit {
        journal: vec![append(1, 1, 3, 2), append(2, 1, 3, 2)],
        catalog: vec![Change::insert(first.clone()), Change::insert(second.clone())],
        contents: vec![],
    };
    store.commit(commit.into()).await?;
    let commit = Commit {
        journal: vec![append(1, 3, 2, 1), append(2, 9, 3, 1), append(3, 2, 1, 1)],
        catalog: vec![
            Change::update(first.clone(), Revision(9)),
            Change::update(deployment(2, "a"), Revision(1)),
        ],
        contents: vec![],
    };
    let found = refusals(store.commit(commit.into()).await)?;
    let expected = [
        Refusal::Fenced { group: group(1), given: Epoch(2), current: Epoch(3) },
        Refusal::Conflict { group: group(2), given: Seq(9), current: Seq(3) },
        Refusal::Conflict { group: group(3), given: Seq(2), current: Seq(1) },
        Refusal::Changed { key: first.key(), expected: Revision(9), current: Revision(1) },
        Refusal::Taken { key: second.key(), existing: 1 },
    ];
    for refusal in &expected {
        holds(&format!("`{refusal}` is among {found:?}"), found.contains(refusal))?;
    }
    same("refusals", &found.len(), &expected.len())
}

pub(super) async fn ordered(store: Arc<dyn Store>) -> Result<(), Fault> {
    let commit = |first| store.commit(rows(vec![append(1, first, 1, 1)]).into());
    let (a, b, c, d) = tokio::join!(commit(1), commit(2), commit(3), commit(4));
    for result in [a, b, c, d] {
        result?;
    }
    same("records", &store.load(group(1), Seq(1)).await?.len(), &4)
}

pub(super) async fn concurrent(store: Arc<dyn Store>) -> Result<(), Fault> {
    const CALLERS: i64 = 8;
    const ROWS: u64 = 25;
    let mut callers = JoinSet::new();
    for caller in 1..=CALLERS {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            for row in 0..ROWS {
                let pair =
                    vec![append(caller, row * 2 + 1, 1, 2), append(caller + 100, row + 1, 1, 1)];
                store.commit(rows(pair).into()).await?;
                let seen = store.load(group(caller), Seq(row * 2 + 1)).await?;
                same(
                    "a row that was acknowledged",
                    &seen,
                    &vec![record(caller, row * 2 + 1, 1, 2)],
                )?;
            }
            Ok::<(), Fault>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        let broken =
            |it| StoreError::Broken { reason: "a call panicked".to_owned(), source: Some(it) };
        ended.map_err(|error| broken(Box::from(error)))??;
    }
    for caller in 1..=CALLERS {
        let expected: Vec<_> = (0..ROWS).map(|row| record(caller, row * 2 + 1, 1, 2)).collect();
        same("records", &store.load(group(caller), Seq(1)).await?, &expected)?;
    }
    Ok(())
}
