//! The sentences of the contract.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    Attempt, CancelReason, Executor, Failure, FailureClass, Handle, Outcome, Reattached, Reporter,
    Stop, StopReason, Success,
};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{AttemptBuilder, Table};

/// How long work may take to stop by itself.
const GRACE: Duration = Duration::from_millis(200);

/// How long work is left running to see whether it goes on.
const WHILE: Duration = Duration::from_millis(100);

/// Counts what is reported, and what is reported too late.
#[derive(Default)]
struct Ear {
    closed: AtomicBool,
    late: AtomicU32,
}

impl Ear {
    fn hear(&self) {
        if self.closed.load(Ordering::SeqCst) {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Reporter for Ear {
    async fn started(&self, _: &Attempt, _: Handle) {
        self.hear();
    }
    fn heartbeat(&self, _: &Attempt) {
        self.hear();
    }
    fn progress(&self, _: &Attempt, _: u8, _: &str) {
        self.hear();
    }
    fn log(&self, _: &Attempt, _: &str) {
        self.hear();
    }
}

async fn soon<T>(table: &Table, what: &str, future: impl Future<Output = T>) -> T {
    let soon = table.soon;
    timeout(soon, future).await.unwrap_or_else(|_| panic!("{what} within {soon:?}"))
}

async fn run<E: Executor>(
    executor: &E,
    table: &Table,
    attempt: Attempt,
) -> Result<Success, Failure> {
    soon(table, "an attempt ends", executor.execute(attempt)).await
}

async fn nothing_remains(table: &Table) {
    let cleared = async {
        while (table.remains)() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(table, "nothing of an attempt remains after its end", cleared).await;
}

fn numbered(builder: &AttemptBuilder, job: i64) -> Attempt {
    builder.clone().job(job).build()
}

fn stop(attempt: &Attempt) {
    let reason = StopReason::Cancelled { reason: CancelReason::Requested("a test".into()) };
    attempt.cancellation().stop(Stop { reason, grace: GRACE });
}

fn leaves(end: &Result<Success, Failure>, expect: &Value) {
    let success = end.as_ref().unwrap_or_else(|failure| panic!("a success is one: {failure}"));
    let result = success.result().map_or(&Value::Null, |result| result);
    assert_eq!(result, expect, "a success has the result that the work left");
}

fn cancelled(end: Result<Success, Failure>) {
    let class = end.map_err(|failure| failure.class);
    assert_eq!(class, Err(FailureClass::Cancelled), "what was stopped ends as cancelled");
}

pub(super) async fn success_is_delivered<E: Executor>(executor: E, table: &Table) {
    let ear = Arc::new(Ear::default());
    let attempt = table.leaves.0.clone().reporter(ear.clone()).build();
    leaves(&run(&executor, table, attempt).await, &table.leaves.1);
    ear.closed.store(true, Ordering::SeqCst);
    sleep(WHILE).await;
    assert_eq!(ear.late.load(Ordering::SeqCst), 0, "nothing is reported after the end");
    nothing_remains(table).await;
}

pub(super) async fn failures_are_stable<E: Executor>(executor: E, table: &Table) {
    let mut ends = Vec::new();
    for job in [1, 2] {
        let end = run(&executor, table, numbered(&table.fails, job)).await;
        let failure = end.expect_err("a failure is one");
        assert!(!failure.code.is_empty() && !failure.message.is_empty(), "a failure has words");
        let own = [FailureClass::Retryable, FailureClass::Permanent];
        assert!(own.contains(&failure.class), "a failure of the work is retryable or permanent");
        ends.push((failure.class, failure.code));
    }
    assert_eq!(ends[0], ends[1], "the same failure has the same class and code");
    nothing_remains(table).await;
}

pub(super) async fn attempts_run_beside_each_other<E: Executor>(executor: E, table: &Table) {
    let (hanging, first) = (numbered(&table.hangs, 1), numbered(&table.leaves.0, 2));
    let second = table.leaves.0.clone().job(2).number(2).build();
    let (end, ()) = tokio::join!(run(&executor, table, hanging.clone()), async {
        let ends = tokio::join!(run(&executor, table, first), run(&executor, table, second));
        leaves(&ends.0, &table.leaves.1);
        leaves(&ends.1, &table.leaves.1);
        stop(&hanging);
    });
    cancelled(end);
    nothing_remains(table).await;
}

pub(super) async fn a_stop_is_heeded<E: Executor>(executor: E, table: &Table) {
    let attempt = numbered(&table.hangs, 1);
    let (end, ()) = tokio::join!(run(&executor, table, attempt.clone()), async {
        sleep(WHILE).await;
        stop(&attempt);
    });
    cancelled(end);
    nothing_remains(table).await;
}

pub(super) async fn a_stop_before_the_start_is_heeded<E: Executor>(executor: E, table: &Table) {
    let attempt = numbered(&table.hangs, 1);
    stop(&attempt);
    cancelled(run(&executor, table, attempt).await);
    nothing_remains(table).await;
}

pub(super) async fn a_stop_is_for_one_attempt<E: Executor>(executor: E, table: &Table) {
    let [one, other] = [1, 2].map(|job| numbered(&table.hangs, job));
    let mut goes_on = executor.execute(other.clone());
    stop(&one);
    tokio::select! {
        end = &mut goes_on => panic!("only what is asked to stop stops: {end:?}"),
        end = run(&executor, table, one) => cancelled(end),
    }
    let more = timeout(WHILE, &mut goes_on).await;
    assert!(more.is_err(), "only what is asked to stop stops: {more:?}");
    stop(&other);
    cancelled(soon(table, "an attempt ends", goes_on).await);
    nothing_remains(table).await;
}

pub(super) async fn a_dropped_future_leaves_nothing<E: Executor>(executor: E, table: &Table) {
    let never_polled = executor.execute(numbered(&table.hangs, 1));
    drop(never_polled);
    nothing_remains(table).await;
    let end = timeout(WHILE, executor.execute(numbered(&table.hangs, 2))).await;
    assert!(end.is_err(), "what runs until it is stopped does: {end:?}");
    nothing_remains(table).await;
}

pub(super) async fn what_is_unknown_is_not_started<E: Executor>(executor: E, table: &Table) {
    let handle = Handle::new("no executor gives such a name");
    // No other sentence uses this group: executors may remember what they ran before.
    let unknown = table.hangs.clone().group(2);
    for attempt in [unknown.clone().job(1), unknown.job(2).handle(handle)] {
        let answer =
            soon(table, "a reattachment is answered", executor.reattach(attempt.build())).await;
        assert_eq!(answer, Reattached::Unknown, "what was never handed over is unknown");
        assert_eq!((table.remains)(), 0, "a reattachment starts nothing");
    }
}

pub(super) async fn an_end_does_not_change<E: Executor>(executor: E, table: &Table) {
    let cases = [numbered(&table.leaves.0, 1), numbered(&table.fails, 2)];
    for attempt in cases {
        let end = run(&executor, table, attempt.clone()).await;
        let answer = soon(table, "a reattachment is answered", executor.reattach(attempt)).await;
        let told = match &answer {
            Reattached::Unknown => continue,
            Reattached::Ended(Outcome::Succeeded(success)) => Ok(success),
            Reattached::Ended(Outcome::Failed(failure)) => Err((failure.class, &failure.code)),
        };
        let seen = end.as_ref().map_err(|failure| (failure.class, &failure.code));
        assert_eq!(told, seen, "a reattachment tells the end that was seen, or nothing");
    }
}
