//! What a store takes for granted of a commit.

use jobwright_core::{Change, Commit};

/// Asserts what a store relies on and only a mistake of the engine can break: a record has events,
/// or it would be a row that nothing follows, and a change writes the document that it names.
pub(crate) fn assert_sound(commit: &Commit) {
    let empty = commit.journal.iter().any(|append| append.record.events.is_empty());
    assert!(!empty, "every record of a commit holds at least one event");
    let strays =
        |change: &Change| change.document.as_ref().is_some_and(|it| it.key() != change.key);
    let stray = commit.catalog.iter().any(strays);
    assert!(!stray, "every change of a commit writes the document that its key names");
}
