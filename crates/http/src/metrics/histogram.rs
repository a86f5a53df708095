//! Histograms of durations: fixed bounds, so that recording is two additions and memory does not
//! grow, whether or not anybody reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds for what the loop and the store do, in seconds: from 50 µs to half a minute.
pub(super) const LOOP: &[f64] =
    &[0.000_05, 0.000_25, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Bounds for requests, in seconds.
pub(super) const REQUEST: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Bounds for work, in seconds: from 5 ms to a day.
pub(super) const WORK: &[f64] = &[
    0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0,
    86_400.0,
];

/// A histogram.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// How many fell between two bounds; the last one is for what is above all of them.
    buckets: Box<[AtomicU64]>,
    /// In microseconds 64 bits hold half a million years, also of many attempts at a time.
    micros: AtomicU64,
}

/// What a histogram held at a moment.
pub(super) struct Reading {
    /// Each bound, with how many did not exceed it.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    /// In seconds.
    pub(super) sum: f64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, micros: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, took: Duration) {
        let secs = took.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < secs);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        let mut count = 0;
        let mut below = self.buckets.iter().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        let buckets = self.bounds.iter().copied().zip(&mut below).collect();
        let _all = below.next();
        let sum = Duration::from_micros(self.micros.load(Ordering::Relaxed)).as_secs_f64();
        Reading { buckets, count, sum }
    }
}
