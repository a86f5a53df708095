//! Kubernetes, as the executor of all clusters asks it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::remote::{
    Cluster, Fence, Force, Job, Options, Output, Prefix, RemoteExecutor, Sighting, Submitted,
    Survey, Trouble, instant,
};
use jobwright_core::{Failure, GroupId, Handle};
use k8s_openapi::api::batch::v1::Job as Manifest;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy};
use kube::runtime::watcher::Event;
use kube::{Api, Client, Config, Error};
use thiserror::Error as ThisError;
use tokio::time::timeout_at;

use crate::connect::{ConnectError, Line};
use crate::label;
use crate::ledger::{Kind, Ledger, handle, read_handle};
use crate::logs;
use crate::manifest::{self, Order};
use crate::settings::Settings;
use crate::trouble::{chain, submission, trouble};
use crate::watch::{News, Watches};

/// So many ticks the watches are listened to before the executor learns that nothing is new.
const QUIET: u32 = 2;

/// How long news are gathered after the first, also while more and more come.
const GATHER: Duration = Duration::from_millis(20);

/// The most news that are taken at once.
const MOST_NEWS: u32 = 500;

/// The most attempts that one request looks up: their names stand in its address.
const AT_ONCE: usize = 50;

/// Runs attempts on Kubernetes.
pub type KubernetesExecutor = RemoteExecutor<Kubernetes>;

/// A namespace of a Kubernetes cluster in which attempts run as Jobs.
///
/// **One Job per attempt.** Its name is a function of the attempt's id and its run, so making it
/// twice is the same as once: the API server answers the second time that it is there. It is never
/// tried again by the cluster, and is ended by it when its time is over, also without an engine.
///
/// **How it is followed.** Two watches, of Jobs and of pods, for all attempts together. Why a pod
/// waits is the attempt's progress: `ImagePullBackOff: …`, `Unschedulable: …`.
///
/// **How it ends.** By the exit code of the program. An eviction and a lost node are lost attempts,
/// and cost no try; too much memory is a failure, the deadline a timeout. Stopping deletes the Job
/// and waits until its pod is gone.
///
/// **What it leaves.** The result, at most 4096 bytes, is the termination message of the container.
/// Jobs that have ended are kept for [`Settings::keep`], and removed by the cluster.
///
/// **What it may do.** Its account needs, in its namespace: `create`, `get`, `list`, `watch`,
/// `delete` and `deletecollection` of `jobs`; `list`, `watch` and `delete` of `pods`; `get` of
/// `pods/log`; `create` of `configmaps`.
pub struct Kubernetes {
    line: Line,
    namespace: String,
    prefix: Prefix,
    settings: Settings,
    ledger: Mutex<Ledger>,
    /// Made by who first asks for news.
    watches: tokio::sync::Mutex<Option<Watches>>,
    forgotten: AtomicU64,
    /// The artifacts that are known to be there.
    artifacts: Mutex<HashSet<String>>,
}

/// Why there is no executor.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum SetupError {
    /// There is no way to the cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Names would be too long.
    #[error("prefix `{prefix}` has more than {most} characters: names of Jobs would be too long")]
    Prefix {
        /// The prefix.
        prefix: String,
        /// How many it may have.
        most: usize,
    },
}

impl Kubernetes {
    /// The most characters of a prefix.
    pub const LONGEST_PREFIX: usize = Prefix::MAX - manifest::NAME_TAIL - 1;

    /// Makes an executor. Sends nothing. `root` is the folder below which attempts get theirs.
    ///
    /// # Errors
    /// The prefix of the options is too long, or the configuration of the client is wrong.
    pub fn executor(
        config: Config,
        settings: Settings,
        root: impl Into<PathBuf>,
        options: Options,
    ) -> Result<KubernetesExecutor, SetupError> {
        let prefix = options.prefix.clone();
        if prefix.as_str().len() > Self::LONGEST_PREFIX {
            let (prefix, most) = (prefix.as_str().to_owned(), Self::LONGEST_PREFIX);
            return Err(SetupError::Prefix { prefix, most });
        }
        let namespace =
            settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let cluster = Self {
            line: Line::new(config)?,
            namespace,
            prefix,
            settings,
            ledger: Mutex::default(),
            watches: tokio::sync::Mutex::default(),
            forgotten: AtomicU64::new(0),
            artifacts: Mutex::default(),
        };
        Ok(RemoteExecutor::new(cluster, root, options))
    }

    /// Returns how many requests the API server has answered. A watch is one.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.line.requests()
    }

    /// Returns how often a watch began anew since the server had forgotten what came after the last
    /// news (`410 Gone`).
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Returns a client of the cluster, for tests and for what this crate does not do.
    #[must_use]
    pub fn client(&self) -> Client {
        self.line.client.clone()
    }

    fn jobs(&self) -> Api<Manifest> {
        Api::namespaced(self.line.client.clone(), &self.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.line.client.clone(), &self.namespace)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, error: &Error) -> Trouble {
        trouble(error, self.line.pause())
    }

    /// Sees to it that a package's artifacts are in the cluster, once.
    async fn bring(&self, artifacts: &ConfigMap) -> Result<(), Error> {
        let name = artifacts.metadata.name.clone().unwrap_or_default();
        let known = || self.artifacts.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&name) {
            return Ok(());
        }
        let maps: Api<ConfigMap> = Api::namespaced(self.line.client.clone(), &self.namespace);
        match maps.create(&PostParams::default(), artifacts).await {
            Ok(_) => {}
            // Its name is the digest of its content.
            Err(Error::Api(status)) if status.reason == "AlreadyExists" => {}
            Err(error) => return Err(error),
        }
        known().insert(name);
        Ok(())
    }

    /// Deletes a Job, and its pods before it: it is there for as long as they are.
    async fn delete(&self, name: &str, uid: &str) -> Result<(), Trouble> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match self.jobs().delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    /// Shortens the grace of the pods of a Job that is being deleted.
    async fn hasten(&self, uid: &str, grace: Duration) -> Result<(), Trouble> {
        // Nothing at all would make the server forget it before its node has ended it.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
        let params =
            DeleteParams { grace_period_seconds: Some(seconds), ..DeleteParams::default() };
        let pods = self.ledger().pods(uid);
        for pod in pods {
            match self.pods().delete(&pod, &params).await {
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(self.trouble(&error)),
            }
        }
        Ok(())
    }

    /// Opens what a program says, where one has begun.
    async fn hear(&self, uid: &str) -> Result<Option<Output>, Trouble> {
        let sight = self.ledger().sight(uid).filter(|it| it.has_begun).cloned();
        let Some(sight) = sight else { return Ok(None) };
        let output = match logs::open(self.pods(), sight.name).await {
            Ok(log) => Output::default().out(log),
            // It went with its pod, or the node does not hand it over.
            Err(Error::Api(status)) if status.code != 429 => {
                let words = format!("(what it said cannot be had: {})\n", status.message.trim());
                Output::default().err(std::io::Cursor::new(words.into_bytes()))
            }
            Err(error) => return Err(self.trouble(&error)),
        };
        self.ledger().hears(uid);
        Ok(Some(output))
    }

    /// Takes what the watches see, until there is something that the executor does not know, or
    /// a while has passed. Cancel safe.
    async fn listen(&self, watches: &mut Watches) -> Result<Vec<Sighting>, Trouble> {
        let mut ticks = 0;
        loop {
            let mut has_ticked = self.note(&watches.next().await?);
            let until = instant() + GATHER;
            for _ in 0..MOST_NEWS {
                let Ok(more) = timeout_at(until, watches.next()).await else { break };
                has_ticked |= self.note(&more?);
            }
            if has_ticked {
                ticks += 1;
                let interrupted = self.ledger().tick();
                for (name, uid) in interrupted {
                    self.delete(&name, &uid).await?;
                }
            }
            let sightings = self.ledger().news();
            if !sightings.is_empty() || ticks == QUIET {
                return Ok(sightings);
            }
        }
    }

    /// Takes one thing that the watches saw. Tells whether time has passed.
    fn note(&self, news: &News) -> bool {
        let mut ledger = self.ledger();
        match news {
            News::Job(Event::Apply(job) | Event::InitApply(job)) => ledger.job(job, &self.prefix),
            News::Pod(Event::Apply(pod) | Event::InitApply(pod)) => ledger.pod(pod, &self.prefix),
            News::Job(Event::Delete(job)) => {
                ledger.job_gone(job.metadata.uid.as_deref().unwrap_or_default());
            }
            News::Pod(Event::Delete(pod)) => {
                ledger.pod(pod, &self.prefix);
                ledger.pod_gone(pod.metadata.uid.as_deref().unwrap_or_default());
            }
            News::Job(Event::Init) => ledger.list_begins(Kind::Job),
            News::Job(Event::InitDone) => ledger.list_ends(Kind::Job),
            News::Pod(Event::Init) => ledger.list_begins(Kind::Pod),
            News::Pod(Event::InitDone) => ledger.list_ends(Kind::Pod),
            News::Forgotten => {
                self.forgotten.fetch_add(1, Ordering::Relaxed);
            }
            News::Tick => return true,
        }
        false
    }
}

#[async_trait]
impl Cluster for Kubernetes {
    type Order = Order;

    fn name(&self) -> &'static str {
        "Kubernetes"
    }

    fn enforces_keys(&self) -> bool {
        true
    }

    fn poll(&self) -> Duration {
        Duration::ZERO
    }

    async fn prepare(&self, job: &Job) -> Result<Order, Failure> {
        manifest::order(job, &self.prefix, &self.settings)
    }

    async fn submit(&self, _: &Job, order: &Order) -> Result<Submitted, Trouble> {
        if let Some(artifacts) = &order.artifacts
            && let Err(error) = self.bring(artifacts).await
        {
            return match submission(&error, self.line.pause())? {
                Submitted::Refused(failure) => Ok(Submitted::Refused(failure)),
                other => Err(Trouble::Unanswered(format!("unexpected answer: {other:?}"))),
            };
        }
        match self.jobs().create(&PostParams::default(), &order.job).await {
            Ok(made) => {
                let name = made.metadata.name.unwrap_or_default();
                Ok(Submitted::Accepted(handle(&name, &made.metadata.uid.unwrap_or_default())))
            }
            Err(error) => submission(&error, self.line.pause()),
        }
    }

    async fn find(&self, jobs: &[Job]) -> Result<Vec<Sighting>, Trouble> {
        let mut found = Vec::new();
        for some in jobs.chunks(AT_ONCE) {
            let params = ListParams::default().labels(&label::these(some));
            let listed = self.jobs().list(&params).await.map_err(|it| self.trouble(&it))?;
            if listed.items.is_empty() {
                continue;
            }
            let pods = self.pods().list(&params).await.map_err(|it| self.trouble(&it))?;
            let mut ledger = Ledger::default();
            listed.items.iter().for_each(|job| ledger.job(job, &self.prefix));
            pods.items.iter().for_each(|pod| ledger.pod(pod, &self.prefix));
            found.extend(some.iter().filter_map(|job| ledger.find(job.key(), &job.mark())));
            // What they left is asked for later.
            let mut ours = self.ledger();
            listed.items.iter().for_each(|job| ours.job(job, &self.prefix));
            pods.items.iter().for_each(|pod| ours.pod(pod, &self.prefix));
        }
        Ok(found)
    }

    async fn observe(&self, _: &[Job]) -> Result<Survey, Trouble> {
        let mut watches = self.watches.lock().await;
        let watches =
            watches.get_or_insert_with(|| Watches::new(self.jobs(), self.pods(), &self.prefix));
        self.listen(watches).await.map(Survey::news)
    }

    async fn stop(&self, _: &Job, handle: &Handle, how: Force) -> Result<(), Trouble> {
        let Some((name, uid)) = read_handle(handle) else { return Ok(()) };
        self.ledger().stops(uid);
        self.delete(name, uid).await?;
        let grace = match how {
            Force::Ask { grace } => grace,
            Force::Kill => Duration::ZERO,
        };
        self.hasten(uid, grace).await
    }

    async fn fence(&self, job: &Job) -> Result<Fence, Trouble> {
        let fence = manifest::fence(job, &self.prefix);
        match self.jobs().create(&PostParams::default(), &fence).await {
            Ok(_) => Ok(Fence::Shut),
            Err(Error::Api(status)) if status.reason == "AlreadyExists" => {
                let there = self.jobs().get_opt(&manifest::name(job)).await;
                let there = there.map_err(|error| self.trouble(&error))?;
                let labels = there.and_then(|it| it.metadata.labels);
                let is_fence = labels.is_some_and(|it| it.contains_key(label::FENCE));
                Ok(if is_fence { Fence::Shut } else { Fence::Started })
            }
            Err(error) => Err(self.trouble(&error)),
        }
    }

    async fn stream(&self, _: &Job, handle: &Handle) -> Result<Option<Output>, Trouble> {
        match read_handle(handle) {
            Some((_, uid)) => self.hear(uid).await,
            None => Ok(None),
        }
    }

    async fn output(&self, _: &Job, handle: &Handle) -> Result<Output, Trouble> {
        let Some((_, uid)) = read_handle(handle) else { return Ok(Output::default()) };
        let is_heard = self.ledger().is_heard(uid);
        let heard = if is_heard { None } else { self.hear(uid).await? };
        let output = heard.unwrap_or_default();
        let left = self.ledger().sight(uid).and_then(|it| it.message.clone());
        Ok(match left.filter(|it| !it.is_empty()) {
            Some(left) => output.result(left.into_bytes()),
            None => output,
        })
    }

    async fn release(&self, _: &Job, handle: &Handle) {
        if let Some((_, uid)) = read_handle(handle) {
            self.ledger().release(uid);
        }
    }

    async fn forget(&self, group: GroupId) {
        let params = DeleteParams::background();
        let which = ListParams::default().labels(&label::group(&self.prefix, group));
        if let Err(error) = self.jobs().delete_collection(&params, &which).await {
            let why = chain(&error);
            tracing::warn!(%why, job_group.id = group.get(), "Jobs cannot be removed");
        }
    }

    async fn ping(&self) -> Result<(), Trouble> {
        // What attempts need: to be let in, and the store behind the server.
        let params = ListParams::default().labels(&label::all(&self.prefix)).limit(1);
        self.jobs().list_metadata(&params).await.map(drop).map_err(|it| self.trouble(&it))
    }
}

/// There is no such object, or one of the same name that is another.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404 || status.code == 409)
}
