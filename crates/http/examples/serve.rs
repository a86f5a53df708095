//! Serves the API over an engine whose jobs end at once, for tools that test an API from outside.
//! Jobs of a step named `hang…` never end by themselves, those of `fail` fail.
//!
//! Usage: `cargo run -p jobwright-http --example serve -- [--listen ADDRESS] [--data DIR]
//! [--token-file FILE] [--stream-seconds N] [--limits]`
//!
//! Prints the address, and the first admin's token unless it is written to the file. Everything is
//! kept in memory, or in the folder. Rates are limited only with `--limits`.
#![expect(clippy::print_stdout, reason = "it talks to a person")]

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{Failure, FailureClass, Store};
use jobwright_http::Options;
use jobwright_scheduler::Engine;
use jobwright_store::{MemoryStore, SqliteStore};
use tokio::net::TcpListener;

#[derive(Default)]
struct Arguments {
    listen: Option<String>,
    folder: Option<PathBuf>,
    token_file: Option<PathBuf>,
    stream_seconds: Option<u64>,
    limits: bool,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let (mut given, mut found) = (std::env::args().skip(1), Arguments::default());
    while let Some(name) = given.next() {
        if name == "--limits" {
            found.limits = true;
            continue;
        }
        let value = given.next().ok_or_else(|| format!("`{name}` takes a value"))?;
        match &*name {
            "--listen" => found.listen = Some(value),
            "--data" => found.folder = Some(value.into()),
            "--token-file" => found.token_file = Some(value.into()),
            "--stream-seconds" => found.stream_seconds = Some(value.parse()?),
            _ => return Err(format!("there is no option `{name}`").into()),
        }
    }
    Ok(found)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let store: Arc<dyn Store> = match &arguments.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            Arc::new(SqliteStore::open(folder.join("store.db"))?)
        }
        None => Arc::new(MemoryStore::new()),
    };
    let failure = Failure::new(FailureClass::Permanent, "example", "as its name says");
    let mock = MockExecutor::new()
        .on("hang", [Act::hangs()])
        .on("hang too", [Act::hangs()])
        .on("fail", [Act::fails(failure)]);
    let mock = Arc::new(mock);
    let engine = Engine::builder().shared_store(store).shared_executor("mock", mock.clone());
    let engine = engine.shared_executor("photon", mock.clone()).shared_executor("spark", mock);
    let engine = engine.start().await?;
    let token = jobwright_http::first_token(&engine).await?;
    let listener = TcpListener::bind(arguments.listen.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let address = listener.local_addr()?;
    match (&token, &arguments.token_file) {
        (Some(token), Some(file)) => {
            write!(std::fs::File::create_new(file)?, "{}", token.reveal())?;
            println!("http://{address}");
        }
        (Some(token), None) => println!("http://{address} {}", token.reveal()),
        (None, _) => println!("http://{address}"),
    }
    let age = arguments.stream_seconds.map(Duration::from_secs);
    let mut options = Options::default().stream_time(age);
    if !arguments.limits {
        options = options.requests_per_minute(None).failures_per_minute(None);
    }
    let router = jobwright_http::router(engine, options);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
