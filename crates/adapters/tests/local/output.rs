//! What becomes of what a process says and leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::conformance::attempt;
use jobwright_adapters::log::{LogEntry, LogStream, ProcessEnd};
use jobwright_core::{Attempt, Executor, FailureClass, Handle, Reporter};
use serde_json::json;

use crate::bench::{Bench, gone, heard, script};

#[tokio::test]
async fn a_failure_tells_what_the_process_last_said() {
    let bench = Bench::new();
    let attempt = script("seq 100; seq 201 230 >&2; exit 3").build();
    let failure = bench.run(&attempt).await.unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Retryable, "exit"));
    let tail: Vec<_> = (221..=230).map(|n| n.to_string()).collect();
    let expect = format!("`sh` exited with code 3, and last said:\n{}", tail.join("\n"));
    assert_eq!(failure.message, expect);
    let log = bench.folder(&attempt).join("out.log").display().to_string();
    assert_eq!(failure.details, json!({"exit_code": 3, "log": log}));

    let failure = bench.run(&script("kill -KILL $$").build()).await.unwrap_err();
    assert_eq!((&*failure.code, &failure.details["signal"]), ("signal", &json!(9)));
    assert!(failure.message.contains("want of memory"), "{failure}");
}

/// Counts the logs that were cut; the lease of its engine may be over.
#[derive(Default)]
struct Quiet {
    cuts: AtomicU32,
    is_lost: bool,
}

#[async_trait]
impl Reporter for Quiet {
    async fn started(&self, _: &Attempt, _: Handle) {}
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, _: u8, _: &str) {}
    fn log(&self, _: &Attempt, _: &str) {}
    fn log_cut(&self, _: &Attempt) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }
    fn owns(&self, _: &Attempt) -> bool {
        !self.is_lost
    }
}

#[tokio::test]
async fn what_another_engine_may_have_begins_nothing() {
    let bench = Bench::new();
    let proof = tempfile::tempdir().unwrap();
    let text = format!("touch {}/begun", proof.path().display());
    let reporter = Arc::new(Quiet { is_lost: true, ..Quiet::default() });
    let failure = bench.run(&script(&text).reporter(reporter).build()).await.unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Rejected, "not_owned"));
    assert_eq!(std::fs::read_dir(proof.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_flood_is_bounded_in_file_and_memory() {
    let bench = Bench::new();
    let cap = 1024 * 1024;
    let executor = bench.executor.clone().log_cap(cap);
    let text = "yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 \
                | head -c 200000000; echo the end";
    let reporter = Arc::new(Quiet::default());
    let attempt = script(text).reporter(reporter.clone()).build();
    executor.execute(attempt.clone()).await.unwrap();
    assert_eq!(reporter.cuts.load(Ordering::Relaxed), 1, "it is told once");
    let log = bench.folder(&attempt).join("out.log");
    assert!(log.metadata().unwrap().len() < 2 * cap as u64);
    let (mut kept, mut gap, mut last) = (0, 0, String::new());
    for record in bench.log(&attempt) {
        match record.entry {
            LogEntry::Process(_) => {}
            LogEntry::Line { text, .. } => {
                kept += text.len() + 1;
                last = text;
            }
            LogEntry::Gap { stream, bytes } => {
                assert_eq!(stream, LogStream::Out);
                gap += bytes;
            }
            LogEntry::End(end) => assert_eq!(end.process, ProcessEnd::Exit(0)),
        }
    }
    assert_eq!(kept as u64 + gap, 200_000_000 + "the end\n".len() as u64);
    assert_eq!(last, "the end");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 150_000, "{peak} kB");
}

#[tokio::test]
async fn a_line_without_end_is_bounded_too() {
    let bench = Bench::new();
    let attempt = script("head -c 1000000 /dev/zero | tr '\\0' x; printf '\\377y'").build();
    bench.run(&attempt).await.unwrap();
    let mut whole = String::new();
    for record in bench.log(&attempt) {
        if let LogEntry::Line { text, continues, .. } = record.entry {
            assert!(text.len() <= 65536 && continues != text.ends_with('y'));
            whole.push_str(&text);
        }
    }
    assert_eq!(whole, format!("{}\u{fffd}y", "x".repeat(1_000_000)));
}

#[tokio::test]
async fn secrets_stay_secret() {
    let bench = Bench::new();
    let (reporter, mut lines) = heard();
    let text = "echo \"token $TOKEN\"; printf %s \"$TOKEN\" | base64; \
                printf '::progress 5 with %s\\n' \"$TOKEN\"; \
                printf '{\"leak\":\"%s\"}' \"$TOKEN\" > \"$JOBWRIGHT_OUTPUT\"; test -n \"$FAIL\"";
    let payload = |fail| {
        let env = json!({"TOKEN": {"$secret": "token"}, "FAIL": fail});
        json!({"command": ["sh", "-c", text], "env": env})
    };
    let secret = "s3cr3t/token";
    let good = attempt(payload("no")).secret("token", secret).reporter(reporter).build();
    let success = bench.run(&good).await.unwrap();
    assert_eq!(**success.result().unwrap(), json!({"leak": "***"}));
    assert_eq!(bench.said(&good).0, ["token ***", "***", "::progress 5 with ***"]);
    drop(good);
    let mut said = Vec::new();
    while let Some(line) = lines.recv().await {
        said.push(line);
    }
    assert_eq!(said[1..], ["token ***", "***", "::progress 5 with ***", "progress 5 with ***"]);
    assert!(said[0].starts_with("started pid "), "{}", said[0]);
    let bad = attempt(payload("")).job(2).secret("token", secret).build();
    let failure = bench.run(&bad).await.unwrap_err();
    assert!(!format!("{failure:?}").contains("s3cr3t"), "{failure}");
}

#[tokio::test]
async fn a_result_that_cannot_be_used_is_a_failure_for_good() {
    let bench = Bench::new();
    let check = async |text: &str, words: &str| {
        let failure = bench.run(&script(text).build()).await.unwrap_err();
        assert_eq!((failure.class, &*failure.code), (FailureClass::Permanent, "output"));
        assert!(failure.message.contains(words), "{failure}");
    };
    check("echo '{\"a\": }' > $JOBWRIGHT_OUTPUT", "at line 1 column 7").await;
    check("head -c 1048577 /dev/zero > $JOBWRIGHT_OUTPUT", "more than 1048576 bytes").await;
    check("ln -s /etc/passwd $JOBWRIGHT_OUTPUT", "not a regular file").await;
    check("mkfifo $JOBWRIGHT_OUTPUT", "not a regular file").await;
}

#[tokio::test]
async fn what_holds_the_pipe_is_killed_and_does_not_hang_the_attempt() {
    let bench = Bench::new();
    let attempt = script("sleep 1000 & echo $!; exit 0").build();
    tokio::time::timeout(Duration::from_secs(20), bench.run(&attempt)).await.unwrap().unwrap();
    let (lines, end) = bench.said(&attempt);
    assert!(end.leftovers);
    gone(&lines[0]).await;
    // It has left the group: nothing can be done about it but to stop reading.
    let attempt = script("setsid sleep 30 & echo $!").job(2).build();
    bench.run(&attempt).await.unwrap();
    let (lines, _) = bench.said(&attempt);
    let pid = lines[0].parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    // One that is silent holds nothing open; it is killed at once.
    let attempt = script("sleep 1000 >/dev/null 2>&1 & echo $!").job(3).build();
    bench.run(&attempt).await.unwrap();
    let (lines, end) = bench.said(&attempt);
    assert!(!end.leftovers);
    gone(&lines[0]).await;
}
