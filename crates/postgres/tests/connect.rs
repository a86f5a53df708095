//! Who may open a database, what is said where not, and what is done about what is in the way.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod cluster;
#[path = "support/stage.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod stage;

use std::error::Error;
use std::time::Duration;

use jobwright_core::{CommitError, Durability, Seq, Store, StoreError};
use jobwright_postgres::{ConnectError, PostgresOptions, PostgresStore};

use crate::cluster::PASSWORD;
use crate::stage::{CLUSTER, ONE, change, client, group, row, rows};

/// The error and its causes, which must not tell the password.
async fn refused(address: &str) -> String {
    let error: Box<dyn Error> = Box::new(PostgresStore::connect(address).await.unwrap_err());
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert!(!format!("{text} {error:?}").contains(PASSWORD), "{text} {error:?}");
    text
}

fn name_of(address: &str) -> &str {
    address.rsplit_once('/').unwrap().1.split_once('?').unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_way_is_told_with_the_next_step() {
    let address = CLUSTER.database();
    let (name, port) = (name_of(&address), format!(":{}", CLUSTER.port()));
    let place = format!("database `{name}` at `127.0.0.1{port}` as `postgres`");
    let check = async |address: String, expect: &str| {
        let text = refused(&address).await;
        assert!(text.contains(expect), "`{expect}` is not in `{text}`");
    };
    check(address.replace(&port, ":1"), "cannot reach").await;
    check(
        address.replace(&port, ":1"),
        "`127.0.0.1:1` as `postgres`: see that PostgreSQL runs there",
    )
    .await;
    let login = format!("may not log in to {place}: check the user, its password and");
    check(address.replace(PASSWORD, "wrong"), &login).await;
    check(address.replace(name, "nowhere"), "there is no database `nowhere`").await;
    let latin =
        "CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    CLUSTER.sql("postgres", latin);
    check(address.replace(name, "latin"), "has the encoding LATIN1, UTF8 is needed").await;

    CLUSTER.sql(name, "CREATE ROLE poor LOGIN PASSWORD 'few'");
    let poor = address.replace("postgres:hush-hush", "poor:few");
    let rights = "let its owner run `CREATE SCHEMA \"jobwright\" AUTHORIZATION` for this user";
    check(poor.clone(), rights).await;
    CLUSTER.sql(name, "CREATE SCHEMA jobwright AUTHORIZATION poor");
    PostgresStore::connect(&poor).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_format_is_used_unless_it_took_something_away() {
    let address = CLUSTER.database();
    let name = name_of(&address);
    let store = PostgresStore::connect(&address).await.unwrap();
    assert_eq!(store.durability(), Durability::Synced);
    let step = |reader: u32| {
        format!("INSERT INTO jobwright.steps VALUES (1 + {reader}, {reader}, 'some digest')")
    };
    CLUSTER.sql(name, "ALTER TABLE jobwright.groups ADD later integer NOT NULL DEFAULT 0");
    CLUSTER.sql(name, &step(1));
    let next = PostgresStore::connect(&address).await.unwrap();
    next.commit(rows([row(ONE, 1, 1, 1)]).into()).await.unwrap();
    store.commit(rows([row(ONE, 1, 2, 1)]).into()).await.unwrap();
    assert_eq!(next.load(group(1), Seq(1)).await.unwrap().len(), 2);

    CLUSTER.sql(name, &step(2));
    let text = refused(&address).await;
    let expect = "has format 3, which needs a version that knows format 2; this one knows formats \
                  up to 1: update it";
    assert!(text.contains(expect), "{text}");
    CLUSTER.sql(name, "UPDATE jobwright.steps SET digest = 'another' WHERE format = 1");
    let text = refused(&address).await;
    assert!(text.contains("says format 1, but other statements made it"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_as_the_address_says() {
    let plain = CLUSTER.database();
    let name = name_of(&plain);
    let authority = CLUSTER.folder().join("authority.crt");
    let authority = format!("sslrootcert={}", authority.display());
    let address =
        |host: &str, rest: &str| plain.replace("127.0.0.1", host).replace("sslmode=disable", rest);
    let check = async |address: String, encrypted: bool| {
        let store = PostgresStore::connect(&address).await.unwrap();
        store.find(jobwright_core::GroupId::new(1).unwrap().into()).await.unwrap();
        let sql = format!(
            "SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE datname = '{name}' AND application_name = 'jobwright'"
        );
        assert_eq!(CLUSTER.sql("postgres", &sql).trim(), encrypted.to_string(), "{address}");
        store.close().await.unwrap();
        drop(store);
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
             WHERE datname = '{name}'"
        );
        CLUSTER.sql("postgres", &sql);
    };
    check(plain.clone(), false).await;
    check(address("127.0.0.1", "sslmode=prefer"), true).await;
    check(address("127.0.0.1", "sslmode=require"), true).await;
    check(address("localhost", &format!("sslmode=verify-full&{authority}")), true).await;
    check(address("localhost", &format!("sslmode=require&{authority}")), true).await;
    let text = refused(&address("127.0.0.1", &format!("sslmode=verify-full&{authority}"))).await;
    assert!(text.contains("certificate not valid for name"), "{text}");
    let text = refused(&address("localhost", "sslmode=verify-full")).await;
    assert!(text.contains("certificate"), "{text}");
    let text = refused(&address("localhost", "sslmode=require&sslrootcert=/none")).await;
    assert!(text.contains("cannot check certificates: `/none`"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_given_up_and_may_be_tried_again() {
    let address = CLUSTER.database();
    let options = PostgresOptions::parse(&address).unwrap();
    let options = options.schema("few").statement_timeout(Duration::from_millis(300));
    let store = options.connect().await.unwrap();
    store.commit(change(1, 0, 0).into()).await.unwrap();
    let client = client(&address).await;
    client.batch_execute("BEGIN; SELECT FROM few.documents FOR UPDATE").await.unwrap();
    let error = store.commit(change(1, 0, 1).into()).await.unwrap_err();
    let CommitError::Store(error @ StoreError::Unavailable { .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.to_string(), "the store cannot do this now: the database took too long");
    client.batch_execute("ROLLBACK").await.unwrap();
    store.commit(change(1, 0, 1).into()).await.unwrap();

    // A store that was closed says so; another goes on.
    store.close().await.unwrap();
    let error = store.commit(change(1, 0, 2).into()).await.unwrap_err();
    assert!(matches!(error, CommitError::Store(StoreError::Broken { .. })), "{error:?}");
    let marks: i64 =
        client.query_one("SELECT count(*) FROM few.writers", &[]).await.unwrap().get(0);
    assert_eq!(marks, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_are_gone_are_told_and_not_waited_for() {
    let address = CLUSTER.database();
    let store = PostgresStore::connect(&address).await.unwrap();
    CLUSTER.sql(name_of(&address), "DROP TABLE jobwright.journal");
    let error = store.commit(rows([row(ONE, 1, 1, 1)]).into()).await.unwrap_err();
    let CommitError::Store(error) = error else { panic!("{error:?}") };
    assert!(!error.is_retryable(), "{error}");
    assert!(error.to_string().contains("the tables or the rights"), "{error}");
    assert!(matches!(
        PostgresStore::connect("postgres://").await,
        Err(ConnectError::Address { .. })
    ));
}
