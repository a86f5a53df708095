//! The table of an executor of the kind `kubernetes`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jobwright_adapters::remote::Prefix;
use serde::Deserialize;

use super::quantity::{Bytes, Period};

/// How attempts run as Jobs of a Kubernetes cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "it is read and refused"))]
pub(crate) struct Kubernetes {
    /// Which cluster, and as whom; absent: as `kubectl` finds it, or as a pod is given it.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Which context of that file; absent: the current one.
    pub(crate) context: Option<String>,
    /// Where Jobs are made; absent: the context's.
    pub(crate) namespace: Option<String>,
    /// The image of steps that name none.
    pub(crate) image: Option<String>,
    /// The begin of all names.
    pub(crate) prefix: Prefix,
    /// Where attempts have their folders, relative to the data folder; absent: `jobs`.
    pub(crate) folder: Option<PathBuf>,
    /// How many attempts the cluster has at a time.
    pub(crate) slots: NonZeroU32,
    /// How many it has at a time of all servers that share the store; absent: no more than each
    /// may.
    pub(crate) total_slots: Option<NonZeroU32>,
    /// How many submissions are under way at a time.
    pub(crate) submissions: NonZeroU32,
    /// How many submissions begin in a second; absent: no bound.
    pub(crate) submissions_per_second: Option<NonZeroU32>,
    /// How long a request may take.
    pub(crate) call_time: Period,
    /// The most bytes that are kept of the log of an attempt.
    pub(crate) log_limit: Bytes,
    /// How long Jobs that have ended are kept.
    pub(crate) keep_jobs: Period,
    /// The service accounts that steps may ask for.
    pub(crate) service_accounts: Vec<String>,
    /// The Kubernetes Secret that holds the secrets of steps.
    pub(crate) secret: Option<String>,
    /// The shell of images; empty where they have none.
    pub(crate) shell: String,
    /// What every pod begins as, in the cluster's own words: a `PodSpec`.
    pub(crate) pod: Option<serde_json::Value>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: None,
            image: None,
            prefix: Prefix::default(),
            folder: None,
            slots: SLOTS,
            total_slots: None,
            submissions: PLACES,
            submissions_per_second: None,
            call_time: Period(Duration::from_secs(30)),
            log_limit: Bytes(8 * 1024 * 1024),
            keep_jobs: Period(Duration::from_secs(24 * 60 * 60)),
            service_accounts: Vec::new(),
            secret: None,
            shell: "/bin/sh".to_owned(),
            pod: None,
        }
    }
}

const PLACES: NonZeroU32 = NonZeroU32::new(8).expect("it is not zero");
const SLOTS: NonZeroU32 = NonZeroU32::new(1000).expect("it is not zero");
