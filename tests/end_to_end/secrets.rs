//! A secret reaches the process that needs it, and nobody else: neither a file nor a listener.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jobwright::Notice;
use jobwright::core::{Event, Seq, Verdict};

use crate::bench::{Bench, SECRET, soon};

/// The program shows its secret wherever it can, but for files of its own.
const PACKAGE: &str = "
jobwright: 1
name: secrets
flows:
  main:
    executor: local
    parameters: { key: { type: secret, default: warehouse } }
    steps:
      tell:
        payload:
          command: [sh, -c, 'echo key $$KEY; echo $$KEY >&2; echo \"::progress 50 $$KEY\"; exit 3']
          env: { KEY: $key }
      leave:
        needs: [{ step: tell, when: failed }]
        payload:
          command: [sh, -c, 'test $${#KEY} = 28 && echo \"[\\\"$$KEY\\\"]\" > $$JOBWRIGHT_OUTPUT']
          env: { KEY: $key }
      take:
        needs: [leave]
        payload: { command: [sh, -c, 'cat $$JOBWRIGHT_INPUT $$JOBWRIGHT_PARAMETERS; env'] }
    outputs: { all: { steps: [take] } }
";

#[tokio::test]
async fn a_secret_is_written_nowhere_and_told_to_nobody() {
    let bench = Bench::start(PACKAGE).await;
    let mut notices = bench.engine.subscribe(None);
    let run = bench.engine.run(bench.deployment).await.unwrap();
    let mut told = String::new();
    let listen = async {
        loop {
            let notice = notices.next().await.expect("the engine lives");
            told.push_str(&format!("{notice:?}\n"));
            if let Notice::Event { event: Event::GroupEnded { .. }, .. } = notice {
                break;
            }
        }
    };
    soon(listen).await;
    let (verdict, job) = bench.end(&run).await;
    assert_eq!(verdict, Verdict::Failed, "`tell` fails");
    assert_eq!(
        job.failure().unwrap().to_string(),
        "`sh` exited with code 3, and last said:\n*** (exit)"
    );
    let group = run.groups().next().unwrap();
    let view = bench.engine.group(group).await.unwrap();
    let verdicts: Vec<_> = view.jobs.iter().map(|job| job.verdict.unwrap()).collect();
    assert_eq!(verdicts, [Verdict::Failed, Verdict::Succeeded, Verdict::Succeeded]);
    assert_eq!(view.jobs[1].result.as_deref(), Some(&serde_json::json!(["***"])));

    told.push_str(&format!("{view:?}{:?}", bench.engine.history(group, Seq(1)).await.unwrap()));
    assert!(told.contains("key "), "`tell` was heard");
    assert!(!told.contains(SECRET), "{told}");
    for file in holding(bench.dir.path(), SECRET) {
        // The one file that the program itself wrote.
        assert!(file.ends_with("output.json"), "{} holds the secret", file.display());
    }
    bench.engine.shutdown(Duration::ZERO).await.unwrap();
    assert!(!holding(bench.dir.path(), "warehouse").is_empty(), "its name is no secret");
}

/// Finds the files below a folder that hold a text.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let content = std::fs::read(entry.path()).unwrap();
                let holds = content.windows(text.len()).any(|window| window == text.as_bytes());
                found.extend(holds.then(|| entry.path()));
            }
        }
    }
    found
}
