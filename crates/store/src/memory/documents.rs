//! The catalog in memory: documents by kind and id, with the two ways to find them otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::spread::Spread;

use jobwright_core::{Change, Document, Key, Kind, Query, Refusal, Revision, Stored};

#[derive(Default)]
pub(super) struct Documents {
    /// Boxed, since they are large and few of them change: only summaries are written often.
    by_key: HashMap<Key, Box<Stored>, Spread>,
    /// All ids, by kind.
    ids: BTreeSet<(Kind, i64)>,
    /// The ids of what belongs to something, by kind and parent.
    by_parent: BTreeSet<(Kind, i64, i64)>,
    /// The id that has a unique text, by kind, text and parent.
    by_text: BTreeMap<(Kind, Box<str>, i64), i64>,
}

/// What a document was before a change of it.
pub(super) type Undo = Vec<(Key, Option<Stored>)>;

impl Documents {
    pub(super) fn find(&self, key: Key) -> Option<Stored> {
        self.by_key.get(&key).map(|stored| Stored::clone(stored))
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
        let current = found.map_or(Revision(0), |stored| stored.revision);
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

    /// Writes a document over what is there, whatever its revision, and returns what was there.
    pub(super) fn put(&mut self, document: Document) -> Option<Stored> {
        let key = document.key();
        if let Some(stored) = self.by_key.get_mut(&key) {
            let same = stored.document.parent() == document.parent()
                && stored.document.unique() == document.unique();
            if same {
                let revision = Revision(stored.revision.0 + 1);
                return Some(std::mem::replace(&mut **stored, Stored { document, revision }));
            }
        }
        let before = self.remove(key);
        let revision = Revision(before.as_ref().map_or(1, |it| it.revision.0 + 1));
        self.insert(Stored { document, revision });
        before
    }

    fn insert(&mut self, stored: Stored) {
        let (key, parent) = (stored.document.key(), stored.document.parent());
        let Key { kind, id } = key;
        if parent != 0 {
            self.by_parent.insert((kind, parent, id));
        }
        if let Some(text) = stored.document.unique() {
            self.by_text.insert((kind, text.into(), parent), id);
        }
        self.ids.insert((kind, id));
        self.by_key.insert(key, Box::new(stored));
    }

    fn remove(&mut self, key: Key) -> Option<Stored> {
        let stored = *self.by_key.remove(&key)?;
        let Key { kind, id } = key;
        self.ids.remove(&(kind, id));
        let parent = stored.document.parent();
        self.by_parent.remove(&(kind, parent, id));
        if let Some(text) = stored.document.unique() {
            self.by_text.remove(&(kind, text.into(), parent));
        }
        Some(stored)
    }

    pub(super) fn list(&self, query: &Query) -> Vec<Stored> {
        let (least, greatest) = match (query.after, query.descending) {
            (None, _) => (i64::MIN, i64::MAX),
            (Some(i64::MAX), false) | (Some(i64::MIN), true) => return Vec::new(),
            (Some(after), false) => (after + 1, i64::MAX),
            (Some(after), true) => (i64::MIN, after - 1),
        };
        let kind = query.kind;
        let stored = |id: i64| self.by_key.get(&Key { kind, id }).map(|stored| &**stored);
        match (query.unique.as_deref(), query.parent) {
            (Some(text), _) => {
                let parents = (kind, text.into(), i64::MIN)..=(kind, text.into(), i64::MAX);
                let mut ids: Vec<i64> = self.by_text.range(parents).map(|(_, id)| *id).collect();
                ids.retain(|id| (least..=greatest).contains(id));
                ids.sort_unstable();
                select(ids.into_iter().filter_map(stored), query)
            }
            (None, Some(parent)) if parent != 0 => {
                let range = self.by_parent.range((kind, parent, least)..=(kind, parent, greatest));
                select(range.filter_map(|(_, _, id)| stored(*id)), query)
            }
            (None, _) => {
                let range = self.ids.range((kind, least)..=(kind, greatest));
                select(range.filter_map(|(_, id)| stored(*id)), query)
            }
        }
    }
}

fn select<'a>(stored: impl DoubleEndedIterator<Item = &'a Stored>, query: &Query) -> Vec<Stored> {
    let wanted = |stored: &&Stored| {
        let document = &stored.document;
        query.parent.is_none_or(|parent| document.parent() == parent)
            && query.unique.as_deref().is_none_or(|text| document.unique() == Some(text))
            && (!query.live || document.is_live())
    };
    let limit = query.limit as usize;
    if query.descending {
        stored.rev().filter(wanted).take(limit).cloned().collect()
    } else {
        stored.filter(wanted).take(limit).cloned().collect()
    }
}
