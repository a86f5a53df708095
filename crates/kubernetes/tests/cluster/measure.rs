//! What the executor costs: the same trivial jobs through an engine and through the cluster's own
//! client, turn by turn; how long it takes to hand one over; how many requests each takes. They are
//! the same to the cluster, too: the client makes Jobs like those that the engine made, so that a
//! pod with more in it is no part of the comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jobwright_core::{
    Attempt, Bundle, Executor, ExecutorTraits, Failure, Package, Reattached, Success, Verdict,
};
use jobwright_kubernetes::KubernetesExecutor;
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams, ObjectMeta, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::json;

use crate::stage::{Stage, executor, settings, stage};

const JOBS: usize = 200;
const ROUNDS: usize = 4;

/// The executor, seen by the engine, with what it costs.
struct Measured {
    inner: std::sync::Arc<KubernetesExecutor>,
}

#[async_trait]
impl Executor for Measured {
    async fn execute(&self, attempt: Attempt) -> Result<Success, Failure> {
        self.inner.execute(attempt).await
    }
    async fn reattach(&self, attempt: Attempt) -> Reattached {
        self.inner.reattach(attempt).await
    }
    fn traits(&self) -> ExecutorTraits {
        self.inner.traits()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_costs_little_more_than_the_clusters_own_client() {
    let stage = stage();
    // Both have a warm server.
    engine(stage).await;
    let like = made(stage).await;
    bare(stage, &like, 900).await;
    let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        // Each round leaves its pods, and the controller looks at all there are each time: who is
        // first has it better.
        let is_first = round % 2 == 0;
        let mut client = if is_first { bare(stage, &like, round).await } else { Duration::ZERO };
        let (engine, requests) = engine(stage).await;
        if !is_first {
            client = bare(stage, &like, round).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let each = requests as f64 / JOBS as f64;
        println!("{JOBS} jobs: client {client:.2?}, engine {engine:.2?}, {each:.2} requests a job");
        assert!(each <= 3.0, "{each} requests a job");
        (ours, theirs) = (ours + engine, theirs + client);
    }
    println!("ratio of the sums {:.2}", ours.as_secs_f64() / theirs.as_secs_f64());
    println!("hand-over: {}", hand_over(stage).await);
}

/// Runs the jobs through an engine: how long that takes, and how many requests.
async fn engine(stage: &Stage) -> (Duration, u64) {
    let config = stage.cluster.config().await;
    let inner = executor(config, settings("played"), stage.root(), stage.options());
    let inner = std::sync::Arc::new(inner);
    let measured = Measured { inner: inner.clone() };
    let engine =
        Engine::builder().store(MemoryStore::new()).executor("k8s", measured).start().await;
    let engine = engine.unwrap();
    let deployment = engine.create_deployment("measured").await.unwrap().id;
    engine.import(deployment, &package(), Default::default()).await.unwrap();
    let began = Instant::now();
    let run = engine.run(deployment).await.unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Succeeded);
    let took = began.elapsed();
    let requests = inner.cluster().requests();
    engine.shutdown(Duration::from_secs(5)).await.unwrap();
    (took, requests)
}

fn package() -> Bundle {
    let step = |number: usize| {
        json!({ "name": format!("s{number}"), "kind": "wrangle", "executor": "k8s",
            "payload": { "command": ["/bin/true"] } })
    };
    let steps: Vec<_> = (1..=JOBS).map(step).collect();
    let names: Vec<_> = (1..=JOBS).map(|number| format!("s{number}")).collect();
    let outputs = json!([{ "name": "all", "steps": names }]);
    let flow = json!({ "name": "main", "steps": steps, "outputs": outputs });
    let package = json!({ "name": "measured", "primary": ["main"], "flows": [flow] });
    Bundle::from(serde_json::from_value::<Package>(package).unwrap())
}

/// Does by the client alone what a user of it must do: make Jobs, watch them to their ends, and
/// read what their pods said.
async fn bare(stage: &Stage, like: &Job, round: usize) -> Duration {
    let client = Client::try_from(stage.cluster.config().await).unwrap();
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let label = format!("bare={round}");
    let began = Instant::now();
    let config = watcher::Config::default().labels(&label);
    let mut events = watcher(pods.clone(), config).boxed();
    let makes = stream::iter(0..JOBS).for_each_concurrent(8, |number| {
        let (jobs, job) = (&jobs, another(like, round, number));
        async move {
            jobs.create(&PostParams::default(), &job).await.unwrap();
        }
    });
    let seen = async {
        let mut ended = BTreeSet::new();
        while ended.len() < JOBS {
            let (Event::Apply(pod) | Event::InitApply(pod)) = events.next().await.unwrap().unwrap()
            else {
                continue;
            };
            let phase = pod.status.as_ref().and_then(|it| it.phase.clone());
            if phase.as_deref() == Some("Succeeded") && ended.insert(pod.metadata.name.clone()) {
                let name = pod.metadata.name.unwrap();
                // There is no kubelet that would have it, which both of them learn.
                let _ = pods.logs(&name, &LogParams::default()).await;
            }
        }
    };
    tokio::join!(makes, seen);
    began.elapsed()
}

/// A Job that the engine made.
async fn made(stage: &Stage) -> Job {
    let client = Client::try_from(stage.cluster.config().await).unwrap();
    let ours = ListParams::default().labels("jobwright/engine").limit(1);
    Api::namespaced(client, "default").list(&ours).await.unwrap().items.pop().unwrap()
}

/// The same Job under another name, which the engine does not take for one of its own.
fn another(like: &Job, round: usize, number: usize) -> Job {
    let (name, like) = (format!("bare-{round}-{number}"), like.spec.clone().unwrap());
    let labels = [("bare", round.to_string()), ("jobwright/key", name.clone())];
    let labels: BTreeMap<_, _> = labels.map(|(label, value)| (label.to_owned(), value)).into();
    let mut spec = JobSpec { selector: None, ..like };
    spec.template.metadata.as_mut().unwrap().labels = Some(labels.clone());
    let metadata = ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() };
    Job { metadata, spec: Some(spec), status: None }
}

/// Measures from the call of the executor to its report that the cluster has taken the attempt.
async fn hand_over(stage: &Stage) -> String {
    use jobwright_adapters::conformance::attempt;
    use jobwright_core::{Handle, Reporter};

    struct Clock(Instant, AtomicU64, Mutex<Vec<u64>>);
    #[async_trait]
    impl Reporter for Clock {
        async fn started(&self, _: &Attempt, _: Handle) {
            let now = u64::try_from(self.0.elapsed().as_micros()).unwrap();
            self.2.lock().unwrap().push(now - self.1.load(Ordering::SeqCst));
        }
        fn heartbeat(&self, _: &Attempt) {}
        fn progress(&self, _: &Attempt, _: u8, _: &str) {}
        fn log(&self, _: &Attempt, _: &str) {}
    }
    let executor = stage.executor().await;
    let clock = std::sync::Arc::new(Clock(Instant::now(), AtomicU64::new(0), Mutex::default()));
    for job in 1..=50 {
        let now = u64::try_from(clock.0.elapsed().as_micros()).unwrap();
        clock.1.store(now, Ordering::SeqCst);
        let attempt = attempt(json!({ "command": ["/bin/true"] })).job(job);
        executor.execute(attempt.reporter(clock.clone()).build()).await.unwrap();
    }
    let mut times = clock.2.lock().unwrap().clone();
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "some milliseconds")]
    let millis = |at: usize| times[at] as f64 / 1000.0;
    format!("median {:.1} ms, 90 % {:.1} ms, longest {:.1} ms", millis(25), millis(45), millis(49))
}
