//! Requests per second over loopback: `run` and `GET …/status`, beside a bare axum handler.
//! `cargo bench --bench http` prints the table; `benches/README.md` tells the method.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it reads the clock, serves what it measures, and reports"
)]

#[path = "support/load.rs"]
mod load;
#[path = "support/options.rs"]
mod options;
#[path = "support/place.rs"]
mod place;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract;
use axum::routing::get;
use axum::serve::ListenerExt;
use hdrhistogram::Histogram;
use jobwright::Engine;
use jobwright::adapters::MockExecutor;
use jobwright::core::parameter::Values;
use jobwright::store::SqliteStore;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use options::Options;

const WARM_UPS: usize = 2;
const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 64;

/// How many connections ask for runs: each waits for the disk.
const RUN_CONNECTIONS: usize = 256;

/// One group of ten jobs, 1 → 8 → 1.
const PACKAGE: &str = "
jobwright: 1
name: ten
flows:
  ten:
    executor: mock
    steps:
      a: { payload: {} }
      b1: { needs: [a], payload: {} }
      b2: { needs: [a], payload: {} }
      b3: { needs: [a], payload: {} }
      b4: { needs: [a], payload: {} }
      b5: { needs: [a], payload: {} }
      b6: { needs: [a], payload: {} }
      b7: { needs: [a], payload: {} }
      b8: { needs: [a], payload: {} }
      c: { needs: [b1, b2, b3, b4, b5, b6, b7, b8], payload: {} }
    outputs: { all: { steps: [c] } }
";

/// What one kind of request took, round by round.
struct Row {
    name: &'static str,
    target: &'static str,
    rates: Vec<f64>,
    ratios: Vec<f64>,
    latency: Histogram<u64>,
}

impl Row {
    fn new(name: &'static str, target: &'static str) -> Result<Self> {
        Ok(Self {
            name,
            target,
            rates: Vec::new(),
            ratios: Vec::new(),
            latency: load::histogram()?,
        })
    }

    fn take(&mut self, load: &load::Load, floor: f64) -> Result<()> {
        self.rates.push(load.rate());
        self.ratios.push(load.rate() / floor);
        self.latency.add(&load.latency)?;
        Ok(())
    }

    fn print(&self) {
        let (rate, least, most) = spread(&self.rates);
        let (ratio, low, high) = spread(&self.ratios);
        let at = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        let (half, most_of) = (at(0.5), at(0.99));
        println!(
            "| {} | {rate:.0} | {least:.0} – {most:.0} | {half:.2} ms | {most_of:.2} ms | \
             **{ratio:.3}** ({low:.3} – {high:.3}) | {} |",
            self.name, self.target
        );
    }
}

/// The median, the least and the most.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = |at: usize| values.get(at).copied().unwrap_or(f64::NAN);
    let last = values.len().saturating_sub(1);
    (f64::midpoint(at(last / 2), at(values.len() / 2)), at(0), at(last))
}

fn main() -> Result<()> {
    let options = Options::read("http")?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    runtime.block_on(async { tokio::spawn(measure(options)).await? })
}

async fn measure(options: Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (time, warm_ups, rounds) = match options.quick {
        true => (TIME / 20, 0, 1),
        false => (TIME, WARM_UPS, ROUNDS),
    };
    let rounds = options.rounds.unwrap_or(rounds);
    let mut bare = Row::new("bare axum handler", "–")?;
    let mut status = Row::new("GET /v4/jobGroups/1/status", "≥ 0.5 × bare")?;
    let mut run = Row::new("POST /v4/deployments/1/run, 10 jobs", "≥ 3000/s")?;
    let mut ended = Vec::new();
    for round in 0..warm_ups + rounds {
        eprintln!("round {} of {}", round + 1, warm_ups + rounds);
        let floor = Served::bare().await?;
        let floor = load::load(floor.address, floor.status, "200", CONNECTIONS, time).await?;
        let server = Served::start(&folder.path().join(round.to_string())).await?;
        let asked = load::load(server.address, server.status, "200", CONNECTIONS, time).await?;
        let begun = load::load(server.address, server.run, "201", RUN_CONNECTIONS, time).await?;
        let late = server.all_ended(begun.answered).await?;
        if round >= warm_ups {
            bare.take(&floor, floor.rate())?;
            status.take(&asked, floor.rate())?;
            run.take(&begun, floor.rate())?;
            ended.push(late.as_secs_f64() * 1_000.0);
        }
    }
    for line in place::describe(&options.command, folder.path()) {
        println!("- {line}");
    }
    let (late, ..) = spread(&ended);
    println!(
        "- median of {rounds} round(s) of {time:?} each, in turns; {CONNECTIONS} connections, for \
         `run` {RUN_CONNECTIONS}; the last run of a round ended {late:.1} ms after the last answer\n"
    );
    println!("| request | requests/s | range | p50 | p99 | ratio to bare (range) | target |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in [&bare, &status, &run].into_iter().filter(|row| options.wants(row.name)) {
        row.print();
    }
    Ok(())
}

/// A server that listens until it is dropped, and what it is asked.
struct Served {
    engine: Option<Engine>,
    address: SocketAddr,
    status: &'static str,
    run: &'static str,
    _serving: JoinSet<()>,
}

impl Served {
    /// The least that answers the same: a route with an id, and a word in JSON.
    async fn bare() -> Result<Self> {
        let handler = async |extract::Path(_): extract::Path<i64>| axum::Json("Complete");
        let router = Router::new().route("/v4/jobGroups/{id}/status", get(handler));
        Self::serve(router, "none", None).await
    }

    /// An engine on a new database, with a deployment that ran once.
    async fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let store = SqliteStore::open(folder.join("store.db"))?;
        let engine = Engine::builder().store(store).executor("mock", MockExecutor::new());
        let engine = engine.start().await?;
        let deployment = engine.create_deployment("ten").await?;
        let bundle = jobwright::package::read(PACKAGE.as_bytes())?;
        engine.import(deployment.id, &bundle, Values::new()).await?;
        engine.run(deployment.id).await?.wait().await?;
        let token = jobwright_http::first_token(&engine).await?.context("it has a token")?;
        let options = jobwright_http::Options::default().requests_per_minute(None);
        let router = jobwright_http::router(engine.clone(), options);
        Self::serve(router, token.reveal(), Some(engine)).await
    }

    async fn serve(router: Router, token: &str, engine: Option<Engine>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        let head = format!("host: {address}\r\nauthorization: Bearer {token}\r\n");
        // The few requests of a bench may live as long as it does.
        let status = format!("GET /v4/jobGroups/1/status HTTP/1.1\r\n{head}\r\n").leak();
        let run = format!("POST /v4/deployments/1/run HTTP/1.1\r\n{head}content-length: 0\r\n\r\n");
        Ok(Self { engine, address, status, run: run.leak(), _serving: serving })
    }

    /// Waits until every run has ended, counts them, and returns how long that took.
    async fn all_ended(&self, answered: u64) -> Result<Duration> {
        let engine = self.engine.as_ref().context("it has an engine")?;
        let begin = std::time::Instant::now();
        let deployment = engine.deployments().await?.pop().context("there is a deployment")?;
        let most = u32::try_from(answered)?.saturating_add(2);
        let runs = engine.runs(deployment.id, most).await?;
        for run in runs.iter().take(2 * RUN_CONNECTIONS) {
            engine.find_run(run.id).await?.context("it was listed")?.wait().await?;
        }
        let late = begin.elapsed();
        let found = runs.len() as u64;
        // The first run was made beforehand.
        ensure!(found == answered + 1, "{answered} runs were answered, {found} are there");
        Ok(late)
    }
}
