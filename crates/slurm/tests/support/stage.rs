//! Executors and attempts on a cluster of the tests' own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobwright_adapters::StaticSecrets;
use jobwright_adapters::conformance::{AttemptBuilder, attempt};
use jobwright_adapters::remote::{Options, Prefix};
use jobwright_slurm::{Site, SlurmExecutor, executor};
use serde_json::json;

use crate::cluster::Cluster;

/// The name of the token's secret.
const TOKEN: &str = "SLURM_TOKEN";

impl Cluster {
    pub(crate) fn site(&self) -> Site {
        Site { poll: Duration::from_millis(100), ..Site::new(&self.url(), &self.user(), TOKEN) }
    }

    pub(crate) fn executor(&self, options: Options) -> SlurmExecutor {
        self.executor_at(self.site(), options)
    }

    pub(crate) fn executor_at(&self, site: Site, options: Options) -> SlurmExecutor {
        let secrets = StaticSecrets::new().with(TOKEN, &self.token());
        executor(site, self.shared(), Arc::new(secrets), options).unwrap()
    }
}

/// Options whose names nobody else has.
pub(crate) fn fresh() -> Options {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("t{}", MADE.fetch_add(1, Ordering::Relaxed));
    Options { prefix: Prefix::new(&prefix).unwrap(), ..Options::default() }
}

/// An attempt that runs a line of shell.
pub(crate) fn shell(line: &str) -> AttemptBuilder {
    attempt(json!({ "command": ["sh", "-c", line] }))
}
