//! Serves the API over an engine in memory whose jobs succeed at once, for tools that test an API
//! from outside. Prints the address and an admin's token.
//! Usage: `cargo run -p jobwright-http --example serve [ADDRESS]`
#![expect(clippy::print_stdout, reason = "it talks to a person")]

use jobwright_adapters::MockExecutor;
use jobwright_http::Options;
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let mock = MockExecutor::new();
    let engine = Engine::builder().store(MemoryStore::new()).executor("mock", mock).start().await?;
    let token = jobwright_http::first_token(&engine).await?.ok_or("a fresh store has no token")?;
    let listener = TcpListener::bind(&address).await?;
    println!("http://{} {}", listener.local_addr()?, token.reveal());
    let options = Options::default().requests_per_minute(None);
    axum::serve(listener, jobwright_http::router(engine, options)).await?;
    Ok(())
}
