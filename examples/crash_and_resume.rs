//! Starts an engine in a process of its own, kills it with SIGKILL while its jobs run, and lets a
//! second engine finish the job group from what the first one kept.
#![expect(clippy::print_stdout, reason = "it talks to a person")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jobwright::adapters::LocalProcessExecutor;
use jobwright::core::{Event, Seq};
use jobwright::store::SqliteStore;
use jobwright::{Engine, Notice};
use tokio::io::{AsyncBufReadExt, BufReader};

/// `wrangle` is silent and leaves its result last, so it can go on without an engine; here it ends
/// only when the one that began it has gone. `profile` speaks all the time at its first attempt,
/// and dies when nobody reads what it says.
const PACKAGE: &str = r#"
jobwright: 1
name: crash
flows:
  report:
    executor: local
    steps:
      ingest: { kind: ingest, payload: { command: [echo, all rows are here] } }
      wrangle:
        needs: [ingest]
        timeouts: { attempt: 1m }
        payload:
          command:
            - sh
            - -c
            - |
              while kill -0 $$PPID 2> /dev/null; do sleep 0.1; done
              echo '{"rows":42}' > $$JOBWRIGHT_OUTPUT
      profile:
        kind: profile
        needs: [ingest]
        payload:
          command:
            - sh
            - -c
            - |
              case $$JOBWRIGHT_ATTEMPT in
                *-1) while echo working; do sleep 0.1; done ;;
              esac
      publish: { kind: publish, needs: [wrangle, profile], payload: { command: [echo, done] } }
    outputs: { report: { steps: [publish] } }
"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(dir) = std::env::args_os().nth(1) {
        return doomed(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir()?;
    let mut child = tokio::process::Command::new(std::env::current_exe()?);
    let mut child = child.arg(dir.path()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut running = 0;
    while running < 3 {
        let Some(line) = said.next_line().await? else { anyhow::bail!("the first engine ended") };
        running += usize::from(line.ends_with("runs"));
    }
    child.kill().await?;
    println!("the first engine was killed while `wrangle` and `profile` ran");

    let engine = engine(dir.path()).await?;
    let deployment = engine.deployments().await?.remove(0);
    let run = engine.runs(deployment.id, 1).await?.remove(0);
    let group = run.groups[0].id;
    let verdict = engine.wait(group).await?;
    println!("the second engine finished job group {group}: {verdict:?}");

    let history = engine.history(group, Seq(1)).await?;
    let adopted = history.iter().find(|entry| matches!(entry.event, Event::Adopted { .. }));
    let adopted = adopted.map(|entry| entry.at);
    for job in engine.group(group).await?.jobs {
        let first = job.attempts.first().map(|attempt| attempt.requested_at);
        let how = match job.attempts.len() {
            1 if job.ended_at < adopted => "had ended, was not run again",
            1 if first < adopted => "went on alone, was taken up again",
            1 => "had not begun, was run by the second engine",
            _ => "was lost, was run again",
        };
        println!("{:8} {:8} attempts {}: {how}", job.step, job.status, job.attempts.len());
    }
    engine.shutdown(Duration::from_secs(10)).await?;
    Ok(())
}

async fn engine(dir: &Path) -> anyhow::Result<Engine> {
    let builder = Engine::builder()
        .store(SqliteStore::open(dir.join("store.db"))?)
        .executor("local", LocalProcessExecutor::new(dir.join("attempts")));
    Ok(builder.start().await?)
}

/// The engine that is killed: says which jobs run, until it cannot any more.
async fn doomed(dir: &Path) -> anyhow::Result<()> {
    let engine = engine(dir).await?;
    let mut notices = engine.subscribe(None);
    let deployment = engine.create_deployment("crash").await?.id;
    let package = jobwright::package::read(PACKAGE.as_bytes())?;
    engine.import(deployment, &package, Default::default()).await?;
    engine.run(deployment).await?;
    while let Some(notice) = notices.next().await {
        if let Notice::Event { event: Event::Started { job, .. }, .. } = notice {
            println!("job {} runs", job.0);
        }
    }
    Ok(())
}
