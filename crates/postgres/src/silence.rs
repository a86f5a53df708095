//! How long the database keeps an open transaction of a node that says nothing more. Until then
//! others wait for the rows that it wrote, and nobody can claim the groups among them: so it must
//! be over when the node's lease is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::options::PostgresOptions;

/// The longest, and what holds before there is a lease.
const MOST: Duration = Duration::from_secs(10);

/// The shortest: a node on a busy machine is silent for a moment without being gone.
const LEAST: Duration = Duration::from_secs(1);

/// The bound of transactions for which no lease is known.
pub(crate) fn longest(options: &PostgresOptions) -> Duration {
    MOST.min(options.statement_timeout * 4).max(Duration::from_millis(1))
}

/// The bound in milliseconds, which follows the node's lease.
#[derive(Debug)]
pub(crate) struct Silence(AtomicU64);

impl Silence {
    pub(crate) fn new(options: &PostgresOptions) -> Self {
        Self(AtomicU64::new(longest(options).as_millis() as u64))
    }

    /// A node has a lease of that length, and two thirds of it are left at least whenever it falls
    /// silent.
    pub(crate) fn heed(&self, lease: Duration) {
        let most = (lease / 3).max(LEAST).as_millis() as u64;
        self.0.fetch_min(most, Ordering::Relaxed);
    }

    /// Opens a transaction under the bound.
    pub(crate) fn begin(&self) -> String {
        let most = self.0.load(Ordering::Relaxed);
        format!("BEGIN; SET LOCAL idle_in_transaction_session_timeout = {most}")
    }
}
