//! What released formats wrote is still read. The files under `golden/` are never written again.
//!
//! To add a format: run `cargo run -p jobwright-store --example write_golden`, which writes the
//! files of the present format if they are not there yet, commit them, and add the format to
//! `FORMATS`. Where a value can no longer be written as an old format did, give that format a
//! sample of its own beside `golden/sample.rs`.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "golden/sample.rs"]
mod sample;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

use jobwright_core::{Digest, Event, GroupId, Lease, Record, Revision, Seq, Store};
use jobwright_store::SqliteStore;
use serde::de::DeserializeOwned;

const FORMATS: [u32; 1] = [1];
const VARIANTS: usize = 11;

fn golden(format: u32, what: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/format-{format}.{what}"))
}

fn check<T: DeserializeOwned + PartialEq + Debug>(format: u32, what: &str, expect: &[T]) {
    let text = std::fs::read_to_string(golden(format, what)).unwrap();
    let found: Vec<T> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), expect.len(), "format {format}, {what}");
    for (found, expect) in found.iter().zip(expect) {
        assert_eq!(found, expect, "format {format}, {what}");
    }
}

#[test]
fn bytes_of_every_format_are_read() {
    for format in FORMATS {
        check(format, "events", &sample::events());
        check(format, "rerun.events", &sample::rerun());
        check(format, "webhooks.documents", &sample::webhooks());
        check(format, "announced.events", &sample::announced());
        check(format, "documents", &sample::documents());
        check(format, "later.documents", &sample::later());
    }
}

#[test]
fn every_event_has_golden_bytes() {
    let there: BTreeSet<usize> = sample::events().iter().map(variant).collect();
    assert_eq!(there, (0..VARIANTS).collect());
}

#[tokio::test]
async fn databases_of_every_format_are_opened() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        std::fs::copy(golden(format, "db"), &path).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        holds_the_sample(&store).await;
        store.close().await.unwrap();
    }
}

async fn holds_the_sample(store: &SqliteStore) {
    let [first, second] = sample::commits();
    let rows: [&Record; 2] = [&first.journal[0].record, &second.journal[0].record];
    let loaded = store.load(sample::group(), Seq(1)).await.unwrap();
    assert_eq!(loaded.iter().collect::<Vec<_>>(), rows);
    let events: Vec<Event> = loaded.iter().flat_map(|record| record.events.to_vec()).collect();
    assert_eq!(events, sample::events());
    for document in sample::documents() {
        let stored = store.find(document.key()).await.unwrap().unwrap();
        let revision = if document.key() == sample::group().into() { 2 } else { 1 };
        assert_eq!((stored.document, stored.revision), (document, Revision(revision)));
    }
    let content = store.content(Digest::of(b"a script")).await.unwrap();
    assert_eq!(content.as_deref(), Some(&b"a script"[..]));
    let other = jobwright_core::NodeId(uuid::Uuid::from_u128(9));
    let leases = store.claim(other, 10).await.unwrap();
    let expect = Lease { group: GroupId::new(8).unwrap(), epoch: jobwright_core::Epoch(2) };
    assert_eq!(leases, [expect]);
    let next = store.allocate(jobwright_core::Kind::Group, 1).await.unwrap();
    assert_eq!(next, 9);
}

/// The event's place in its type. Another variant does not compile until it has one, and then the
/// test asks for its golden bytes.
fn variant(event: &Event) -> usize {
    match event {
        Event::Accepted { .. } => 0,
        Event::Adopted { .. } => 1,
        Event::Ready { .. } => 2,
        Event::Requested { .. } => 3,
        Event::Started { .. } => 4,
        Event::Beat { .. } => 5,
        Event::Stopping { .. } => 6,
        Event::AttemptEnded { .. } => 7,
        Event::JobEnded { .. } => 8,
        Event::CancelRequested { .. } => 9,
        Event::GroupEnded { .. } => 10,
    }
}
