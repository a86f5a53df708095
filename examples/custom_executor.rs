//! An executor of one's own: it counts words, and stops when it is asked to. Limits, retries,
//! timeouts and the journal are the engine's.
#![expect(clippy::print_stdout, reason = "it talks to a person")]

use std::time::Duration;

use async_trait::async_trait;
use jobwright::Engine;
use jobwright::core::{Attempt, Executor, Failure, Success};
use jobwright::store::MemoryStore;

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/packages/words.yaml");

struct Words;

#[async_trait]
impl Executor for Words {
    async fn execute(&self, attempt: Attempt) -> Result<Success, Failure> {
        let text = attempt.payload()["text"].as_str();
        let text = text.ok_or_else(|| Failure::permanent("payload", "it has no `text`"))?;
        let pace = Duration::from_millis(10);
        let mut words = 0;
        for _ in text.split_whitespace() {
            tokio::select! {
                () = tokio::time::sleep(pace) => words += 1,
                _ = attempt.cancellation().wait() => return Err(Failure::cancelled("stopped")),
            }
        }
        Ok(Success::with(words.into()))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let engine = Engine::builder().store(MemoryStore::new()).executor("words", Words);
    let engine = engine.start().await?;
    let deployment = engine.create_deployment("words").await?.id;
    let package = jobwright::package::read_path(PACKAGE)?;
    engine.import(deployment, &package, Default::default()).await?;
    let run = engine.run(deployment).parameter("text", "one method is required").await?;
    println!("run {}: {:?}", run.id(), run.wait().await?.verdict);
    for group in run.groups() {
        for job in engine.group(group).await?.jobs {
            println!("{}: {} words", job.step, job.result.unwrap_or_default());
        }
    }
    Ok(())
}
