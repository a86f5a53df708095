//! Ids. The writer takes them from the database in blocks, so that most allocations write nothing;
//! what is left of a block is given back on close, and lost in a crash.

use std::collections::BTreeMap;

use jobwright_core::{ID_LIMIT, Kind};
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;

/// How many ids a block holds beyond those asked for.
const BLOCK: i64 = 256;

/// The ids that are taken from the database but not given to anybody, by kind: the next, and the
/// first that is not ours.
#[derive(Default)]
pub(super) struct Ids(BTreeMap<Kind, (i64, i64)>);

impl Ids {
    /// Takes consecutive ids. They are durable with the transaction.
    pub(super) fn allocate(
        &mut self,
        connection: &Connection,
        kind: Kind,
        count: u32,
    ) -> Result<i64, Fault> {
        let count = i64::from(count);
        let (mut first, mut end) = self.0.get(&kind).copied().unwrap_or((0, 0));
        if end - first < count {
            let next = next(connection, kind)?;
            // The old block ends where the new one begins, as nobody else takes ids.
            first = if end == next { first } else { next };
            end = (first + count + BLOCK).min(ID_LIMIT);
            if end - first < count {
                let reason = format!("there are no {} ids below 2^53 left", kind.as_str());
                return Err(Fault::refused(reason));
            }
            write(connection, kind, end)?;
        }
        self.0.insert(kind, (first + count, end));
        Ok(first)
    }

    /// Forgets all blocks, after a transaction of which nobody knows whether it took any.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn give_back(&mut self, connection: &Connection) -> Result<(), Fault> {
        for (kind, (next, end)) in std::mem::take(&mut self.0) {
            if next < end {
                write(connection, kind, next)?;
            }
        }
        Ok(())
    }
}

fn next(connection: &Connection, kind: Kind) -> Result<i64, Fault> {
    let mut find = connection.prepare_cached("SELECT next FROM ids WHERE kind = ?")?;
    let found = find.query_row([kind.as_str()], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(1))
}

fn write(connection: &Connection, kind: Kind, next: i64) -> Result<(), Fault> {
    let sql = "INSERT INTO ids (kind, next) VALUES (?, ?)
               ON CONFLICT (kind) DO UPDATE SET next = excluded.next";
    connection.prepare_cached(sql)?.execute(params![kind.as_str(), next])?;
    Ok(())
}
