//! Prints what one append costs in memory: many groups, one small row per group per commit.
//!
//! `cargo run --release -p jobwright-store --example memory_rate`

use std::time::Instant;

use jobwright_core::{
    Append, Commit, DeploymentId, Epoch, Event, Events, GroupId, GroupSummary, JobIndex, NodeId,
    Record, ReleaseId, RunId, Seq, Status, Store, Timestamp,
};
use jobwright_store::MemoryStore;

const GROUPS: i64 = 10_000;
const PER_COMMIT: usize = 2_000;
const REPEATS: usize = 7;
const ROUNDS: u64 = 10;

fn append(group: i64, round: u64, events: &Events) -> Option<Append> {
    let group = GroupId::new(group).ok()?;
    let at = Timestamp::from_millis(0);
    let status = match round {
        0 => Some(Status::Created),
        1 => Some(Status::InProgress),
        _ => (round + 1 == ROUNDS).then_some(Status::Complete),
    };
    let summary = |status| {
        Some(GroupSummary {
            id: group,
            run: RunId::new(group.get()).ok()?,
            deployment: DeploymentId::new(1).ok()?,
            release: ReleaseId::new(1).ok()?,
            status,
            jobs: 10,
            created_at: at,
            updated_at: at,
        })
    };
    let first = Seq(round * events.len() as u64 + 1);
    let record = Record { group, first, epoch: Epoch(1), at, events: events.clone() };
    let owner = NodeId(uuid::Uuid::from_u128(1));
    Some(Append { owner, record, summary: status.and_then(summary) })
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "it measures")]
#[expect(clippy::print_stdout, reason = "it reports")]
async fn main() {
    let event = |n| Event::Beat { job: JobIndex(n), attempt: 1, beat_by: Timestamp::NEVER };
    let events: Events = (0..4).map(event).collect();
    for name in ["keeping", "forgetting"] {
        let mut best = u128::MAX;
        for _ in 0..REPEATS {
            let store = match name {
                "keeping" => MemoryStore::new(),
                _ => MemoryStore::forgetting_ended(),
            };
            let commits = commits(&events);
            let begin = Instant::now();
            for commit in commits {
                store.commit(commit.into()).await.expect("every row follows the one before");
            }
            best = best.min(begin.elapsed().as_nanos());
        }
        let appends = u128::from(GROUPS.unsigned_abs() * ROUNDS);
        println!("{name}: {appends} appends, {} ns each at best", best / appends);
    }
}

fn commits(events: &Events) -> Vec<Commit> {
    let mut commits = Vec::new();
    for round in 0..ROUNDS {
        for start in (1..=GROUPS).step_by(PER_COMMIT) {
            let groups = start..start + PER_COMMIT as i64;
            let journal = groups.filter_map(|it| append(it, round, events)).collect();
            commits.push(Commit { journal, ..Commit::default() });
        }
    }
    commits
}
