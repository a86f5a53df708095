//! What becomes of attempts when answers, engines, masters and workers are lost.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jobwright_core::{Attempt, Executor, FailureClass, Handle, Outcome, Reattached, Success};
use serde_json::json;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::proxy::Proxy;
use crate::stage::{Ear, LONG, Place, Stage, shell, stop, until};

/// Tells that it has run, waits for a file `go`, and leaves a result.
const PATIENT: &str = "echo run >> runs; while [ ! -e go ]; do sleep 0.1; done; \
                       echo '{\"rows\": 3}' > \"$JOBWRIGHT_OUTPUT\"";

fn rows() -> Success {
    Success::with(json!({ "rows": 3 }))
}

fn work(place: &Path, group: i64, attempt: &str) -> PathBuf {
    place.join(format!("{group}/{attempt}/work"))
}

fn runs(work: &Path) -> usize {
    fs::read_to_string(work.join("runs")).unwrap_or_default().lines().count()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.unwrap_or_else(|_| panic!("{what} within {LONG:?}"))
}

/// The answer to a submission is lost: before its driver has begun, and after.
pub(crate) async fn unanswered(stage: &Stage) {
    let proxy = Proxy::start(&stage.cluster.rest(), || async {}).await;
    let place = Place { rest: proxy.address.clone(), ..stage.place() };
    let executor = place.executor("unanswered");
    proxy.cut();
    let first = shell(PATIENT).group(20).build();
    let end = soon("an attempt ends", executor.execute(first.clone())).await;
    let failure = end.unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Rejected, "unanswered"));
    assert_eq!(executor.reattach(first).await, Reattached::Unknown);
    stage.cleared().await;
    assert_eq!(runs(&work(&place.shared, 20, "1-1")), 0, "what was given up does nothing");
    // The executor is as good as before.
    let second = shell("true").group(20).number(2).build();
    assert_eq!(soon("an attempt ends", executor.execute(second)).await, Ok(Success::empty()));

    let claim = work(&stage.root(), 21, "1-1").with_file_name("claim.json");
    let claimed = move || {
        let claim = claim.clone();
        async move { until("a driver has claimed it", || claim.exists()).await }
    };
    let proxy = Proxy::start(&stage.cluster.rest(), claimed).await;
    let place = Place { rest: proxy.address.clone(), ..stage.place() };
    let executor = place.executor("late");
    proxy.cut();
    let ear = Ear::new();
    let attempt = shell(PATIENT).group(21).reporter(ear.clone()).build();
    let work = work(&place.shared, 21, "1-1");
    let (end, ()) = tokio::join!(soon("an attempt ends", executor.execute(attempt)), async {
        assert!(ear.started().await.starts_with("driver-"), "it is found by its claim");
        fs::write(work.join("go"), "").unwrap();
    });
    assert_eq!(end, Ok(rows()));
    assert_eq!(runs(&work), 1);
    stage.cleared().await;
}

/// Starts an engine that hands an attempt over in a process of its own. It says which driver it
/// was given.
fn doomed(place: &Place, group: i64) -> (Child, String) {
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["doomed", &serde_json::to_string(place).unwrap(), &group.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(engine.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).next().expect("the engine hands its attempt over");
    (engine, told)
}

/// The engine of [`doomed`].
pub(crate) async fn engine(place: &str, group: &str) {
    let place: Place = serde_json::from_str(place).unwrap();
    let executor = place.executor("crash");
    let ear = Ear::new();
    let attempt = shell(PATIENT).group(group.parse().unwrap()).reporter(ear.clone()).build();
    let (end, ()) = tokio::join!(executor.execute(attempt), async {
        println!("{}", ear.started().await);
    });
    panic!("it ended: {end:?}");
}

/// Our engine is killed in the middle, and another one takes its attempt up.
pub(crate) async fn crash(stage: &Stage) {
    let place = stage.place();
    let answer = |group: i64, handle: Option<&str>| {
        let executor = place.executor("crash");
        let builder = shell(PATIENT).group(group);
        let attempt = match handle {
            Some(handle) => builder.handle(Handle::new(handle)).build(),
            None => builder.build(),
        };
        async move { soon("an attempt ends", executor.reattach(attempt)).await }
    };
    let ended = Reattached::Ended(Outcome::Succeeded(rows()));

    // At once, with its name durable and not; and when its program has run for a while.
    let cases = [(22, true, false), (23, false, false), (24, false, true)];
    let engines: Vec<_> = cases.iter().map(|(group, ..)| doomed(&place, *group)).collect();
    for ((group, is_durable, is_late), (mut engine, handle)) in cases.into_iter().zip(engines) {
        let work = work(&place.shared, group, "1-1");
        if is_late {
            until("the program runs", || runs(&work) == 1).await;
        }
        engine.kill().unwrap();
        engine.wait().unwrap();
        let (told, ()) = tokio::join!(answer(group, is_durable.then_some(&handle)), async {
            until("the program runs", || runs(&work) == 1).await;
            fs::write(work.join("go"), "").unwrap();
        });
        assert_eq!(told, ended, "{group}");
        // Asked again, it says the same, and starts nothing.
        assert_eq!(answer(group, None).await, ended);
        assert_eq!(runs(&work), 1);
    }

    // It ended while there was no engine; and it is stopped by an engine that took it up.
    let engines = [25, 26].map(|group| doomed(&place, group));
    for (mut engine, _) in engines {
        engine.kill().unwrap();
        engine.wait().unwrap();
    }
    let first = work(&place.shared, 25, "1-1");
    until("the program runs", || runs(&first) == 1).await;
    fs::write(first.join("go"), "").unwrap();
    until("it has ended", || first.with_file_name("end.json").exists()).await;
    assert_eq!(answer(25, None).await, ended);
    let attempt: Attempt = shell(PATIENT).group(26).build();
    let executor = place.executor("crash");
    let (told, ()) = tokio::join!(soon("it ends", executor.reattach(attempt.clone())), async {
        stop(&attempt, Duration::from_millis(100));
    });
    let Reattached::Ended(Outcome::Failed(failure)) = told else {
        panic!("it was stopped: {told:?}")
    };
    assert_eq!(failure.class, FailureClass::Cancelled);
    stage.cleared().await;
}

/// The master is killed, and started again.
pub(crate) async fn master(stage: &Stage) {
    let place = stage.place();
    let executor = place.executor("master");
    let ears = [0, 1, 2].map(|_| Ear::new());
    let of = |job: i64| shell(PATIENT).group(27).job(job).reporter(ears[job as usize - 1].clone());
    let works = ["1-1", "2-1", "3-1"].map(|it| work(&place.shared, 27, it));
    let ends = tokio::join!(
        soon("an attempt ends", executor.execute(of(1).build())),
        soon("an attempt ends", executor.execute(of(2).build())),
        async {
            until("the programs run", || works[..2].iter().all(|it| runs(it) == 1)).await;
            stage.cluster.kill_master();
            // One ends while there is no master.
            fs::write(works[0].join("go"), "").unwrap();
            let third = executor.execute(of(3).build());
            let (end, ()) = tokio::join!(soon("an attempt ends", third), async {
                ears[2].says("waits for Spark").await;
                stage.cluster.launch_master();
                fs::write(works[1].join("go"), "").unwrap();
                until("the program runs", || runs(&works[2]) == 1).await;
                fs::write(works[2].join("go"), "").unwrap();
            });
            end
        }
    );
    assert_eq!([ends.0, ends.1, ends.2], [Ok(rows()), Ok(rows()), Ok(rows())]);
    assert!(works.iter().all(|it| runs(it) == 1));
    stage.cleared().await;
}

/// A worker is killed: nobody knows how its attempts ended.
pub(crate) async fn worker() {
    let cluster = Cluster::start(&[(2, 2048)]);
    let place = Place::of(&cluster);
    let executor = place.executor_with("worker", 1);
    let attempt = shell(PATIENT).group(28).build();
    let work = work(&place.shared, 28, "1-1");
    let (end, ()) = tokio::join!(soon("an attempt ends", executor.execute(attempt)), async {
        until("the program runs", || runs(&work) == 1).await;
        cluster.kill_worker(0);
    });
    let failure = end.unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Lost, "worker_lost"), "{failure}");
    until("the program has ended with its worker", || cluster.programs() == 0).await;
}
