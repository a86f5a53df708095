//! The format of the file: how it is made, brought up to date, and told from what is not ours.
//!
//! Steps only go forward. To change the format, add `migrations/<next>.sql` and its line in
//! [`STEPS`]; never edit a step that was released, since files say which text made them.

use std::path::Path;

use jobwright_core::Digest;
use rusqlite::{Connection, TransactionBehavior, params};

use super::open::OpenError;

/// What the header of the file says it is: `jobw`.
const APPLICATION: i32 = 0x6a6f_6277;

/// The steps to the present format, the first makes format 1.
const STEPS: [&str; 1] = [include_str!("../../migrations/0001.sql")];

/// The present format.
pub(super) const FORMAT: usize = STEPS.len();

/// Makes the tables, or brings them up to date, in one transaction.
///
/// # Errors
/// Refuses a file that is no database of ours, that a newer version wrote, or whose steps were
/// others than these.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::database(path, source);
    let fresh = is_fresh(connection, path)?;
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", mode);
    if mode.map_err(failed)? != "wal" {
        return Err(OpenError::FileSystem { path: path.to_owned() });
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    if fresh {
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
        transaction
            .execute_batch(
                "CREATE TABLE steps (format INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT",
            )
            .map_err(failed)?;
    }
    let found = format(&transaction, path)?;
    verify(&transaction, found, path)?;
    for (step, format) in STEPS.iter().zip(1..).skip(found) {
        transaction.execute_batch(step).map_err(failed)?;
        let digest = Digest::of(step.as_bytes());
        let row = params![format, digest.as_bytes()];
        transaction
            .execute("INSERT INTO steps (format, digest) VALUES (?, ?)", row)
            .map_err(failed)?;
        transaction.pragma_update(None, "user_version", format).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Tells whether there is nothing in the file yet.
fn is_fresh(connection: &Connection, path: &Path) -> Result<bool, OpenError> {
    let failed = |source| OpenError::database(path, source);
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let application = number("PRAGMA application_id")?;
    if application == i64::from(APPLICATION) {
        return Ok(false);
    }
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application == 0 && tables == 0 && number("PRAGMA user_version")? == 0 {
        return Ok(true);
    }
    Err(OpenError::Foreign { path: path.to_owned() })
}

fn format(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    let failed = |source| OpenError::database(path, source);
    let found: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    match usize::try_from(found) {
        Ok(format) if format <= FORMAT => Ok(format),
        _ => Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT }),
    }
}

fn verify(connection: &Connection, format: usize, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::database(path, source);
    let mut steps =
        connection.prepare("SELECT digest FROM steps WHERE format = ?").map_err(failed)?;
    for (step, format) in STEPS.iter().zip(1_i64..).take(format) {
        let digest: [u8; 32] = steps.query_row([format], |row| row.get(0)).map_err(failed)?;
        if Digest::from(digest) != Digest::of(step.as_bytes()) {
            return Err(OpenError::Altered { path: path.to_owned(), format });
        }
    }
    Ok(())
}
