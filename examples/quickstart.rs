//! Imports the package in `examples/packages/pos_report`, runs it twice with real processes, and
//! shows live how far each job is. Killed and started again with the same `--dir`, it goes on.
//! Usage: `quickstart [--dir DIR] [--pace SECONDS] [PACKAGE]`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};
use jobwright::adapters::LocalProcessExecutor;
use jobwright::core::{Event, GroupId, Outcome, Seq, Status};
use jobwright::store::SqliteStore;
use jobwright::{Engine, GroupView, JobView, Notice};
use serde_json::{from_value, json};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/packages/pos_report");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut dir, mut pace, mut package) = (None, 0, PathBuf::from(PACKAGE));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dir" => dir = arguments.next(),
            "--pace" => pace = arguments.next().unwrap_or_default().parse()?,
            _ => package = argument.into(),
        }
    }
    let dir = match dir {
        Some(dir) => std::path::absolute(dir)?,
        None => tempfile::Builder::new().prefix("jobwright-").tempdir()?.keep(),
    };
    std::fs::create_dir_all(&dir)?;
    let engine = Engine::builder()
        .store(SqliteStore::open(dir.join("store.db"))?)
        .executor("local", LocalProcessExecutor::new(dir.join("attempts")))
        .start() // takes up what an earlier process left unfinished
        .await?;
    let deployment = match engine.deployment_named("quickstart").await? {
        Some(deployment) => deployment,
        None => engine.create_deployment("quickstart").await?,
    };
    if deployment.active.is_none() {
        let values = from_value(json!({ "out": dir.join("report"), "pace": pace }))?;
        engine.import(deployment.id, &jobwright::package::read_path(package)?, values).await?;
    }
    let mut groups = Vec::new();
    for values in [json!({ "day": "2026-09-15" }), json!({ "region": "north", "min_amount": 10 })] {
        let request = engine.run(deployment.id).reference_date("2026-10-01T08:00:00Z".parse()?);
        // What an earlier process has asked for under the same key is not run again.
        let request = request.idempotency_key(&values.to_string());
        for group in request.parameters(from_value(values)?).await?.groups() {
            watch(&engine, group).await?;
            groups.push(engine.group(group).await?);
        }
    }
    groups.iter().for_each(|group| report(group, &dir));
    engine.shutdown(Duration::from_secs(30)).await?;
    anyhow::ensure!(groups.iter().all(|it| it.status == Status::Complete), "a run went wrong");
    Ok(())
}

/// Shows how a group goes to its end: bars on a terminal, a line per transition elsewhere.
async fn watch(engine: &Engine, group: GroupId) -> anyhow::Result<()> {
    let mut notices = engine.subscribe(Some(group));
    let (view, screen) = (engine.group(group).await?, MultiProgress::new());
    let style = ProgressStyle::with_template("{prefix:10} {bar:30} {pos:>3} % {wide_msg}")?;
    let bar = |job: &JobView| {
        let bar = ProgressBar::new(100).with_prefix(job.step.to_string()).with_style(style.clone());
        screen.add(bar.with_finish(ProgressFinish::Abandon))
    };
    let bars: Vec<_> = view.jobs.iter().map(bar).collect();
    let mut next = Seq(1);
    loop {
        for entry in engine.history(group, next).await? {
            next = Seq(entry.seq.0 + 1);
            match (entry.event.job(), &entry.event) {
                (_, Event::GroupEnded { .. }) => return Ok(()),
                (Some(job), event) => tell(&view.jobs[job.at()], &bars[job.at()], event),
                (None, _) => {}
            }
        }
        // Whatever is told, even that something was missed, the history knows it.
        if let Some(Notice::Progress { attempt, percent, words, .. }) = notices.next().await
            && let Some(job) = view.plan.index_of(attempt.job)
        {
            bars[job.at()].set_position(percent.into());
            bars[job.at()].set_message(words.to_string());
        }
    }
}

fn tell(job: &JobView, bar: &ProgressBar, event: &Event) {
    let words = match event {
        Event::Requested { attempt, .. } => format!("attempt {attempt} begins"),
        Event::AttemptEnded { outcome: Outcome::Failed(failure), .. } => failure.to_string(),
        Event::AttemptEnded { .. } => "done".to_owned(),
        Event::JobEnded { verdict, cause, .. } => format!("{verdict:?}: {cause:?}"),
        _ => return,
    };
    if bar.is_hidden() {
        eprintln!("job {} {}: {words}", job.id, job.step);
    }
    bar.set_message(words);
}

fn report(group: &GroupView, dir: &Path) {
    println!("\nrun {}: {}", group.plan.run.run, group.status);
    println!("{:>4} {:10} {:10} {:10} attempts duration", "job", "step", "kind", "status");
    for job in &group.jobs {
        let JobView { id, step, kind, status, attempts, .. } = job;
        let time = job.ended_at.zip(job.ready_at).map(|(end, ready)| end.since(ready));
        let (attempts, time) = (attempts.len(), time.unwrap_or_default().as_secs_f64());
        println!("{id:>4} {step:10} {kind:10} {status:10} {attempts:8} {time:7.2}s");
    }
    for it in &group.plan.run.parameters.parameters {
        println!("parameter {:10} = {} ({})", it.name, it.value, it.layer);
    }
    println!("outputs: {}/report/published/run-{}", dir.display(), group.plan.run.run);
}
