//! Stand-in.
use std::path::Path;
use std::time::Duration;

use jobwright_adapters::{LocalProcessExecutor, MockExecutor};
use jobwright_scheduler::Engine;
use jobwright_store::SqliteStore;
use secrecy::SecretString;

use crate::config::Config;

pub(crate) struct Composed {
    pub(crate) engine: Engine,
    pub(crate) router: axum::Router,
}

pub(crate) fn default_data() -> std::path::PathBuf {
    "jobwright-data".into()
}

pub(crate) async fn open(_: &Config, data: &Path) -> anyhow::Result<Composed> {
    std::fs::create_dir_all(data)?;
    let engine = Engine::builder()
        .store(SqliteStore::open(data.join("store.db"))?)
        .executor("local", LocalProcessExecutor::new(data.join("attempts")))
        .executor("mock", MockExecutor::new())
        .start()
        .await?;
    let router = jobwright_http::router(engine.clone(), jobwright_http::Options::default());
    Ok(Composed { engine, router })
}

impl Composed {
    pub(crate) async fn owner_token(&self, file: &Path) -> anyhow::Result<SecretString> {
        if let Some(secret) = jobwright_http::first_token(&self.engine).await? {
            std::fs::write(file, secret.reveal())?;
        }
        Ok(std::fs::read_to_string(file)?.trim().to_owned().into())
    }

    pub(crate) async fn close(self, grace: Duration) -> anyhow::Result<()> {
        self.engine.shutdown(grace).await?;
        Ok(())
    }
}
