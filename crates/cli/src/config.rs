//! The server's configuration: one TOML file, checked whole before anything starts.
//!
//! A flag is stronger than an environment variable, which is stronger than the file, which is
//! stronger than a default. The file never holds a secret. What each key means is told in
//! `docs/configuration.md`.

mod executor;
mod kubernetes;
mod levels;
mod place;
mod quantity;
mod slurm;
mod spark;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobwright_adapters::CommandSecrets;
use jobwright_core::{PoolName, Retention};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use toml::de::DeTable;

pub(crate) use executor::{Executor, Keep, Local, Mock, Outcome};
pub(crate) use kubernetes::Kubernetes;
pub(crate) use levels::levels;
pub(crate) use place::ConfigError;
use place::Document;
pub(crate) use quantity::{Bytes, Period};
pub(crate) use slurm::Slurm;
pub(crate) use spark::{Spark, SparkSubmit};

/// Everything that a configuration says, with the defaults of what it does not say.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) store: Store,
    /// What runs the steps that name it. Read apart: which keys there are depends on `kind`.
    #[serde(deserialize_with = "later")]
    pub(crate) executors: BTreeMap<String, Executor>,
    /// How much of a pool live attempts may use together.
    pub(crate) pools: BTreeMap<PoolName, NonZeroU32>,
    pub(crate) engine: Engine,
    pub(crate) secrets: Secrets,
    pub(crate) webhooks: Webhooks,
    pub(crate) telemetry: Telemetry,
}

/// Where the server listens, and what it takes from clients.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    /// Whether an address is allowed that other machines reach: there is no TLS here.
    pub(crate) allow_remote: bool,
    pub(crate) body_limit: Bytes,
    pub(crate) upload_limit: Bytes,
    pub(crate) request_time: Period,
    pub(crate) wait_time: Period,
    /// Zero is no limit.
    pub(crate) requests_per_minute: u32,
    pub(crate) streams: u32,
    pub(crate) keep_alive: Period,
    /// How long requests may still be answered when the server ends.
    pub(crate) drain: Period,
}

/// Where everything is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Store {
    /// The database that several nodes share; an embedded one in the data folder where absent.
    pub(crate) url: Option<String>,
    /// The schema of the shared database that holds the tables.
    pub(crate) schema: String,
    /// Where the embedded database is, relative to the data folder.
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
    pub(crate) limit: Option<Bytes>,
}

/// What an acknowledgement survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Synchronous {
    /// The loss of power.
    #[default]
    Full,
    /// The death of the process; the last commits may be lost with the power.
    Normal,
}

/// How the engine ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Engine {
    /// How long after its death other engines on a shared store take its job groups up.
    pub(crate) lease: Period,
    /// How long live attempts may end by themselves when the server ends.
    pub(crate) grace: Period,
    pub(crate) on_shutdown: OnShutdown,
    /// How long runs are kept when they are over, where their deployment says nothing else.
    pub(crate) retention: Retention,
}

/// What becomes of attempts that still run when the grace is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnShutdown {
    /// They are asked to stop, then killed; their jobs run anew at the next start.
    #[default]
    Stop,
    /// Their processes go on; the next start takes them up by their records.
    Leave,
}

/// Where the contents of secrets come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Secrets {
    /// What the names of the environment's variables begin with that hold secrets.
    pub(crate) env_prefix: String,
    /// The secrets that are looked for in the environment; any where nothing is said.
    pub(crate) env_only: Option<Vec<String>>,
    /// A folder with one file per secret, relative to the data folder.
    pub(crate) folder: Option<PathBuf>,
    /// A program that prints secrets, with its arguments; `{name}` in them is the secret's name.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) command_time: Period,
    /// The variables that the program inherits.
    pub(crate) command_inherit: Vec<String>,
}

/// Where webhooks may go.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Webhooks {
    /// Hosts and networks that would be refused otherwise.
    pub(crate) allow: Vec<Allowed>,
    /// Whether they may go nowhere else.
    pub(crate) closed: bool,
}

/// A host or a network of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Allowed(pub(crate) jobwright_webhooks::Allowed);

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// What is told about the server, and to whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Telemetry {
    /// A level, or levels by module, as in `JOBWRIGHT_LOG`, which is stronger.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
    /// The base address of a collector that takes OTLP over HTTP.
    pub(crate) otlp: Option<String>,
    /// Which spans go there: a level, or levels by module.
    pub(crate) otlp_level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads a configuration, or takes the defaults where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or says something wrong; the error shows the place.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a configuration; `path` is for people.
    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document { text, path };
        let table = DeTable::parse(text).map_err(|error| document.refuse(&error))?;
        let mut config: Self = toml::from_str(text).map_err(|error| document.refuse(&error))?;
        if let Some(tables) = table.get_ref().get("executors") {
            config.executors = executor::read(tables, &document)?;
        }
        config.check(table.get_ref(), &document)?;
        Ok(config)
    }

    /// Checks what depends on more than one key.
    fn check(&self, table: &DeTable<'_>, document: &Document<'_>) -> Result<(), ConfigError> {
        let Server { wait_time, request_time, .. } = &self.server;
        if wait_time.0 >= request_time.0 {
            let message = "`wait-time` is not shorter than `request-time`: no wait could end";
            let span = place::of(table, &["server", "wait-time"]);
            let span = span.or_else(|| place::of(table, &["server", "request-time"]));
            return Err(document.wrong(span, message));
        }
        if let Some(command) = &self.secrets.command
            && let Err(error) = CommandSecrets::new(command.clone())
        {
            let span = place::of(table, &["secrets", "command"]);
            return Err(document.wrong(span, &error.to_string()));
        }
        for (key, filter) in
            [("level", &self.telemetry.level), ("otlp-level", &self.telemetry.otlp_level)]
        {
            if let Err(message) = levels(filter) {
                return Err(document.wrong(place::of(table, &["telemetry", key]), &message));
            }
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server::default(),
            store: Store::default(),
            executors: BTreeMap::from([("local".to_owned(), Executor::Local(Local::default()))]),
            pools: BTreeMap::new(),
            engine: Engine::default(),
            secrets: Secrets::default(),
            webhooks: Webhooks::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        let http = jobwright_http::Options::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            allow_remote: false,
            body_limit: Bytes::from_usize(http.body_bytes),
            upload_limit: Bytes::from_usize(http.upload_bytes),
            request_time: Period(http.request_time),
            wait_time: Period(http.wait_time),
            requests_per_minute: http.requests_per_minute.unwrap_or(0),
            streams: http.streams,
            keep_alive: Period(http.keep_alive),
            drain: Period(Duration::from_secs(10)),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: None,
            schema: "jobwright".to_owned(),
            path: "jobwright.db".into(),
            synchronous: Synchronous::Full,
            limit: None,
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            lease: Period(Duration::from_secs(15)),
            grace: Period(Duration::from_secs(10)),
            on_shutdown: OnShutdown::Stop,
            retention: Retention::DEFAULT,
        }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            env_prefix: "JOBWRIGHT_SECRET_".to_owned(),
            env_only: None,
            folder: None,
            command: None,
            command_time: Period(Duration::from_secs(10)),
            command_inherit: Vec::new(),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
            otlp: None,
            otlp_level: "jobwright=debug".to_owned(),
        }
    }
}

/// Passes over the executors' tables; what stands in their place until they are read is the
/// default.
fn later<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Executor>, D::Error> {
    IgnoredAny::deserialize(from)?;
    Ok(BTreeMap::new())
}

#[cfg(test)]
mod tests;
