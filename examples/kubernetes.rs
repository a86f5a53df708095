//! Runs the package in `examples/packages/pos_report` twice, unchanged: as local processes, and as
//! Jobs of a Kubernetes cluster. Both publish the same files. On a laptop:
//!
//! ```text
//! mkdir /tmp/jobs
//! minikube start --mount --mount-string=/tmp/jobs:/tmp/jobs
//! KUBERNETES_SHARED=/tmp/jobs KUBERNETES_IMAGE=busybox:1 cargo run --example kubernetes
//! ```
//!
//! With another cluster: `KUBECONFIG` names it, and its nodes must have the folder, too, since the
//! steps of this package hand files on. On Debian, `./check kubernetes` builds one and runs this.
#![expect(clippy::print_stdout, reason = "it talks to a person")]
#![expect(clippy::disallowed_methods, reason = "a program reads its environment")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jobwright::Engine;
use jobwright::adapters::LocalProcessExecutor;
use jobwright::adapters::remote::Options;
use jobwright::core::{Executor, Verdict};
use jobwright::store::MemoryStore;
use jobwright_kubernetes::{Connection, Kubernetes, Settings};
use serde_json::{from_value, json};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/packages/pos_report");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let advice = "there is no cluster: see the first lines of examples/kubernetes.rs";
    let shared = PathBuf::from(std::env::var("KUBERNETES_SHARED").context(advice)?);
    let image = std::env::var("KUBERNETES_IMAGE").unwrap_or_else(|_| "busybox:1".to_owned());
    let shared = tempfile::Builder::new().prefix("jobwright-").tempdir_in(shared)?;

    let local = LocalProcessExecutor::new(shared.path().join("processes"));
    let expected = published(Arc::new(local), &shared.path().join("local")).await?;

    // What pods have besides what steps ask for: here, the folder, and the host's network.
    let template = json!({ "spec": {
        "hostNetwork": true,
        "volumes": [{ "name": "shared", "hostPath": { "path": shared.path() } }],
        "containers": [{
            "name": "work",
            "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [{ "name": "shared", "mountPath": shared.path() }],
        }],
    } });
    let settings =
        Settings { image: Some(image), template: from_value(template)?, ..Settings::default() };
    let config = Connection::default().config().await?;
    let jobs = shared.path().join("jobs");
    let kubernetes = Kubernetes::executor(config, settings, jobs, Options::default())?;
    let found = published(Arc::new(kubernetes), &shared.path().join("kubernetes")).await?;

    anyhow::ensure!(found == expected, "processes and Jobs published different files");
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
