//! Executors on Spark, as they are configured.

use std::path::{Path, PathBuf};

use jobwright_adapters::LocalProcessExecutor;
use jobwright_adapters::remote::Options;
use jobwright_spark::{
    SparkExecutor, SparkSubmitExecutor, StandaloneError, StandaloneOptions, SubmitOptions,
};

use crate::config::{Bytes, Spark, SparkSubmit};

/// How many drivers there are at a time where nothing is said: few, for each takes cores that
/// applications need.
const SLOTS: u32 = 4;

/// Makes an executor over a standalone master. That so many drivers could wait for each other for
/// ever is told now, though the master may have more workers later.
pub(super) async fn standalone(
    name: &str,
    spark: &Spark,
    root: &Path,
) -> anyhow::Result<SparkExecutor> {
    let mut options = StandaloneOptions {
        rest: spark.rest.clone(),
        ui: spark.ui.clone(),
        master: spark.master.clone(),
        python: spark.python.clone(),
        properties: spark.conf.clone(),
        ..StandaloneOptions::default()
    };
    let cores = [
        (&mut options.driver_cores, spark.driver_cores),
        (&mut options.executor_cores, spark.executor_cores),
    ];
    for (field, value) in cores {
        *field = value.map_or(*field, Into::into);
    }
    let memory = [
        (&mut options.driver_memory, spark.driver_memory),
        (&mut options.executor_memory, spark.executor_memory),
    ];
    for (field, value) in memory {
        *field = value.map_or(*field, mebibytes);
    }
    if let Some(poll) = spark.poll {
        options.poll = poll.0;
    }
    let mut remote = Options {
        prefix: spark.prefix.clone(),
        slots: spark.slots.map_or(SLOTS, Into::into),
        ..Options::default()
    };
    if let Some(limit) = spark.log_limit {
        remote.log_cap = limit.to_usize();
    }
    let executor = jobwright_spark::standalone(options, root, remote)?;
    match executor.cluster().check().await {
        Ok(()) => {}
        Err(error @ StandaloneError::Deadlock { .. }) => {
            tracing::error!(executor = name, %error, "its attempts will be refused");
        }
        Err(error) => tracing::warn!(executor = name, %error, "its attempts will wait"),
    }
    Ok(executor)
}

/// Makes an executor over `spark-submit`.
pub(super) fn submit(
    submit: &SparkSubmit,
    processes: LocalProcessExecutor,
) -> anyhow::Result<SparkSubmitExecutor> {
    let options = SubmitOptions {
        program: submit.program.clone().unwrap_or_else(|| PathBuf::from("spark-submit")),
        master: submit.master.clone(),
        prefix: submit.prefix.clone(),
        properties: submit.conf.clone(),
    };
    Ok(SparkSubmitExecutor::new(options, processes)?)
}

fn mebibytes(bytes: Bytes) -> u32 {
    u32::try_from(bytes.0.div_ceil(1 << 20)).unwrap_or(u32::MAX)
}
