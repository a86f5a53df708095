//! Rows of journals, as the writer makes them. It remembers where the live journals end, so that an
//! append costs one statement.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jobwright_core::codec;
use jobwright_core::{Append, Epoch, GroupId, NodeId, Record, Refusal, Seq};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::fault::Fault;
use super::whole;
use crate::head::Head;

#[derive(Default)]
pub(super) struct Journals {
    heads: HashMap<GroupId, Head>,
    /// The number of the plan in progress.
    plan: u64,
    /// The row that is being written.
    bytes: Vec<u8>,
    /// How many bytes of events the last commit wrote.
    written: u64,
}

/// How large the buffer for rows may stay: a large plan comes once, small rows come always.
const KEPT_BYTES: usize = 1 << 20;

impl Journals {
    /// Finds out which appends can be made, and adds a refusal for each that cannot.
    pub(super) fn plan(
        &mut self,
        connection: &Connection,
        appends: &[Append],
        refusals: &mut Vec<Refusal>,
    ) -> Result<(), Fault> {
        self.plan += 1;
        for append in appends {
            if let Err(refusal) = self.plan_one(connection, append)? {
                refusals.push(refusal);
            }
        }
        Ok(())
    }

    fn plan_one(
        &mut self,
        connection: &Connection,
        append: &Append,
    ) -> Result<Result<(), Refusal>, Fault> {
        let record = &append.record;
        let head = match self.heads.entry(record.group) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => match find_head(connection, record.group)? {
                Some(head) => place.insert(head),
                None => match Head::planned(self.plan, record) {
                    Ok(head) => place.insert(head),
                    Err(refusal) => return Ok(Err(refusal)),
                },
            },
        };
        Ok(head.plan(self.plan, append))
    }

    /// Takes back what planning these appends made.
    pub(super) fn forgo(&mut self, appends: &[Append]) {
        self.plan += 1;
        for append in appends {
            if let Entry::Occupied(found) = self.heads.entry(append.record.group)
                && found.get().is_planned()
            {
                found.remove();
            }
        }
    }

    /// Writes the rows, which were planned.
    pub(super) fn append(
        &mut self,
        connection: &Connection,
        appends: &[Append],
    ) -> Result<(), Fault> {
        self.written = 0;
        let mut insert = connection.prepare_cached(
            "INSERT INTO journal (group_id, first, count, epoch, at, events)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for append in appends {
            let record = &append.record;
            let ends = append.summary.as_ref().is_some_and(|it| it.status.is_terminal());
            self.write(&mut insert, record)?;
            let made = self.advance(record, ends);
            if made {
                make_group(connection, append.owner, record, ends)?;
            } else if ends {
                let sql = "UPDATE groups SET ended = 1 WHERE id = ?";
                connection.prepare_cached(sql)?.execute([record.group.get()])?;
            }
        }
        self.bytes.shrink_to(KEPT_BYTES);
        Ok(())
    }

    /// How many bytes of events the last commit wrote.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, insert: &mut CachedStatement<'_>, record: &Record) -> Result<(), Fault> {
        self.bytes.clear();
        codec::encode_events(&record.events, &mut self.bytes)?;
        self.written += self.bytes.len() as u64;
        insert.execute(params![
            record.group.get(),
            whole(record.first.0)?,
            whole(record.events.len() as u64)?,
            whole(record.epoch.0)?,
            record.at.as_millis(),
            self.bytes,
        ])?;
        Ok(())
    }

    /// Moves the journal's end behind the record, and tells whether the record is its first. The
    /// end of an ended journal is not remembered: there is nothing more to come.
    fn advance(&mut self, record: &Record, ends: bool) -> bool {
        let Entry::Occupied(mut found) = self.heads.entry(record.group) else { return false };
        let made = found.get().is_planned();
        if ends {
            found.remove();
        } else {
            found.get_mut().next = record.next();
        }
        made
    }

    /// Forgets the ends of journals whose epochs changed, or that are gone.
    pub(super) fn forget(&mut self, groups: impl IntoIterator<Item = GroupId>) {
        for group in groups {
            self.heads.remove(&group);
        }
    }

    pub(super) fn clear(&mut self) {
        self.heads.clear();
    }
}

fn find_head(connection: &Connection, group: GroupId) -> Result<Option<Head>, Fault> {
    let sql = "SELECT groups.epoch, first + count FROM groups
               JOIN journal ON group_id = groups.id
               WHERE groups.id = ? ORDER BY first DESC LIMIT 1";
    let mut find = connection.prepare_cached(sql)?;
    let found = find.query_row([group.get()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let head = |(epoch, next): (i64, i64)| {
        Head::new(Epoch(epoch.unsigned_abs()), Seq(next.unsigned_abs()))
    };
    Ok(found.map(head))
}

fn make_group(
    connection: &Connection,
    owner: NodeId,
    record: &Record,
    ends: bool,
) -> Result<(), Fault> {
    let sql = "INSERT INTO groups (id, epoch, owner, ended) VALUES (?, ?, ?, ?)";
    let owner = owner.0.as_bytes().as_slice();
    let row = params![record.group.get(), whole(record.epoch.0)?, owner, ends];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}
