//! What the tests write, and on which server.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use jobwright_core::{
    Append, Change, Commit, Document, EnvironmentId, EnvironmentParameter, Epoch, Event, GroupId,
    JobIndex, NodeId, ParameterName, Record, Revision, Seq, Timestamp,
};
use jobwright_postgres::{PostgresOptions, PostgresStore};

use crate::cluster::Cluster;

pub(crate) static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&[]));

pub(crate) const ONE: NodeId = NodeId(uuid::Uuid::from_u128(1));
pub(crate) const TWO: NodeId = NodeId(uuid::Uuid::from_u128(2));
pub(crate) const AT: Timestamp = Timestamp::from_millis(1_900_000_000_000);

/// Opens a store in a schema of its own.
pub(crate) async fn store(address: &str) -> PostgresStore {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let schema = format!("odd \"schema\" {}", NEXT.fetch_add(1, Ordering::Relaxed));
    PostgresOptions::parse(address).unwrap().schema(&schema).connect().await.unwrap()
}

pub(crate) fn group(id: i64) -> GroupId {
    GroupId::new(id).unwrap()
}

pub(crate) fn row(owner: NodeId, id: i64, first: u64, epoch: u64) -> Append {
    let event = Event::Beat { job: JobIndex(1), attempt: 1, beat_by: AT };
    let (first, epoch) = (Seq(first), Epoch(epoch));
    let record = Record { group: group(id), first, epoch, at: AT, events: [event].into() };
    Append { owner, record, summary: None }
}

pub(crate) fn rows(journal: impl IntoIterator<Item = Append>) -> Commit {
    Commit { journal: journal.into_iter().collect(), ..Commit::default() }
}

pub(crate) fn document(id: i64, value: i64) -> Document {
    Document::Environment(EnvironmentParameter {
        id: EnvironmentId::new(id).unwrap(),
        name: ParameterName::new(&format!("env.{id}")).unwrap(),
        value: value.into(),
    })
}

/// Sets a document to another value, from a revision on.
pub(crate) fn change(id: i64, value: i64, expected: u64) -> Commit {
    let change = Change::update(document(id, value), Revision(expected));
    Commit { catalog: vec![change], ..Commit::default() }
}

/// A connection of the test's own.
pub(crate) async fn client(address: &str) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(address, tokio_postgres::NoTls).await.unwrap();
    drop(tokio::runtime::Handle::current().spawn(connection));
    client
}
