//! What goes wrong, and the words that a person reads then.

use jobwright::adapters::log::{LogEntry, LogReader};
use jobwright::core::{Cause, Verdict};

use crate::bench::{self, Bench, chain, processes};

const REPORT: &str = "
jobwright: 1
name: report
flows:
  report:
    executor: local
    parameters:
      out: { type: string }
      region: { type: choice, choices: [all, north] }
      day: { type: date, format: '%Y-%m-%d' }
      key: { type: secret, default: warehouse, locked: true }
    steps:
      work: { payload: { command: [echo, $out, $region, $day] } }
    outputs:
      report: { steps: [work] }
";

#[tokio::test]
async fn wrong_values_are_refused_before_anything_starts() {
    let bench = Bench::start(REPORT).await;
    let refused = async |values: &[(&str, &str)], expect: &str| {
        let mut request = bench.engine.run(bench.deployment);
        for (name, value) in values {
            request = request.parameter(name, *value);
        }
        let error = request.await.err().expect("the values are wrong");
        assert_eq!(chain(&error), expect);
    };
    refused(
        &[],
        "the parameters of the run cannot be resolved: parameter `out` of flow `report` has no \
         value: give one in the run, deployment or release",
    )
    .await;
    refused(
        &[("out", "/x"), ("regoin", "north")],
        "the parameters of the run cannot be resolved: unknown parameter `regoin` in the values \
         of the run; did you mean `region`?",
    )
    .await;
    refused(&[("region", "nort"), ("day", "yesterday"), ("key", "hunter2"), ("xyz", "1")], "the parameters of the run cannot be resolved: 5 faults: unknown parameter `xyz` in the values \
         of the run; value of parameter `day` of flow `report` in the run: `yesterday` is not a \
         date written as `%Y-%m-%d`: strptime parsing failed: %Y failed: failed to parse year: \
         invalid number, no digits found; parameter `key` of flow `report` is locked: the run may \
         not set it; parameter `out` of flow `report` has no value: give one in the run, \
         deployment or release; value of parameter `region` of flow `report` in the run: expected \
         one of `all`, `north`, found `nort`")
        .await;
    assert!(bench.engine.runs(bench.deployment, 1).await.unwrap().is_empty(), "a run was begun");
}

#[tokio::test]
async fn a_package_that_cannot_run_is_not_imported() {
    let check = async |package: &str, expect: &str| {
        assert_eq!(Bench::refused(package).await, expect);
    };
    check(
        "
jobwright: 1
name: cycle
flows:
  main:
    executor: local
    steps:
      a: { needs: [c], payload: { command: ['true'] } }
      b: { needs: [a], payload: { command: ['true'] } }
      c: { needs: [b], payload: { command: ['true'] } }
      d: { needs: [a], payload: { command: ['true'] } }
    outputs: { all: { steps: [d] } }
",
        "flow `main`, step `a`: the steps need each other in a circle: main/a -> main/c -> main/b -> \
         main/a",
    )
    .await;
    check(
        "
jobwright: 1
name: shell
flows:
  main:
    executor: local
    parameters: { name: { type: string, default: x } }
    steps:
      a: { payload: { command: [sh, -c, 'echo $name'] } }
    outputs: { all: { steps: [a] } }
",
        "flow `main`, step `a`, payload at `/command/2`: a reference is part of a shell's program, \
         where its value would be run as code: pass it as an argument after the program (`$$1`) \
         or read it from the environment",
    )
    .await;
}

#[tokio::test]
async fn a_step_without_an_executor_is_named() {
    let bench = Bench::start(&REPORT.replace("executor: local", "executor: spark")).await;
    let request = bench.engine.run(bench.deployment).parameter("out", "/x");
    assert_eq!(
        chain(&request.await.err().expect("there is no `spark`")),
        "step `work` of flow `report` runs on `spark`, which this engine does not have; it has \
         `local`"
    );
}

#[tokio::test]
async fn a_command_that_does_not_exist_fails_at_once() {
    let (_bench, job) =
        Bench::step("{ payload: { command: [no-such-program, x] }, retry: { max_attempts: 3 } }")
            .await;
    assert_eq!(
        job.failure().unwrap().to_string(),
        "there is no program `no-such-program` in `/usr/local/bin:/usr/bin:/bin` \
         (command_not_found)"
    );
    assert_eq!(job.attempts.len(), 1, "what will not go better is not tried again");
}

#[tokio::test]
async fn a_command_that_fails_says_what_it_last_said() {
    let step =
        "{ payload: { command: [sh, -c, 'echo going well; echo no such table >&2; exit 2'] } }";
    let (_bench, job) = Bench::step(step).await;
    assert_eq!(
        job.failure().unwrap().to_string(),
        "`sh` exited with code 2, and last said:\nno such table (exit)"
    );
}

#[tokio::test]
async fn a_command_that_hangs_is_stopped_and_tried_again() {
    let step = "{ payload: { command: [sleep, '600'] }, timeouts: { attempt: 200ms }, retry: { max_attempts: 2, backoff: { type: fixed, delay: 10ms } } }";
    let (bench, job) = Bench::step(step).await;
    assert_eq!(
        job.failure().unwrap().to_string(),
        "`sleep` was asked to stop, since its attempt timeout of 200ms was over, and stopped \
         (attempt_timeout)"
    );
    assert_eq!(job.attempts.len(), 2);
    assert_eq!(processes(bench.dir.path()), Vec::<i32>::new());
}

#[tokio::test]
async fn a_command_that_floods_its_output_keeps_its_beginning_and_end() {
    let step = "{ payload: { command: [sh, -c, 'seq 1 2000000; exit 3'] } }";
    let (bench, job) = Bench::step(step).await;
    assert_eq!(
        job.failure().unwrap().to_string(),
        "`sh` exited with code 3, and last said:\n1999991\n1999992\n1999993\n1999994\n1999995\n\
         1999996\n1999997\n1999998\n1999999\n2000000 (exit)"
    );
    let log = bench.dir.path().join("attempts/1/1-1/out.log");
    let size = std::fs::metadata(&log).unwrap().len();
    assert!(size < 8 * bench::LOG_CAP as u64, "the log has {size} bytes");
    let (mut lines, mut gaps) = (Vec::new(), 0);
    for record in LogReader::from(std::fs::File::open(&log).unwrap()) {
        match record.unwrap().entry {
            LogEntry::Line { text, .. } => lines.push(text),
            LogEntry::Gap { .. } => gaps += 1,
            LogEntry::Process(_) | LogEntry::End(_) => {}
        }
    }
    assert_eq!((lines.first().unwrap().as_str(), gaps), ("1", 1));
    assert_eq!(lines.last().unwrap(), "2000000");
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_and_forks_is_killed_whole() {
    let step = "{ payload: { command: [sh, -c, 'trap \"\" TERM; sleep 600 & sleep 600 & wait; sleep 600'] }, timeouts: { attempt: 300ms }, grace: 300ms }";
    let (bench, job) = Bench::step(step).await;
    assert_eq!(
        job.failure().unwrap().to_string(),
        "`sh` was asked to stop, since its attempt timeout of 300ms was over, and was killed, \
         since it did not stop in time (attempt_timeout)"
    );
    assert_eq!(processes(bench.dir.path()), Vec::<i32>::new());
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_process() {
    let package = bench::package(
        "{ payload: { command: [sh, -c, 'trap \"\" TERM; echo ready; sleep 600 & wait; sleep 600'] }, grace: 200ms }",
    );
    let bench = Bench::start(&package).await;
    let mut notices = bench.engine.subscribe(None);
    let run = bench.engine.run(bench.deployment).await.unwrap();
    bench::until(&mut notices, |notice| bench::said(notice, "ready")).await;
    run.cancel("no longer wanted").await.unwrap();
    let (verdict, job) = bench.end(&run).await;
    assert_eq!((verdict, job.cause), (Verdict::Cancelled, Some(Cause::GroupCancelled)));
    assert_eq!(
        job.failure().unwrap().to_string(),
        "`sh` was asked to stop and was killed, since it did not stop in time (cancelled)"
    );
    assert_eq!(processes(bench.dir.path()), Vec::<i32>::new());
}
