//! Runs the package in `examples/packages/pos_report` twice, unchanged: as local processes, and as
//! jobs of a Slurm cluster. Both publish the same files. On a laptop with Debian, as root, with a
//! cluster of four nodes that ends with the example:
//!
//! ```text
//! apt-get install slurmctld slurmd slurm-client slurmrestd slurm-wlm-jwt-plugin munge
//! cargo build --example slurm
//! cargo test -p jobwright-slurm --test rig -- with "$PWD/target/debug/examples/slurm"
//! ```
//!
//! With a cluster that is there: `SLURMRESTD_URL=http://HOST:6820 SLURM_JWT=TOKEN USER=NAME
//! SLURM_SHARED=FOLDER cargo run --example slurm`, where the nodes have the folder, too.
#![expect(clippy::print_stdout, reason = "it talks to a person")]
#![expect(clippy::disallowed_methods, reason = "a program reads its environment")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jobwright::Engine;
use jobwright::adapters::{EnvSecrets, LocalProcessExecutor};
use jobwright::core::{Executor, Verdict};
use jobwright::store::MemoryStore;
use jobwright_slurm::{Site, executor};
use serde_json::{from_value, json};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/packages/pos_report");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let advice = "there is no cluster: see the first lines of examples/slurm.rs";
    let url = std::env::var("SLURMRESTD_URL").context(advice)?;
    let shared = PathBuf::from(std::env::var("SLURM_SHARED").context(advice)?);
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let shared = tempfile::Builder::new().prefix("jobwright-").tempdir_in(shared)?;

    let local = LocalProcessExecutor::new(shared.path().join("processes"));
    let expected = published(Arc::new(local), &shared.path().join("local")).await?;

    // The variable `SLURM_JWT` is the secret of that name.
    let (site, secrets) = (Site::new(&url, &user, "SLURM_JWT"), Arc::new(EnvSecrets::new("")));
    let slurm = executor(site, shared.path().join("jobs"), secrets, Default::default())?;
    let found = published(Arc::new(slurm), &shared.path().join("slurm")).await?;

    anyhow::ensure!(found == expected, "processes and jobs published different files");
    println!("both published the same {} files", found.len());
    Ok(())
}

/// Runs the package with an executor, and returns what it published: names and contents.
async fn published(
    executor: Arc<dyn Executor>,
    out: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    let builder = Engine::builder().store(MemoryStore::new()).shared_executor("local", executor);
    let engine = builder.start().await?;
    let deployment = engine.create_deployment("report").await?.id;
    let values = from_value(json!({ "out": out }))?;
    engine.import(deployment, &jobwright::package::read_path(PACKAGE)?, values).await?;
    let request = engine.run(deployment).reference_date("2026-10-01T08:00:00Z".parse()?);
    let run = request.parameters(from_value(json!({ "day": "2026-09-15" }))?).await?;
    for group in run.groups() {
        let verdict = engine.wait(group).await?;
        for job in engine.group(group).await?.jobs {
            println!("{:8} {}, attempts {}", job.step, job.status, job.attempts.len());
        }
        anyhow::ensure!(verdict == Verdict::Succeeded, "job group {group}: {verdict:?}");
    }
    engine.shutdown(Duration::from_secs(10)).await?;
    let folder = out.join(format!("published/run-{}", run.id()));
    let files = std::fs::read_dir(&folder)?.map(|entry| {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        Ok((name, std::fs::read_to_string(entry.path())?))
    });
    files.collect()
}
