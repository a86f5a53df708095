//! What the processes of a job left about themselves.

use std::collections::BTreeMap;
use std::path::Path;

/// One process of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Life {
    /// `JOB-ATTEMPT`.
    pub(crate) attempt: String,
    /// Seconds since the machine's start.
    pub(crate) start: f64,
    /// When it was last seen alive.
    pub(crate) last: f64,
    /// Whether it came to its own end.
    pub(crate) is_whole: bool,
}

/// Reads the lives of a job's processes, in the order of their starts.
pub(crate) fn read(path: &Path) -> Vec<Life> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lives: BTreeMap<(&str, &str), Life> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let [attempt, what, at, pid] = fields[..] else { continue };
        let Ok(at) = at.parse::<f64>() else { continue };
        let life = lives.entry((attempt, pid)).or_insert_with(|| Life {
            attempt: attempt.to_owned(),
            start: at,
            last: at,
            is_whole: false,
        });
        life.last = at;
        life.is_whole |= what == "end";
    }
    let mut lives: Vec<_> = lives.into_values().collect();
    lives.sort_by(|a, b| a.start.total_cmp(&b.start));
    lives
}

/// The pairs of processes that were alive at the same time. One that was killed lived at least
/// until its last line, at most a fifth of a second longer.
pub(crate) fn doubles(lives: &[Life]) -> Vec<(Life, Life)> {
    let pairs = lives
        .iter()
        .enumerate()
        .flat_map(|(at, first)| lives[at + 1..].iter().map(move |second| (first, second)));
    let overlap = pairs.filter(|(first, second)| second.start < first.last);
    overlap.map(|(first, second)| (first.clone(), second.clone())).collect()
}
