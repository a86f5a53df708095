//! The format of the tables: how they are made, brought up to date, and told from what is not ours.
//!
//! Steps only go forward, under a lock, in one transaction. To change the format, add
//! `migrations/<next>.sql` and its line in [`STEPS`]; never edit a step that was released, since
//! databases say which text made them.
//!
//! Nodes are updated one after the other, so that a version works on tables that a newer one has
//! brought up to date. A step therefore only adds: a table, an index, a column with a default. One
//! that takes something away comes a version after the last that needs it, and says so with
//! [`Step::reader`]: versions that know only formats before that are refused.

use jobwright_core::Digest;
use tokio_postgres::Client;

use crate::connect::ConnectError;
use crate::session::{Session, quoted};

/// One step of the format.
struct Step {
    sql: &'static str,
    /// The oldest format that a version must know to work with the tables after this step.
    reader: i32,
}

/// The steps to the present format, the first makes format 1.
const STEPS: [Step; 1] = [Step { sql: include_str!("../migrations/0001.sql"), reader: 1 }];

/// The newest format that this version knows.
const FORMAT: i32 = STEPS.len() as i32;

/// Keeps two nodes from making the tables at the same time: `jobw`, and the schema's name.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1785683575, hashtext($1))";

/// Which database and schema, for errors.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) place: &'a str,
    pub(crate) schema: &'a str,
}

impl Target<'_> {
    fn failed(self, source: tokio_postgres::Error) -> ConnectError {
        ConnectError::sorted(self.place, self.schema, source)
    }
}

/// Makes the tables, or brings them up to date. Where they are as they should be, nothing is locked
/// and no right to make anything is needed.
///
/// # Errors
/// Refuses a server that is too old, tables of a format that this version cannot work with, and
/// tables that others statements made.
pub(crate) async fn migrate(session: &Session, target: Target<'_>) -> Result<(), ConnectError> {
    let client = session.client();
    fit(client, target).await?;
    if format(client, target).await? >= FORMAT {
        return Ok(());
    }
    client
        .batch_execute("BEGIN; SET LOCAL statement_timeout = 0")
        .await
        .map_err(|error| target.failed(error))?;
    let made = advance(client, target).await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(|error| target.failed(error));
    made.and(ended)
}

async fn advance(client: &Client, target: Target<'_>) -> Result<(), ConnectError> {
    let failed = |error| target.failed(error);
    client.execute(LOCK, &[&target.schema]).await.map_err(failed)?;
    let found = format(client, target).await?;
    if found == 0 {
        let schema = quoted(target.schema);
        let there = "SELECT FROM pg_namespace WHERE nspname = $1";
        if client.query_opt(there, &[&target.schema]).await.map_err(failed)?.is_none() {
            client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.map_err(failed)?;
        }
        let table = format!(
            "CREATE TABLE {schema}.steps (format integer PRIMARY KEY, reader integer NOT NULL, \
             digest bytea NOT NULL, made_at timestamptz NOT NULL DEFAULT now())"
        );
        client.batch_execute(&table).await.map_err(failed)?;
    }
    for (step, format) in STEPS.iter().zip(1..).filter(|(_, format)| *format > found) {
        client.batch_execute(step.sql).await.map_err(failed)?;
        let digest = Digest::of(step.sql.as_bytes());
        let row = "INSERT INTO steps (format, reader, digest) VALUES ($1, $2, $3)";
        let bound: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&format, &step.reader, &digest.as_bytes().as_slice()];
        client.execute(row, &bound).await.map_err(failed)?;
    }
    Ok(())
}

/// The format of the tables, 0 where there are none.
async fn format(client: &Client, target: Target<'_>) -> Result<i32, ConnectError> {
    let Target { place, schema } = target;
    let failed = |error| target.failed(error);
    let table = "SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'steps'";
    if client.query_opt(table, &[&schema]).await.map_err(failed)?.is_none() {
        return Ok(0);
    }
    let rows = client.query("SELECT format, reader, digest FROM steps ORDER BY format", &[]);
    let (mut found, mut needed) = (0, 0);
    for row in rows.await.map_err(failed)? {
        found = row.try_get(0).map_err(failed)?;
        needed = needed.max(row.try_get(1).map_err(failed)?);
        let digest: &[u8] = row.try_get(2).map_err(failed)?;
        let known = usize::try_from(found - 1).ok().and_then(|n| STEPS.get(n));
        if known.is_some_and(|step| Digest::of(step.sql.as_bytes()).as_bytes() != digest) {
            let (place, schema) = (place.to_owned(), schema.to_owned());
            return Err(ConnectError::Altered { place, schema, format: found });
        }
    }
    if needed > FORMAT {
        let (place, schema) = (place.to_owned(), schema.to_owned());
        return Err(ConnectError::Newer { place, schema, found, needed, known: FORMAT });
    }
    if found > FORMAT {
        tracing::info!(found, known = FORMAT, "a newer version has added to the tables");
    }
    Ok(found)
}

/// The oldest server that is tested.
const SERVER: i32 = 130_000;

async fn fit(client: &Client, target: Target<'_>) -> Result<(), ConnectError> {
    let sql = "SELECT current_setting('server_version_num')::int, \
               current_setting('server_version'), current_setting('server_encoding')";
    let row = client.query_one(sql, &[]).await.map_err(|error| target.failed(error))?;
    let get = |at| row.try_get::<_, String>(at).map_err(|error| target.failed(error));
    let number: i32 = row.try_get(0).map_err(|error| target.failed(error))?;
    let unfit =
        |found, needed| ConnectError::Unfit { place: target.place.to_owned(), found, needed };
    if number < SERVER {
        return Err(unfit(format!("PostgreSQL {}", get(1)?), "PostgreSQL 13 or newer"));
    }
    if get(2)? != "UTF8" {
        return Err(unfit(format!("the encoding {}", get(2)?), "UTF8"));
    }
    Ok(())
}
