//! Runs a PySpark program over a CSV file as a driver of a standalone master. A master and a worker
//! on a laptop, with Java 17 and Python:
//!
//! ```sh
//! python3 -m venv spark && spark/bin/pip install pyspark==4.3.0 && export \
//!     SPARK_LOCAL_IP=127.0.0.1 PYSPARK_PYTHON=$PWD/spark/bin/python \
//!     SPARK_HOME=$(echo $PWD/spark/lib/python3*/*/pyspark)
//! SPARK_MASTER_OPTS="-Dspark.master.rest.enabled=true -Dspark.master.rest.host=127.0.0.1" \
//!     $SPARK_HOME/bin/spark-class org.apache.spark.deploy.master.Master --host 127.0.0.1 &
//! $SPARK_HOME/bin/spark-class org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --cores 2 \
//!     --memory 3g --work-dir $PWD/spark/work spark://127.0.0.1:7077 &
//! ```
//!
//! Usage: `spark REST UI FOLDER`, such as
//! `cargo run -p jobwright-spark --example spark -- http://127.0.0.1:6066 http://127.0.0.1:8080 shared`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person")]

use jobwright::Engine;
use jobwright::adapters::remote::Options;
use jobwright::store::MemoryStore;
use jobwright_spark::{StandaloneOptions, standalone};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/packages/spark");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rest, ui, folder] = &arguments[..] else {
        eprintln!(
            "usage: spark REST UI FOLDER; the head of examples/spark.rs tells how to start one"
        );
        std::process::exit(2);
    };
    let options = StandaloneOptions {
        rest: rest.clone(),
        ui: ui.clone(),
        driver_memory: 512,
        executor_memory: 512,
        ..StandaloneOptions::default()
    };
    // One driver, so that one of the two cores is left for its application.
    let executor = standalone(options, folder, Options { slots: 1, ..Options::default() })?;
    executor.cluster().check().await?;
    let engine = Engine::builder().store(MemoryStore::new()).executor("spark", executor);
    let engine = engine.start().await?;
    let deployment = engine.create_deployment("orders").await?.id;
    let package = jobwright::package::read_path(PACKAGE)?;
    engine.import(deployment, &package, Default::default()).await?;
    let run = engine.run(deployment).await?;
    println!("run {}: {:?}", run.id(), run.wait().await?.verdict);
    for group in run.groups() {
        for job in engine.group(group).await?.jobs {
            println!("{}: {}", job.step, job.result.unwrap_or_default());
        }
    }
    Ok(())
}
