//! An engine that is gone at any moment, and the one that comes after it over the same folder.

use std::path::Path;

use jobwright::core::{Event, GroupId, Seq, Verdict};
use jobwright::{Engine, Notice};
use tokio::runtime::Runtime;

use crate::bench::{engine, processes, soon};

/// Two job groups, the first with an attempt that is long enough to be hit.
const PACKAGE: &str = "
jobwright: 1
name: resume
flows:
  main:
    executor: local
    steps:
      first: { payload: { command: ['true'] }, retry: &again { backoff: { type: fixed, delay: 10ms } } }
      left: { needs: [first], payload: { command: [sh, -c, 'sleep 0.1'] }, retry: *again }
      right: { needs: [first], payload: { command: ['true'] }, retry: *again }
      last: { needs: [left, right], payload: { command: ['true'] }, retry: *again }
      alone: { payload: { command: ['true'] }, retry: *again }
    outputs: { both: { steps: [last] }, one: { steps: [alone] } }
";

/// Begins a run and vanishes after so many events: the runtime takes everything with it. False if
/// there were no more events.
fn begin(dir: &Path, events: usize) -> bool {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = engine(dir).await;
        let deployment = engine.create_deployment("test").await.unwrap().id;
        let bundle = jobwright::package::read(PACKAGE.as_bytes()).unwrap();
        engine.import(deployment, &bundle, Default::default()).await.unwrap();
        let mut notices = engine.subscribe(None);
        let run = engine.run(deployment).await.unwrap();
        let (mut heard, mut open) = (0, run.groups().count());
        while heard < events && open > 0 {
            if let Notice::Event { event, .. } = soon(notices.next()).await.unwrap() {
                heard += 1;
                open -= usize::from(matches!(event, Event::GroupEnded { .. }));
            }
        }
        open > 0
    })
}

/// The jobs of a group that have ended, with how often they were tried.
async fn ended(engine: &Engine, group: GroupId) -> Vec<(usize, usize)> {
    let jobs = engine.group(group).await.unwrap().jobs.into_iter().enumerate();
    let ended = jobs.filter(|(_, job)| job.verdict.is_some());
    ended.map(|(at, job)| (at, job.attempts.len())).collect()
}

/// Lets a second engine finish what there is, and returns how many attempts it made anew.
fn finish(dir: &Path) -> usize {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = engine(dir).await;
        let deployment = engine.deployments().await.unwrap()[0].id;
        let run = engine.runs(deployment, 1).await.unwrap().remove(0);
        let run = engine.find_run(run.id).await.unwrap().unwrap();
        let outcome = soon(run.wait()).await.unwrap();
        assert_eq!(outcome.verdict, Verdict::Succeeded);
        let mut again = 0;
        for group in run.groups() {
            let history = engine.history(group, Seq(1)).await.unwrap();
            let adopted = history.iter().position(|it| matches!(it.event, Event::Adopted { .. }));
            let (before, after) = history.split_at(adopted.unwrap_or(history.len()));
            for entry in before {
                let Event::AttemptEnded { job, .. } = &entry.event else { continue };
                let touched = after.iter().any(|it| it.event.job() == Some(*job));
                assert!(!touched, "job {} of group {group} had ended", job.0);
            }
            let view = engine.group(group).await.unwrap();
            assert_eq!(ended(&engine, group).await.len(), view.jobs.len());
            again += view.jobs.iter().map(|job| job.attempts.len() - 1).sum::<usize>();
        }
        engine.shutdown(std::time::Duration::ZERO).await.unwrap();
        again
    })
}

#[test]
fn an_engine_may_vanish_after_any_event() {
    let mut again = 0;
    for events in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let vanished = begin(dir.path(), events);
        again += finish(dir.path());
        assert_eq!(processes(dir.path()), Vec::<i32>::new());
        if !vanished {
            assert!(events > 20, "{events} events are too few for 5 jobs");
            break;
        }
    }
    assert!(again > 0, "no attempt was hit");
}
