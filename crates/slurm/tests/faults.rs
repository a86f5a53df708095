//! What goes wrong on a real cluster, and what becomes of attempts then.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::conformance::attempt;
use jobwright_adapters::log::{LogEntry, read};
use jobwright_adapters::remote::Options;
use jobwright_core::{
    Attempt, CancelReason, Executor, Failure, FailureClass, Handle, Outcome, Reattached, Reporter,
    Stop, StopReason, Success,
};
use jobwright_slurm::{Site, SlurmExecutor};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use cluster::Cluster;
use proxy::Proxy;
use stage::{fresh, shell};

type Ends = JoinSet<(i64, Result<Success, Failure>)>;

/// Hands attempts over, all at once.
fn all(executor: &Arc<SlurmExecutor>, attempts: impl IntoIterator<Item = Attempt>) -> Ends {
    let mut ends = JoinSet::new();
    for attempt in attempts {
        let executor = Arc::clone(executor);
        ends.spawn(async move {
            let job = attempt.id().job.get();
            (job, executor.execute(attempt).await)
        });
    }
    ends
}

fn class(end: &Result<Success, Failure>) -> Option<(FailureClass, &str)> {
    end.as_ref().err().map(|failure| (failure.class, &*failure.code))
}

fn stop(attempt: &Attempt) {
    let reason = StopReason::Cancelled { reason: CancelReason::Requested("a test".into()) };
    attempt.cancellation().stop(Stop { reason, grace: Duration::from_secs(1) });
}

/// Keeps what people are told.
#[derive(Default)]
struct Words(Mutex<Vec<String>>);

#[async_trait]
impl Reporter for Words {
    async fn started(&self, _: &Attempt, _: Handle) {}
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, _: u8, words: &str) {
        self.0.lock().unwrap().push(words.to_owned());
    }
    fn log(&self, _: &Attempt, _: &str) {}
}

impl Words {
    async fn until(&self, words: &str) {
        let told = async {
            while !self.0.lock().unwrap().iter().any(|it| it.contains(words)) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let told = timeout(Duration::from_secs(30), told).await;
        assert!(told.is_ok(), "`{words}` is not in {:?}", self.0.lock().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_say_what_they_need_and_find_what_they_know() {
    let cluster = Cluster::start(4);
    let executor = Arc::new(cluster.executor(fresh()));
    let whole_node =
        |line: &str| attempt(json!({ "command": ["sh", "-c", line], "resources": { "cpu": 8 } }));

    // Four nodes are full, so the fifth attempt waits, and says why.
    let words = Arc::new(Words::default());
    let hanging: Vec<_> =
        (1..=4).map(|job| whole_node("exec sleep 1000").job(job).build()).collect();
    let mut ends = all(&executor, hanging.clone());
    cluster.until("four jobs run", || {
        cluster.live().iter().filter(|job| job.contains("RUNNING")).count() == 4
    });
    let nodes: BTreeSet<_> =
        cluster.live().iter().map(|job| job.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(nodes.len(), 4, "one on each node: {nodes:?}");
    let waiting = whole_node("sleep 1").job(5).reporter(words.clone()).build();
    let mut last = all(&executor, [waiting]);
    words.until("waits on Slurm: there is no room for it now").await;
    hanging.iter().for_each(stop);
    while let Some(end) = ends.join_next().await {
        assert_eq!(class(&end.unwrap().1), Some((FailureClass::Cancelled, "cancelled")));
    }
    assert_eq!(class(&last.join_next().await.unwrap().unwrap().1), None);
    words.until("runs on Slurm").await;

    // What a step says is no grammar, what it knows is there, and what is secret is masked.
    let line = "printf '<%s>' \"$@\"; cat; cat data/rows.txt; echo \"$KEY\"; pwd >&2; \
                echo \"{\\\"cpus\\\": $SLURM_CPUS_ON_NODE}\" >\"$JOBWRIGHT_OUTPUT\"";
    let payload = json!({
        "command": ["sh", "-c", line, "sh", "$(id)", "it's", "a\nb"],
        "env": { "KEY": { "$secret": "key" } },
        "stdin": "given\n",
        "resources": { "cpu": 2.5, "memory": "100 MiB", "time": "1h" },
    });
    let attempt_6 = attempt(payload).job(6).secret("key", "hunter2-long");
    let attempt_6 = attempt_6.artifact("data/rows.txt", b"rows\n", false).build();
    let end = executor.execute(attempt_6.clone()).await.unwrap();
    assert_eq!(end.result().map(|it| (**it).clone()), Some(json!({ "cpus": 3 })));
    let folder = cluster.shared().join("1/6-1");
    let lines: Vec<_> = read(folder.join("out.log")).unwrap().map(|it| it.unwrap().entry).collect();
    let text: Vec<_> = lines
        .iter()
        .filter_map(|entry| match entry {
            LogEntry::Line { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let text = text.join("\n");
    for expect in
        ["<$(id)><it's><a", "b>given", "rows", "***", &*folder.join("work").to_string_lossy()]
    {
        assert!(text.contains(expect), "`{expect}` is not in {text}");
    }
    assert!(!text.contains("hunter2"));

    // What the cluster will never have is refused once and for all.
    let greedy = json!({ "command": ["true"], "resources": { "memory": "4 TiB" } });
    let end = executor.execute(attempt(greedy).job(7).build()).await;
    assert_eq!(class(&end), Some((FailureClass::Permanent, "refused")));
    let site = Site { partition: Some("nowhere".to_owned()), ..cluster.site() };
    let nowhere = cluster.executor_at(site, fresh());
    let end = nowhere.execute(shell("true").job(8).build()).await;
    assert_eq!(class(&end), Some((FailureClass::Permanent, "refused")));
    let message = end.unwrap_err().message;
    assert!(message.contains("Invalid partition"), "{message}");

    // Somebody else may stop a job, too.
    let mut ends = all(&executor, [shell("exec sleep 1000").job(9).build()]);
    cluster.until("it runs", || cluster.live().iter().any(|job| job.contains("RUNNING")));
    let live = cluster.live();
    cluster.said("scancel", &[live[0].split(' ').next().unwrap()]);
    let end = ends.join_next().await.unwrap().unwrap().1;
    assert!(end.is_err(), "{end:?}");
    assert_ne!(class(&end).unwrap().0, FailureClass::Cancelled);
    assert!(cluster.all().iter().all(|job| job.contains("Requeue=0")), "{:?}", cluster.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_takes_only_its_own_attempts_along() {
    let cluster = Cluster::start(4);
    let executor = Arc::new(cluster.executor(fresh()));
    let payload = json!({ "command": ["sleep", "1000"], "resources": { "cpu": 8 } });
    let attempts: Vec<_> = (1..=4).map(|job| attempt(payload.clone()).job(job).build()).collect();
    let mut ends = all(&executor, attempts.clone());
    cluster.until("four jobs run", || {
        cluster.live().iter().filter(|job| job.contains("RUNNING")).count() == 4
    });
    let live = cluster.live();
    let victim = live.iter().find(|job| job.ends_with("n2")).unwrap();
    let victim: i64 = victim.split('-').nth(1).unwrap().parse().unwrap();
    cluster.kill_node(2);
    cluster.mark_down(2);
    let (job, end) = ends.join_next().await.unwrap().unwrap();
    assert_eq!((job, class(&end)), (victim, Some((FailureClass::Lost, "node_lost"))));
    assert_eq!(cluster.live().len(), 3, "it is not queued again: {:?}", cluster.live());
    attempts.iter().for_each(stop);
    while let Some(end) = ends.join_next().await {
        assert_eq!(class(&end.unwrap().1), Some((FailureClass::Cancelled, "cancelled")));
    }
    assert!(cluster.all().iter().all(|job| job.contains("Restarts=0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_may_go_and_come_back_under_load() {
    let cluster = Cluster::start(4);
    let executor = Arc::new(cluster.executor(fresh()));
    let ran = cluster.shared().join("ran");
    let line = format!("echo \"$JOBWRIGHT_ATTEMPT\" >>'{}'; sleep 1", ran.display());
    let mut lost = 0;
    for (signal, first) in [("TERM", 1), ("KILL", 101)] {
        let _ = std::fs::remove_file(&ran);
        let jobs = first..first + 60;
        let mut ends = all(&executor, jobs.map(|job| shell(&line).job(job).build()));
        cluster.until("some have begun", || ran.exists());
        cluster.end_controller(signal);
        sleep(Duration::from_secs(2)).await;
        cluster.start_controller();
        while let Some(end) = ends.join_next().await {
            let (job, end) = end.unwrap();
            // What a controller took right before it was killed, the next one does not know, or
            // cancels as something that should not be there; and at first it has no nodes.
            let passing = [FailureClass::Lost, FailureClass::Retryable, FailureClass::Rejected];
            let is_lost = class(&end).is_some_and(|(class, _)| passing.contains(&class));
            assert!(end.is_ok() || (is_lost && signal == "KILL"), "job {job}: {end:?}");
            lost += usize::from(is_lost);
        }
        let text = std::fs::read_to_string(&ran).unwrap();
        let once: BTreeSet<_> = text.lines().collect();
        assert_eq!(text.lines().count(), once.len(), "each ran once: {text}");
        assert!(once.len() + lost >= 60, "{} ran, {lost} were lost", once.len());
        // What a killed controller forgot had ended, the next one shows as running for minutes.
        cluster.until("no process is left", || cluster.processes() == 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_does_not_matter() {
    let cluster = Cluster::start(2);
    let proxy = Proxy::start(&cluster.url()).await;
    let deaf = Site { url: format!("http://127.0.0.1:{}", proxy.port), ..cluster.site() };
    let options = fresh();
    let ran = cluster.shared().join("ran");
    let line = format!("echo x >>'{}'; sleep 1; echo 3 >\"$JOBWRIGHT_OUTPUT\"", ran.display());
    let left = Ok(Some(json!(3)));
    let result = |end: Result<Success, Failure>| {
        end.map(|it| it.result().map(|it| Value::clone(it))).map_err(|it| it.to_string())
    };

    // The answer never comes: the attempt is looked up, and found.
    let impatient = Options { call_time: Duration::from_secs(2), ..options.clone() };
    let executor = cluster.executor_at(deaf.clone(), impatient);
    let end = timeout(Duration::from_secs(60), executor.execute(shell(&line).build())).await;
    assert_eq!(result(end.unwrap()), left);

    // The engine dies before the answer: the next one finds the attempt by its name.
    let proxy = Proxy::start(&cluster.url()).await;
    let deaf = Site { url: format!("http://127.0.0.1:{}", proxy.port), ..deaf };
    let doomed = cluster.executor_at(deaf, options.clone());
    let attempt = shell(&line).job(2);
    let first = attempt.clone().build();
    tokio::select! {
        end = doomed.execute(first.clone()) => panic!("nobody hears of it: {end:?}"),
        () = async {
            proxy.kept.notified().await;
            // As if it had been killed: nothing of it does anything any more.
            let (reason, grace) = (StopReason::GivenUp, Duration::ZERO);
            first.cancellation().stop(Stop { reason, grace });
        } => {}
    }
    let executor = cluster.executor(options);
    let end = executor.reattach(attempt.build()).await;
    let Reattached::Ended(Outcome::Succeeded(success)) = end else { panic!("{end:?}") };
    assert_eq!(result(Ok(success)), left);
    let text = std::fs::read_to_string(ran).unwrap();
    assert_eq!(text.lines().count(), 2, "each ran once");

    // What was handed over by nobody is barred, and stays so.
    let never = shell(&line).job(3).build();
    assert_eq!(executor.reattach(never).await, Reattached::Unknown);
}
