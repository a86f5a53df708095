//! Journals that no machine wrote are refused, or make a state that can be driven; replay never
//! panics.

use jobwright_core::{
    Epoch, Event, GroupId, JobIndex, Next, NodeId, Outcome, Record, Seq, Timestamp, Verdict,
};
use jobwright_scheduler::machine::{Capacity, Effect, Input, Report, Scheduler, StepResult};
use uuid::Uuid;

use crate::executor;
use crate::notation;
use crate::random::Random;
use crate::world::World;

#[test]
fn a_damaged_journal_is_refused_or_can_be_driven() {
    let (mut refused, mut driven) = (0, 0);
    for seed in 0..150 {
        let mut world = World::new(seed, None);
        world.compare = 0;
        world.run();
        let mut random = Random::new(seed);
        let capacity = world.engines[0].capacity.clone();
        for (group, journal) in &world.store.journals {
            for _ in 0..10 {
                let records = damage(&journal.records, &mut random);
                match drive(&capacity, *group, records) {
                    true => driven += 1,
                    false => refused += 1,
                }
            }
        }
    }
    assert!(refused > 1000 && driven > 100, "{refused} are refused, {driven} driven");
}

fn damage(records: &[Record], random: &mut Random) -> Vec<Record> {
    let mut rows: Vec<(Timestamp, Vec<Event>)> =
        records.iter().map(|record| (record.at, record.events.to_vec())).collect();
    for _ in 0..random.between(1, 3) {
        let at = random.below(rows.len() as u64) as usize;
        let other = random.below(rows.len() as u64) as usize;
        match random.below(9) {
            8 => renumber(&mut rows, random),
            0 => drop(rows.remove(at)),
            1 => rows.insert(other, rows[at].clone()),
            2 => rows.swap(at, other),
            3 => rows.truncate(at + 1),
            4 => rows[at].0 = Timestamp::from_millis(random.pick(&[i64::MIN, -1, 0, i64::MAX])),
            _ => {
                let events = &mut rows[at].1;
                let at = random.below(events.len() as u64) as usize;
                alter(&mut events[at], random);
            }
        }
        if rows.is_empty() {
            break;
        }
    }
    let mut next = random.pick(&[1, 1, 1, 1, 1, 1, 1, 2]);
    let rows = rows.into_iter().map(|(at, events)| {
        let first = Seq(next);
        next += events.len() as u64;
        Record {
            group: records[0].group,
            first,
            epoch: records[0].epoch,
            at,
            events: events.into(),
        }
    });
    rows.collect()
}

/// Gives one attempt another number, wherever it is named.
fn renumber(rows: &mut [(Timestamp, Vec<Event>)], random: &mut Random) {
    let (from, to) = (random.between(1, 2) as u32, random.pick(&NUMBERS));
    for event in rows.iter_mut().flat_map(|(_, events)| events) {
        if let Event::Requested { attempt, .. }
        | Event::Started { attempt, .. }
        | Event::Beat { attempt, .. }
        | Event::Stopping { attempt, .. }
        | Event::AttemptEnded { attempt, .. } = event
            && *attempt == from
        {
            *attempt = to;
        }
    }
}

const NUMBERS: [u32; 6] = [0, 1, 2, 3, u32::MAX - 1, u32::MAX];

fn alter(event: &mut Event, random: &mut Random) {
    let verdicts = [Verdict::Succeeded, Verdict::Failed, Verdict::Skipped, Verdict::Cancelled];
    match event {
        Event::Ready { job, .. } | Event::JobEnded { job, .. } if random.chance(50) => {
            *job = JobIndex(random.pick(&NUMBERS));
        }
        Event::Requested { attempt, .. }
        | Event::Started { attempt, .. }
        | Event::Beat { attempt, .. }
        | Event::Stopping { attempt, .. } => *attempt = random.pick(&NUMBERS),
        Event::AttemptEnded { job, attempt, outcome, next } => match random.below(4) {
            0 => *job = JobIndex(random.pick(&NUMBERS)),
            1 => *attempt = random.pick(&NUMBERS),
            2 => *outcome = executor::lost(),
            _ => *next = Next::Retry { at: Timestamp::from_millis(i64::MIN) },
        },
        Event::JobEnded { verdict, .. } | Event::GroupEnded { verdict } => {
            *verdict = random.pick(&verdicts);
        }
        Event::Adopted { epoch, .. } => *epoch = Epoch(random.next()),
        Event::Ready { .. } | Event::Accepted { .. } | Event::CancelRequested { .. } => {
            *event = Event::CancelRequested { reason: jobwright_core::CancelReason::Superseded };
        }
    }
}

/// Replays a journal, and drives what comes of it to its end; tells whether it was taken.
fn drive(capacity: &Capacity, group: GroupId, records: Vec<Record>) -> bool {
    let mut now = records.iter().map(|record| record.at).max().unwrap_or_default();
    now = now.min(Timestamp::from_millis(2_000_000_000));
    let Ok(mut machine) = Scheduler::replay(capacity, [(group, records)]) else { return false };
    machine.check_invariants();
    let mut out = StepResult::default();
    let node = NodeId(Uuid::nil());
    let mut inputs = vec![Input::Adopt { group, epoch: Epoch(u64::MAX), node }];
    for _ in 0..500 {
        out.clear();
        for input in std::mem::take(&mut inputs) {
            machine.step(now, input, &mut out);
            machine.check_invariants();
        }
        for effect in &out.effects {
            if let Effect::Dispatch(order) | Effect::Reattach(order) = effect {
                let outcome: Outcome = executor::lost();
                let report = Report::Ended(outcome);
                inputs.push(Input::Report { attempt: order.attempt, report });
            }
        }
        if machine.is_empty() {
            return true;
        }
        if inputs.is_empty() {
            now = machine.next_deadline().expect("every open group has a deadline");
            inputs.push(Input::Tick);
        }
    }
    let last: Vec<_> =
        out.journal.iter().flat_map(|row| &row.events).map(notation::event).collect();
    panic!("group {group} does not come to its end: {last:?}")
}
