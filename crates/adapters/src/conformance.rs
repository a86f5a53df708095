//! The contract of executors, sentence by sentence, for any executor; and attempts without an
//! engine, for every other test of one.
//!
//! ```
//! use jobwright_adapters::conformance::{Table, attempt, exercise};
//! use jobwright_adapters::{MockExecutor, mock::Act};
//! use jobwright_core::Failure;
//! use serde_json::json;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let make = || {
//!     MockExecutor::new()
//!         .on("leaves", [Act::succeeds_with(json!(3))])
//!         .on("fails", [Act::fails(Failure::permanent("broken", "it is broken"))])
//!         .on("hangs", [Act::hangs()])
//! };
//! let any = || attempt(json!(null));
//! let [leaves, fails, hangs] = ["leaves", "fails", "hangs"].map(|step| any().step(step));
//! let table = Table::new(leaves, json!(3), fails, hangs);
//! exercise(make, table).await;
//! # });
//! ```

mod attempt;
mod clauses;

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::Executor;
use serde_json::Value;

pub use attempt::AttemptBuilder;
pub use attempt::attempt;

/// The attempts with which an executor is exercised. The suite gives them ids, numbers and
/// reporters of its own.
pub struct Table {
    leaves: (AttemptBuilder, Value),
    fails: AttemptBuilder,
    hangs: AttemptBuilder,
    remains: Arc<dyn Fn() -> usize + Send + Sync>,
    soon: Duration,
}

/// How long anything may take that should take no time, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

impl Table {
    /// Takes an attempt that soon succeeds, with what it leaves (null for nothing), one that soon
    /// fails, and one that runs until it is stopped.
    #[must_use]
    pub fn new(
        leaves: AttemptBuilder,
        result: Value,
        fails: AttemptBuilder,
        hangs: AttemptBuilder,
    ) -> Self {
        Self { leaves: (leaves, result), fails, hangs, remains: Arc::new(|| 0), soon: SOON }
    }

    /// Takes a count of what is there of attempts, such as processes. It must come to zero after
    /// each end.
    #[must_use]
    pub fn remains(mut self, count: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.remains = Arc::new(count);
        self
    }

    /// Says how long an attempt of no work may take, where that is long by nature. Default 20 s.
    #[must_use]
    pub fn patience(mut self, soon: Duration) -> Self {
        self.soon = soon;
        self
    }
}

/// Exercises an executor. `make` makes it anew for each sentence of the contract. Takes some
/// seconds of real time where the executor works in real time.
///
/// # Panics
/// At the first sentence that does not hold, in its words.
pub async fn exercise<E: Executor>(make: impl Fn() -> E, table: Table) {
    clauses::success_is_delivered(make(), &table).await;
    clauses::failures_are_stable(make(), &table).await;
    clauses::attempts_run_beside_each_other(make(), &table).await;
    clauses::a_stop_is_heeded(make(), &table).await;
    clauses::a_stop_before_the_start_is_heeded(make(), &table).await;
    clauses::a_stop_is_for_one_attempt(make(), &table).await;
    clauses::a_dropped_future_leaves_nothing(make(), &table).await;
    clauses::what_is_unknown_is_not_started(make(), &table).await;
    clauses::an_end_does_not_change(make(), &table).await;
}
