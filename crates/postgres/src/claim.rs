//! Who drives which group. A node is live while its lease lasts, by the clock of the database
//! alone: no other clock is asked, and none must agree with another.

use std::time::Duration;

use jobwright_core::{Epoch, GroupId, Lease, NodeId};
use uuid::Uuid;

use crate::fault::Fault;
use crate::link::Link;
use crate::queries::column;
use crate::session::Session;

/// Takes groups that no live node drives, in the open transaction.
pub(crate) async fn claim(
    session: &Session,
    owner: NodeId,
    limit: u32,
) -> Result<Vec<Lease>, Fault> {
    let dead = dead(session, owner).await?;
    let rows = session.query(CLAIM, &[&owner.0, &dead, &i64::from(limit)]).await?;
    let lease = |row| {
        let group = GroupId::new(column(row, 0)?);
        let group = group.map_err(|error| Fault::broken(error.to_string()))?;
        Ok(Lease { group, epoch: Epoch(column::<i64>(row, 1)?.unsigned_abs()) })
    };
    let mut leases = rows.iter().map(lease).collect::<Result<Vec<_>, Fault>>()?;
    leases.sort_unstable_by_key(|lease| lease.group);
    Ok(leases)
}

/// The nodes that have unfinished groups and no lease. A lease that is just being renewed counts as
/// live, and none is renewed until the transaction is over.
async fn dead(session: &Session, owner: NodeId) -> Result<Vec<Uuid>, Fault> {
    let mut dead = Vec::new();
    let mut ended = Vec::new();
    for row in session.query(DEAD, &[&owner.0]).await? {
        let known = if column(&row, 1)? { &mut ended } else { &mut dead };
        known.push(column::<Uuid>(&row, 0)?);
    }
    if !ended.is_empty() {
        for row in session.query(STILL_DEAD, &[&ended]).await? {
            dead.push(column(&row, 0)?);
        }
    }
    Ok(dead)
}

/// The owners of unfinished groups, each found by one look into the index, that are not live.
const DEAD: &str = "WITH RECURSIVE owners (owner) AS (
        (SELECT owner FROM groups WHERE NOT ended AND owner IS NOT NULL ORDER BY owner LIMIT 1)
        UNION ALL
        SELECT (SELECT g.owner FROM groups AS g WHERE NOT g.ended AND g.owner > owners.owner
                ORDER BY g.owner LIMIT 1)
        FROM owners WHERE owners.owner IS NOT NULL
    )
    SELECT owners.owner, n.id IS NOT NULL FROM owners LEFT JOIN nodes AS n ON n.id = owners.owner
    WHERE owners.owner IS NOT NULL AND owners.owner <> $1
        AND (n.lease_until IS NULL OR n.lease_until <= clock_timestamp())";

const STILL_DEAD: &str = "SELECT id FROM nodes
    WHERE id = ANY ($1::uuid[]) AND lease_until <= clock_timestamp()
    FOR SHARE SKIP LOCKED";

const CLAIM: &str = "WITH given_up AS (
        SELECT id FROM groups WHERE NOT ended AND owner IS NULL
        ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
    ), orphaned AS (
        SELECT g.id FROM unnest($2::uuid[]) AS dead (owner) CROSS JOIN LATERAL (
            SELECT id FROM groups WHERE NOT ended AND groups.owner = dead.owner
            ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
        ) AS g
    ), chosen AS (
        SELECT id FROM (SELECT id FROM given_up UNION ALL SELECT id FROM orphaned) AS free
        ORDER BY id LIMIT $3
    )
    UPDATE groups AS g SET epoch = g.epoch + 1, owner = $1 FROM chosen WHERE g.id = chosen.id
    RETURNING g.id, g.epoch";

/// Gives a node's groups up, in the open transaction.
pub(crate) async fn release(session: &Session, owner: NodeId) -> Result<(), Fault> {
    let sql = "UPDATE groups SET owner = NULL WHERE NOT ended AND owner = $1";
    session.execute(sql, &[&owner.0]).await?;
    session.execute("DELETE FROM nodes WHERE id = $1", &[&owner.0]).await?;
    Ok(())
}

/// Gives some of a node's groups up, in the open transaction.
pub(crate) async fn give_up(
    session: &Session,
    owner: NodeId,
    groups: &[GroupId],
) -> Result<(), Fault> {
    let groups: Vec<i64> = groups.iter().map(|group| group.get()).collect();
    let sql = "UPDATE groups SET owner = NULL
        WHERE id = ANY ($2::bigint[]) AND NOT ended AND owner = $1";
    session.execute(sql, &[&owner.0, &groups]).await?;
    Ok(())
}

/// Lets a node be live for so long. Nodes that are long gone are forgotten: who is not known is not
/// live.
pub(crate) async fn renew(link: &Link, owner: NodeId, lease: Duration) -> Result<(), Fault> {
    let sql = "WITH forgotten AS (
            DELETE FROM nodes WHERE id <> $1 AND lease_until < clock_timestamp() - interval '1 day'
        )
        INSERT INTO nodes (id, lease_until)
        VALUES ($1, clock_timestamp() + make_interval(secs => $2::double precision))
        ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until";
    link.query(sql, &[&owner.0, &lease.as_secs_f64()]).await?;
    Ok(())
}
