//! What readers look for.

use std::collections::HashMap;
use std::sync::Arc;

use jobwright_core::{
    Cursor, Digest, Epoch, Feed, GroupId, Key, Query, Record, Revision, Seq, Stored, Timestamp,
    codec,
};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use crate::fault::Fault;
use crate::link::Readers;

pub(crate) async fn load(
    readers: &Readers,
    group: GroupId,
    from: Seq,
) -> Result<Vec<Record>, Fault> {
    let sql = "SELECT first, count, epoch, at, events FROM journal
               WHERE group_id = $1 AND first >= coalesce(
                   (SELECT max(first) FROM journal WHERE group_id = $1 AND first <= $2), 0)
               ORDER BY first";
    let from = i64::try_from(from.0).unwrap_or(i64::MAX);
    let rows = readers.query(sql, &[&group.get(), &from]).await?;
    let records = rows.iter().map(|row| record(group, row));
    let wanted = |it: &Result<Record, Fault>| {
        it.as_ref().map_or(true, |record| record.next() > Seq(from.unsigned_abs()))
    };
    records.filter(wanted).collect()
}

/// Reads on in the feed. Transactions from the oldest one that is open on are left for later: what
/// they wrote may yet appear, before or after what is there.
pub(crate) async fn feed(
    readers: &Readers,
    since: Option<Cursor>,
    most: u32,
) -> Result<Feed, Fault> {
    let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    let rows = readers.query(sql, &[]).await?;
    let open = rows.first().ok_or_else(|| Fault::broken("there is no snapshot".to_owned()))?;
    let end = Cursor(column::<i64>(open, 0)?.unsigned_abs());
    let mut feed = Feed { end, ..Feed::default() };
    let Some(since) = since.filter(|since| *since < end) else { return Ok(feed) };
    let (from, to) = (since.0.to_string(), end.0.to_string());
    let sql = "SELECT first, count, epoch, at, events, group_id FROM journal
               WHERE tx >= $1::text::xid8 AND tx < $2::text::xid8
               ORDER BY tx, group_id, first LIMIT $3";
    let rows = readers.query(sql, &[&from, &to, &(i64::from(most) + 1)]).await?;
    if rows.len() as u64 <= u64::from(most) {
        feed.records = rows.iter().map(of_any).collect::<Result<_, _>>()?;
        return Ok(feed);
    }
    let sql = "SELECT count(*) FROM journal WHERE tx >= $1::text::xid8 AND tx < $2::text::xid8";
    for row in readers.query(sql, &[&from, &to]).await? {
        feed.missed = column::<i64>(&row, 0)?.unsigned_abs();
    }
    Ok(feed)
}

/// The whole journals of groups, in the order in which they are given.
pub(crate) async fn load_many(
    readers: &Readers,
    groups: &[GroupId],
) -> Result<Vec<Vec<Record>>, Fault> {
    let sql = "SELECT first, count, epoch, at, events, group_id FROM journal
               WHERE group_id = ANY ($1::bigint[]) ORDER BY group_id, first";
    let ids: Vec<_> = groups.iter().map(|group| group.get()).collect();
    let mut journals: HashMap<i64, Vec<Record>> = HashMap::with_capacity(groups.len());
    for row in readers.query(sql, &[&ids]).await? {
        let record = of_any(&row)?;
        journals.entry(record.group.get()).or_default().push(record);
    }
    Ok(ids.iter().map(|id| journals.remove(id).unwrap_or_default()).collect())
}

/// A record of the group that stands beside it.
fn of_any(row: &Row) -> Result<Record, Fault> {
    let group = GroupId::new(column(row, 5)?).map_err(|error| Fault::broken(error.to_string()))?;
    record(group, row)
}

fn record(group: GroupId, row: &Row) -> Result<Record, Fault> {
    let first = Seq(column::<i64>(row, 0)?.unsigned_abs());
    let events = codec::decode_events(group, first, column(row, 1)?, column(row, 4)?)?;
    let epoch = Epoch(column::<i64>(row, 2)?.unsigned_abs());
    Ok(Record { group, first, epoch, at: Timestamp::from_millis(column(row, 3)?), events })
}

pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Fault> {
    row.try_get(at).map_err(Fault::row)
}

pub(crate) async fn find(readers: &Readers, key: Key) -> Result<Option<Stored>, Fault> {
    let sql = "SELECT revision, body FROM documents WHERE kind = $1 AND id = $2";
    let rows = readers.query(sql, &[&key.kind.as_str(), &key.id]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let revision = Revision(column::<i64>(row, 0)?.unsigned_abs());
    Ok(Some(Stored { document: codec::decode_document(key, column(row, 1)?)?, revision }))
}

pub(crate) async fn list(readers: &Readers, query: &Query) -> Result<Vec<Stored>, Fault> {
    let (kind, limit) = (query.kind.as_str(), i64::from(query.limit));
    let text = query.unique.as_ref().map(|text| Digest::of(text.as_bytes()));
    let text = text.as_ref().map(|digest| digest.as_bytes().as_slice());
    let mut bound: Vec<&(dyn ToSql + Sync)> = vec![&kind, &limit];
    if let Some(parent) = &query.parent {
        bound.push(parent);
    }
    if let Some(text) = &text {
        bound.push(text);
    }
    if let Some(after) = &query.after {
        bound.push(after);
    }
    let mut found = Vec::new();
    for row in readers.query(&statement(query), &bound).await? {
        let key = Key { kind: query.kind, id: column(&row, 0)? };
        let revision = Revision(column::<i64>(&row, 1)?.unsigned_abs());
        found.push(Stored { document: codec::decode_document(key, column(&row, 2)?)?, revision });
    }
    Ok(found)
}

/// Only fixed words become SQL; what the query holds is bound, in this order.
fn statement(query: &Query) -> String {
    let mut sql = "SELECT id, revision, body FROM documents WHERE kind = $1".to_owned();
    let mut bound = 2;
    let mut narrow = |column: &str| {
        bound += 1;
        sql.push_str(&format!(" AND {column} ${bound}"));
    };
    if query.parent.is_some() {
        narrow("parent =");
    }
    if query.unique.is_some() {
        narrow("text =");
    }
    if query.after.is_some() {
        narrow(if query.descending { "id <" } else { "id >" });
    }
    if query.live {
        sql.push_str(" AND live");
    }
    sql.push_str(if query.descending {
        " ORDER BY id DESC LIMIT $2"
    } else {
        " ORDER BY id LIMIT $2"
    });
    sql
}

pub(crate) async fn content(readers: &Readers, digest: Digest) -> Result<Option<Arc<[u8]>>, Fault> {
    let sql = "SELECT bytes FROM contents WHERE digest = $1";
    let rows = readers.query(sql, &[&digest.as_bytes().as_slice()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let bytes: &[u8] = column(row, 0)?;
    if Digest::of(bytes) != digest {
        return Err(Fault::broken(format!("the content {digest} is not as it was written")));
    }
    Ok(Some(Arc::from(bytes)))
}
