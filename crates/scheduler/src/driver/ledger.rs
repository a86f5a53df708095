//! What observers and the log need to know of live groups beyond their events: plans, and since
//! when each job is where it is. It follows the durable events, and is kept only where somebody is
//! told.

use std::collections::HashMap;
use std::sync::Arc;

use jobwright_core::{
    Append, Event, Fact, GroupId, Happened, JobCounts, JobIndex, Next, Plan, Record, Timestamp,
};

use super::Spread;

/// All live groups whose beginning was heard.
#[derive(Default)]
pub(super) struct Ledger {
    groups: HashMap<GroupId, Account, Spread>,
    counts: [u64; 6],
    /// What the ledger adds to the events of the turn, one by one.
    notes: Vec<Note>,
    /// The groups that ended in the turn.
    ended: Vec<GroupId>,
}

/// What the ledger adds to an event.
#[derive(Clone, Copy)]
struct Note {
    /// Since when that was so which the event ends.
    since: Timestamp,
    /// It is the first request of its group.
    begins: bool,
}

/// What is known of one group.
struct Account {
    plan: Arc<Plan>,
    accepted_at: Timestamp,
    begun: bool,
    jobs: Box<[Standing]>,
}

/// Where a job is, and since when.
#[derive(Clone, Copy)]
struct Standing {
    place: Place,
    since: Timestamp,
}

#[derive(Clone, Copy)]
enum Place {
    Waiting,
    Ready,
    Running,
    Stopping,
    BackingOff,
    Done,
}

impl Ledger {
    /// Follows the events of a turn. [`Ledger::facts`] then makes facts of them, and
    /// [`Ledger::close`] forgets what ended with them.
    pub(super) fn follow(&mut self, journal: &[Append]) {
        for append in journal {
            self.enter(&append.record);
        }
    }

    /// Follows what happened to a group before this engine took it up.
    pub(super) fn load(&mut self, records: &[Record]) {
        for record in records {
            self.enter(record);
        }
        self.close();
    }

    /// Makes facts of the turn that was followed, in order.
    pub(super) fn facts<'a>(&'a self, journal: &'a [Append], facts: &mut Vec<Fact<'a>>) {
        let mut notes = self.notes.iter();
        for Append { record, .. } in journal {
            let account = self.groups.get(&record.group);
            for event in record.events.iter() {
                let (Some(note), Some(account)) = (notes.next(), account) else { continue };
                let (group, accepted_at) = (record.group, account.accepted_at);
                let mut tell =
                    |what| facts.push(Fact { group, plan: &account.plan, accepted_at, what });
                if note.begins {
                    tell(Happened::Begun);
                }
                happened(event, note.since, record.at, &mut tell);
            }
        }
    }

    /// Forgets the turn, and the groups that ended in it.
    pub(super) fn close(&mut self) {
        self.notes.clear();
        for group in std::mem::take(&mut self.ended) {
            self.forget(group);
        }
    }

    /// Forgets a group that another engine drives.
    pub(super) fn forget(&mut self, group: GroupId) {
        for job in self.groups.remove(&group).iter().flat_map(|account| account.jobs.iter()) {
            self.counts[job.place as usize] -= 1;
        }
    }

    /// How many groups are live when the turn is over.
    pub(super) fn groups_left(&self) -> u64 {
        (self.groups.len() - self.ended.len()) as u64
    }

    /// Where the jobs of live groups are.
    pub(super) fn jobs(&self) -> JobCounts {
        let count = |place: Place| self.counts[place as usize];
        let mut jobs = JobCounts::default();
        jobs.waiting = count(Place::Waiting);
        jobs.ready = count(Place::Ready);
        jobs.running = count(Place::Running);
        jobs.stopping = count(Place::Stopping);
        jobs.backing_off = count(Place::BackingOff);
        jobs
    }

    fn enter(&mut self, record: &Record) {
        if let Some(Event::Accepted { plan }) = record.events.first() {
            let standing = Standing { place: Place::Waiting, since: record.at };
            let jobs = vec![standing; plan.jobs.len()].into_boxed_slice();
            self.counts[Place::Waiting as usize] += jobs.len() as u64;
            let (plan, accepted_at) = (Arc::clone(plan), record.at);
            self.groups.insert(record.group, Account { plan, accepted_at, begun: false, jobs });
        }
        let Some(account) = self.groups.get_mut(&record.group) else {
            let note = Note { since: record.at, begins: false };
            self.notes.extend(record.events.iter().map(|_| note));
            return;
        };
        for event in record.events.iter() {
            let Some((job, place)) = destination(event) else {
                let ends = matches!(event, Event::GroupEnded { .. });
                let since = if ends { account.accepted_at } else { record.at };
                self.notes.push(Note { since, begins: false });
                if ends {
                    self.ended.push(record.group);
                }
                continue;
            };
            let begins = matches!(place, Place::Running) && !account.begun;
            account.begun |= begins;
            let before = account.moved(job, place, record.at);
            self.counts[before.place as usize] -= 1;
            self.counts[place as usize] += 1;
            self.notes.push(Note { since: before.since, begins });
        }
    }
}

/// Where an event takes a job.
fn destination(event: &Event) -> Option<(JobIndex, Place)> {
    match event {
        Event::Accepted { .. }
        | Event::Adopted { .. }
        | Event::CancelRequested { .. }
        | Event::GroupEnded { .. }
        | Event::Started { .. }
        | Event::Beat { .. } => None,
        Event::Ready { job, .. } => Some((*job, Place::Ready)),
        Event::Requested { job, .. } => Some((*job, Place::Running)),
        Event::Stopping { job, .. } => Some((*job, Place::Stopping)),
        Event::AttemptEnded { job, next, .. } => match next {
            Next::Retry { .. } => Some((*job, Place::BackingOff)),
            Next::End { .. } => Some((*job, Place::Done)),
        },
        Event::JobEnded { job, .. } => Some((*job, Place::Done)),
    }
}

impl Account {
    /// Moves a job, and returns where it was. An attempt that is asked to stop has been live since
    /// it was requested.
    fn moved(&mut self, job: JobIndex, place: Place, at: Timestamp) -> Standing {
        let job = &mut self.jobs[job.at()];
        let before = *job;
        let since = if matches!(place, Place::Stopping) { before.since } else { at };
        *job = Standing { place, since };
        before
    }
}

/// Tells what an event means. `since` is the time from which what it ends was so.
fn happened<'a>(
    event: &'a Event,
    since: Timestamp,
    at: Timestamp,
    tell: &mut impl FnMut(Happened<'a>),
) {
    let took = at.since(since);
    match event {
        Event::Accepted { .. } => tell(Happened::Accepted),
        Event::Adopted { epoch, .. } => tell(Happened::Adopted { epoch: *epoch }),
        Event::Ready { job, .. } => tell(Happened::JobReady { job: *job }),
        Event::Requested { job, attempt, .. } => {
            tell(Happened::Requested { job: *job, attempt: *attempt, queued: took });
        }
        Event::Started { job, attempt, handle } => {
            let handle = handle.as_ref();
            tell(Happened::Started { job: *job, attempt: *attempt, handle });
        }
        Event::Beat { .. } => {}
        Event::Stopping { job, attempt, reason, .. } => {
            tell(Happened::Stopping { job: *job, attempt: *attempt, reason });
        }
        Event::AttemptEnded { job, attempt, outcome, next } => {
            let (job, attempt, requested_at) = (*job, *attempt, since);
            tell(Happened::AttemptEnded { job, attempt, outcome, next, requested_at, took });
            if let Next::End { verdict, cause } = next {
                tell(Happened::JobEnded { job, verdict: *verdict, cause: *cause });
            }
        }
        Event::JobEnded { job, verdict, cause } => {
            tell(Happened::JobEnded { job: *job, verdict: *verdict, cause: *cause });
        }
        Event::CancelRequested { reason } => tell(Happened::Cancelling { reason }),
        Event::GroupEnded { verdict } => tell(Happened::Ended { verdict: *verdict, took }),
    }
}
