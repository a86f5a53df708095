//! The executor on a whole cluster: a real kubelet runs containers, and the scheduler places them.
//! Where the operating system cannot run containers this says so and passes; `./check kubernetes`
//! runs it.

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/kubelet.rs"]
mod kubelet;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::conformance::{AttemptBuilder, attempt};
use jobwright_adapters::remote::Options;
use jobwright_core::{
    Attempt, CancelReason, Executor, FailureClass, Handle, Reporter, Stop, StopReason, Success,
};
use jobwright_kubernetes::{Kubernetes, KubernetesExecutor, Settings};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::json;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use cluster::Cluster;

/// Keeps what it hears.
#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Ear {
    async fn hears(&self, words: &str) {
        let heard = || self.0.lock().unwrap().iter().any(|it| it.contains(words));
        let comes = async {
            while !heard() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let what = |_| panic!("`{words}` is not in {:?}", self.0.lock().unwrap());
        timeout(Duration::from_secs(120), comes).await.unwrap_or_else(what);
    }
}

#[async_trait]
impl Reporter for Ear {
    async fn started(&self, _: &Attempt, _: Handle) {}
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, percent: u8, words: &str) {
        self.0.lock().unwrap().push(format!("{percent} {words}"));
    }
    fn log(&self, _: &Attempt, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

fn shell(script: &str) -> AttemptBuilder {
    attempt(json!({ "command": ["/bin/sh", "-c", script] }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_cluster_runs_attempts() {
    let cluster = Cluster::start(&[]).await;
    if let Err(why) = kubelet::start(&cluster).await {
        eprintln!("SKIPPED: no node can be had on this machine, so no container is run: {why}");
        return;
    }
    let template = json!({ "spec": { "hostNetwork": true,
        "containers": [{ "name": "work", "imagePullPolicy": "Never" }] } });
    let settings = Settings {
        image: Some(kubelet::IMAGE.to_owned()),
        template: serde_json::from_value(template).unwrap(),
        ..Settings::default()
    };
    let root = cluster.folder().join("attempts");
    let config = cluster.config().await;
    let executor = Kubernetes::executor(config, settings, root, Options::default()).unwrap();
    it_says_and_leaves_what_it_should(&cluster, &executor).await;
    it_is_told_why_it_waits(&executor).await;
    it_stops_when_it_is_asked_to(&cluster, &executor).await;
    the_example_package_runs_unchanged(&cluster).await;
}

async fn it_says_and_leaves_what_it_should(cluster: &Cluster, executor: &KubernetesExecutor) {
    let ear = Arc::new(Ear::default());
    let script = "echo first; echo '::progress 42 half'; read -r line; ./count.sh; \
                  while [ ! -e go ]; do sleep 0.1; [ \"$((n=n+1))\" -lt 30 ] || : >go; done; \
                  echo \"$line\"; printf '{\"n\":1}' >r.json; mv r.json \"$JOBWRIGHT_OUTPUT\"";
    let work = attempt(json!({ "command": ["/bin/sh", "-c", script], "stdin": "hello\n" }));
    let work = work.artifact("count.sh", b"#!/bin/sh\necho counted\n", true);
    let attempt = work.reporter(ear.clone()).build();
    let began = Instant::now();
    let (end, ()) = tokio::join!(executor.execute(attempt), async {
        // While it runs, not when it is over.
        ear.hears("42 half").await;
        println!("heard after {:.1?}", began.elapsed());
    });
    assert_eq!(end.unwrap(), Success::with(json!({ "n": 1 })));
    println!("ended after {:.1?}", began.elapsed());
    let log = cluster.folder().join("attempts/1/1-1/out.log");
    let log = std::fs::read_to_string(log).unwrap();
    for line in [" first\n", " counted\n", " hello\n"] {
        assert!(log.contains(line), "`{line}` is not in {log}");
    }
    let end = executor.execute(shell("echo careful; exit 3").job(2).build()).await;
    let failure = end.unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Retryable, "exit"));
    assert!(failure.message.contains("careful"), "{failure}");
}

async fn it_is_told_why_it_waits(executor: &KubernetesExecutor) {
    let nowhere = json!({ "node_selector": { "disk": "nowhere" } });
    let absent = json!({ "image": "jobwright/absent:1" });
    for (job, asks, why) in [(3, nowhere, "Unschedulable: "), (4, absent, "ErrImageNeverPull: ")] {
        let ear = Arc::new(Ear::default());
        let waits = attempt(json!({ "command": ["/bin/true"], "kubernetes": asks }));
        let waits = waits.job(job).reporter(ear.clone()).build();
        let (end, ()) = tokio::join!(executor.execute(waits.clone()), async {
            ear.hears(why).await;
            stop(&waits);
        });
        assert_eq!(end.unwrap_err().class, FailureClass::Cancelled);
    }
}

async fn it_stops_when_it_is_asked_to(cluster: &Cluster, executor: &KubernetesExecutor) {
    let ear = Arc::new(Ear::default());
    let polite = "trap 'echo goodbye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    let attempt = shell(polite).job(5).reporter(ear.clone()).build();
    let (end, asked) = tokio::join!(executor.execute(attempt.clone()), async {
        ear.hears("up").await;
        stop(&attempt);
        Instant::now()
    });
    println!("stopped after {:.1?}", asked.elapsed());
    assert_eq!(end.unwrap_err().class, FailureClass::Cancelled);
    ear.hears("goodbye").await;
    let pods: Api<Pod> = Api::namespaced(cluster.client().await, "default");
    let running = pods.list(&Default::default()).await.unwrap().items;
    let running = running
        .iter()
        .filter(|it| it.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running"));
    assert_eq!(running.count(), 0, "nothing runs");
}

/// Runs the package of the examples as processes and as Jobs, by configuration alone.
async fn the_example_package_runs_unchanged(cluster: &Cluster) {
    let shared = cluster.folder().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/configured.sh");
    let mut configured = Command::new(script);
    configured.arg("kubernetes").env("KUBECONFIG", cluster.connection().kubeconfig.unwrap());
    configured.env("KUBERNETES_SHARED", shared).env("KUBERNETES_IMAGE", kubelet::IMAGE);
    let began = Instant::now();
    let status = timeout(Duration::from_secs(300), configured.kill_on_drop(true).status()).await;
    assert!(status.expect("the package ends").unwrap().success());
    println!("the example package ran in {:.1?}", began.elapsed());
}

fn stop(attempt: &Attempt) {
    let reason = StopReason::Cancelled { reason: CancelReason::Requested("a test".into()) };
    attempt.cancellation().stop(Stop { reason, grace: Duration::from_secs(5) });
}
