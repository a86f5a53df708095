//! What the rig sees of the store directly: who drives which group, and connections to end.

use std::collections::BTreeSet;

use anyhow::Context;
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls, Row};

pub(crate) struct Store {
    url: String,
    client: Mutex<Option<Client>>,
}

impl Store {
    pub(crate) fn new(url: String) -> Self {
        Self { url, client: Mutex::new(None) }
    }

    /// Asks; connects anew where the server was away.
    async fn ask(&self, query: &str) -> anyhow::Result<Vec<Row>> {
        let mut held = self.client.lock().await;
        if held.as_ref().is_none_or(Client::is_closed) {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
            tokio::spawn(connection);
            *held = Some(client);
        }
        let client = held.as_ref().context("no connection")?;
        Ok(client.query(query, &[]).await?)
    }

    /// The lives of engines that the store knows.
    pub(crate) async fn lives(&self) -> anyhow::Result<BTreeSet<String>> {
        let rows = self.ask("SELECT id::text FROM jobwright.nodes").await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The unfinished groups of a life.
    pub(crate) async fn groups_of(&self, life: &str) -> anyhow::Result<BTreeSet<i64>> {
        let query = format!("SELECT id FROM jobwright.groups WHERE owner = '{life}' AND NOT ended");
        Ok(self.ask(&query).await?.iter().map(|row| row.get(0)).collect())
    }

    /// The server's processes that serve engines.
    pub(crate) async fn backends(&self) -> anyhow::Result<Vec<i32>> {
        let query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' \
                     AND pid <> pg_backend_pid() ORDER BY pid";
        Ok(self.ask(query).await?.iter().map(|row| row.get(0)).collect())
    }

    pub(crate) async fn terminate(&self, backend: i32) -> anyhow::Result<()> {
        self.ask(&format!("SELECT pg_terminate_backend({backend})")).await.map(|_| ())
    }
}
