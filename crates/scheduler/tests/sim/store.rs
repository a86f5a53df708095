//! A store that is nothing but its contract: journals with a fence and a next position.

use std::collections::BTreeMap;

use jobwright_core::{Epoch, Event, GroupId, Record, Seq, Timestamp};
use jobwright_scheduler::machine::GroupEvents;

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) journals: BTreeMap<GroupId, Journal>,
}

#[derive(Debug, Clone)]
pub(crate) struct Journal {
    pub(crate) records: Vec<Record>,
    pub(crate) epoch: Epoch,
    /// The engine that holds the lease.
    pub(crate) owner: usize,
    pub(crate) is_ended: bool,
}

/// Another engine drives the group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fenced;

impl Store {
    /// Appends a row, or refuses it for its fence.
    ///
    /// # Panics
    /// When the row does not follow the last one: one engine never makes such a row.
    pub(crate) fn append(
        &mut self,
        owner: usize,
        row: &GroupEvents,
        at: Timestamp,
    ) -> Result<(), Fenced> {
        assert!(!row.events.is_empty(), "a row of group {} is empty", row.group);
        let record = Record {
            group: row.group,
            first: row.first,
            epoch: row.epoch,
            at,
            events: row.events.clone().into(),
        };
        let is_ended = matches!(row.events.last(), Some(Event::GroupEnded { .. }));
        match self.journals.get_mut(&row.group) {
            None => {
                assert_eq!(row.first, Seq(1), "group {} begins at its first event", row.group);
                let journal = Journal { records: vec![record], epoch: row.epoch, owner, is_ended };
                self.journals.insert(row.group, journal);
            }
            Some(journal) if journal.epoch != row.epoch || journal.owner != owner => {
                return Err(Fenced);
            }
            Some(journal) => {
                let next = journal.records.last().map(Record::next);
                assert_eq!(Some(row.first), next, "a row of group {} follows the last", row.group);
                assert!(!journal.is_ended, "group {} has ended", row.group);
                journal.records.push(record);
                journal.is_ended = is_ended;
            }
        }
        Ok(())
    }

    /// Gives the lease of a group to an engine, under a new epoch.
    pub(crate) fn claim(&mut self, group: GroupId, owner: usize) -> Epoch {
        let journal = self.journals.get_mut(&group).expect("only groups that exist are claimed");
        journal.epoch.0 += 1;
        journal.owner = owner;
        journal.epoch
    }

    /// Gives all unfinished groups of one owner to another, which has claimed none of them.
    pub(crate) fn give_away(&mut self, from: usize, to: usize) {
        for journal in self.journals.values_mut().filter(|it| it.owner == from && !it.is_ended) {
            journal.owner = to;
        }
    }

    pub(crate) fn unfinished(&self, owner: usize) -> Vec<GroupId> {
        let open = self.journals.iter().filter(|(_, it)| !it.is_ended && it.owner == owner);
        open.map(|(id, _)| *id).collect()
    }
}
