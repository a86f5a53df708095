//! Commits of a thousand appends of four events.

use anyhow::Result;
use jobwright::core::{
    Append, Cause, Commit, DeploymentId, Epoch, Event, GroupId, GroupSummary, JobIndex, Next,
    NodeId, Outcome, Record, ReleaseId, RunId, Seq, Status, Success, Timestamp, Verdict,
};

/// How many groups a commit has a row of.
pub(crate) const GROUPS: i64 = 1_000;
/// How many appends a group has from its first to its last.
const LAP: u64 = 10;
const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

/// One append to each of a thousand groups. Every group gets ten, then come new ones.
pub(crate) fn commit(round: u64) -> Result<Commit> {
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
pub(crate) fn events(job: JobIndex) -> Vec<Event> {
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
