//! What readers look for.

use std::sync::Arc;

use jobwright_core::codec;
use jobwright_core::{
    Digest, Epoch, GroupId, Key, Query, Record, Revision, Seq, Stored, Timestamp,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::fault::Fault;

pub(super) fn load(
    connection: &Connection,
    group: GroupId,
    from: Seq,
) -> Result<Vec<Record>, Fault> {
    let sql = "SELECT first, count, epoch, at, events FROM journal
               WHERE group_id = ?1 AND first >= coalesce(
                   (SELECT max(first) FROM journal WHERE group_id = ?1 AND first <= ?2), 0)
               ORDER BY first";
    let mut find = connection.prepare_cached(sql)?;
    let from = i64::try_from(from.0).unwrap_or(i64::MAX);
    let mut rows = find.query(params![group.get(), from])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let record = record(group, row)?;
        if record.next() > Seq(from.unsigned_abs()) {
            records.push(record);
        }
    }
    Ok(records)
}

fn record(group: GroupId, row: &Row<'_>) -> Result<Record, Fault> {
    let first = Seq(row.get::<_, i64>(0)?.unsigned_abs());
    let bytes = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    let events = codec::decode_events(group, first, row.get(1)?, bytes)?;
    let epoch = Epoch(row.get::<_, i64>(2)?.unsigned_abs());
    Ok(Record { group, first, epoch, at: Timestamp::from_millis(row.get(3)?), events })
}

pub(super) fn find(connection: &Connection, key: Key) -> Result<Option<Stored>, Fault> {
    let sql = "SELECT revision, body FROM documents WHERE kind = ? AND id = ?";
    let mut find = connection.prepare_cached(sql)?;
    let mut rows = find.query(params![key.kind.as_str(), key.id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let revision = Revision(row.get::<_, i64>(0)?.unsigned_abs());
    let body = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(Some(Stored { document: codec::decode_document(key, body)?, revision }))
}

pub(super) fn list(connection: &Connection, query: &Query) -> Result<Vec<Stored>, Fault> {
    let (sql, bound) = statement(query);
    let mut find = connection.prepare_cached(&sql)?;
    let mut rows = find.query(params_from_iter(bound))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = Key { kind: query.kind, id: row.get(0)? };
        let revision = Revision(row.get::<_, i64>(1)?.unsigned_abs());
        let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        found.push(Stored { document: codec::decode_document(key, body)?, revision });
    }
    Ok(found)
}

/// Only fixed words become SQL; what the query holds is bound.
fn statement(query: &Query) -> (String, Vec<Value>) {
    let mut sql = "SELECT id, revision, body FROM documents WHERE kind = ?".to_owned();
    let mut bound = vec![Value::from(query.kind.as_str().to_owned())];
    if let Some(parent) = query.parent {
        sql.push_str(" AND parent = ?");
        bound.push(parent.into());
    }
    if let Some(text) = &query.unique {
        sql.push_str(" AND unique_text = ?");
        bound.push(text.clone().into());
    }
    if query.live {
        sql.push_str(" AND live = 1");
    }
    if let Some(after) = query.after {
        sql.push_str(if query.descending { " AND id < ?" } else { " AND id > ?" });
        bound.push(after.into());
    }
    sql.push_str(if query.descending {
        " ORDER BY id DESC LIMIT ?"
    } else {
        " ORDER BY id LIMIT ?"
    });
    bound.push(i64::from(query.limit).into());
    (sql, bound)
}

pub(super) fn content(connection: &Connection, digest: Digest) -> Result<Option<Arc<[u8]>>, Fault> {
    let mut find = connection.prepare_cached("SELECT bytes FROM contents WHERE digest = ?")?;
    let bytes = find
        .query_row([digest.as_bytes()], |row| Ok(Arc::from(row.get_ref(0)?.as_blob()?)))
        .optional()?;
    match bytes {
        Some(bytes) if Digest::of(&bytes) != digest => {
            Err(Fault::refused(format!("the content {digest} is not as it was written")))
        }
        found => Ok(found),
    }
}
