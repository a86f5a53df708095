//! Journals in memory. A commit is planned first, append by append, and then either appended as
//! planned or forgone; planning leaves nothing behind that a reader could see.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::spread::Spread;
use crate::head::Head;
use jobwright_core::{Append, GroupId, Lease, NodeId, Record, Refusal, Seq};

#[derive(Default)]
pub(super) struct Journals {
    by_group: HashMap<GroupId, Journal, Spread>,
    /// The rows of all journals in one place, since most journals are short and there are many:
    /// a row then costs no allocation of its own.
    rows: Vec<Row>,
    /// Rows of journals that were forgotten.
    free: Vec<usize>,
    /// The number of the plan in progress.
    plan: u64,
}

struct Row {
    /// None where the row is free.
    record: Option<Record>,
    /// The row before it in the same journal.
    before: Option<usize>,
}

struct Journal {
    /// The last row.
    last: Option<usize>,
    head: Head,
    owner: Option<NodeId>,
    ended: bool,
}

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
        let record = &append.record;
        let journal = match self.by_group.entry(record.group) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => place.insert(Journal {
                last: None,
                head: Head::planned(self.plan, record)?,
                owner: Some(append.owner),
                ended: false,
            }),
        };
        journal.head.plan(self.plan, append)
    }

    /// Takes back what planning these appends made.
    pub(super) fn forgo(&mut self, appends: &[Append]) {
        self.plan += 1;
        for append in appends {
            if let Entry::Occupied(found) = self.by_group.entry(append.record.group)
                && found.get().head.is_planned()
            {
                found.remove();
            }
        }
    }

    /// Makes an append that was planned.
    pub(super) fn append(&mut self, record: Record, ends: bool) {
        let Some(journal) = self.by_group.get_mut(&record.group) else { return };
        journal.head.next = record.next();
        journal.ended |= ends;
        let row = Row { record: Some(record), before: journal.last };
        journal.last = match self.free.pop() {
            Some(at) => {
                self.rows[at] = row;
                Some(at)
            }
            None => {
                self.rows.push(row);
                Some(self.rows.len() - 1)
            }
        };
    }

    /// Drops the events of a group.
    pub(super) fn forget(&mut self, group: GroupId) {
        let mut last = self.by_group.get_mut(&group).and_then(|journal| journal.last.take());
        while let Some(at) = last {
            self.rows[at].record = None;
            self.free.push(at);
            last = self.rows[at].before.take();
        }
    }

    /// Tells whether a group goes on.
    pub(super) fn is_live(&self, group: GroupId) -> bool {
        self.by_group.get(&group).is_some_and(|journal| !journal.ended)
    }

    /// Drops a group as if it had never been.
    pub(super) fn remove(&mut self, group: GroupId) {
        self.forget(group);
        self.by_group.remove(&group);
    }

    pub(super) fn load(&self, group: GroupId, from: Seq) -> Vec<Record> {
        let mut records = Vec::new();
        let mut last = self.by_group.get(&group).and_then(|journal| journal.last);
        while let Some(row) = last.map(|at| &self.rows[at]) {
            let wanted = row.record.as_ref().filter(|record| record.next() > from);
            let Some(record) = wanted else { break };
            records.push(record.clone());
            last = row.before;
        }
        records.reverse();
        records
    }

    pub(super) fn claim(&mut self, owner: NodeId, limit: u32) -> Vec<Lease> {
        let free = |journal: &Journal| !journal.ended && journal.owner != Some(owner);
        let mut groups: Vec<GroupId> =
            self.by_group.iter().filter(|(_, it)| free(it)).map(|(group, _)| *group).collect();
        groups.sort_unstable();
        groups.truncate(limit as usize);
        let lease = |group| {
            let journal = self.by_group.get_mut(&group)?;
            journal.head.epoch.0 += 1;
            journal.owner = Some(owner);
            Some(Lease { group, epoch: journal.head.epoch })
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
