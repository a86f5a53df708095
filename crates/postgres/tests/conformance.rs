//! The store keeps the contract of every store, and what it writes is what SQLite's writes.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod cluster;
#[path = "../../store/tests/golden/sample.rs"]
#[expect(dead_code, reason = "the golden bytes of SQLite use it all")]
mod sample;
#[path = "support/stage.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod stage;

use jobwright_core::{Seq, Store};
use jobwright_postgres::PostgresStore;
use jobwright_store::conformance;

use crate::stage::{CLUSTER, group, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract() {
    let address = CLUSTER.database();
    conformance::exercise(|| store(&address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_every_format_are_read() {
    let address = CLUSTER.database();
    let store = PostgresStore::connect(&address).await.unwrap();
    let client = stage::client(&address).await;
    let golden = |what| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/golden/format-1.");
        std::fs::read_to_string(format!("{folder}{what}")).unwrap()
    };
    let put = "INSERT INTO jobwright.journal VALUES ($1, 1, 1, 1, 0, $2)";
    let lines = golden("events");
    let events = sample::events();
    assert_eq!(lines.lines().count(), events.len());
    for ((line, event), id) in lines.lines().zip(events).zip(1_000_i64..) {
        client.execute(put, &[&id, &format!("[{line}]").into_bytes()]).await.unwrap();
        let records = store.load(group(id), Seq(1)).await.unwrap();
        assert_eq!(*records[0].events, [event]);
    }
    let put = "INSERT INTO jobwright.documents VALUES ($1, $2, 1, 0, NULL, false, $3)";
    for (file, documents) in
        [("documents", sample::documents()), ("later.documents", sample::later())]
    {
        for (line, document) in golden(file).lines().zip(documents) {
            let key = document.key();
            let body = line.as_bytes();
            client.execute(put, &[&key.kind.as_str(), &key.id, &body]).await.unwrap();
            assert_eq!(store.find(key).await.unwrap().unwrap().document, document);
            let remove = "DELETE FROM jobwright.documents";
            client.execute(remove, &[]).await.unwrap();
        }
    }
    for commit in sample::commits() {
        store.commit(commit.into()).await.unwrap();
    }
}
