//! Seals over audit records: who changes, removes or slips in one afterwards is found.
//!
//! A record that names the hash of the one before it would need the commits of all changes to go
//! one after another, and an abandoned commit would look like a removed record. So records are
//! written as they are, each in the commit of its change, and a *seal* comes later: a record of its
//! own with a chain of hashes over all records since the last seal, which begins with the hash that
//! the last seal has. What was on its way meanwhile is named in the seal, and sealed by the next.

use std::collections::{BTreeMap, BTreeSet};

use jobwright_core::{
    Audit, AuditId, Change, Deed, Digest, Document, Kind, Query, Seal, StoreError, Verb,
};

use super::Engine;
use super::catalog::WriteError;

/// How many records are read from the store at a time.
const PAGE: u32 = 1_000;

/// What a look at all audit records found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditCheck {
    /// How many records are sealed.
    pub sealed: u64,
    /// How many came after the last seal.
    pub unsealed: u64,
    /// The hash of the last seal. Kept elsewhere, it tells whether seals themselves were removed.
    pub last: Option<Digest>,
    /// The first seal that does not fit the records.
    pub broken: Option<AuditId>,
}

/// The records that no seal has covered yet, and what the last seal said.
#[derive(Default)]
struct Open {
    /// The hash of each record, by its id.
    records: BTreeMap<i64, Digest>,
    last: Option<(AuditId, Seal)>,
}

impl Open {
    /// The ids that a seal up to there would cover: those since the last one, and those that were
    /// on their way then.
    fn covered(&self, through: i64) -> BTreeSet<i64> {
        let (after, absent) = match &self.last {
            Some((_, seal)) => (seal.through, &*seal.absent),
            None => (0, [].as_slice()),
        };
        let late = absent.iter().flat_map(|(from, to)| self.records.range(*from..=*to));
        let new = self.records.range(after + 1..=through);
        late.chain(new).map(|(id, _)| *id).collect()
    }

    /// The chain over some records, which begins with the last seal's hash.
    fn chain<'i>(&self, ids: impl Iterator<Item = &'i i64>) -> Option<Digest> {
        let begin = self.last.as_ref().map_or(Digest::of(b""), |(_, seal)| seal.digest);
        ids.map(|id| self.records.get(id)).try_fold(begin, |before, record| {
            let both = [before.as_bytes().as_slice(), record?.as_bytes().as_slice()].concat();
            Some(Digest::of(&both))
        })
    }

    /// What is missing between the last seal and this id.
    fn absent(&self, through: i64) -> Vec<(i64, i64)> {
        let mut next = self.last.as_ref().map_or(1, |(_, seal)| seal.through + 1);
        let mut absent = Vec::new();
        for id in self.records.range(next..=through).map(|(id, _)| *id).chain([through + 1]) {
            if id > next {
                absent.push((next, id - 1));
            }
            next = id + 1;
        }
        absent
    }

    /// Tells whether a seal fits the records, and goes on after it.
    fn take(&mut self, id: AuditId, seal: &Seal) -> Option<u64> {
        let follows = self.last.as_ref().map(|(id, _)| *id) == seal.previous;
        let absent = |id: &i64| seal.absent.iter().any(|(from, to)| (*from..=*to).contains(id));
        let mut ids = self.covered(seal.through);
        ids.retain(|id| !absent(id));
        let first = self.last.as_ref().map_or(1, |(_, last)| last.through + 1);
        let whole = (first..=seal.through).filter(|id| !absent(id)).all(|id| ids.contains(&id));
        let fits = follows && whole && self.chain(ids.iter()) == Some(seal.digest);
        // What was on its way at the last seal and is still not here never comes.
        self.records.retain(|id, _| *id > seal.through || absent(id));
        self.last = Some((id, seal.clone()));
        fits.then_some(ids.len() as u64)
    }
}

impl Engine {
    /// Seals the audit records that no seal covers yet. None where there are none. For a timer, and
    /// for one engine of a store; commits go on meanwhile. Reads every record that is not sealed.
    ///
    /// # Errors
    /// The store failed.
    pub async fn seal_audit(&self) -> Result<Option<Seal>, StoreError> {
        let _alone = self.0.gates.change().await;
        let mut open = Open::default();
        let mut unsealed = BTreeMap::new();
        let mut before = None;
        // Back to the last seal, and through what was on its way then.
        loop {
            let page = self.audit(before, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            before = page.last().map(|record| record.id);
            for record in page {
                if open.last.is_none()
                    && let Some(seal) = &record.seal
                {
                    open.last = Some((record.id, seal.clone()));
                }
                unsealed.insert(record.id.get(), hash(&record)?);
            }
            let oldest = open
                .last
                .as_ref()
                .map(|(_, seal)| seal.absent.first().map_or(seal.through, |(from, _)| *from));
            let reached = oldest.is_some_and(|id| before.is_none_or(|at| at.get() <= id));
            if is_last || reached {
                break;
            }
        }
        open.records = unsealed;
        let Some(through) = open.records.keys().next_back().copied() else { return Ok(None) };
        // A seal alone is nothing to be sealed.
        let ids = open.covered(through);
        if ids.iter().all(|id| open.last.as_ref().is_some_and(|(seal, _)| seal.get() == *id)) {
            return Ok(None);
        }
        let Some(digest) = open.chain(ids.iter()) else { return Ok(None) };
        let previous = open.last.as_ref().map(|(id, _)| *id);
        let seal = Seal { previous, through, absent: open.absent(through), digest };
        self.write_seal(seal.clone()).await?;
        Ok(Some(seal))
    }

    async fn write_seal(&self, seal: Seal) -> Result<(), StoreError> {
        let id = super::submit::id(AuditId::new(self.0.ids.take(Kind::Audit, 1).await?))?;
        let through = super::submit::id(AuditId::new(seal.through))?;
        let (by, request) = match &self.1 {
            Some(actor) => (actor.token, actor.request.clone()),
            None => (None, String::new()),
        };
        let deeds = vec![Deed::new(Verb::Seal, through)];
        let record = Audit { id, at: self.now(), by, request, deeds, seal: Some(seal) };
        match self.commit(vec![Change::insert(Document::Audit(record))], Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Store(error)) => Err(error),
            Err(WriteError::Changed | WriteError::Taken(_)) => Err(StoreError::Broken {
                reason: "it gave the id of an audit record twice".to_owned(),
                source: None,
            }),
        }
    }

    /// Looks whether all audit records are as they were when they were sealed. Reads all of them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn check_audit(&self) -> Result<AuditCheck, StoreError> {
        let mut check = AuditCheck { sealed: 0, unsealed: 0, last: None, broken: None };
        let (mut open, mut after) = (Open::default(), None);
        loop {
            let query = Query { after, limit: PAGE, ..Query::all(Kind::Audit) };
            let page: Vec<Audit> = self.list(query).await?;
            let is_last = page.len() < PAGE as usize;
            after = page.last().map(|record| record.id.get());
            for record in page {
                if let Some(seal) = &record.seal {
                    match open.take(record.id, seal) {
                        Some(count) => check.sealed += count,
                        None => check.broken = check.broken.or(Some(record.id)),
                    }
                    check.last = Some(seal.digest);
                }
                open.records.insert(record.id.get(), hash(&record)?);
            }
            if is_last {
                check.unsealed = open.records.len() as u64;
                return Ok(check);
            }
        }
    }
}

/// The hash of a record as it is kept.
fn hash(record: &Audit) -> Result<Digest, StoreError> {
    let broken = |error: serde_json::Error| StoreError::Broken {
        reason: "an audit record cannot be written as JSON".to_owned(),
        source: Some(error.into()),
    };
    Ok(Digest::of(&serde_json::to_vec(record).map_err(broken)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records by their ids; what is in one stands for the record.
    fn records(ids: &[i64]) -> BTreeMap<i64, Digest> {
        ids.iter().map(|id| (*id, Digest::of(&id.to_be_bytes()))).collect()
    }

    fn sealed(open: &Open, through: i64) -> Seal {
        let digest = open.chain(open.covered(through).iter()).unwrap();
        let previous = open.last.as_ref().map(|(id, _)| *id);
        Seal { previous, through, absent: open.absent(through), digest }
    }

    #[test]
    fn what_was_on_its_way_is_sealed_by_the_next() {
        let id = |id| AuditId::new(id).unwrap();
        // 3 and 5 are on their way at the first seal; 5 comes, 3 never does.
        let mut open = Open { records: records(&[1, 2, 4, 6]), last: None };
        let first = sealed(&open, 6);
        assert_eq!(first.absent, [(3, 3), (5, 5)]);
        open.last = Some((id(7), first.clone()));
        open.records = records(&[1, 2, 4, 5, 6, 7, 8]);
        let second = sealed(&open, 8);
        assert_eq!((open.covered(8), &*second.absent), ([5, 7, 8].into(), [].as_slice()));

        let check = |before: &[i64], between: &[i64], expect: [Option<u64>; 2]| {
            let mut open = Open { records: records(before), last: None };
            let found = open.take(id(7), &first);
            open.records.extend(records(between));
            assert_eq!([found, open.take(id(9), &second)], expect, "{before:?} {between:?}");
        };
        check(&[1, 2, 4, 5, 6], &[7, 8], [Some(4), Some(3)]);
        check(&[1, 2, 4, 6], &[7, 8], [Some(4), None]);
        check(&[1, 2, 3, 4, 5, 6], &[7, 8], [Some(4), None]);
        check(&[1, 4, 5, 6], &[7, 8], [None, Some(3)]);
        check(&[1, 2, 4, 5, 6], &[8], [Some(4), None]);
        let mut open = Open { records: records(&[5, 7, 8]), last: None };
        assert_eq!(open.take(id(9), &second), None, "the first seal was removed");
    }
}
