//! Who drives which group. The lock on the file makes this process the only one, and it has one
//! engine at a time: whoever claims is the only live node, and all that others drove is free.

use jobwright_core::{Epoch, GroupId, Lease, NodeId};
use rusqlite::{Connection, params};

use super::fault::Fault;

pub(super) fn claim(
    connection: &Connection,
    owner: NodeId,
    limit: u32,
) -> Result<Vec<Lease>, Fault> {
    let owner = owner.0.as_bytes().as_slice();
    let sql = "SELECT id, epoch FROM groups WHERE ended = 0 AND owner IS NOT ?
               ORDER BY id LIMIT ?";
    let mut free = connection.prepare_cached(sql)?;
    let free = free.query_map(params![owner, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let free = free.collect::<Result<Vec<(i64, i64)>, _>>()?;
    let mut take =
        connection.prepare_cached("UPDATE groups SET epoch = ?, owner = ? WHERE id = ?")?;
    let mut leases = Vec::with_capacity(free.len());
    for (id, epoch) in free {
        let group = GroupId::new(id).map_err(|error| Fault::refused(error.to_string()))?;
        let epoch = epoch.saturating_add(1);
        take.execute(params![epoch, owner, id])?;
        leases.push(Lease { group, epoch: Epoch(epoch.unsigned_abs()) });
    }
    Ok(leases)
}

pub(super) fn release(connection: &Connection, owner: NodeId) -> Result<(), Fault> {
    let sql = "UPDATE groups SET owner = NULL WHERE ended = 0 AND owner = ?";
    connection.prepare_cached(sql)?.execute([owner.0.as_bytes().as_slice()])?;
    Ok(())
}
