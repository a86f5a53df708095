//! What a batch writes without looking: rows of journals, summaries of groups, and contents.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwright_core::{Append, Commit, Digest, Document, GroupId, GroupSummary, Key, codec};

use crate::fault::Fault;
use crate::session::Ask;

/// Rows of journals as columns.
#[derive(Default)]
pub(crate) struct Journal {
    groups: Vec<i64>,
    firsts: Vec<i64>,
    counts: Vec<i64>,
    epochs: Vec<i64>,
    ats: Vec<i64>,
    events: Vec<Vec<u8>>,
    bytes: usize,
}

/// How many bytes one statement holds: the database takes 1 GiB.
const CHUNK: usize = 64 << 20;

impl Journal {
    /// The rows of a batch, in as many parts as there must be.
    pub(crate) fn of(commits: &[Arc<Commit>]) -> Result<Vec<Self>, Fault> {
        let mut parts = vec![Self::default()];
        for append in commits.iter().flat_map(|commit| &commit.journal) {
            if parts.last().is_some_and(|part| part.bytes > CHUNK) {
                parts.push(Self::default());
            }
            if let Some(part) = parts.last_mut() {
                part.push(append)?;
            }
        }
        Ok(parts)
    }

    fn push(&mut self, append: &Append) -> Result<(), Fault> {
        let record = &append.record;
        let mut bytes = Vec::new();
        codec::encode_events(&record.events, &mut bytes)?;
        self.bytes += bytes.len();
        self.groups.push(record.group.get());
        self.firsts.push(whole(record.first.0)?);
        self.counts.push(whole(record.events.len() as u64)?);
        self.epochs.push(whole(record.epoch.0)?);
        self.ats.push(record.at.as_millis());
        self.events.push(bytes);
        Ok(())
    }

    pub(crate) fn ask(&self) -> Ask<'_> {
        let sql = "INSERT INTO journal (group_id, first, count, epoch, at, events)
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
                $5::bigint[], $6::bytea[])";
        let Self { groups, firsts, counts, epochs, ats, events, .. } = self;
        Ask { sql, bound: vec![groups, firsts, counts, epochs, ats, events] }
    }
}

/// Integers of the database have a sign; positions and epochs have none, and never come near the
/// difference.
fn whole(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::broken(format!("{number} is too large to be kept")))
}

/// Summaries as columns, the last of each group.
#[derive(Default)]
pub(crate) struct Summaries {
    ids: Vec<i64>,
    times: Vec<i64>,
    parents: Vec<i64>,
    lives: Vec<bool>,
    bodies: Vec<Vec<u8>>,
}

impl Summaries {
    /// The summaries of a batch, but for those that the batch also changes as documents.
    pub(crate) fn of(
        commits: &[Arc<Commit>],
        is_changed: impl Fn(Key) -> bool,
    ) -> Result<Self, Fault> {
        let mut last: BTreeMap<GroupId, (i64, &GroupSummary)> = BTreeMap::new();
        let appends = commits.iter().flat_map(|commit| &commit.journal);
        for summary in appends.filter_map(|append| append.summary.as_ref()) {
            if !is_changed(summary.id.into()) {
                let entry = last.entry(summary.id).or_insert((0, summary));
                *entry = (entry.0 + 1, summary);
            }
        }
        let mut columns = Self::default();
        for (group, (times, summary)) in last {
            let document = Document::Group(summary.clone());
            columns.ids.push(group.get());
            columns.times.push(times);
            columns.parents.push(document.parent());
            columns.lives.push(document.is_live());
            columns.bodies.push(codec::encode_document(&document)?);
        }
        Ok(columns)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Writes over what is there, whatever its revision, which grows with each write.
    pub(crate) fn ask(&self) -> Ask<'_> {
        let sql = "INSERT INTO documents AS d (kind, id, revision, parent, live, body)
            SELECT 'group', * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[],
                $5::bytea[])
            ON CONFLICT (kind, id) DO UPDATE SET revision = d.revision + excluded.revision,
                parent = excluded.parent, live = excluded.live, body = excluded.body";
        let Self { ids, times, parents, lives, bodies } = self;
        Ask { sql, bound: vec![ids, times, parents, lives, bodies] }
    }
}

/// Contents as columns; those that are there stay as they are.
pub(crate) struct Contents<'a> {
    digests: Vec<Vec<u8>>,
    bytes: Vec<&'a [u8]>,
}

impl<'a> Contents<'a> {
    /// The contents of a batch. In the order of their digests, as all nodes write them, so that no
    /// two nodes wait for each other.
    pub(crate) fn of(commits: &'a [Arc<Commit>]) -> Vec<Self> {
        let all = commits.iter().flat_map(|commit| &commit.contents);
        let by_digest: BTreeMap<Digest, &[u8]> =
            all.map(|content| (Digest::of(content), &content[..])).collect();
        let mut parts: Vec<Self> = Vec::new();
        let mut room = 0;
        for (digest, bytes) in by_digest {
            if room < bytes.len() || parts.is_empty() {
                parts.push(Self { digests: Vec::new(), bytes: Vec::new() });
                room = CHUNK;
            }
            if let Some(part) = parts.last_mut() {
                part.digests.push(digest.as_bytes().to_vec());
                part.bytes.push(bytes);
                room = room.saturating_sub(bytes.len());
            }
        }
        parts
    }

    pub(crate) fn ask(&self) -> Ask<'_> {
        let sql = "INSERT INTO contents (digest, bytes)
            SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING";
        Ask { sql, bound: vec![&self.digests, &self.bytes] }
    }
}
