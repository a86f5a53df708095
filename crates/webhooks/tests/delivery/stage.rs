//! An engine with one deployment of one step, and webhooks that are sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::secret::{SecretError, SecretSource, SecretString};
use jobwright_core::webhook::{Call, Delivery};
use jobwright_core::{Bundle, DeploymentId, Package};
use jobwright_scheduler::{Engine, Page, RunHandle};
use jobwright_store::MemoryStore;
use jobwright_webhooks::{Options, Webhooks};
use serde_json::json;

/// The key of every signature.
pub(crate) const KEY: &str = "correct horse battery staple";

struct Vault(BTreeMap<&'static str, &'static str>);

#[async_trait]
impl SecretSource for Vault {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        let found = self.0.get(name).map(|it| SecretString::from((*it).to_owned()));
        found.ok_or_else(|| SecretError::Unknown(name.to_owned()))
    }
}

/// Options under which nothing takes long, and this machine may be called by its number.
pub(crate) fn quick() -> Options {
    let vault = Vault(BTreeMap::from([("hook-key", KEY), ("hook-token", "Bearer 1")]));
    let pause = Duration::from_millis(5);
    let options = Options::default().retry(3, pause, pause * 4).secrets(Arc::new(vault));
    options.allow("127.0.0.0/8".parse().unwrap()).allow("::1".parse().unwrap())
}

pub(crate) fn call(url: &str) -> Call {
    let call = json!({ "name": "hook", "url": url, "secret": "hook-key" });
    serde_json::from_value(call).unwrap()
}

pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) deployment: DeploymentId,
    pub(crate) webhooks: Webhooks,
}

/// A stage on which nobody sends.
pub(crate) struct Silent {
    pub(crate) engine: Engine,
    pub(crate) deployment: DeploymentId,
}

impl Stage {
    pub(crate) async fn start(store: &Arc<MemoryStore>, options: Options) -> Self {
        Self::with(store, options, Act::succeeds()).await
    }

    pub(crate) async fn with(store: &Arc<MemoryStore>, options: Options, act: Act) -> Self {
        let executor = MockExecutor::new().otherwise(act);
        let builder = Engine::builder().shared_store(store.clone()).executor("mock", executor);
        let engine = builder.start().await.unwrap();
        let deployment = engine.create_deployment("sales").await.unwrap().id;
        let package: Package = serde_json::from_value(json!({
            "name": "sales", "primary": ["main"],
            "flows": [{
                "name": "main",
                "steps": [{ "name": "a", "kind": "wrangle", "executor": "mock" }],
                "outputs": [{ "name": "a", "steps": ["a"] }],
            }],
        }))
        .unwrap();
        engine.import(deployment, &Bundle::from(package), Default::default()).await.unwrap();
        let webhooks = Webhooks::start(engine.clone(), options).unwrap();
        Self { engine, deployment, webhooks }
    }

    /// Another life on the same store.
    pub(crate) async fn again(store: &Arc<MemoryStore>, options: Options) -> Self {
        let executor = MockExecutor::new();
        let builder = Engine::builder().shared_store(store.clone()).executor("mock", executor);
        let engine = builder.start().await.unwrap();
        let deployment = engine.deployment_named("sales").await.unwrap().unwrap().id;
        let webhooks = Webhooks::start(engine.clone(), options).unwrap();
        Self { engine, deployment, webhooks }
    }

    /// Sending ends as in a crash.
    pub(crate) fn without_webhooks(self) -> Silent {
        Silent { engine: self.engine, deployment: self.deployment }
    }

    /// Runs the deployment to its end.
    pub(crate) async fn run(&self) -> RunHandle {
        let run = self.engine.run(self.deployment).await.unwrap();
        run.wait().await.unwrap();
        run
    }

    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        self.engine.deliveries_page(None, Page::oldest(100)).await.unwrap()
    }

    /// Waits until nothing is to be sent any more.
    pub(crate) async fn is_idle(&self) {
        loop {
            let told = self.engine.announcements().await.unwrap();
            let pending = self.engine.pending_deliveries(None).await.unwrap();
            if told.is_empty() && pending.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn end(self) {
        self.webhooks.shutdown().await;
        self.engine.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}
