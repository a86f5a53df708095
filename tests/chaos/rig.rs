//! Everything that is there: PostgreSQL, the engines, and what was seen.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::cleaner::Cleaner;
use crate::cluster::{Cluster, PASSWORD};
use crate::disk;
use crate::load::Seen;
use crate::node::Node;
use crate::proxy::Proxy;
use crate::store::Store;

/// After this time without a renewal other engines take groups up.
pub(crate) const LEASE: Duration = Duration::from_secs(4);

const CONFIG: &str = r#"
[server]
requests-per-minute = 0
streams = 1000
drain = "3s"
[engine]
lease = "4s"
grace = "1s"
[executors.local]
kind = "local"
slots = 12
[executors.mock]
kind = "mock"
latency = "150ms"
slots = 60
[telemetry]
level = "info"
"#;

pub(crate) struct Rig {
    pub(crate) seed: u64,
    /// How long after the last fault everything must have ended.
    pub(crate) settle: Duration,
    pub(crate) nodes: Vec<Node>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) store: Store,
    pub(crate) client: reqwest::Client,
    pub(crate) token: String,
    /// The deployments: of local processes, of pretended jobs, and of local processes whose runs
    /// wait for each other.
    pub(crate) deployments: [i64; 3],
    pub(crate) seen: Seen,
    pub(crate) folder: PathBuf,
    pub(crate) cleaner: Cleaner,
}

impl Rig {
    pub(crate) async fn start(
        seed: u64,
        engines: usize,
        load: Duration,
        settle: Duration,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("jw-chaos.").tempdir()?.keep();
        let cleaner = Cleaner::start(&folder)?;
        // A build beside a long run must not change what is restarted.
        std::fs::copy(env!("CARGO_BIN_EXE_jobwright"), folder.join("jobwright"))?;
        std::fs::create_dir(folder.join("evidence"))?;
        std::fs::write(folder.join("evidence.sh"), include_str!("evidence.sh"))?;
        std::fs::write(folder.join("jobwright.toml"), CONFIG)?;
        let settings = ["shared_buffers=64MB", "restart_after_crash=on", "max_wal_size=256MB"];
        let size = Some(disk::megabytes(load));
        let start = move || Cluster::start_on(&settings, size);
        let cluster = tokio::task::spawn_blocking(start).await?;
        if cluster.disk().is_none() {
            eprintln!("chaos: no tmpfs can be mounted here: THE DISK IS NEVER FULL in this run");
        }
        let cluster = Arc::new(cluster);
        let store = Store::new(cluster.database());
        let mut nodes = Vec::new();
        for number in 1..=engines {
            let proxy = Proxy::start(cluster.port()).await?;
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let url = format!(
                "postgres://postgres:{PASSWORD}@127.0.0.1:{}/test_0?sslmode=disable",
                proxy.port
            );
            nodes.push(Node::new(format!("engine-{number}"), port, proxy, folder.clone(), url));
        }
        // The command's client speaks TLS, and is compiled into this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let token = String::new();
        let (seen, deployments) = (Seen::default(), [0; 3]);
        let mut rig = Self {
            seed,
            settle,
            nodes,
            cluster,
            store,
            client,
            token,
            deployments,
            seen,
            folder,
            cleaner,
        };
        for node in &rig.nodes {
            rig.begin(node).await?;
        }
        rig.token = std::fs::read_to_string(rig.folder.join("token"))?.trim().to_owned();
        let script = rig.folder.join("evidence.sh");
        let real = include_str!("real.yaml").replace("SCRIPT", &script.to_string_lossy());
        // Longer than the lease, so that what a lost engine left would meet what follows it.
        let (long, short) = (real.replace("LONG", "25"), real.replace("LONG", "2"));
        let pretended = include_str!("pretended.yaml");
        rig.deployments = [
            rig.deploy(0, "real", "allow", &long).await?,
            rig.deploy(1, "pretended", "allow", pretended).await?,
            rig.deploy(2, "queued", "queue", &short).await?,
        ];
        Ok(rig)
    }

    /// Starts an engine, and finds out which life of the store it is.
    pub(crate) async fn begin(&self, node: &Node) -> anyhow::Result<()> {
        let before = self.store.lives().await.unwrap_or_default();
        node.start(&self.cleaner).await?;
        let now = self.store.lives().await?;
        node.is(now.difference(&before).next().cloned().unwrap_or_default());
        Ok(())
    }

    /// Makes a deployment with a release, through one of the nodes.
    async fn deploy(
        &self,
        node: usize,
        name: &str,
        policy: &str,
        package: &str,
    ) -> anyhow::Result<i64> {
        let base = &self.nodes[node % self.nodes.len()].base;
        let post =
            |path: String| self.client.post(format!("{base}{path}")).bearer_auth(&self.token);
        let made = post("/v4/deployments".into()).json(&json!({ "name": name })).send().await?;
        let made: Value = made.error_for_status()?.json().await?;
        let id = made["id"].as_i64().context("a deployment has an id")?;
        let change = self.client.patch(format!("{base}/v4/deployments/{id}"));
        let change = change.bearer_auth(&self.token).json(&json!({ "runPolicy": policy }));
        change.send().await?.error_for_status()?;
        let part = Part::bytes(package.as_bytes().to_vec()).file_name("package.yaml");
        let release = post(format!("/v4/deployments/{id}/releases"));
        let release = release.multipart(Form::new().part("data", part)).send().await?;
        let ok = release.status().is_success();
        anyhow::ensure!(ok, "the package is refused: {}", release.text().await?);
        Ok(id)
    }

    pub(crate) fn evidence(&self, job: i64) -> PathBuf {
        Path::new(&self.folder).join("evidence").join(job.to_string())
    }
}
