//! The span of a commit, the same for every store.

use jobwright_core::Commit;
use tracing::Span;
use tracing::field::Empty;

/// Makes the span. `bytes` is for stores that know how much they write.
pub(crate) fn append(store: &'static str, commit: &Commit) -> Span {
    let span = tracing::debug_span!(
        "store.append",
        otel.kind = "client",
        store,
        groups = commit.journal.len(),
        documents = commit.catalog.len(),
        events = Empty,
        seq = Empty,
        bytes = Empty,
    );
    if !span.is_disabled() {
        let records = commit.journal.iter().map(|append| &append.record);
        span.record("events", records.clone().map(|record| record.events.len()).sum::<usize>());
        // Where it is one group that goes on, its next position tells how far it is.
        if let [only] = &*commit.journal {
            span.record("seq", only.record.next().0);
        }
    }
    span
}
