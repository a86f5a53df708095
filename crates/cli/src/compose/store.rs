//! Where everything is kept: an embedded database in the data folder, or one that several nodes
//! share.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use jobwright_core::{Store as _, StoreError};
use jobwright_postgres::{PostgresOptions, PostgresStore};
use jobwright_store::{SqliteOptions, SqliteStore};

use crate::config::{Store, Synchronous};

/// The variable that holds the address of the shared database, and perhaps its password.
pub(crate) const ADDRESS: &str = "JOBWRIGHT_STORE";

/// The variable of PostgreSQL's own programs.
const PASSWORD: &str = "PGPASSWORD";

/// A store that must be closed.
pub(super) enum Opened {
    Embedded(Arc<SqliteStore>),
    Shared(Arc<PostgresStore>),
}

impl Opened {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// Another process has the file, the database cannot be reached, or its address holds a
    /// password that others could read.
    pub(super) async fn open(config: &Store, data: &Path) -> anyhow::Result<Self> {
        match &config.url {
            Some(url) => shared(url, &config.schema).await,
            None => embedded(config, data).await,
        }
    }

    pub(super) fn shared(&self) -> Arc<dyn jobwright_core::Store> {
        match self {
            Self::Embedded(store) => Arc::clone(store) as _,
            Self::Shared(store) => Arc::clone(store) as _,
        }
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Shared(store) => store.close().await,
        }
    }
}

/// Opening blocks: recovering a log may take its time.
async fn embedded(config: &Store, data: &Path) -> anyhow::Result<Opened> {
    let path = data.join(&config.path);
    let mut options = SqliteOptions::new();
    if config.synchronous == Synchronous::Normal {
        options = options.written();
    }
    if let Some(limit) = config.limit {
        options = options.limit(limit.0);
    }
    let opened = tokio::task::spawn_blocking(move || options.open(path)).await;
    let store = opened.context("opening the store panicked, which is a bug")??;
    Ok(Opened::Embedded(Arc::new(store)))
}

#[expect(clippy::disallowed_methods, reason = "the command reads its own environment")]
async fn shared(url: &str, schema: &str) -> anyhow::Result<Opened> {
    let mut options = PostgresOptions::parse(url)?.schema(schema);
    if options.has_password() && std::env::var(ADDRESS).ok().as_deref() != Some(url) {
        bail!(
            "others can read a password in a flag or a file: give it in {PASSWORD}, or the whole address in {ADDRESS}"
        );
    }
    if let (false, Ok(password)) = (options.has_password(), std::env::var(PASSWORD)) {
        options = options.password(&password);
    }
    let store = options.connect().await?;
    tracing::info!(durability = ?store.durability(), "the store is shared with other nodes");
    Ok(Opened::Shared(Arc::new(store)))
}
