//! The executors of a configuration.

#[cfg(feature = "kubernetes")]
mod kubernetes;
mod slurm;
mod spark;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jobwright_adapters::local::{Keep, Limits};
use jobwright_adapters::mock::Act;
use jobwright_adapters::{LocalProcessExecutor, MockExecutor};
use jobwright_core::secret::SecretSource;
use jobwright_core::{ExecutorName, Failure};
use jobwright_scheduler::{Engine, EngineBuilder};

use crate::config::{self, Bytes, Config, Executor, Local, Mock, Outcome};

/// Where local processes have their folders where nothing is said, below the data folder.
const JOBS: &str = "jobs";

/// A builder that has its executors and pools.
pub(super) struct Ready {
    pub(super) builder: EngineBuilder,
    /// The folders in which attempts leave their logs.
    pub(super) roots: BTreeSet<PathBuf>,
    /// Those of them whose attempts are processes of this server.
    pub(super) guarded: Vec<PathBuf>,
}

/// Makes the executors.
///
/// # Errors
/// A cluster cannot be named in this way; none is asked.
pub(super) async fn build(
    config: &Config,
    data: &Path,
    secrets: &Arc<dyn SecretSource>,
) -> anyhow::Result<Ready> {
    let mut builder = Engine::builder().executor_advice(advice);
    let (mut roots, mut guarded) = (BTreeSet::new(), BTreeSet::new());
    for (name, executor) in &config.executors {
        let total = match executor {
            Executor::Mock(mock) => mock.total_slots,
            Executor::Local(local) => local.total_slots,
            Executor::Kubernetes(said) => said.total_slots,
            Executor::Slurm(slurm) => slurm.total_slots,
            Executor::Spark(spark) => spark.total_slots,
            Executor::SparkSubmit(submit) => submit.total_slots,
        };
        if let Some(total) = total {
            builder = builder.executor_total(name, total.get());
        }
        let wrong = || format!("executor `{name}` cannot be used as it is configured");
        builder = match executor {
            Executor::Mock(mock) => builder.executor(name, pretending(mock)),
            Executor::Local(local) => {
                let root = root(local, data);
                let executor = processes(local, &root);
                guarded.insert(root);
                builder.executor(name, executor)
            }
            #[cfg(feature = "kubernetes")]
            Executor::Kubernetes(said) => {
                let root = absolute(data.join(said.folder.as_deref().unwrap_or(Path::new(JOBS))));
                let executor = kubernetes::jobs(said, &root).await;
                roots.insert(root);
                builder.executor(name, executor.with_context(wrong)?)
            }
            #[cfg(not(feature = "kubernetes"))]
            Executor::Kubernetes(_) => {
                let message = "this program was built without the feature `kubernetes`";
                return Err(anyhow::anyhow!(message)).with_context(wrong);
            }
            Executor::Slurm(slurm) => {
                let executor = slurm::jobs(slurm, Arc::clone(secrets)).with_context(wrong)?;
                roots.insert(slurm.folder.0.clone());
                builder.executor(name, executor)
            }
            Executor::Spark(settings) => {
                let root = absolute(data.join(&settings.folder));
                let executor = spark::standalone(name, settings, &root).await;
                roots.insert(root);
                builder.executor(name, executor.with_context(wrong)?)
            }
            Executor::SparkSubmit(submit) => {
                let local = submit.processes();
                let root = root(&local, data);
                let executor = spark::submit(submit, processes(&local, &root));
                guarded.insert(root);
                builder.executor(name, executor.with_context(wrong)?)
            }
        };
    }
    for (name, limit) in &config.pools {
        builder = builder.pool(name.as_str(), limit.get());
    }
    roots.extend(guarded.iter().cloned());
    Ok(Ready { builder, roots, guarded: guarded.into_iter().collect() })
}

/// The folder of local processes.
fn root(local: &Local, data: &Path) -> PathBuf {
    absolute(data.join(local.folder.as_deref().unwrap_or(Path::new(JOBS))))
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// What to do when a step names an executor that there is not.
fn advice(name: &ExecutorName) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let name = name.as_str();
    let key = if name.chars().all(is_bare) { name.to_owned() } else { format!("{name:?}") };
    format!(
        "add the table `[executors.{key}]` to the server's configuration, with `kind = \"local\"` to run its steps as processes, or `kind = \"mock\"` to pretend them"
    )
}

fn processes(local: &Local, root: &Path) -> LocalProcessExecutor {
    let mut executor = LocalProcessExecutor::new(root)
        .keep(match local.keep {
            config::Keep::All => Keep::All,
            config::Keep::Failed => Keep::Failed,
        })
        .limits(limits(local));
    if let Some(slots) = local.slots {
        executor = executor.slots(slots.get());
    }
    if let Some(folders) = &local.search_path {
        executor = executor.search_path(folders);
    }
    if let Some(limit) = local.log_limit {
        executor = executor.log_cap(limit.to_usize());
    }
    local.inherit.iter().fold(executor, |it, variable| it.inherit(variable.get_ref()))
}

fn limits(local: &Local) -> Limits {
    let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let bytes = |bytes: Option<Bytes>| bytes.map(|it| it.0);
    Limits {
        cpu_seconds: local.limits.cpu.map(|time| seconds(time.0)),
        memory_bytes: bytes(local.limits.memory),
        open_files: local.limits.open_files,
        file_bytes: bytes(local.limits.file_size),
    }
}

fn pretending(mock: &Mock) -> MockExecutor {
    let act = match mock.outcome {
        Outcome::Success => Act::succeeds().after(mock.latency.0),
        Outcome::Failure => {
            let failure = Failure::permanent("mock", "the configuration says that it fails");
            Act::fails(failure).after(mock.latency.0)
        }
        Outcome::Hang => Act::hangs(),
    };
    let mut executor = MockExecutor::new().otherwise(act);
    if mock.failure_rate.0 > 0 {
        executor = executor.failing(mock.seed, mock.failure_rate.0);
    }
    match mock.slots {
        Some(slots) => executor.slots(slots.get()),
        None => executor,
    }
}
