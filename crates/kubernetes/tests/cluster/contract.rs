//! The contract of executors, and what Kubernetes adds to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobwright_adapters::conformance::{AttemptBuilder, Table, attempt, exercise};
use jobwright_core::{
    Attempt, Executor, Failure, FailureClass, Handle, Reporter, Success, parameter,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::stage::{executor, settings, stage, until};

pub(crate) fn shell(script: &str) -> AttemptBuilder {
    attempt(json!({ "command": ["/bin/sh", "-c", script] }))
}

/// Keeps what it hears.
#[derive(Default)]
pub(crate) struct Ear(Mutex<Vec<String>>);

impl Ear {
    pub(crate) fn has_heard(&self, words: &str) -> bool {
        self.0.lock().unwrap().iter().any(|it| it.contains(words))
    }
}

#[async_trait]
impl Reporter for Ear {
    async fn started(&self, _: &Attempt, handle: Handle) {
        self.0.lock().unwrap().push(format!("started {}", handle.as_str()));
    }
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, percent: u8, words: &str) {
        self.0.lock().unwrap().push(format!("{percent} {words}"));
    }
    fn log(&self, _: &Attempt, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

pub(crate) fn told(end: &Result<Success, Failure>) -> (FailureClass, &str) {
    let failure = end.as_ref().expect_err("it fails");
    (failure.class, &failure.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_executors_holds() {
    let stage = stage();
    let config = stage.cluster.config().await;
    let leaves = shell("printf '{\"rows\":3}' > \"$JOBWRIGHT_OUTPUT\"");
    let hangs = attempt(json!({ "command": ["/bin/sleep", "60"] }));
    let table = Table::new(leaves, json!({ "rows": 3 }), shell("exit 3"), hangs);
    let table = table.remains(|| stage.node.running());
    let make = || executor(config.clone(), settings("played"), stage.root(), stage.options());
    exercise(make, table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_finds_what_it_finds_on_local_processes() {
    let stage = stage();
    let secrets: Api<Secret> = Api::namespaced(stage.cluster.client().await, "default");
    let secret =
        json!({ "metadata": { "name": "secrets" }, "stringData": { "key": "hunter2-long" } });
    let secret = serde_json::from_value(secret).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let mut settings = settings("played");
    settings.secret = Some("secrets".to_owned());
    settings.labels = BTreeMap::from([("team".to_owned(), "till".to_owned())]);
    let executor = executor(stage.cluster.config().await, settings, stage.root(), stage.options());
    let script = r#"read -r line
        ./tools/count.sh
        printf '{"line":"%s","word":"%s","key":"%s","rows":"%s","input":%s,"arg":"%s"}' \
            "$line" "$WORD" "$KEY" "$JOBWRIGHT_PARAM_ROWS" "$(cat "$JOBWRIGHT_INPUT")" "$1" \
            > result.json
        mv result.json "$JOBWRIGHT_OUTPUT""#;
    let payload = json!({
        "command": ["/bin/sh", "-c", script, "sh", "$(WORD) $$ `id` ';"],
        "env": { "WORD": "a $(KEY) b", "KEY": { "$secret": "key" } },
        "stdin": "first line\nsecond\n",
        "resources": { "cpu": 0.5, "memory": "64MiB", "time": "1h" },
        "kubernetes": { "node_selector": { "disk": "fast" } },
    });
    let attempt = attempt(payload)
        .secret("key", "hunter2-long")
        .parameter("rows", parameter::Value::Integer(7))
        .artifact("tools/count.sh", b"#!/bin/sh\necho counted\n", true)
        .build();
    let end = executor.execute(attempt).await.unwrap();
    let expect = json!({ "line": "first line", "word": "a $(KEY) b", "key": "***", "rows": "7",
        "input": [], "arg": "$(WORD) $$ `id` ';" });
    assert_eq!(**end.result().unwrap(), expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_before_it_is_handed_over() {
    let stage = stage();
    let executor = stage.executor().await;
    let check = async |payload: Value, words: &str| {
        let end = executor.execute(attempt(payload).build()).await;
        assert_eq!(told(&end), (FailureClass::Permanent, "payload"));
        assert!(end.as_ref().unwrap_err().message.contains(words), "{end:?}");
    };
    let command = json!(["/bin/true"]);
    check(json!({ "command": "true" }), "`command` must be a list").await;
    check(json!({ "command": command, "kubernetes": { "img": "x" } }), "unknown field `img`").await;
    let account = json!({ "service_account": "root" });
    check(json!({ "command": command, "kubernetes": account }), "`service-accounts` do not allow")
        .await;
    assert_eq!(executor.cluster().requests(), 0);
    // What only the cluster can know.
    let selector = json!({ "node_selector": { "not a name!": "x" } });
    let wrong = attempt(json!({ "command": command, "kubernetes": selector })).build();
    let end = executor.execute(wrong).await;
    assert_eq!(told(&end), (FailureClass::Permanent, "refused"), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_did_to_it_is_told() {
    let stage = stage();
    let executor = stage.executor().await;
    let image = |image: &str, script: &str| {
        let command = ["/bin/sh", "-c", script];
        attempt(json!({ "command": command, "kubernetes": { "image": image } }))
    };
    let hungry = image("played/hungry", "exit 137").job(1).build();
    let end = executor.execute(hungry).await;
    assert_eq!(told(&end), (FailureClass::Retryable, "out_of_memory"));
    let late = attempt(json!({ "command": ["/bin/sleep", "60"], "resources": { "time": 1 } }));
    let end = executor.execute(late.job(2).build()).await;
    assert_eq!(told(&end), (FailureClass::TimedOut, "deadline"));
    let large = shell("head -c 5000 /dev/zero | tr '\\0' x > \"$JOBWRIGHT_OUTPUT\"");
    let end = executor.execute(large.job(3).build()).await;
    assert_eq!(told(&end), (FailureClass::Permanent, "output"));

    let ear = Arc::new(Ear::default());
    let absent = image("played/absent", "true").job(4).reporter(ear.clone()).build();
    let mut running = executor.execute(absent.clone());
    let waits = until("it says why it waits", || ear.has_heard("ImagePullBackOff: no such image"));
    tokio::select! {
        () = waits => {}
        end = &mut running => panic!("it cannot end: {end:?}"),
    }
    stage.stop(&absent);
    assert_eq!(told(&running.await), (FailureClass::Cancelled, "cancelled"));
    assert_eq!(stage.node.running(), 0);
}
