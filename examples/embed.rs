//! An engine inside a larger program: requests come in from elsewhere, what happens is heard, and
//! SIGINT or SIGTERM ends it in good order. Here the requests come from a clock, and end by
//! themselves. Usage: `embed [REQUESTS]`
#![expect(clippy::print_stdout, reason = "it talks to a person")]

use std::time::Duration;

use jobwright::adapters::FnExecutor;
use jobwright::core::{Attempt, DeploymentId, Event, Failure, Success};
use jobwright::store::SqliteStore;
use jobwright::{Engine, Notice, Subscription};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const PACKAGE: &str = r#"
jobwright: 1
name: greetings
flows:
  greet:
    executor: greeter
    parameters: { whom: { type: string } }
    steps:
      greet: { payload: { whom: "$whom" } }
    outputs: { greeting: { steps: [greet] } }
"#;

/// What the service does for a living: any async function is an executor.
async fn greet(attempt: Attempt) -> Result<Success, Failure> {
    let whom = attempt.payload()["whom"].as_str();
    let whom = whom.ok_or_else(|| Failure::permanent("payload", "it has no `whom`"))?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(Success::with(format!("hello {whom}").into()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let requests = std::env::args().nth(1).map_or(Ok(3), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let engine = Engine::builder()
        .store(SqliteStore::open(dir.path().join("store.db"))?)
        .executor("greeter", FnExecutor::new(greet).slots(1))
        .start()
        .await?;
    let deployment = engine.create_deployment("greetings").await?.id;
    let package = jobwright::package::read(PACKAGE.as_bytes())?;
    engine.import(deployment, &package, Default::default()).await?;

    let (sender, inbox) = mpsc::channel(16);
    let mut around = JoinSet::new();
    around.spawn(ask(sender, requests));
    around.spawn(tell(engine.subscribe(None)));
    serve(&engine, deployment, inbox).await?;

    let report = engine.shutdown(Duration::from_secs(5)).await?;
    drop(engine); // so that those who listen hear the end
    around.join_all().await;
    let unfinished = report.unfinished.len();
    println!("shut down: {} attempts were live, {} interrupted", report.live, report.interrupted);
    println!("{unfinished} job groups are left to the next start");
    Ok(())
}

/// The outside world: a request per tick.
async fn ask(sender: mpsc::Sender<String>, requests: u32) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for request in 1..=requests {
        ticks.tick().await;
        if sender.send(format!("customer {request}")).await.is_err() {
            return;
        }
    }
}

/// Runs the deployment for each request. When there are no more it waits for what it began; when
/// somebody stops the service it does not, since the next start goes on with that.
async fn serve(
    engine: &Engine,
    deployment: DeploymentId,
    mut inbox: mpsc::Receiver<String>,
) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut runs = Vec::new();
    loop {
        let request = tokio::select! {
            request = inbox.recv() => request,
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
        };
        let Some(whom) = request else { break };
        // What is wrong with one request is no reason to refuse the next.
        match engine.run(deployment).parameter("whom", whom.as_str()).await {
            Ok(run) => runs.push(run),
            Err(error) => println!("{whom}: refused: {error}"),
        }
    }
    for run in runs {
        run.wait().await?;
    }
    Ok(())
}

/// Tells how job groups end. A listener that is too slow misses something and slows nothing.
async fn tell(mut notices: Subscription) {
    while let Some(notice) = notices.next().await {
        match notice {
            Notice::Event { group, event: Event::GroupEnded { verdict }, .. } => {
                println!("job group {group}: {verdict:?}");
            }
            Notice::Gap { missed } => println!("missed {missed}"),
            _ => {}
        }
    }
}
