//! Runs the package in `examples/packages/pos_report` twice, unchanged: as local processes, and as
//! jobs of a Slurm cluster. Both publish the same files. On a laptop with Debian, as root, with a
//! cluster of four nodes that ends with the example:
//!
//! ```text
//! apt-get install slurmctld slurmd slurm-client slurmrestd slurm-wlm-jwt-plugin munge
//! cargo build -p jobwright-slurm --example slurm
//! cargo test -p jobwright-slurm --test rig -- with "$PWD/target/debug/examples/slurm"
//! ```
//!
//! With a cluster that is there: `SLURMRESTD_URL=http://HOST:6820 SLURM_JWT=TOKEN USER=NAME
//! SLURM_SHARED=FOLDER cargo run -p jobwright-slurm --example slurm`, where the nodes have the
//! folder, too.
#![expect(clippy::print_stdout, reason = "it talks to a person")]
#![expect(clippy::disallowed_methods, reason = "a program reads its environment")]

#[path = "support/published.rs"]
mod published;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use jobwright::adapters::{EnvSecrets, LocalProcessExecutor};
use jobwright_slurm::{Site, executor};

use published::published;

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
