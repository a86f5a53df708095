//! The same work through an engine and by the submission server alone, in one run.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jobwright_adapters::remote::Options;
use jobwright_core::{Bundle, Executor, Package, Verdict};
use jobwright_scheduler::Engine;
use jobwright_spark::{SparkExecutor, StandaloneOptions, standalone};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::proxy::Proxy;
use crate::stage::{Ear, Place, Stage, properties, shell, slots};

/// How often the two are compared, where it does not take long.
const ROUNDS: u32 = 2;

/// Compares, in turns, so that a machine whose load changes is fair to both.
pub(crate) async fn bench(stage: &Stage, jobs: u32) {
    // Whoever was first has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The first drivers find nothing in the caches of the machine.
    direct(stage, 2).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let rounds = if jobs < 100 { ROUNDS } else { 1 };
    for round in 0..rounds {
        // Who is first has it a little better or worse.
        if round % 2 == 0 {
            theirs.push(direct(stage, jobs).await);
            ours.push(engine(stage.executor(), jobs).await);
        } else {
            ours.push(engine(stage.executor(), jobs).await);
            theirs.push(direct(stage, jobs).await);
        }
    }
    let slots = slots();
    println!("  {jobs} jobs, {slots} at a time: engine {ours:.1?}, REST alone {theirs:.1?}");
    let sum = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64();
    println!("  ratio of the sums {:.3}", sum(&ours) / sum(&theirs));
    requests(stage, jobs).await;
    hand_over(stage).await;
}

/// How many requests a job takes, all together, at the usual pace of asking.
async fn requests(stage: &Stage, jobs: u32) {
    let [rest, ui] = [stage.cluster.rest(), stage.cluster.ui()];
    let (rest, ui) = (Proxy::start(&rest, || async {}).await, Proxy::start(&ui, || async {}).await);
    let place = Place { rest: rest.address.clone(), ui: ui.address.clone(), ..stage.place() };
    let StandaloneOptions { poll, .. } = StandaloneOptions::default();
    let options = StandaloneOptions { poll, ..place.options() };
    let remote = Options { slots: slots(), ..Options::default() };
    engine(standalone(options, &place.shared, remote).unwrap(), jobs).await;
    let [rest, ui] = [rest.requests, ui.requests].map(|it| it.load(Ordering::Relaxed));
    let each = f64::from(rest + ui) / f64::from(jobs);
    println!(
        "  requests a job: {each:.2} ({rest} to the submission server, {ui} to the interface)"
    );
}

/// How long it takes from the attempt to the report that it is handed over.
async fn hand_over(stage: &Stage) {
    let executor = stage.executor();
    let mut times = Vec::new();
    for job in 1..=7 {
        let ear = Ear::new();
        let attempt = shell("true").group(40).job(job).reporter(ear.clone()).build();
        let began = Instant::now();
        let (end, took) = tokio::join!(executor.execute(attempt), async {
            ear.started().await;
            began.elapsed()
        });
        end.unwrap();
        times.push(took);
    }
    times.sort();
    println!("  handed over after {:.1?} (median), {:.1?} (worst)", times[3], times[6]);
}

async fn engine(executor: SparkExecutor, jobs: u32) -> Duration {
    let builder = Engine::builder().store(MemoryStore::new()).executor("spark", executor);
    let engine = builder.start().await.unwrap();
    let step = |at: u32| {
        let (name, payload) = (format!("s{at}"), json!({ "command": ["true"] }));
        json!({ "name": name, "kind": "wrangle", "executor": "spark", "payload": payload })
    };
    let steps: Vec<_> = (0..jobs).map(step).collect();
    let all: Vec<_> = (0..jobs).map(|at| format!("s{at}")).collect();
    let flow =
        json!({ "name": "main", "steps": steps, "outputs": [{ "name": "o", "steps": all }] });
    let package = json!({ "name": "test", "primary": ["main"], "flows": [flow] });
    let bundle = Bundle::from(serde_json::from_value::<Package>(package).unwrap());
    let deployment = engine.create_deployment("test").await.unwrap().id;
    engine.import(deployment, &bundle, Default::default()).await.unwrap();
    let began = Instant::now();
    let run = engine.run(deployment).await.unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Succeeded);
    let took = began.elapsed();
    engine.shutdown(Duration::ZERO).await.unwrap();
    took
}

/// The least that a client of the server does: submit, and ask until it is over.
async fn direct(stage: &Stage, jobs: u32) -> Duration {
    let script = stage.root().join("nothing.py");
    std::fs::write(&script, "import subprocess\nsubprocess.run(['true'])\n").unwrap();
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let mut arguments = vec!["--master".to_owned(), stage.cluster.url()];
    for (name, value) in properties() {
        arguments.extend(["--conf".to_owned(), format!("{name}={value}")]);
    }
    arguments.push(script.to_str().unwrap().to_owned());
    let mut properties = serde_json::to_value(properties()).unwrap();
    properties["spark.app.name"] = "direct".into();
    properties["spark.master"] = stage.cluster.url().into();
    properties["spark.driver.memory"] = "512m".into();
    properties["spark.driver.cores"] = "1".into();
    let submission = json!({
        "action": "CreateSubmissionRequest", "clientSparkVersion": "4.0.0", "appResource": "",
        "mainClass": "org.apache.spark.deploy.SparkSubmit", "appArgs": arguments,
        "environmentVariables": { "PYSPARK_PYTHON": stage.cluster.python() },
        "sparkProperties": properties,
    });
    let places = Semaphore::new(slots() as usize);
    let rest = stage.cluster.rest();
    let one = async || {
        let _place = places.acquire().await.unwrap();
        let create = http.post(format!("{rest}/v1/submissions/create")).json(&submission);
        let answer: Value = create.send().await.unwrap().json().await.unwrap();
        let driver = answer["submissionId"].as_str().expect("it is taken").to_owned();
        loop {
            let status = http.get(format!("{rest}/v1/submissions/status/{driver}"));
            let answer: Value = status.send().await.unwrap().json().await.unwrap();
            match answer["driverState"].as_str() {
                Some("FINISHED") => return,
                Some("SUBMITTED" | "RUNNING") => {}
                other => panic!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    let began = Instant::now();
    let all = (0..jobs).map(|_| one());
    futures_util::future::join_all(all).await;
    began.elapsed()
}
