//! Every prefix of a journal resumes: an engine that finds it brings the group to an allowed end,
//! and no job that ended runs again. Rows are cut inside as well, which no store does.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jobwright_core::{GroupId, Record};

use crate::store::Journal;
use crate::world::World;

#[test]
fn every_prefix_of_a_journal_resumes() {
    for seed in 0..150 {
        let mut world = World::new(seed, None);
        world.compare = 0;
        world.run();
        let groups: Vec<GroupId> = world.store.journals.keys().copied().collect();
        let group = world.random.pick(&groups);
        let journal = &world.store.journals[&group];
        let events: usize = journal.records.iter().map(|record| record.events.len()).sum();
        for length in 1..=events {
            let prefix = cut(journal, length);
            let mut world = World::found(seed, vec![prefix]);
            let result = catch_unwind(AssertUnwindSafe(|| world.run()));
            if let Err(fault) = result {
                eprintln!("seed {seed}: {length} of {events} events of group {group}");
                resume_unwind(fault);
            }
        }
    }
}

/// The first `length` events of a journal.
fn cut(journal: &Journal, length: usize) -> Journal {
    let mut left = length;
    let mut records = Vec::new();
    for record in &journal.records {
        let keep = left.min(record.events.len());
        if keep > 0 {
            records.push(Record { events: record.events[..keep].into(), ..record.clone() });
        }
        left -= keep;
    }
    let is_ended = journal.records.len() == records.len()
        && records.last().map(Record::next) == journal.records.last().map(Record::next);
    Journal { records, is_ended, ..journal.clone() }
}
