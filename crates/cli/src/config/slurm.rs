//! The tables of executors on a Slurm cluster.

use std::num::NonZeroU32;
use std::path::PathBuf;

use jobwright_adapters::remote::Prefix;
use jobwright_slurm::ApiVersion;
use serde::Deserialize;

use super::quantity::{Bytes, Period};

/// How attempts become jobs of a Slurm cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Slurm {
    /// Where slurmrestd is.
    pub(crate) url: String,
    /// The cluster's user as whom jobs run.
    pub(crate) user: String,
    /// The name of the secret that is the user's JSON web token.
    pub(crate) token: String,
    /// The folder that server and cluster share, under the same path.
    pub(crate) folder: Absolute,
    /// The version of the API; absent: the newest that both know.
    pub(crate) api: Option<Api>,
    /// The begin of the names of jobs.
    #[serde(default)]
    pub(crate) prefix: Prefix,
    pub(crate) slots: Option<NonZeroU32>,
    pub(crate) total_slots: Option<NonZeroU32>,
    pub(crate) submissions: Option<NonZeroU32>,
    pub(crate) submissions_per_second: Option<NonZeroU32>,
    pub(crate) call_time: Option<Period>,
    pub(crate) poll: Option<Period>,
    pub(crate) log_limit: Option<Bytes>,
    pub(crate) search_path: Option<Vec<PathBuf>>,
    pub(crate) partition: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) qos: Option<String>,
    pub(crate) constraints: Option<String>,
    pub(crate) reservation: Option<String>,
    #[serde(default)]
    pub(crate) resources: Resources,
}

/// What steps get that ask for nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Resources {
    /// Processors.
    pub(crate) cpu: Option<NonZeroU32>,
    pub(crate) memory: Option<Bytes>,
    pub(crate) gpu: Option<u32>,
    /// The longest time that a job runs.
    pub(crate) time: Option<Period>,
}

/// A whole path.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "PathBuf")]
pub(crate) struct Absolute(pub(crate) PathBuf);

impl TryFrom<PathBuf> for Absolute {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        if path.is_absolute() {
            Ok(Self(path))
        } else {
            Err(format!("expected a whole path, found `{}`", path.display()))
        }
    }
}

/// A version of slurmrestd's API.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Api(pub(crate) ApiVersion);

impl TryFrom<String> for Api {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: jobwright_slurm::ApiVersionError| error.to_string())
    }
}
