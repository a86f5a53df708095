//! What the rig sees of the store directly: who drives which group, and connections to end.

use std::collections::{BTreeMap, BTreeSet};

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

    /// The unfinished groups of a life, with their epochs.
    pub(crate) async fn groups_of(&self, life: &str) -> anyhow::Result<BTreeMap<i64, i64>> {
        let query =
            format!("SELECT id, epoch FROM jobwright.groups WHERE owner = '{life}' AND NOT ended");
        Ok(self.ask(&query).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// When the lease of a life ends or ended, in milliseconds.
    pub(crate) async fn lease_end(&self, life: &str) -> anyhow::Result<Option<i64>> {
        let query = format!(
            "SELECT (extract(epoch FROM lease_until) * 1000)::bigint FROM jobwright.nodes \
             WHERE id = '{life}'"
        );
        Ok(self.ask(&query).await?.first().map(|row| row.get(0)))
    }

    /// When a group had its first event under a later epoch, in milliseconds.
    pub(crate) async fn first_event(&self, group: i64, after: i64) -> anyhow::Result<Option<i64>> {
        let query = format!(
            "SELECT min(at) FROM jobwright.journal WHERE group_id = {group} AND epoch > {after}"
        );
        Ok(self.ask(&query).await?.first().and_then(|row| row.get(0)))
    }

    /// When each store last began a transaction, in milliseconds.
    pub(crate) async fn last_writes(&self) -> anyhow::Result<BTreeMap<String, i64>> {
        let query =
            "SELECT id::text, (extract(epoch FROM at) * 1000)::bigint FROM jobwright.writers";
        Ok(self.ask(query).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The open transactions of others, for people: how old, in which state, who waits for whom.
    pub(crate) async fn transactions(&self) -> anyhow::Result<Vec<String>> {
        let query = "SELECT format('pid %s port %s %s %s %s, open for %s s, in this state for %s s, \
             waits for %s: %s', pid, client_port, state, wait_event_type, wait_event, \
             round(extract(epoch FROM clock_timestamp() - xact_start), 1), \
             round(extract(epoch FROM clock_timestamp() - state_change), 1), \
             pg_blocking_pids(pid), left(query, 90)) FROM pg_stat_activity \
             WHERE datname = current_database() AND xact_start IS NOT NULL \
             AND pid <> pg_backend_pid() ORDER BY xact_start";
        Ok(self.ask(query).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Changes settings of the server while it runs.
    pub(crate) async fn set(&self, settings: &[&str]) -> anyhow::Result<()> {
        for setting in settings {
            self.ask(&format!("ALTER SYSTEM {setting}")).await?;
        }
        self.ask("SELECT pg_reload_conf()").await.map(|_| ())
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
