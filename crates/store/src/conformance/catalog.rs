//! The catalog: ids, documents and contents.

use std::sync::Arc;

use jobwright_core::{
    Change, Commit, Digest, Document, Key, Kind, Query, Refusal, Revision, Status, Store,
};
use tokio::task::JoinSet;

use super::sample::{
    backfill, deployment, environment, group, release, rows, run, schedule, summary, summed,
};
use super::{Fault, holds, refusals, same};

fn changes(catalog: Vec<Change>) -> Commit {
    Commit { catalog, ..Commit::default() }
}

fn inserts(documents: impl IntoIterator<Item = Document>) -> Commit {
    changes(documents.into_iter().map(Change::insert).collect())
}

async fn revision(store: &dyn Store, key: Key) -> Result<Option<u64>, Fault> {
    Ok(store.find(key).await?.map(|stored| stored.revision.0))
}

async fn ids(store: &dyn Store, query: Query) -> Result<Vec<i64>, Fault> {
    Ok(store.list(query).await?.iter().map(|stored| stored.document.key().id).collect())
}

pub(super) async fn ids_grow(store: Arc<dyn Store>) -> Result<(), Fault> {
    for kind in [Kind::Job, Kind::Group, Kind::Deployment] {
        let mut next = 1;
        for count in [1, 3, 1000, 1, 100_000, 2] {
            let first = store.allocate(kind, count).await?;
            holds(&format!("{first} comes after all before {next}"), first >= next)?;
            next = first + i64::from(count);
        }
    }
    let mut callers = JoinSet::new();
    for count in 1..=16_u32 {
        let store = Arc::clone(&store);
        callers.spawn(async move { (store.allocate(Kind::Run, count).await, i64::from(count)) });
    }
    let mut taken = Vec::new();
    while let Some(Ok((first, count))) = callers.join_next().await {
        let first = first?;
        taken.push((first, first + count));
    }
    taken.sort_unstable();
    same("callers", &taken.len(), &16)?;
    let apart = taken.windows(2).all(|pair| pair[0].1 <= pair[1].0);
    holds(&format!("no id is given twice: {taken:?}"), apart)
}

pub(super) async fn revisions(store: Arc<dyn Store>) -> Result<(), Fault> {
    let key = deployment(1, "a").key();
    store.commit(inserts([deployment(1, "a")]).into()).await?;
    same("made", &revision(&*store, key).await?, &Some(1))?;
    let mut before = Revision(1);
    for name in ["b", "b", "c"] {
        store.commit(changes(vec![Change::update(deployment(1, name), before)]).into()).await?;
        let stored = store.find(key).await?;
        same("written", &stored.as_ref().map(|it| &it.document), &Some(&deployment(1, name)))?;
        let now = stored.map_or(before, |it| it.revision);
        holds(&format!("{now:?} is not {before:?}"), now != before)?;
        before = now;
    }
    store.commit(changes(vec![Change::remove(key, before)]).into()).await?;
    same("removed", &store.find(key).await?, &None)?;
    store.commit(inserts([deployment(1, "a")]).into()).await?;
    same("made again", &revision(&*store, key).await?, &Some(1))
}

pub(super) async fn changed(store: Arc<dyn Store>) -> Result<(), Fault> {
    let (document, missing) = (deployment(1, "a"), deployment(2, "b"));
    let key = document.key();
    store.commit(inserts([document.clone()]).into()).await?;
    store.commit(changes(vec![Change::update(document.clone(), Revision(1))]).into()).await?;
    let cases = [
        (Change::insert(document.clone()), 0, 2),
        (Change::update(document.clone(), Revision(1)), 1, 2),
        (Change::update(document, Revision(3)), 3, 2),
        (Change::remove(key, Revision(1)), 1, 2),
        (Change::update(missing.clone(), Revision(1)), 1, 0),
        (Change::remove(missing.key(), Revision(4)), 4, 0),
    ];
    for (change, expected, current) in cases {
        let key = change.key;
        let found = refusals(store.commit(changes(vec![change]).into()).await)?;
        let refusal =
            Refusal::Changed { key, expected: Revision(expected), current: Revision(current) };
        same("refused", &found, &vec![refusal])?;
    }
    Ok(())
}

pub(super) async fn taken(store: Arc<dyn Store>) -> Result<(), Fault> {
    let documents = [
        deployment(1, "a"),
        deployment(2, "b"),
        environment(1, "env.a"),
        run(1, 1, Some("k")),
        run(2, 2, Some("k")),
        run(3, 1, None),
        run(4, 1, None),
    ];
    store.commit(inserts(documents).into()).await?;
    let cases = [
        (Change::insert(deployment(3, "a")), 1),
        (Change::update(deployment(2, "a"), Revision(1)), 1),
        (Change::insert(environment(2, "env.a")), 1),
        (Change::insert(run(5, 2, Some("k"))), 2),
        (Change::update(run(3, 1, Some("k")), Revision(1)), 1),
    ];
    for (change, existing) in cases {
        let key = change.key;
        let found = refusals(store.commit(changes(vec![change]).into()).await)?;
        same("refused", &found, &vec![Refusal::Taken { key, existing }])?;
    }
    store
        .commit(changes(vec![Change::remove(deployment(1, "a").key(), Revision(1))]).into())
        .await?;
    store.commit(inserts([deployment(3, "a"), deployment(4, "A")]).into()).await?;
    Ok(())
}

pub(super) async fn in_sequence(store: Arc<dyn Store>) -> Result<(), Fault> {
    store.commit(inserts([deployment(1, "a"), deployment(2, "b")]).into()).await?;
    let handed_over = changes(vec![
        Change::update(deployment(1, "c"), Revision(1)),
        Change::update(deployment(2, "a"), Revision(1)),
        Change::insert(deployment(3, "b")),
    ]);
    store.commit(handed_over.into()).await?;
    same(
        "who has the name",
        &ids(&*store, Query::all(Kind::Deployment).unique("a")).await?,
        &vec![2],
    )?;
    let twice = inserts([deployment(8, "d"), deployment(9, "d")]);
    let key = deployment(9, "d").key();
    let found = refusals(store.commit(twice.into()).await)?;
    same("one name twice", &found, &vec![Refusal::Taken { key, existing: 8 }])
}

pub(super) async fn summaries(store: Arc<dyn Store>) -> Result<(), Fault> {
    let statuses = [Status::Created, Status::InProgress, Status::Complete];
    for (first, status) in (1..).zip(statuses) {
        store.commit(rows(vec![summed(9, first, 1, status)]).into()).await?;
        let stored = store.find(group(9).into()).await?;
        let document = Document::Group(summary(9, 1, status));
        same("the summary", &stored.as_ref().map(|it| &it.document), &Some(&document))?;
        same("its revision", &stored.map(|it| it.revision.0), &Some(first))?;
    }
    Ok(())
}

pub(super) async fn every_kind(store: Arc<dyn Store>) -> Result<(), Fault> {
    let documents = [
        deployment(1, "Ünïcode — name"),
        release(1, 1),
        run(1, 1, Some("k")),
        environment(1, "env.a"),
        Document::Group(summary(1, 1, Status::InProgress)),
        schedule(1, 1),
        backfill(1, 1),
    ];
    store.commit(inserts(documents.clone()).into()).await?;
    for document in documents {
        let found = store.find(document.key()).await?.map(|it| it.document);
        same("the document", &found, &Some(document))?;
    }
    same("nothing", &store.find(Key { kind: Kind::Job, id: 1 }).await?, &None)
}

pub(super) async fn lists(store: Arc<dyn Store>) -> Result<(), Fault> {
    let order = [300, 2, 1, 70_000, 5];
    store.commit(inserts(order.map(|id| environment(id, &format!("env.{id}")))).into()).await?;
    store.commit(inserts([deployment(4, "a")]).into()).await?;
    let all = Query::all(Kind::Environment);
    let cases = [
        (all.clone(), vec![1, 2, 5, 300, 70_000]),
        (Query { limit: 2, ..all.clone() }, vec![1, 2]),
        (Query { limit: 0, ..all.clone() }, vec![]),
        (Query { after: Some(2), ..all.clone() }, vec![5, 300, 70_000]),
        (Query { after: Some(3), limit: 1, ..all.clone() }, vec![5]),
        (Query { after: Some(70_000), ..all.clone() }, vec![]),
        (Query { descending: true, ..all.clone() }, vec![70_000, 300, 5, 2, 1]),
        (Query { descending: true, after: Some(300), limit: 2, ..all.clone() }, vec![5, 2]),
        (Query { descending: true, after: Some(i64::MIN), ..all.clone() }, vec![]),
        (Query { after: Some(i64::MAX), ..all }, vec![]),
        (Query::all(Kind::Job), vec![]),
    ];
    for (query, expected) in cases {
        same(&format!("{query:?}"), &ids(&*store, query).await?, &expected)?;
    }
    Ok(())
}

pub(super) async fn narrows(store: Arc<dyn Store>) -> Result<(), Fault> {
    let live = |id, run, status| Document::Group(summary(id, run, status));
    store
        .commit(
            inserts([
                run(1, 1, Some("k")),
                run(2, 2, Some("k")),
                run(3, 1, None),
                run(4, 1, Some("l")),
                live(1, 1, Status::Complete),
                live(2, 1, Status::InProgress),
                live(3, 2, Status::Created),
                deployment(1, "k"),
            ])
            .into(),
        )
        .await?;
    let (runs, groups) = (Query::all(Kind::Run), Query::all(Kind::Group));
    let cases = [
        (runs.clone().parent(1), vec![1, 3, 4]),
        (runs.clone().unique("k"), vec![1, 2]),
        (Query { descending: true, ..runs.clone().unique("k") }, vec![2, 1]),
        (runs.clone().unique("k").parent(2), vec![2]),
        (runs.clone().unique("none"), vec![]),
        (runs.clone().parent(9), vec![]),
        (Query { after: Some(1), limit: 1, ..runs.clone().parent(1) }, vec![3]),
        (Query { descending: true, after: Some(4), ..runs.clone().parent(1) }, vec![3, 1]),
        (Query { live: true, ..runs }, vec![]),
        (Query { live: true, ..groups.clone() }, vec![2, 3]),
        (Query { live: true, ..groups.clone().parent(1) }, vec![2]),
        (Query { live: true, descending: true, limit: 1, ..groups.clone() }, vec![3]),
        (groups, vec![1, 2, 3]),
        (Query::all(Kind::Deployment).parent(0), vec![1]),
        (Query::all(Kind::Deployment).parent(1), vec![]),
    ];
    for (query, expected) in cases {
        same(&format!("{query:?}"), &ids(&*store, query).await?, &expected)?;
    }
    Ok(())
}

pub(super) async fn contents(store: Arc<dyn Store>) -> Result<(), Fault> {
    let contents: [Arc<[u8]>; 3] =
        [Arc::from(&b""[..]), Arc::from(&b"\0\xff"[..]), vec![7; 3_000_000].into()];
    for _ in 0..2 {
        store.commit(Commit { contents: contents.to_vec(), ..Commit::default() }.into()).await?;
        for content in &contents {
            let found = store.content(Digest::of(content)).await?;
            holds("the content is there", found.as_ref() == Some(content))?;
        }
    }
    same("no content", &store.content(Digest::of(b"other")).await?, &None)
}
