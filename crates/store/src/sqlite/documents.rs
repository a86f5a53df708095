//! Documents and contents, as the writer changes them.

use std::sync::Arc;

use jobwright_core::codec;
use jobwright_core::{Change, Digest, Document, GroupSummary, Key, Refusal, Revision};
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;

/// Makes one change, or returns why not. It sees the changes before it.
pub(super) fn change(connection: &Connection, change: &Change) -> Result<Option<Refusal>, Fault> {
    let Change { key, expected, ref document } = *change;
    let current = revision(connection, key)?;
    if current != expected {
        return Ok(Some(Refusal::Changed { key, expected, current }));
    }
    let Some(document) = document else {
        let sql = "DELETE FROM documents WHERE kind = ? AND id = ?";
        connection.prepare_cached(sql)?.execute(params![key.kind.as_str(), key.id])?;
        return Ok(None);
    };
    if let Some(existing) = owner_of_text(connection, document)?
        && existing != key.id
    {
        return Ok(Some(Refusal::Taken { key, existing }));
    }
    put(connection, document)?;
    Ok(None)
}

/// Writes a group's summary, whatever its revision.
pub(super) fn summarize(connection: &Connection, summary: &GroupSummary) -> Result<(), Fault> {
    put(connection, &Document::Group(summary.clone()))
}

/// Keeps contents; those that are there stay as they are.
pub(super) fn keep(connection: &Connection, contents: &[Arc<[u8]>]) -> Result<(), Fault> {
    for content in contents {
        let sql = "INSERT INTO contents (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING";
        let digest = Digest::of(content);
        connection.prepare_cached(sql)?.execute(params![digest.as_bytes(), &content[..]])?;
    }
    Ok(())
}

fn revision(connection: &Connection, Key { kind, id }: Key) -> Result<Revision, Fault> {
    let sql = "SELECT revision FROM documents WHERE kind = ? AND id = ?";
    let mut find = connection.prepare_cached(sql)?;
    let found =
        find.query_row(params![kind.as_str(), id], |row| row.get::<_, i64>(0)).optional()?;
    Ok(Revision(found.unwrap_or(0).unsigned_abs()))
}

/// The id of the document that has the unique text of this one.
fn owner_of_text(connection: &Connection, document: &Document) -> Result<Option<i64>, Fault> {
    let Some(text) = document.unique() else { return Ok(None) };
    let sql = "SELECT id FROM documents WHERE kind = ? AND unique_text = ? AND parent = ?";
    let mut find = connection.prepare_cached(sql)?;
    let key = params![document.key().kind.as_str(), text, document.parent()];
    Ok(find.query_row(key, |row| row.get(0)).optional()?)
}

fn put(connection: &Connection, document: &Document) -> Result<(), Fault> {
    let sql = "INSERT INTO documents (kind, id, revision, parent, unique_text, live, body)
               VALUES (?, ?, 1, ?, ?, ?, ?)
               ON CONFLICT (kind, id) DO UPDATE SET
                   revision = revision + 1, parent = excluded.parent,
                   unique_text = excluded.unique_text, live = excluded.live, body = excluded.body";
    let Key { kind, id } = document.key();
    let body = codec::encode_document(document)?;
    let row =
        params![kind.as_str(), id, document.parent(), document.unique(), document.is_live(), body];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}
