//! Removing runs that are over, in the open transaction. Autovacuum makes the room free again.

use jobwright_core::{Kind, Pruned, RunId};

use crate::fault::Fault;
use crate::queries::column;
use crate::session::Session;

/// A group of the run that has not ended.
const LIVE: &str = "SELECT 1 FROM documents AS d LEFT JOIN groups AS g ON g.id = d.id
    WHERE d.kind = $1 AND d.parent = $2 AND coalesce(NOT g.ended, d.live) LIMIT 1";

/// Locked in the order of ids, so that two nodes that remove the same ones wait for each other.
const GROUPS: &str = "SELECT id FROM documents WHERE kind = $1 AND parent = $2
    ORDER BY id LIMIT $3 FOR UPDATE";

const REMOVE: &str = "WITH rows AS (DELETE FROM journal WHERE group_id = ANY ($2::bigint[])),
    heads AS (DELETE FROM groups WHERE id = ANY ($2::bigint[]))
    DELETE FROM documents WHERE kind = $1 AND id = ANY ($2::bigint[])";

/// Removes up to `limit` groups of the runs, and the runs of which none is left.
pub(crate) async fn prune(session: &Session, runs: &[RunId], limit: u32) -> Result<Pruned, Fault> {
    let (mut pruned, mut room) = (Pruned::default(), i64::from(limit));
    let group = Kind::Group.as_str();
    for run in runs {
        if !session.query(LIVE, &[&group, &run.get()]).await?.is_empty() {
            continue;
        }
        let found = session.query(GROUPS, &[&group, &run.get(), &(room + 1)]).await?;
        let mut groups = found.iter().map(|row| column(row, 0)).collect::<Result<Vec<i64>, _>>()?;
        let more = groups.len() as i64 > room;
        groups.truncate(usize::try_from(room).unwrap_or(0));
        let gone = session.execute(REMOVE, &[&group, &groups]).await?;
        pruned.groups += gone;
        room -= i64::try_from(gone).unwrap_or(room);
        if more {
            pruned.more = true;
            break;
        }
        let jobs = "DELETE FROM documents WHERE kind = $1 AND parent = $2";
        session.execute(jobs, &[&Kind::Job.as_str(), &run.get()]).await?;
        let itself = "DELETE FROM documents WHERE kind = $1 AND id = $2";
        pruned.runs += session.execute(itself, &[&Kind::Run.as_str(), &run.get()]).await?;
    }
    Ok(pruned)
}
