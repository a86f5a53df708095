//! The tables of executors on Spark.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use jobwright_adapters::remote::Prefix;
use serde::Deserialize;
use toml::Spanned;

use super::executor::{Keep, Limits, Local};
use super::quantity::{Bytes, Period};

/// How drivers run on a standalone master.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Spark {
    /// The address of the submission server.
    pub(crate) rest: String,
    /// The address of the master's web interface.
    pub(crate) ui: String,
    /// The folder that the server and all workers see under this path.
    pub(crate) folder: PathBuf,
    /// How many drivers there are at a time; absent: 4.
    pub(crate) slots: Option<NonZeroU32>,
    pub(crate) total_slots: Option<NonZeroU32>,
    /// The begin of the names of applications.
    #[serde(default)]
    pub(crate) prefix: Prefix,
    /// The address that applications register at; absent: what the master says of itself.
    pub(crate) master: Option<String>,
    /// The Python of the workers; absent: theirs.
    pub(crate) python: Option<String>,
    pub(crate) driver_cores: Option<NonZeroU32>,
    pub(crate) driver_memory: Option<Bytes>,
    pub(crate) executor_cores: Option<NonZeroU32>,
    pub(crate) executor_memory: Option<Bytes>,
    /// How often all drivers are asked for; absent: every second.
    pub(crate) poll: Option<Period>,
    pub(crate) log_limit: Option<Bytes>,
    /// Properties of all applications.
    #[serde(default)]
    pub(crate) conf: BTreeMap<String, String>,
}

/// How `spark-submit` runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SparkSubmit {
    /// The master, such as `yarn`.
    pub(crate) master: String,
    /// The program; absent: `spark-submit` on the search path.
    pub(crate) program: Option<PathBuf>,
    #[serde(default)]
    pub(crate) prefix: Prefix,
    pub(crate) slots: Option<NonZeroU32>,
    pub(crate) total_slots: Option<NonZeroU32>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) search_path: Option<Vec<PathBuf>>,
    #[serde(default)]
    pub(crate) inherit: Vec<Spanned<String>>,
    pub(crate) log_limit: Option<Bytes>,
    #[serde(default)]
    pub(crate) keep: Keep,
    #[serde(default)]
    pub(crate) conf: BTreeMap<String, String>,
}

impl SparkSubmit {
    /// Returns how its processes run.
    pub(crate) fn processes(&self) -> Local {
        Local {
            slots: self.slots,
            total_slots: self.total_slots,
            folder: self.folder.clone(),
            search_path: self.search_path.clone(),
            inherit: self.inherit.clone(),
            log_limit: self.log_limit,
            keep: self.keep,
            limits: Limits::default(),
        }
    }
}
