//! `spark-submit` in client mode.

use std::fs;
use std::time::Duration;

use jobwright_adapters::LocalProcessExecutor;
use jobwright_adapters::conformance::attempt;
use jobwright_adapters::remote::Prefix;
use jobwright_core::{Executor, FailureClass};
use jobwright_spark::{SparkSubmitExecutor, SubmitOptions};
use serde_json::json;
use tokio::time::timeout;

use crate::stage::{LONG, Stage, properties, stop, until};

const SECRET: &str = "correct-horse-battery-staple";

/// The same wrangle, and what only a process of this machine can have: secrets.
pub(crate) async fn submit(stage: &Stage) {
    let cluster = &stage.cluster;
    let root = tempfile::tempdir().unwrap();
    let bin = cluster.home().join("bin");
    let python = cluster.python().parent().unwrap();
    let processes = LocalProcessExecutor::new(root.path()).search_path([
        &bin,
        python,
        "/usr/bin".as_ref(),
        "/bin".as_ref(),
    ]);
    let make = |master: &str| {
        let options = SubmitOptions {
            program: "spark-submit".into(),
            master: master.to_owned(),
            prefix: Prefix::new("submit").unwrap(),
            properties: properties(),
        };
        SparkSubmitExecutor::new(options, processes.clone()).unwrap()
    };
    let home = cluster.home().to_str().unwrap();
    let env = json!({ "SPARK_HOME": home, "SPARK_LOCAL_IP": "127.0.0.1" });

    let payload = json!({
        "command": ["wrangle.py", "orders.csv", "report", "$HOME `id`"],
        "env": env,
        "resources": { "cpu": 1, "memory": "480MiB" },
        "spark": { "conf": { "spark.greeting": "x = \"y\" $HOME" } },
    });
    let orders = b"shop,amount\nnorth,10\nsouth,5\n";
    let wrangle = attempt(payload)
        .group(30)
        .artifact("wrangle.py", include_bytes!("wrangle.py"), false)
        // The file is read by executors too.
        .artifact("orders.csv", orders, false);
    let client = make(&cluster.url());
    let end = timeout(LONG, client.execute(wrangle.build())).await.unwrap().unwrap();
    let result = end.result().unwrap();
    assert_eq!(result["master"], cluster.url());
    assert_eq!(result["rows"], 2);
    assert_eq!(result["name"], "submit-1-1");
    assert_eq!(result["property"], "x = \"y\" $HOME");

    let mut env = env;
    env["TOKEN"] = json!({ "$secret": "token" });
    let says = b"import os\nprint('the token is', os.environ['TOKEN'])\nraise SystemExit(7)\n";
    let secret = attempt(json!({ "command": ["says.py"], "env": env }))
        .group(31)
        .artifact("says.py", says, false)
        .secret("token", SECRET);
    let local = make("local[1]");
    let failure = timeout(LONG, local.execute(secret.build())).await.unwrap().unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Retryable, "exit"), "{failure}");
    let log = fs::read_to_string(root.path().join("31/1-1/out.log")).unwrap();
    assert!(log.contains("the token is ***") && !log.contains(SECRET), "{log}");

    // Nothing of it goes on when it is stopped.
    env["TOKEN"] = "none".into();
    let hangs = b"import time\nopen('ready', 'w').close()\ntime.sleep(1000)\n";
    let hangs = attempt(json!({ "command": ["hangs.py"], "env": env }))
        .group(32)
        .artifact("hangs.py", hangs, false)
        .build();
    let ready = root.path().join("32/1-1").join("work").join("ready");
    let (end, ()) = tokio::join!(timeout(LONG, local.execute(hangs.clone())), async {
        until("the program runs", || ready.exists()).await;
        stop(&hangs, Duration::from_secs(5));
    });
    assert_eq!(end.unwrap().unwrap_err().class, FailureClass::Cancelled);
    until("the program is gone", || crate::cluster::programs(root.path()) == 0).await;
    stage.cleared().await;
}
