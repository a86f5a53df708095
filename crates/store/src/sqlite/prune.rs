//! Removing runs that are over. The pages become free and are used again: the file does not shrink,
//! and does not grow either while as much goes as comes.

use jobwright_core::{GroupId, Kind, Pruned, RunId};
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;

/// Removes up to `limit` groups of the runs, and the runs of which none is left. Returns which
/// groups went, too.
pub(super) fn prune(
    connection: &Connection,
    runs: &[RunId],
    limit: u32,
) -> Result<(Pruned, Vec<GroupId>), Fault> {
    let (mut pruned, mut gone) = (Pruned::default(), Vec::new());
    for run in runs {
        if !is_over(connection, *run)? {
            continue;
        }
        let room = i64::from(limit) - i64::try_from(gone.len()).unwrap_or(i64::MAX);
        let groups = groups(connection, *run, room + 1)?;
        for group in groups.iter().take(usize::try_from(room).unwrap_or(0)) {
            remove_group(connection, *group)?;
            gone.extend(GroupId::new(*group).ok());
            pruned.groups += 1;
        }
        if i64::try_from(groups.len()).unwrap_or(i64::MAX) > room {
            pruned.more = true;
            break;
        }
        pruned.runs += remove_run(connection, *run)?;
    }
    Ok((pruned, gone))
}

/// Tells whether no group of a run goes on.
fn is_over(connection: &Connection, run: RunId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM documents LEFT JOIN groups ON groups.id = documents.id
               WHERE kind = ?1 AND parent = ?2 AND coalesce(groups.ended = 0, live = 1) LIMIT 1";
    let mut find = connection.prepare_cached(sql)?;
    let live = find.query_row(params![Kind::Group.as_str(), run.get()], |_| Ok(())).optional()?;
    Ok(live.is_none())
}

fn groups(connection: &Connection, run: RunId, limit: i64) -> Result<Vec<i64>, Fault> {
    let sql = "SELECT id FROM documents WHERE kind = ? AND parent = ? ORDER BY id LIMIT ?";
    let mut find = connection.prepare_cached(sql)?;
    let found =
        find.query_map(params![Kind::Group.as_str(), run.get(), limit], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn remove_group(connection: &Connection, group: i64) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM journal WHERE group_id = ?")?.execute([group])?;
    connection.prepare_cached("DELETE FROM groups WHERE id = ?")?.execute([group])?;
    let sql = "DELETE FROM documents WHERE kind = ? AND id = ?";
    connection.prepare_cached(sql)?.execute(params![Kind::Group.as_str(), group])?;
    Ok(())
}

/// Removes the run itself, and the ids of its jobs. Returns how many runs that were.
fn remove_run(connection: &Connection, run: RunId) -> Result<u64, Fault> {
    let sql = "DELETE FROM documents WHERE kind = ? AND parent = ?";
    connection.prepare_cached(sql)?.execute(params![Kind::Job.as_str(), run.get()])?;
    let sql = "DELETE FROM documents WHERE kind = ? AND id = ?";
    let gone = connection.prepare_cached(sql)?.execute(params![Kind::Run.as_str(), run.get()])?;
    Ok(gone as u64)
}
