//! Changes of documents: read under a lock, judged one after another, and written at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join;
use jobwright_core::{Change, Commit, Digest, Document, Key, Kind, Refusal, Revision, codec};

use crate::fault::{Fault, both};
use crate::queries::column;
use crate::session::{Ask, Session};

/// A unique text, and where it is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Text {
    kind: Kind,
    parent: i64,
    digest: Digest,
}

impl Text {
    fn of(document: &Document) -> Option<Self> {
        let digest = Digest::of(document.unique()?.as_bytes());
        Some(Self { kind: document.key().kind, parent: document.parent(), digest })
    }
}

/// What is known of a document without its body.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    revision: u64,
    text: Option<Text>,
}

/// A document that a batch changes: as it was, as it becomes, and its new body.
#[derive(Default)]
struct Changed<'a> {
    was: Option<Known>,
    now: Option<Known>,
    body: Option<Cow<'a, Document>>,
}

/// The documents that a batch changes.
#[derive(Default)]
pub(crate) struct Documents<'a> {
    by_key: BTreeMap<Key, Changed<'a>>,
    owners: HashMap<Text, i64>,
}

/// Reads what the changes of a batch need to know. Documents that are there stay as they are until
/// the transaction is over; one that is made meanwhile is noticed when it is written.
pub(crate) async fn lock<'a>(
    session: &Session,
    commits: &'a [Arc<Commit>],
) -> Result<Documents<'a>, Fault> {
    let changes = || commits.iter().flat_map(|commit| &commit.catalog);
    let keys: BTreeSet<Key> = changes().map(|change| change.key).collect();
    if keys.is_empty() {
        return Ok(Documents::default());
    }
    let keys: Vec<Key> = keys.into_iter().collect();
    let texts: BTreeSet<Text> =
        changes().filter_map(|change| Text::of(change.document.as_ref()?)).collect();
    let texts: Vec<Text> = texts.into_iter().collect();
    let (by_key, owners) = {
        let (known, owners) = join(known(session, &keys), owners(session, &texts)).await;
        both(known, owners)?
    };
    Ok(Documents { by_key, owners })
}

async fn known<'a>(session: &Session, keys: &[Key]) -> Result<BTreeMap<Key, Changed<'a>>, Fault> {
    let kinds: Vec<&str> = keys.iter().map(|key| key.kind.as_str()).collect();
    let ids: Vec<i64> = keys.iter().map(|key| key.id).collect();
    let sql = "SELECT u.n, d.revision, d.parent, d.text
               FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS u (kind, id, n)
               JOIN documents AS d ON d.kind = u.kind AND d.id = u.id
               ORDER BY d.kind, d.id FOR UPDATE OF d";
    let mut found: BTreeMap<Key, Changed<'a>> =
        keys.iter().map(|key| (*key, Changed::default())).collect();
    for row in session.query(sql, &[&kinds, &ids]).await? {
        let key = nth(keys, column(&row, 0)?)?;
        let revision = column::<i64>(&row, 1)?.unsigned_abs();
        let parent = column(&row, 2)?;
        let digest = column::<Option<&[u8]>>(&row, 3)?.map(<[u8; 32]>::try_from).transpose();
        let digest = digest.map_err(|_| Fault::broken("a digest has no 32 bytes".to_owned()))?;
        let text = |digest| Text { kind: key.kind, parent, digest: Digest::from(digest) };
        let was = Some(Known { revision, text: digest.map(text) });
        found.insert(key, Changed { was, now: was, body: None });
    }
    Ok(found)
}

async fn owners(session: &Session, texts: &[Text]) -> Result<HashMap<Text, i64>, Fault> {
    if texts.is_empty() {
        return Ok(HashMap::new());
    }
    let kinds: Vec<&str> = texts.iter().map(|text| text.kind.as_str()).collect();
    let parents: Vec<i64> = texts.iter().map(|text| text.parent).collect();
    let digests: Vec<&[u8]> = texts.iter().map(|text| &text.digest.as_bytes()[..]).collect();
    let sql = "SELECT u.n, d.id
               FROM unnest($1::text[], $2::bigint[], $3::bytea[]) WITH ORDINALITY
                   AS u (kind, parent, text, n)
               JOIN documents AS d
                   ON d.kind = u.kind AND d.text = u.text AND d.parent = u.parent";
    let rows = session.query(sql, &[&kinds, &parents, &digests]).await?;
    rows.iter().map(|row| Ok((nth(texts, column(row, 0)?)?, column(row, 1)?))).collect()
}

fn nth<T: Copy>(all: &[T], from_one: i64) -> Result<T, Fault> {
    let found = usize::try_from(from_one - 1).ok().and_then(|n| all.get(n));
    found.copied().ok_or_else(|| Fault::broken("a row of another question came back".to_owned()))
}

impl<'a> Documents<'a> {
    /// Tells whether the batch changes the document.
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.by_key.contains_key(&key)
    }

    /// Makes the changes of a commit in order, and adds a refusal for each that cannot be made.
    /// Then come its summaries of groups that the batch also changes as documents.
    pub(crate) fn judge(&mut self, commit: &'a Commit, refusals: &mut Vec<Refusal>) {
        for change in &commit.catalog {
            if let Err(refusal) = self.change(change) {
                refusals.push(refusal);
            }
        }
        for summary in commit.journal.iter().filter_map(|append| append.summary.as_ref()) {
            if self.contains(summary.id.into()) {
                self.put(Cow::Owned(Document::Group(summary.clone())));
            }
        }
    }

    fn change(&mut self, change: &'a Change) -> Result<(), Refusal> {
        let Change { key, expected, ref document } = *change;
        let now = self.by_key.get(&key).and_then(|changed| changed.now);
        let current = Revision(now.map_or(0, |it| it.revision));
        if current != expected {
            return Err(Refusal::Changed { key, expected, current });
        }
        let Some(document) = document else {
            self.take(key);
            return Ok(());
        };
        match Text::of(document).and_then(|text| self.owners.get(&text)) {
            Some(&existing) if existing != key.id => Err(Refusal::Taken { key, existing }),
            _ => {
                self.put(Cow::Borrowed(document));
                Ok(())
            }
        }
    }

    /// Removes a document, and returns its revision.
    fn take(&mut self, key: Key) -> u64 {
        let changed = self.by_key.entry(key).or_default();
        changed.body = None;
        let Some(known) = changed.now.take() else { return 0 };
        if let Some(text) = known.text {
            self.owners.remove(&text);
        }
        known.revision
    }

    fn put(&mut self, document: Cow<'a, Document>) {
        let (key, text) = (document.key(), Text::of(&document));
        let revision = self.take(key) + 1;
        if let Some(text) = text {
            self.owners.insert(text, key.id);
        }
        let changed = self.by_key.entry(key).or_default();
        changed.now = Some(Known { revision, text });
        changed.body = Some(document);
    }

    /// What is to be written so that the documents are as the changes left them.
    pub(crate) fn columns(&self) -> Result<Columns, Fault> {
        let mut columns = Columns::default();
        for (key, changed) in &self.by_key {
            match (changed.was, changed.now, &changed.body) {
                (Some(_), None, _) => columns.removed.push(*key),
                (was, Some(now), Some(document)) => {
                    let moves = was.is_some_and(|was| was.text.is_some() && was.text != now.text);
                    if moves {
                        columns.freed.push(*key);
                    }
                    let to = if was.is_some() { &mut columns.updated } else { &mut columns.made };
                    to.push(now, document)?;
                }
                (None, None, _) | (_, Some(_), None) => {}
            }
        }
        Ok(columns)
    }
}

/// What is written, by statement.
#[derive(Default)]
pub(crate) struct Columns {
    removed: Keys,
    /// Those that give a unique text up, which another of the batch may take.
    freed: Keys,
    updated: Bodies,
    made: Bodies,
}

impl Columns {
    /// The statements, each with the number of rows that it writes if no other transaction came in
    /// between.
    pub(crate) fn asks(&self) -> impl Iterator<Item = (Ask<'_>, u64)> {
        let removed = (self.removed.ask(REMOVE), self.removed.ids.len());
        let freed = (self.freed.ask(FREE), self.freed.ids.len());
        let updated = (self.updated.ask(UPDATE), self.updated.keys.ids.len());
        let made = (self.made.ask(INSERT), self.made.keys.ids.len());
        let all = [removed, freed, updated, made].into_iter();
        all.filter(|(_, rows)| *rows > 0).map(|(ask, rows)| (ask, rows as u64))
    }
}

const REMOVE: &str = "DELETE FROM documents AS d
    USING unnest($1::text[], $2::bigint[]) AS u (kind, id)
    WHERE d.kind = u.kind AND d.id = u.id";

const FREE: &str = "UPDATE documents AS d SET text = NULL
    FROM unnest($1::text[], $2::bigint[]) AS u (kind, id)
    WHERE d.kind = u.kind AND d.id = u.id";

const UPDATE: &str = "UPDATE documents AS d SET revision = u.revision, parent = u.parent,
        text = u.text, live = u.live, body = u.body
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::boolean[],
        $7::bytea[]) AS u (kind, id, revision, parent, text, live, body)
    WHERE d.kind = u.kind AND d.id = u.id";

const INSERT: &str = "INSERT INTO documents (kind, id, revision, parent, text, live, body)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[],
        $6::boolean[], $7::bytea[])
    ON CONFLICT DO NOTHING";

#[derive(Default)]
struct Keys {
    kinds: Vec<&'static str>,
    ids: Vec<i64>,
}

impl Keys {
    fn push(&mut self, key: Key) {
        self.kinds.push(key.kind.as_str());
        self.ids.push(key.id);
    }

    fn ask(&self, sql: &'static str) -> Ask<'_> {
        Ask { sql, bound: vec![&self.kinds, &self.ids] }
    }
}

#[derive(Default)]
struct Bodies {
    keys: Keys,
    revisions: Vec<i64>,
    parents: Vec<i64>,
    texts: Vec<Option<Vec<u8>>>,
    lives: Vec<bool>,
    bodies: Vec<Vec<u8>>,
}

impl Bodies {
    fn push(&mut self, known: Known, document: &Document) -> Result<(), Fault> {
        self.keys.push(document.key());
        let revision = i64::try_from(known.revision);
        self.revisions.push(revision.map_err(|error| Fault::broken(error.to_string()))?);
        self.parents.push(document.parent());
        self.texts.push(known.text.map(|text| text.digest.as_bytes().to_vec()));
        self.lives.push(document.is_live());
        self.bodies.push(codec::encode_document(document)?);
        Ok(())
    }

    fn ask(&self, sql: &'static str) -> Ask<'_> {
        let Self { keys, revisions, parents, texts, lives, bodies } = self;
        let bound: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            vec![&keys.kinds, &keys.ids, revisions, parents, texts, lives, bodies];
        Ask { sql, bound }
    }
}
