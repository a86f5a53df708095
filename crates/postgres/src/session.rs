//! One connection: how it is set up, its prepared statements, and who polls it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Notification, Row, Statement};

use crate::fault::Fault;
use crate::options::PostgresOptions;
use crate::silence;
use crate::tls::Tls;

/// What is bound to a statement.
pub(crate) type Bound<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A statement of a pipeline.
pub(crate) struct Ask<'a> {
    pub(crate) sql: &'static str,
    pub(crate) bound: Vec<&'a (dyn ToSql + Sync)>,
}

/// What is needed to open a connection.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    /// What each connection runs first.
    pub(crate) opening: String,
    /// How long to wait for an answer before the connection is given up. Longer than the database
    /// may work on a statement.
    pub(crate) patience: Duration,
}

impl Setup {
    pub(crate) fn new(options: &PostgresOptions, tls: Tls) -> Self {
        let opening = format!(
            "SET search_path TO {schema}; SET statement_timeout = {statement}; \
             SET lock_timeout = {lock}; SET idle_in_transaction_session_timeout = {idle}; {PLANS}",
            schema = quoted(&options.schema),
            statement = options.statement_timeout.as_millis().max(1),
            lock = LOCK.as_millis(),
            idle = silence::longest(options).as_millis(),
        );
        let patience = options.statement_timeout + MARGIN.min(options.statement_timeout);
        Self { config: options.config.clone(), tls, opening, patience }
    }

    /// The same for what must be known soon.
    pub(crate) fn quick(&self) -> Self {
        Self { patience: self.patience.min(SOON), ..self.clone() }
    }
}

/// How long to wait for what another transaction holds.
const LOCK: Duration = Duration::from_secs(10);
/// How much later than the database the client gives up.
const MARGIN: Duration = Duration::from_secs(5);

/// How long a lease's renewal may go unanswered: there is time for another before the lease ends.
const SOON: Duration = Duration::from_secs(4);

/// Every statement finds its rows by a key, whatever statistics say of a table that was empty a
/// moment ago; planned once. An acknowledged commit is on the disk, unless the server as a whole
/// was told otherwise.
const PLANS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; \
    SET client_min_messages = warning; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') = 'off'";

/// Writes a name as SQL has it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// One connection. What several callers ask at once is sent at once.
pub(crate) struct Session {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    ended: watch::Receiver<bool>,
    killed: AtomicBool,
    driver: Mutex<JoinSet<()>>,
}

impl Session {
    /// Connects. What the database tells on its own goes to `told`.
    pub(crate) async fn open(
        setup: &Setup,
        told: impl Fn(&Notification) + Send + 'static,
    ) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = setup.config.connect(setup.tls.clone()).await?;
        let (over, ended) = watch::channel(false);
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notification(note)) => told(&note),
                    Ok(AsyncMessage::Notice(notice)) => {
                        tracing::debug!(%notice, "the database says");
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a connection to the database ended");
                        break;
                    }
                }
            }
            drop(connection);
            over.send_replace(true);
        });
        let (statements, killed) = (Mutex::default(), AtomicBool::new(false));
        let session = Self { client, statements, ended, killed, driver: Mutex::new(driver) };
        session.client.batch_execute(&setup.opening).await?;
        Ok(session)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.killed.load(Ordering::SeqCst) || self.client.is_closed()
    }

    /// Returns when the connection is gone.
    pub(crate) async fn ended(&self) {
        // An error means that the one who polled it is gone, and with it the connection.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Closes the connection at once, whatever is asked on it.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
        self.driver.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Prepares a statement, the first time it is asked for.
    pub(crate) async fn prepare(&self, sql: &str) -> Result<Statement, Fault> {
        let known = || self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().get(sql).cloned();
        if let Some(statement) = found {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        known().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(crate) async fn query(&self, sql: &str, bound: Bound<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query(&statement, bound).await?)
    }

    /// Runs a statement, and returns how many rows it wrote.
    pub(crate) async fn execute(&self, sql: &str, bound: Bound<'_>) -> Result<u64, Fault> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.execute(&statement, bound).await?)
    }

    /// Runs statements in order, all sent at once, and returns how many rows each wrote.
    pub(crate) async fn pipeline(&self, asks: &[Ask<'_>]) -> Result<Vec<u64>, Fault> {
        // A statement that had to be prepared would be overtaken by those that had not.
        for ask in asks {
            self.prepare(ask.sql).await?;
        }
        let answers = join_all(asks.iter().map(|ask| self.execute(ask.sql, &ask.bound))).await;
        answers.into_iter().collect()
    }

    /// Runs statements that return nothing.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(sql).await?)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}
