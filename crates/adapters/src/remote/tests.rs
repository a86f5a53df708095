//! The rules that hold for every cluster, over one that does as a test says, under a paused clock.

mod fake;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use jobwright_core::{
    Attempt, CancelReason, Executor, Failure, FailureClass, Handle, Outcome, Reattached, Stop,
    StopReason, Success,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::{Fence, Options, Prefix, RemoteExecutor};
use crate::conformance::{AttemptBuilder, Table, attempt, exercise};
use crate::log::{LogEntry, LogStream, read};
use fake::{Answer, Ear, Fake, Rig};

fn work(env: &Value) -> AttemptBuilder {
    attempt(json!({ "command": ["x"], "env": env }))
}

/// Runs at once and leaves 3.
fn leaves() -> AttemptBuilder {
    work(&json!({ "ENDS": "0" }))
}

fn hangs() -> AttemptBuilder {
    work(&json!({}))
}

fn stop(attempt: &Attempt, reason: StopReason, grace: Duration) {
    attempt.cancellation().stop(Stop { reason, grace });
}

fn cancelled() -> StopReason {
    StopReason::Cancelled { reason: CancelReason::Requested("a test".into()) }
}

fn class(end: &Result<Success, Failure>) -> Option<(FailureClass, &str)> {
    end.as_ref().err().map(|failure| (failure.class, &*failure.code))
}

#[tokio::test(start_paused = true)]
async fn the_contract_of_executors_holds() {
    let rig = Rig::new();
    let mut made = 0;
    let make = std::cell::RefCell::new(|| {
        made += 1;
        let prefix = Prefix::new(&format!("p{made}")).unwrap();
        rig.executor_with(Options { prefix, ..Options::default() })
    });
    let fake = rig.fake.clone();
    let table = Table::new(leaves(), json!(3), work(&json!({ "ENDS": "7" })), hangs())
        .remains(move || fake.running());
    exercise(|| make.borrow_mut()(), table).await;
}

#[tokio::test(start_paused = true)]
async fn a_submission_without_an_answer_is_looked_up() {
    let rig = Rig::new();
    rig.fake.next([Answer::TakesInSilence]);
    let ear = Arc::new(Ear::default());
    let end = rig.executor().execute(leaves().reporter(ear.clone()).build()).await;
    assert_eq!(end.unwrap().result().map(|it| (**it).clone()), Some(json!(3)));
    assert_eq!(rig.fake.count("submit"), 1);
    assert_eq!(ear.handles(), [Handle::new("fake 1")]);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_was_not_heard_is_repeated_or_barred() {
    let rig = Rig::new();
    rig.fake.next([Answer::HearsNothing]);
    let end = rig.executor().execute(leaves().build()).await;
    assert_eq!((class(&end), rig.fake.count("submit")), (None, 2));
    // One that comes late is seen before anything is repeated.
    rig.fake.next([Answer::TakesLate(Duration::from_secs(45))]);
    let end = rig.executor().execute(leaves().job(2).build()).await;
    assert_eq!((class(&end), rig.fake.count("submit")), (None, 3));
    rig.fake.fence(Fence::Shut);
    rig.fake.next([Answer::HearsNothing]);
    let end = rig.executor().execute(leaves().job(3).build()).await;
    assert_eq!(class(&end), Some((FailureClass::Rejected, "unanswered")));
    assert_eq!(rig.fake.count("submit"), 4);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_an_attempt_is_found_by_its_name() {
    let rig = Rig::new();
    rig.fake.took(hangs().build());
    let ear = Arc::new(Ear::default());
    let (executor, attempt) = (rig.executor(), hangs().reporter(ear.clone()).build());
    let (end, ()) = tokio::join!(executor.reattach(attempt.clone()), async {
        sleep(Duration::from_secs(60)).await;
        assert_eq!(ear.handles(), [Handle::new("fake 1")]);
        rig.fake.end_all(0);
    });
    assert_eq!(end, Reattached::Ended(Outcome::Succeeded(Success::with(json!(3)))));
    let never = hangs().job(7).build();
    assert_eq!(executor.reattach(never).await, Reattached::Unknown);
    let namesake = hangs().job(8).handle(Handle::new("fake 9")).build();
    assert_eq!(executor.reattach(namesake).await, Reattached::Unknown);
    assert_eq!(rig.fake.count("submit"), 0, "a reattachment starts nothing");
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_what_is_being_submitted() {
    let rig = Rig::new();
    let answers = [Answer::TakesLate(Duration::from_secs(5)), Answer::TakesInSilence];
    for (answer, job) in answers.into_iter().zip(1..) {
        rig.fake.next([answer]);
        let (executor, attempt) = (rig.executor(), hangs().job(job).build());
        let (end, ()) = tokio::join!(executor.execute(attempt.clone()), async {
            sleep(Duration::from_secs(1)).await;
            stop(&attempt, cancelled(), Duration::from_secs(10));
        });
        assert_eq!(class(&end), Some((FailureClass::Cancelled, "cancelled")));
        assert_eq!(rig.fake.running(), 0);
    }
    assert_eq!(rig.fake.count("submit"), 2);
}

#[tokio::test(start_paused = true)]
async fn grace_is_given_before_force() {
    let rig = Rig::new();
    rig.fake.stubborn();
    let (executor, attempt) = (rig.executor(), hangs().build());
    let (end, ()) = tokio::join!(executor.execute(attempt.clone()), async {
        sleep(Duration::from_secs(1)).await;
        stop(&attempt, cancelled(), Duration::from_secs(10));
    });
    assert_eq!(class(&end), Some((FailureClass::Cancelled, "cancelled")));
    assert_eq!(end.unwrap_err().details["killed"], true);
    assert_eq!(rig.fake.stops(), [(1, false), (11, true)], "second and force");
}

#[tokio::test(start_paused = true)]
async fn attempts_wait_for_a_cluster_that_is_away() {
    let rig = Rig::new();
    let executor = rig.executor();
    rig.fake.go_away(true);
    let ear = Arc::new(Ear::default());
    let attempts = (1..=20).map(|job| leaves().job(job).reporter(ear.clone()).build());
    let running = attempts.map(|attempt| executor.execute(attempt));
    let back = async {
        sleep(Duration::from_secs(600)).await;
        // Ten minutes of silence are some thirty small questions, and no attempt is lost by them.
        assert!(rig.fake.count("submit") < 30, "{}", rig.fake.count("submit"));
        assert!((10..40).contains(&rig.fake.count("ping")), "{}", rig.fake.count("ping"));
        let words = "waits for Fake: it cannot be reached: connection refused";
        assert!(ear.words().contains(&words.to_owned()), "{:?}", ear.words());
        rig.fake.go_away(false);
    };
    let (ends, ()) = tokio::join!(together(running), back);
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_busy_cluster_is_given_time() {
    let rig = Rig::new();
    let after = Some(Duration::from_secs(20));
    rig.fake.next([Answer::Busy(after), Answer::Busy(None)]);
    let began = crate::clock::instant();
    let end = rig.executor().execute(leaves().build()).await;
    assert_eq!((class(&end), rig.fake.count("submit")), (None, 3));
    assert!(crate::clock::instant() - began >= Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_forgot_is_lost() {
    let rig = Rig::new();
    let (executor, attempt) = (rig.executor(), hangs().build());
    let (end, ()) = tokio::join!(executor.execute(attempt), async {
        sleep(Duration::from_secs(5)).await;
        rig.fake.lose_all();
    });
    assert_eq!(class(&end), Some((FailureClass::Lost, "lost")));
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_killed_and_what_is_given_up_goes_on() {
    let rig = Rig::new();
    let executor = rig.executor();
    let run = |attempt| tokio::time::timeout(Duration::from_secs(5), executor.execute(attempt));
    let given_up = hangs().job(1).build();
    let (end, ()) = tokio::join!(run(given_up.clone()), async {
        sleep(Duration::from_secs(4)).await;
        // As the engine does: the reason first, then the future is dropped.
        rig.fake.deaf(true);
        stop(&given_up, StopReason::GivenUp, Duration::ZERO);
    });
    assert!(end.is_err());
    rig.fake.deaf(false);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.fake.running(), 1);
    let (end, ()) = tokio::join!(run(hangs().job(2).build()), async {
        sleep(Duration::from_secs(4)).await;
        rig.fake.go_away(true);
    });
    assert!(end.is_err());
    drop(executor);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(rig.fake.running(), 2, "it cannot be reached");
    rig.fake.go_away(false);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.fake.running(), 1, "it is killed when it can be reached");
}

#[tokio::test(start_paused = true)]
async fn what_it_said_is_where_local_processes_leave_it() {
    let rig = Rig::new();
    let attempt = leaves().secret("key", "hunter2-long").build();
    rig.executor().execute(attempt).await.unwrap();
    let log: Vec<_> = read(rig.folder.path().join("1/1-1/out.log")).unwrap().collect();
    let lines: Vec<_> = log
        .into_iter()
        .map(|record| match record.unwrap().entry {
            LogEntry::Line { stream, text, .. } => {
                format!("{} {text}", if stream == LogStream::Out { "out" } else { "err" })
            }
            LogEntry::Process(process) => process,
            LogEntry::End(end) => end.to_string(),
            LogEntry::Gap { .. } => "gap".to_owned(),
        })
        .collect();
    assert_eq!(lines.first().map(String::as_str), Some("fake 1"));
    assert_eq!(lines.last().map(String::as_str), Some("exit 0"));
    assert!(lines.contains(&"out the key is ***".to_owned()), "{lines:?}");
    assert!(lines.contains(&"err careful".to_owned()), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn what_it_says_is_heard_while_it_runs() {
    let rig = Rig::new();
    let (mut said, ear) = (rig.fake.speaks(), Arc::new(Ear::default()));
    let (executor, attempt) = (rig.executor(), hangs().reporter(ear.clone()).build());
    let (end, ()) = tokio::join!(executor.execute(attempt), async {
        sleep(Duration::from_secs(1)).await;
        rig.fake.run_all();
        sleep(Duration::from_secs(1)).await;
        said.write_all(b"::progress 42 half\n").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ear.words().last().map(String::as_str), Some("half"), "{:?}", ear.words());
        rig.fake.end_all(0);
        sleep(Duration::from_secs(1)).await;
        said.write_all(b"and a late word\n").await.unwrap();
        drop(said);
    });
    assert_eq!(end.unwrap(), Success::with(json!(3)));
    let log = std::fs::read_to_string(rig.folder.path().join("1/1-1/out.log")).unwrap();
    assert!(log.contains(" ::progress 42 half\n") && log.contains(" and a late word\n"), "{log}");
    assert!(!log.contains("careful"), "what was heard is not fetched again: {log}");
}

#[tokio::test(start_paused = true)]
async fn requests_are_shared() {
    let rig = Rig::new();
    let executor = rig.executor();
    let takes_its_time = work(&json!({ "ENDS": "0", "AFTER": "30" }));
    let attempts = (1..=200).map(|job| takes_its_time.clone().job(job).build());
    let ends = together(attempts.map(|attempt| executor.execute(attempt))).await;
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    let asked = rig.fake.count("submit") + rig.fake.count("find");
    assert!(asked <= 300, "{asked} requests");
    // After a restart all are looked up together.
    let before = rig.fake.count("find");
    let again = rig.executor();
    let ends = (1..=200).map(|job| again.reattach(leaves().job(job).build()));
    let ends = together(ends).await;
    let succeeded = |end: &&Reattached| matches!(end, Reattached::Ended(Outcome::Succeeded(_)));
    assert_eq!(ends.iter().filter(succeeded).count(), 200);
    assert!(rig.fake.count("find") - before <= 5, "{}", rig.fake.count("find") - before);
}

/// Drives all of them at once, in one task.
async fn together<T>(all: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut ends = Vec::new();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(end) => {
                ends.push(end);
                false
            }
            Poll::Pending => true,
        });
        if pending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ends
}

/// An executor over the fake.
type Over = RemoteExecutor<Arc<Fake>>;
