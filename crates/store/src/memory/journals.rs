//! Journals in memory. A commit is planned first, append by append, and then either appended as
//! planned or forgone; planning leaves nothing behind that a reader could see.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use jobwright_core::{Append, Epoch, GroupId, Lease, NodeId, Record, Refusal, Seq};

#[derive(Default)]
pub(super) struct Journals {
    by_group: HashMap<GroupId, Journal, BuildHasherDefault<IdHasher>>,
    /// The number of the commit that is being planned.
    plan: u64,
}

struct Journal {
    records: Vec<Record>,
    /// The position that the next event has; 0 while its first append is only planned.
    next: Seq,
    /// The same if the plan with this number comes about.
    planned: (u64, Seq),
    epoch: Epoch,
    owner: Option<NodeId>,
    ended: bool,
}

const FIRST: Seq = Seq(1);

impl Journals {
    /// Finds out which appends can be made, and adds a refusal for each that cannot.
    pub(super) fn plan(&mut self, appends: &[Append], refusals: &mut Vec<Refusal>) {
        self.plan += 1;
        for append in appends {
            if let Err(refusal) = self.plan_one(append) {
                refusals.push(refusal);
            }
        }
    }

    fn plan_one(&mut self, append: &Append) -> Result<(), Refusal> {
        let Record { group, first: given, epoch, .. } = append.record;
        let journal = match self.by_group.entry(group) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(_) if given != FIRST => {
                return Err(Refusal::Conflict { group, given, current: FIRST });
            }
            Entry::Vacant(place) => place.insert(Journal {
                records: Vec::new(),
                next: Seq(0),
                planned: (self.plan, FIRST),
                epoch,
                owner: Some(append.owner),
                ended: false,
            }),
        };
        if journal.epoch != epoch {
            return Err(Refusal::Fenced { group, given: epoch, current: journal.epoch });
        }
        let current = if journal.planned.0 == self.plan { journal.planned.1 } else { journal.next };
        if current != given {
            return Err(Refusal::Conflict { group, given, current });
        }
        journal.planned = (self.plan, append.record.next());
        Ok(())
    }

    /// Takes back what planning these appends made.
    pub(super) fn forgo(&mut self, appends: &[Append]) {
        self.plan += 1;
        for append in appends {
            if let Entry::Occupied(found) = self.by_group.entry(append.record.group)
                && found.get().next == Seq(0)
            {
                found.remove();
            }
        }
    }

    /// Makes an append that was planned.
    pub(super) fn append(&mut self, record: Record, ends: bool) {
        if let Some(journal) = self.by_group.get_mut(&record.group) {
            journal.next = record.next();
            journal.ended |= ends;
            journal.records.push(record);
        }
    }

    /// Drops the events of a group.
    pub(super) fn forget(&mut self, group: GroupId) {
        if let Some(journal) = self.by_group.get_mut(&group) {
            journal.records = Vec::new();
        }
    }

    pub(super) fn load(&self, group: GroupId, from: Seq) -> Vec<Record> {
        let Some(journal) = self.by_group.get(&group) else { return Vec::new() };
        let start = journal.records.partition_point(|record| record.next() <= from);
        journal.records[start..].to_vec()
    }

    pub(super) fn claim(&mut self, owner: NodeId, limit: u32) -> Vec<Lease> {
        let free = |journal: &Journal| !journal.ended && journal.owner != Some(owner);
        let mut groups: Vec<GroupId> =
            self.by_group.iter().filter(|(_, it)| free(it)).map(|(group, _)| *group).collect();
        groups.sort_unstable();
        groups.truncate(limit as usize);
        let lease = |group| {
            let journal = self.by_group.get_mut(&group)?;
            journal.epoch.0 += 1;
            journal.owner = Some(owner);
            Some(Lease { group, epoch: journal.epoch })
        };
        groups.into_iter().filter_map(lease).collect()
    }

    pub(super) fn release(&mut self, owner: NodeId) {
        for journal in self.by_group.values_mut() {
            if journal.owner == Some(owner) {
                journal.owner = None;
            }
        }
    }
}

/// Ids are small, dense and our own: one multiplication spreads them well enough, and nobody
/// chooses them to collide.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // The odd number next to 2^64 divided by the golden ratio; the map takes both the low and
        // the high bits, so the high ones are folded down.
        let spread = (self.0 ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ (spread >> 32);
    }

    fn write_i64(&mut self, id: i64) {
        self.write_u64(id.cast_unsigned());
    }
}
