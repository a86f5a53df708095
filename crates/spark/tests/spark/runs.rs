//! What becomes of programs: they do their work, fail, stop, and are killed.

use std::fs;
use std::time::Duration;

use jobwright_adapters::conformance::{Table, attempt, exercise};
use jobwright_adapters::remote::Options;
use jobwright_core::{Attempt, Executor, Failure, FailureClass, Success};
use jobwright_spark::{StandaloneError, standalone};
use serde_json::json;

use crate::stage::{Ear, LONG, Stage, shell, slots, stop as ask, until};

pub(crate) async fn conformance(stage: &Stage) {
    let leaves = shell("echo '{\"rows\": 3}' > \"$JOBWRIGHT_OUTPUT\"");
    let (fails, hangs) = (shell("exit 3"), shell("sleep 1000"));
    let shared = stage.root();
    let programs = move || crate::cluster::programs(&shared);
    let table = Table::new(leaves, json!({ "rows": 3 }), fails, hangs);
    exercise(|| stage.executor(), table.remains(programs).patience(LONG)).await;
    // Drivers that came to nothing may have been on their way until now.
    stage.cleared().await;
}

async fn run(executor: &impl Executor, attempt: Attempt) -> Result<Success, Failure> {
    let end = tokio::time::timeout(LONG, executor.execute(attempt)).await;
    end.expect("an attempt ends")
}

/// A session on the cluster reads a file and writes another one.
pub(crate) async fn wrangle(stage: &Stage) {
    let orders = "shop,amount\n north ,10\nsouth,5\nNorth,2.5\nsouth,-1\nwest,\n";
    let day = "a day; $HOME `id`\n";
    let payload = json!({
        "command": ["wrangle.py", "orders.csv", "report", day],
        "resources": { "cpu": 2, "memory": "480MiB" },
        "spark": { "conf": { "spark.greeting": "x = \"y\" $HOME" } },
    });
    let ear = Ear::new();
    let attempt = attempt(payload)
        .group(10)
        .artifact("wrangle.py", include_bytes!("wrangle.py"), false)
        .artifact("orders.csv", orders.as_bytes(), false)
        .reporter(ear.clone())
        .build();
    let executor = stage.executor();
    let (end, ()) = tokio::join!(run(&executor, attempt), ear.says("with 2 cores"));
    let end = end.unwrap();
    let result = end.result().unwrap();
    // Not the driver by itself: the application was one of the master's.
    assert_eq!(result["master"], stage.cluster.url());
    assert!(stage.cluster.state().contains(result["application"].as_str().unwrap()));
    assert!(result["name"].as_str().unwrap().ends_with("-1-1"), "{result}");
    assert_eq!(result["rows"], 3);
    assert_eq!([&result["memory"], &result["cores"]], ["480m", "2"]);
    assert_eq!(result["property"], "x = \"y\" $HOME");
    let report = stage.root().join("10/1-1").join("work").join("report");
    let parts = fs::read_dir(report).unwrap().flatten().map(|it| it.path());
    let part = parts.into_iter().find(|it| it.extension().is_some_and(|it| it == "csv"));
    let text = fs::read_to_string(part.expect("a report is written")).unwrap();
    assert_eq!(text, "shop,total,orders\nNORTH,12.5,2\nSOUTH,5.0,1\n");
    stage.cleared().await;
}

/// Failures are told with their words, and what cannot work is refused before it is handed over.
pub(crate) async fn failure(stage: &Stage) {
    let executor = stage.executor();
    let of = |payload| attempt(payload).group(11);
    let raises = b"import sys\nprint('one')\nraise SystemError('no such column: total')\n";
    let raises = of(json!({ "command": ["raises.py"] })).artifact("raises.py", raises, false);
    let missing = of(json!({ "command": ["./missing"] })).job(2);
    let late = of(json!({ "command": ["sleep", "1000"], "resources": { "time": "1s" } })).job(3);
    // The JVM of such a driver does not come to its launcher.
    let options = json!({ "conf": { "spark.driver.extraJavaOptions": "-Xmx-nonsense" } });
    let broken = of(json!({ "command": ["true"], "spark": options })).job(4);
    let ends = tokio::join!(
        run(&executor, raises.build()),
        run(&executor, missing.build()),
        run(&executor, late.build()),
        run(&executor, broken.build()),
    );
    let check = |end: Result<Success, Failure>, class: FailureClass, code: &str, words: &str| {
        let failure = end.unwrap_err();
        assert_eq!((failure.class, &*failure.code), (class, code), "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    };
    check(ends.0, FailureClass::Retryable, "exit", "SystemError: no such column: total");
    check(ends.1, FailureClass::Permanent, "command_not_found", "No such file");
    check(ends.2, FailureClass::TimedOut, "time", "resources.time");
    check(ends.3, FailureClass::Retryable, "driver", "nonsense");

    let secret = of(json!({ "command": ["true"], "env": { "TOKEN": { "$secret": "token" } } }));
    let secret = secret.job(5).secret("token", "correct-horse").build();
    check(executor.execute(secret).await, FailureClass::Permanent, "secret", "`env.TOKEN`");
    let large = of(json!({ "command": ["true"], "resources": { "memory": "1TiB" } })).job(6);
    check(executor.execute(large.build()).await, FailureClass::Permanent, "resources", "512 MiB");

    // So many drivers could leave no core for any of their applications.
    let many = Options { slots: slots() + 1, ..Options::default() };
    let many = standalone(stage.place().options(), stage.root(), many).unwrap();
    let told = many.cluster().check().await.unwrap_err();
    assert!(matches!(told, StandaloneError::Deadlock { most, .. } if most == slots()), "{told}");
    let refused = many.execute(of(json!({ "command": ["true"] })).job(7).build()).await;
    check(refused, FailureClass::Rejected, "deadlock", "set `slots` to at most that");
    executor.cluster().check().await.unwrap();
    stage.cleared().await;
}

/// A program is asked to stop, and has its grace.
pub(crate) async fn stop(stage: &Stage) {
    let executor = stage.executor();
    let script = "trap 'echo stopped > stopped; exit 0' TERM; echo ready; \
                  touch ready; while :; do sleep 0.1; done";
    let attempt = shell(script).group(12).build();
    let work = stage.root().join("12/1-1/work");
    let (end, ()) = tokio::join!(run(&executor, attempt.clone()), async {
        until("the program runs", || work.join("ready").exists()).await;
        ask(&attempt, Duration::from_secs(60));
    });
    assert_eq!(end.unwrap_err().class, FailureClass::Cancelled);
    assert!(work.join("stopped").exists(), "it had its grace");
    stage.cleared().await;
}

/// Somebody else has the driver killed: that is no success, and no cancellation.
pub(crate) async fn killed(stage: &Stage) {
    let executor = stage.executor();
    let ear = Ear::new();
    let attempt = shell("touch ready; sleep 1000").group(13).reporter(ear.clone()).build();
    let ready = stage.root().join("13/1-1").join("work").join("ready");
    let (end, ()) = tokio::join!(run(&executor, attempt), async {
        let driver = ear.started().await;
        until("the program runs", || ready.exists()).await;
        stage.cluster.post(&format!("/v1/submissions/kill/{driver}"));
    });
    let failure = end.unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Retryable, "stopped"));
    stage.cleared().await;
}

/// An application may be a class of a jar, as Scala and Java have it.
pub(crate) async fn class(stage: &Stage) {
    let executor = stage.executor();
    let of = |job: i64, class: &str, arguments: &[&str]| {
        let command = [&["spark-internal"], arguments].concat();
        let payload = json!({ "command": command, "spark": { "class": class } });
        attempt(payload).group(14).job(job).build()
    };
    let version = of(1, "org.apache.hadoop.util.VersionInfo", &[]);
    // It ends the JVM itself, with exit code 0; as the other does with 1, having been misused.
    let exits = of(2, "org.apache.spark.deploy.SparkSubmit", &["--version"]);
    let misused = of(3, "org.apache.spark.deploy.SparkSubmit", &["--no-such-option"]);
    let missing = of(4, "org.example.Missing", &[]);
    let ends = tokio::join!(
        run(&executor, version.clone()),
        run(&executor, exits),
        run(&executor, misused),
        run(&executor, missing),
    );
    assert_eq!(ends.0, Ok(Success::empty()));
    let log = fs::read_to_string(stage.root().join("14/1-1/out.log")).unwrap();
    assert!(log.contains("Hadoop"), "{log}");
    assert_eq!(ends.1, Ok(Success::empty()));
    assert_eq!(ends.2.unwrap_err().class, FailureClass::Retryable);
    let missing = ends.3.unwrap_err();
    assert!(missing.message.contains("ClassNotFoundException"), "{missing}");
    stage.cleared().await;
}

/// The example of the repository does what it says.
pub(crate) async fn example(stage: &Stage, program: &str) {
    let place = stage.place();
    let shared = place.shared.join("example");
    // Cargo runs tests in the folder of their crate.
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(program);
    let mut example = tokio::process::Command::new(program);
    let output = example.args([&place.rest, &place.ui]).arg(shared).output();
    let output = tokio::time::timeout(LONG, output).await.expect("the example ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "run 1: Succeeded\nwrangle: {\"NORTH\":12,\"SOUTH\":5}\n", "{output:?}");
    stage.cleared().await;
}
