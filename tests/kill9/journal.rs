//! Prints the journals that a store holds, a line per event, and starts no engine: what
//! `tests/kill9.sh` compares before and after a crash. Usage: `kill9_journal FILE`
//!
//! ```text
//! GROUP SEQ accepted RUN
//! GROUP SEQ requested JOB-ATTEMPT STEP
//! GROUP SEQ job_ended JOB VERDICT
//! GROUP SEQ group_ended VERDICT
//! GROUP SEQ …                        other events, by their names
//! ```
#![expect(clippy::print_stdout, reason = "a script reads it")]

use std::sync::Arc;

use jobwright::core::{Document, Event, Kind, Next, Plan, Query, Seq, Store};
use jobwright::store::SqliteStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("which file?"))?;
    let store = SqliteStore::open(file)?;
    for stored in store.list(Query::all(Kind::Group)).await? {
        let Document::Group(summary) = stored.document else { continue };
        let mut plan = None;
        for record in store.load(summary.id, Seq(1)).await? {
            for (seq, event) in (record.first.0..).zip(record.events.iter()) {
                if let Event::Accepted { plan: accepted } = event {
                    plan = Some(Arc::clone(accepted));
                }
                let Some(plan) = &plan else { anyhow::bail!("the first event is not `accepted`") };
                println!("{} {seq} {}", summary.id, words(plan, event));
            }
        }
    }
    store.close().await?;
    Ok(())
}

fn words(plan: &Plan, event: &Event) -> String {
    match event {
        Event::Accepted { plan } => format!("accepted {}", plan.run.run),
        Event::Adopted { epoch, .. } => format!("adopted {}", epoch.0),
        Event::Ready { job, .. } => format!("ready {}", plan.job_id(*job)),
        Event::Requested { job, attempt, .. } => {
            let step = &plan.jobs[job.at()].step;
            format!("requested {}-{attempt} {step}", plan.job_id(*job))
        }
        Event::Started { job, attempt, .. } => format!("started {}-{attempt}", plan.job_id(*job)),
        Event::Beat { job, attempt, .. } => format!("beat {}-{attempt}", plan.job_id(*job)),
        Event::Stopping { job, attempt, .. } => format!("stopping {}-{attempt}", plan.job_id(*job)),
        Event::AttemptEnded { job, attempt, next: Next::Retry { .. }, .. } => {
            format!("retry {}-{attempt}", plan.job_id(*job))
        }
        Event::AttemptEnded { job, next: Next::End { verdict, .. }, .. }
        | Event::JobEnded { job, verdict, .. } => {
            format!("job_ended {} {verdict:?}", plan.job_id(*job))
        }
        Event::CancelRequested { .. } => "cancel_requested".to_owned(),
        Event::GroupEnded { verdict } => format!("group_ended {verdict:?}"),
    }
}
