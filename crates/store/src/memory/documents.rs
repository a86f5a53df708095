//! The catalog in memory: documents by kind and id, with the two ways to find them otherwise.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::ids::Ids;
use super::spread::Spread;

use jobwright_core::{Change, Document, GroupSummary, Key, Kind, Query, Refusal, Revision, Stored};

#[derive(Default)]
pub(super) struct Documents {
    by_key: HashMap<Key, Kept, Spread>,
    /// All ids, by kind.
    ids: BTreeMap<Kind, Ids>,
    /// The ids of what belongs to something, by kind and parent.
    by_parent: HashMap<(Kind, i64), Ids, Spread>,
    /// The id that has a unique text, by kind, text and parent.
    by_text: BTreeMap<(Kind, Box<str>, i64), i64>,
}

/// A document as it lies here. Summaries are small, many and written often; the others are large
/// and few.
enum Kept {
    Summary(GroupSummary, Revision),
    Other(Box<Stored>),
}

impl Kept {
    fn new(Stored { document, revision }: Stored) -> Self {
        match document {
            Document::Group(summary) => Self::Summary(summary, revision),
            document => Self::Other(Box::new(Stored { document, revision })),
        }
    }

    fn revision(&self) -> Revision {
        match self {
            Self::Summary(_, revision) => *revision,
            Self::Other(stored) => stored.revision,
        }
    }

    fn parent(&self) -> i64 {
        match self {
            Self::Summary(summary, _) => summary.run.get(),
            Self::Other(stored) => stored.document.parent(),
        }
    }

    fn unique(&self) -> Option<&str> {
        match self {
            Self::Summary(..) => None,
            Self::Other(stored) => stored.document.unique(),
        }
    }

    fn is_live(&self) -> bool {
        match self {
            Self::Summary(summary, _) => !summary.status.is_terminal(),
            Self::Other(stored) => stored.document.is_live(),
        }
    }

    fn stored(&self) -> Stored {
        match self {
            Self::Summary(summary, revision) => {
                Stored { document: Document::Group(summary.clone()), revision: *revision }
            }
            Self::Other(stored) => Stored::clone(stored),
        }
    }
}

/// What a document was before a change of it.
pub(super) type Undo = Vec<(Key, Option<Stored>)>;

impl Documents {
    pub(super) fn find(&self, key: Key) -> Option<Stored> {
        self.by_key.get(&key).map(Kept::stored)
    }

    /// Makes the changes in order, and adds a refusal for each that cannot be made. The caller
    /// undoes them if anything of the commit is refused.
    pub(super) fn change(&mut self, changes: Vec<Change>, refusals: &mut Vec<Refusal>) -> Undo {
        let mut undo = Vec::new();
        for change in changes {
            if let Err(refusal) = self.check(&change) {
                refusals.push(refusal);
                continue;
            }
            let before = match change.document {
                Some(document) => self.put(document),
                None => self.remove(change.key),
            };
            undo.push((change.key, before));
        }
        undo
    }

    fn check(&self, change: &Change) -> Result<(), Refusal> {
        let Change { key, expected, ref document } = *change;
        let found = self.by_key.get(&key);
        let current = found.map_or(Revision(0), Kept::revision);
        if current != expected {
            return Err(Refusal::Changed { key, expected, current });
        }
        let Some(document) = document else { return Ok(()) };
        let text = document.unique();
        let owner = text.and_then(|text| self.owner(key.kind, document.parent(), text));
        match owner {
            Some(existing) if existing != key.id => Err(Refusal::Taken { key, existing }),
            _ => Ok(()),
        }
    }

    fn owner(&self, kind: Kind, parent: i64, text: &str) -> Option<i64> {
        self.by_text.get(&(kind, text.into(), parent)).copied()
    }

    /// Takes changes back, the last first.
    pub(super) fn undo(&mut self, undo: Undo) {
        for (key, before) in undo.into_iter().rev() {
            self.remove(key);
            if let Some(stored) = before {
                self.insert(stored);
            }
        }
    }

    /// Writes a group's summary over what is there, whatever its revision.
    pub(super) fn summarize(&mut self, summary: &GroupSummary) {
        match self.by_key.get_mut(&summary.id.into()) {
            Some(Kept::Summary(known, revision)) if known.run == summary.run => {
                revision.0 += 1;
                known.clone_from(summary);
            }
            Some(_) | None => drop(self.put(Document::Group(summary.clone()))),
        }
    }

    /// Writes a document over what is there, whatever its revision, and returns what was there.
    fn put(&mut self, document: Document) -> Option<Stored> {
        let before = self.remove(document.key());
        let revision = Revision(before.as_ref().map_or(1, |it| it.revision.0 + 1));
        self.insert(Stored { document, revision });
        before
    }

    fn insert(&mut self, stored: Stored) {
        let (key, parent) = (stored.document.key(), stored.document.parent());
        let Key { kind, id } = key;
        if parent != 0 {
            self.by_parent.entry((kind, parent)).or_default().insert(id);
        }
        if let Some(text) = stored.document.unique() {
            self.by_text.insert((kind, text.into(), parent), id);
        }
        self.ids.entry(kind).or_default().insert(id);
        self.by_key.insert(key, Kept::new(stored));
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Stored> {
        let kept = self.by_key.remove(&key)?;
        let kind = key.kind;
        let parent = kept.parent();
        let all = &self.by_key;
        let find = |id| all.get(&Key { kind, id });
        if let Some(ids) = self.ids.get_mut(&kind) {
            ids.remove(|id| find(id).is_some());
        }
        if let Entry::Occupied(mut ids) = self.by_parent.entry((kind, parent)) {
            ids.get_mut().remove(|id| find(id).is_some_and(|it| it.parent() == parent));
            if ids.get().is_empty() {
                ids.remove();
            }
        }
        if let Some(text) = kept.unique() {
            self.by_text.remove(&(kind, text.into(), parent));
        }
        Some(kept.stored())
    }

    fn belongs(&self, key: Key, parent: i64) -> bool {
        self.by_key.get(&key).is_some_and(|kept| kept.parent() == parent)
    }

    /// The ids of what belongs to something.
    pub(super) fn of_parent(&self, kind: Kind, parent: i64) -> Vec<i64> {
        let ids = self.by_parent.get(&(kind, parent)).into_iter();
        let ids = ids.flat_map(|ids| ids.range(i64::MIN, i64::MAX));
        ids.filter(|id| self.belongs(Key { kind, id: *id }, parent)).collect()
    }

    pub(super) fn list(&self, query: &Query) -> Vec<Stored> {
        let (least, greatest) = match (query.after, query.descending) {
            (None, _) => (i64::MIN, i64::MAX),
            (Some(i64::MAX), false) | (Some(i64::MIN), true) => return Vec::new(),
            (Some(after), false) => (after + 1, i64::MAX),
            (Some(after), true) => (i64::MIN, after - 1),
        };
        let kind = query.kind;
        let kept = |id: i64| self.by_key.get(&Key { kind, id });
        match (query.unique.as_deref(), query.parent) {
            (Some(text), _) => {
                let parents = (kind, text.into(), i64::MIN)..=(kind, text.into(), i64::MAX);
                let mut ids: Vec<i64> = self.by_text.range(parents).map(|(_, id)| *id).collect();
                ids.retain(|id| (least..=greatest).contains(id));
                ids.sort_unstable();
                select(ids.into_iter().filter_map(kept), query)
            }
            (None, Some(parent)) if parent != 0 => {
                let Some(ids) = self.by_parent.get(&(kind, parent)) else { return Vec::new() };
                select(ids.range(least, greatest).filter_map(kept), query)
            }
            (None, _) => {
                let Some(ids) = self.ids.get(&kind) else { return Vec::new() };
                select(ids.range(least, greatest).filter_map(kept), query)
            }
        }
    }
}

fn select<'a>(kept: impl DoubleEndedIterator<Item = &'a Kept>, query: &Query) -> Vec<Stored> {
    let wanted = |kept: &&Kept| {
        query.parent.is_none_or(|parent| kept.parent() == parent)
            && query.unique.as_deref().is_none_or(|text| kept.unique() == Some(text))
            && (!query.live || kept.is_live())
    };
    let limit = query.limit as usize;
    if query.descending {
        kept.rev().filter(wanted).take(limit).map(Kept::stored).collect()
    } else {
        kept.filter(wanted).take(limit).map(Kept::stored).collect()
    }
}
