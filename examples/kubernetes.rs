//! Runs the package in `examples/packages/pos_report` twice, unchanged: as local processes, and as
//! Jobs of a Kubernetes cluster. Both publish the same files. On a laptop:
//!
//! ```text
//! mkdir /tmp/jobs
//! minikube start --mount --mount-string=/tmp/jobs:/tmp/jobs
//! export KUBERNETES_SHARED=/tmp/jobs KUBERNETES_IMAGE=busybox:1
//! cargo run -p jobwright-kubernetes --example kubernetes
//! ```
//!
//! With another cluster: `KUBECONFIG` names it, and its nodes must have the folder, too, since the
//! steps of this package hand files on. On Debian, `./check kubernetes` builds one and runs this.
#![expect(clippy::print_stdout, reason = "it talks to a person")]
#![expect(clippy::disallowed_methods, reason = "a program reads its environment")]

#[path = "support/published.rs"]
mod published;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use jobwright::adapters::LocalProcessExecutor;
use jobwright::adapters::remote::Options;
use jobwright_kubernetes::{Connection, Kubernetes, Settings};
use serde_json::{from_value, json};

use published::published;

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
