//! What can go wrong between an executor, its cluster and its nodes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jobwright_adapters::remote::Options;
use jobwright_core::{Executor, FailureClass, Handle, Outcome, Reattached, Success};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::contract::{Ear, shell, told};
use crate::node::Node;
use crate::proxy::{Network, Proxy};
use crate::stage::{executor, settings, stage, until};

/// The keys of attempts of an executor whose programs were started, with the numbers of their Jobs,
/// in order.
fn started(node: &Node, options: &Options) -> Vec<(String, String)> {
    let begin = format!("{}-", options.prefix.as_str());
    let mut starts = node.starts();
    starts.retain(|(key, _)| key.starts_with(&begin));
    starts.sort();
    starts
}

/// Runs 30 attempts, kills the API server when it is time, and returns what was started.
async fn outlive_the_api_server<F: Future<Output = ()>>(
    seconds: u32,
    is_time: impl FnOnce(Options) -> F,
) -> Vec<(String, String)> {
    let stage = stage();
    let options = stage.options();
    let config = stage.cluster.config().await;
    let executor = executor(config, settings("played"), stage.root(), options.clone());
    let script = format!("sleep {seconds}; printf 1 > \"$JOBWRIGHT_OUTPUT\"");
    let attempts = (1..=30).map(|job| shell(&script).job(job));
    let ends = join_all(attempts.map(|attempt| executor.execute(attempt.build())));
    let outage = async {
        is_time(options.clone()).await;
        stage.cluster.kill("kube-apiserver");
        sleep(Duration::from_secs(3)).await;
        stage.cluster.launch().await;
    };
    let (ends, ()) = tokio::join!(ends, outage);
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    assert_eq!(stage.node.running(), 0);
    started(&stage.node, &options)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_killed_while_jobs_are_handed_over() {
    let mut started =
        outlive_the_api_server(2, |_| until("some run", || stage().node.running() >= 5)).await;
    // A controller to which the answer about a pod is lost makes another one for the same Job.
    let programs = started.len();
    started.dedup();
    println!("{} Jobs, {programs} programs", started.len());
    assert_eq!(started.len(), 30, "each attempt has one Job: {started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_killed_while_all_run() {
    let started = outlive_the_api_server(6, |options| async move {
        until("all run", || stage().node.running() == 30).await;
        // Its controller knows all pods.
        let jobs: Api<Job> = Api::namespaced(stage().cluster.client().await, "default");
        let engine = format!("jobwright/engine={}", options.prefix.as_str());
        let ours = ListParams::default().labels(&engine);
        let runs = |job: &Job| job.status.as_ref().and_then(|it| it.active) == Some(1);
        while !jobs.list(&ours).await.unwrap().iter().all(runs) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let started = started.await;
    assert_eq!(started.len(), 30, "each ran once: {started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_cut_and_what_it_missed_is_forgotten() {
    // Without a cache and with what is older than a second compacted, the server answers `Expired`.
    let settings_of_server = ["--watch-cache=false", "--etcd-compaction-interval=1s"];
    let cluster = Cluster::start(&settings_of_server).await;
    let folder = cluster.folder().to_owned();
    let node = Node::start(cluster.client().await, "played", &folder.join("nodes")).await;
    let proxy = Proxy::start(cluster.port()).await;
    let config = cluster.config_by(proxy.port()).await;
    let options = Options { call_time: Duration::from_secs(5), ..Options::default() };
    let executor = executor(config, settings("played"), folder.join("attempts"), options);
    let first = executor.execute(shell("true").build()).await;
    assert!(first.is_ok(), "{first:?}");
    let ends = async {
        join_all((2..=6).map(|job| executor.execute(shell("sleep 3").job(job).build()))).await
    };
    let outage = async {
        until("all run", || node.running() == 5).await;
        proxy.set(Network::Cut);
        until("all have ended", || node.running() == 0).await;
        // Time and changes enough for what the watches saw last to be compacted.
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await, "default");
        for number in 0..8 {
            let map = json!({ "metadata": { "name": format!("change-{number}") } });
            let map = serde_json::from_value(map).unwrap();
            maps.create(&PostParams::default(), &map).await.unwrap();
            sleep(Duration::from_millis(700)).await;
        }
        proxy.set(Network::Whole);
    };
    let (ends, ()) = tokio::join!(ends, outage);
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    assert_eq!(node.started().len(), 6);
    assert!(executor.cluster().forgotten() > 0, "the server answered no `410 Gone`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_gone() {
    let stage = stage();
    let folder = stage.cluster.folder().join("nodes");
    let mut node = Node::start(stage.cluster.client().await, "doomed", &folder).await;
    let mut settings = settings("doomed");
    let spec = settings.template.spec.as_mut().unwrap();
    spec.termination_grace_period_seconds = Some(1);
    // Off a lost node in a second, not in the five minutes that everybody is given.
    let tolerations = ["not-ready", "unreachable"].map(|taint| {
        json!({ "key": format!("node.kubernetes.io/{taint}"), "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 1 })
    });
    spec.tolerations = Some(serde_json::from_value(json!(tolerations)).unwrap());
    let executor = executor(stage.cluster.config().await, settings, stage.root(), stage.options());
    let attempt = shell("sleep 300").build();
    let (end, ()) = tokio::join!(executor.execute(attempt), async {
        until("it runs", || node.running() == 1).await;
        node.vanish().await;
    });
    assert_eq!(told(&end), (FailureClass::Lost, "node_lost"), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_submission_is_lost() {
    let stage = stage();
    let proxy = Proxy::start(stage.cluster.port()).await;
    let options = Options { call_time: Duration::from_secs(3), ..stage.options() };
    let config = stage.cluster.config_by(proxy.port()).await;
    let executor = executor(config, settings("played"), stage.root(), options.clone());
    // So that the connection is there.
    executor.execute(shell("true").job(1).build()).await.unwrap();
    proxy.set(Network::Deaf);
    let attempt = shell("printf 5 > \"$JOBWRIGHT_OUTPUT\"").job(2).build();
    let (end, ()) = tokio::join!(executor.execute(attempt), async {
        until("it was taken", || started(&stage.node, &options).len() == 2).await;
        proxy.set(Network::Cut);
        proxy.set(Network::Whole);
    });
    assert_eq!(end.unwrap(), Success::with(json!(5)));
    assert_eq!(started(&stage.node, &options).len(), 2, "it ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_dies_between_a_submission_and_its_answer() {
    let stage = stage();
    let options = stage.options();
    let config = stage.cluster.config().await;
    let make = || executor(config.clone(), settings("played"), stage.root(), options.clone());
    let work = || shell("sleep 2; printf 7 > \"$JOBWRIGHT_OUTPUT\"");
    // It handed over, and nothing of it became durable: neither a handle nor that it was taken.
    let dead = make();
    let attempt = work().build();
    let running = dead.execute(attempt.clone());
    let handed_over = async {
        until("it runs", || started(&stage.node, &options).len() == 1).await;
        stage.abandon(&attempt);
    };
    tokio::select! {
        end = running => panic!("it cannot have ended: {end:?}"),
        () = handed_over => {}
    }
    let heir = make();
    let ear = Arc::new(Ear::default());
    let end = heir.reattach(work().reporter(ear.clone()).build()).await;
    assert_eq!(end, Reattached::Ended(Outcome::Succeeded(Success::with(json!(7)))));
    assert!(ear.has_heard("started "), "the heir learns its name");
    // Again, when it is long over.
    let end = make().reattach(work().handle(Handle::new("wrong")).build()).await;
    assert_eq!(end, Reattached::Ended(Outcome::Succeeded(Success::with(json!(7)))));
    // It died before it handed over: nothing is there, and what comes late starts nothing.
    let began = tokio::time::Instant::now();
    assert_eq!(heir.reattach(work().job(2).build()).await, Reattached::Unknown);
    assert!(began.elapsed() < Duration::from_secs(10), "a fence needs no waiting");
    let late = timeout(Duration::from_secs(20), dead.execute(work().job(2).build())).await;
    assert_eq!(told(&late.unwrap()), (FailureClass::Permanent, "name_taken"));
    assert_eq!(started(&stage.node, &options).len(), 1, "it ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_too_much_to_do_is_given_time() {
    let throttled = ["--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=1"];
    let cluster = Cluster::start(&throttled).await;
    let folder = cluster.folder().to_owned();
    let node = Node::start(cluster.client().await, "played", &folder.join("nodes")).await;
    let options = Options { submissions: 32, ..Options::default() };
    let config = cluster.config().await;
    let executor = executor(config, settings("played"), folder.join("attempts"), options);
    let ear = Arc::new(Ear::default());
    let attempts = (1..=100).map(|job| shell("true").job(job).reporter(ear.clone()).build());
    let ends = join_all(attempts.map(|attempt| executor.execute(attempt))).await;
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    assert!(ear.has_heard("it is busy: "), "nothing was turned away");
    assert_eq!(node.started().len(), 100);
    println!("{} requests for 100 attempts, some turned away", executor.cluster().requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_or_a_job_that_somebody_deletes_is_told() {
    let stage = stage();
    let options = stage.options();
    let config = stage.cluster.config().await;
    let executor = executor(config, settings("played"), stage.root(), options.clone());
    let client = stage.cluster.client().await;
    let (jobs, pods): (Api<Job>, Api<Pod>) =
        (Api::namespaced(client.clone(), "default"), Api::namespaced(client, "default"));
    let ours =
        ListParams::default().labels(&format!("jobwright/engine={}", options.prefix.as_str()));
    let (end, ()) = tokio::join!(executor.execute(shell("sleep 300").job(1).build()), async {
        until("it runs", || stage.node.running() == 1).await;
        pods.delete_collection(&DeleteParams::default(), &ours).await.unwrap();
    });
    assert_eq!(told(&end), (FailureClass::Lost, "evicted"), "{end:?}");
    until("nothing runs", || stage.node.running() == 0).await;
    let (end, ()) = tokio::join!(executor.execute(shell("sleep 300").job(2).build()), async {
        until("it runs", || stage.node.running() == 1).await;
        jobs.delete_collection(&DeleteParams::background(), &ours).await.unwrap();
    });
    let (class, code) = told(&end);
    assert!(class == FailureClass::Lost || code == "stopped", "{end:?}");
    until("nothing runs", || stage.node.running() == 0).await;
    // A group that is long over leaves nothing.
    executor.execute(shell("true").job(3).build()).await.unwrap();
    executor.forget(jobwright_core::GroupId::new(1).unwrap()).await;
    until_none(&jobs, &ours).await;
}

async fn until_none(jobs: &Api<Job>, which: &ListParams) {
    let gone = async {
        while !jobs.list(which).await.unwrap().items.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), gone).await.expect("all Jobs go");
}
