//! The journal: commits of a thousand appends of four events, to SQLite and to memory.

#![expect(clippy::disallowed_methods, reason = "it reads the clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use jobwright::core::{
    Append, Cause, Commit, DeploymentId, Epoch, Event, GroupId, GroupSummary, JobIndex, Next,
    NodeId, Outcome, Record, ReleaseId, RunId, Seq, Status, Store, Success, Timestamp, Verdict,
};
use jobwright::store::{MemoryStore, SqliteOptions};

const GROUPS: i64 = 1_000;
/// How many appends a group has from its first to its last.
const LAP: u64 = 10;
const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let file = |name| folder.path().join(name);
    let stores: [(&str, Arc<dyn Store>); 3] = [
        ("SQLite FULL", Arc::new(SqliteOptions::new().open(file("full.db"))?)),
        ("SQLite NORMAL", Arc::new(SqliteOptions::new().written().open(file("normal.db"))?)),
        ("memory", Arc::new(MemoryStore::forgetting_ended())),
    ];
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let mut group = criterion.benchmark_group("journal");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(GROUPS.unsigned_abs() * 4));
    for (name, store) in stores {
        let mut commits = (0..).map(commit);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for commit in commits.by_ref().take(iterations as usize) {
                    let commit = Arc::new(commit.expect("ids are within their bounds"));
                    let begin = Instant::now();
                    let written = runtime.block_on(store.commit(commit));
                    total += begin.elapsed();
                    written.expect("each commit follows the one before");
                }
                total
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// One append to each of a thousand groups. Every group gets ten, then come new ones.
fn commit(round: u64) -> Result<Commit> {
    let (lap, step) = (i64::try_from(round / LAP)?, round % LAP);
    let status = match step {
        0 => Some(Status::Created),
        1 => Some(Status::InProgress),
        9 => Some(Status::Complete),
        _ => None,
    };
    let events = events(JobIndex(u32::try_from(step)?));
    let appends = (1..=GROUPS).map(|n| {
        let group = GroupId::new(lap * GROUPS + n)?;
        let summary = status.map(|status| summary(group, status)).transpose()?;
        let first = Seq(step * 4 + 1);
        let events = events.clone().into();
        let record = Record { group, first, epoch: Epoch(1), at: NOW, events };
        Ok(Append { owner: NodeId(Default::default()), record, summary })
    });
    Ok(Commit { journal: appends.collect::<Result<_>>()?, ..Commit::default() })
}

fn summary(group: GroupId, status: Status) -> Result<GroupSummary> {
    Ok(GroupSummary {
        id: group,
        run: RunId::new(group.get())?,
        deployment: DeploymentId::new(1)?,
        release: ReleaseId::new(1)?,
        status,
        jobs: 10,
        created_at: NOW,
        updated_at: NOW,
    })
}

/// What one job makes: it is ready, handed over, taken, and ends.
fn events(job: JobIndex) -> Vec<Event> {
    let attempt = 1;
    let next = Next::End { verdict: Verdict::Succeeded, cause: Cause::Attempt };
    let outcome = Outcome::Succeeded(Success::empty());
    vec![
        Event::Ready { job, queue_by: NOW, total_by: NOW },
        Event::Requested { job, attempt, end_by: NOW, beat_by: None },
        Event::Started { job, attempt, handle: None },
        Event::AttemptEnded { job, attempt, outcome, next },
    ]
}
