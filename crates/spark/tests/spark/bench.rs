//! The same work through an engine and by the submission server alone, in one run.

use std::time::{Duration, Instant};

use jobwright_core::{Bundle, Package, Verdict};
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::stage::{CORES, Stage, properties};

/// At most so many at a time, both ways.
const SLOTS: usize = CORES as usize - 1;

/// Compares, in turns, so that a machine whose load changes is fair to both.
pub(crate) async fn bench(stage: &Stage, jobs: u32) {
    // The first drivers find nothing in the caches of the machine.
    direct(stage, 2).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        theirs.push(direct(stage, jobs).await);
        ours.push(engine(stage, jobs).await);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("  {jobs} jobs, {SLOTS} at a time: engine {ours:.2} s, REST alone {theirs:.2} s");
    println!("  ratio {:.3}", ours / theirs);
}

async fn engine(stage: &Stage, jobs: u32) -> Duration {
    let executor = stage.executor();
    let builder = Engine::builder().store(MemoryStore::new()).executor("spark", executor);
    let engine = builder.start().await.unwrap();
    let step = |at: u32| {
        let name = format!("s{at}");
        json!({ "name": name, "kind": "wrangle", "executor": "spark", "payload": { "command": ["true"] } })
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
    let places = Semaphore::new(SLOTS);
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
