//! Writes the golden files of the present format, where they are not there yet: see
//! `tests/golden.rs`.

#[expect(clippy::unwrap_used, reason = "its names and ids are valid")]
#[path = "../tests/golden/sample.rs"]
mod sample;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use jobwright_core::{Kind, Store};
use jobwright_store::SqliteStore;
use serde::Serialize;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn lines<T: Serialize>(path: &Path, values: &[T]) -> Result<()> {
    let mut file = File::create_new(path)?;
    for value in values {
        writeln!(file, "{}", serde_json::to_string(value)?)?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folder = tempfile::tempdir()?;
    let made = folder.path().join("golden");
    // Small pages make a small file; the format is the same.
    let connection = rusqlite::Connection::open(&made)?;
    connection.execute_batch("PRAGMA page_size = 1024; VACUUM")?;
    drop(connection);
    let store = SqliteStore::open(&made)?;
    store.allocate(Kind::Group, 8).await?;
    for commit in sample::commits() {
        store.commit(commit.into()).await?;
    }
    store.close().await?;
    drop(store);
    let format: u32 =
        rusqlite::Connection::open(&made)?
            .query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let path = |what| golden.join(format!("format-{format}.{what}"));
    lines(&path("announced.events"), &sample::announced())?;
    lines(&path("webhooks.documents"), &sample::webhooks())?;
    lines(&path("rerun.events"), &sample::rerun())?;
    lines(&path("later.documents"), &sample::later())?;
    lines(&path("events"), &sample::events())?;
    lines(&path("documents"), &sample::documents())?;
    let mut file = File::create_new(path("db"))?;
    std::io::copy(&mut File::open(&made)?, &mut file)?;
    Ok(())
}
