//! How processes are stopped, politely and by force.

use std::time::Duration;

use jobwright_adapters::log::ProcessEnd;
use jobwright_core::{Executor, FailureClass};

use crate::bench::{Bench, LONG, expect, gone, heard, script, stop};

/// Ignores SIGTERM, and so does a child of it.
const STUBBORN: &str = "trap '' TERM; (while :; do sleep 1000; done) & echo child $!; \
                        echo leader $$; while :; do sleep 1000; done";

#[tokio::test]
async fn a_polite_process_stops_by_itself() {
    let bench = Bench::new();
    let (reporter, mut lines) = heard();
    let text = "trap 'echo cleaned up; exit 7' TERM; echo ready; sleep 1000 & wait";
    let attempt = script(text).reporter(reporter).build();
    let (end, ()) = tokio::join!(bench.run(&attempt), async {
        expect(&mut lines, "ready").await;
        stop(&attempt, LONG);
    });
    let failure = end.unwrap_err();
    assert_eq!(failure.class, FailureClass::Cancelled);
    assert_eq!(failure.details["exit_code"], 7);
    let (lines, end) = bench.said(&attempt);
    assert_eq!(lines, ["ready", "cleaned up"]);
    assert!(end.stopped && !end.killed && end.process == ProcessEnd::Exit(7));
}

#[tokio::test]
async fn a_stubborn_family_is_killed_after_the_grace() {
    let bench = Bench::new();
    let (reporter, mut lines) = heard();
    let attempt = script(STUBBORN).reporter(reporter).build();
    let (end, (child, leader)) = tokio::join!(bench.run(&attempt), async {
        let child = expect(&mut lines, "child ").await;
        let leader = expect(&mut lines, "leader ").await;
        stop(&attempt, Duration::from_millis(50));
        (child, leader)
    });
    let failure = end.unwrap_err();
    assert_eq!(failure.class, FailureClass::Cancelled);
    assert_eq!(failure.details["killed"], true, "{failure:?}");
    gone(&child).await;
    gone(&leader).await;
}

#[tokio::test]
async fn the_group_is_killed_also_when_its_leader_has_gone() {
    let bench = Bench::new();
    let (reporter, mut lines) = heard();
    // The leader stops when it is asked to; its child does not.
    let child = "trap \"\" TERM; echo child $$; while :; do sleep 1000; done";
    let text = &format!("sh -c '{child}' & wait");
    let attempt = script(text).reporter(reporter).build();
    let (end, child) = tokio::join!(bench.run(&attempt), async {
        let child = expect(&mut lines, "child ").await;
        stop(&attempt, Duration::from_millis(50));
        child
    });
    assert_eq!(end.unwrap_err().class, FailureClass::Cancelled);
    assert!(bench.said(&attempt).1.leftovers);
    gone(&child).await;
}

#[tokio::test]
async fn a_dropped_future_leaves_nothing_behind() {
    let bench = Bench::new();
    let (reporter, mut lines) = heard();
    let attempt = script(STUBBORN).reporter(reporter).build();
    let (child, leader) = tokio::select! {
        end = bench.executor.execute(attempt.clone()) => panic!("it ended: {end:?}"),
        pids = async {
            (expect(&mut lines, "child ").await, expect(&mut lines, "leader ").await)
        } => pids,
    };
    gone(&child).await;
    gone(&leader).await;
    assert_eq!(bench.said(&attempt).1.process, ProcessEnd::Dropped);
}
