//! Two clients send the same run request under one key at the same moment, key after key, while the
//! server is killed in between: there is exactly one run per key, and none is lost.
//!
//! Usage: `keys SERVE FOLDER [COUNT [SEED]]`, where `SERVE` is the program of the example `serve`.
//! Every twentieth key or so, the server is killed with SIGKILL a few milliseconds after the two
//! requests began, and another one begins on the same database; both clients repeat what was not
//! answered.
#![expect(clippy::print_stdout, reason = "it tells what it found")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

type Failure = Box<dyn Error + Send + Sync>;

const PACKAGE: &str = "jobwright: 1\nname: k\nflows:\n  f:\n    executor: mock\n    parameters: { n: { type: integer, default: 0 } }\n    steps: { s: { payload: { n: \"$n\" } } }\n    outputs: { o: { steps: [s] } }\n";

/// How many keys go by between two kills, on average.
const BETWEEN: u64 = 20;

struct Server {
    program: PathBuf,
    folder: PathBuf,
    address: String,
    child: Child,
}

impl Server {
    async fn start(program: &Path, folder: &Path, listen: &str) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["--listen", listen, "--data"])
            .arg(folder)
            .arg("--token-file")
            .arg(folder.join("token"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("it has an output")?).lines();
        let line = lines.next_line().await?.ok_or("the server does not start")?;
        let address = line.trim_start_matches("http://").to_owned();
        let (program, folder) = (program.to_owned(), folder.to_owned());
        Ok(Self { program, folder, address, child })
    }

    /// Kills it, and starts another one at the same address.
    async fn replace(&mut self) -> Result<(), Failure> {
        self.child.kill().await?;
        *self = Self::start(&self.program, &self.folder, &self.address).await?;
        Ok(())
    }
}

/// One of the two clients.
#[derive(Clone)]
struct Asker {
    client: Client,
    base: String,
    token: String,
}

/// What a client was answered in the end, and how often it asked.
struct Answered {
    body: Value,
    replayed: bool,
    asked: u32,
}

impl Asker {
    async fn run(&self, key: u64) -> Result<Answered, Failure> {
        let data = json!([{ "key": "n", "value": key.to_string() }]);
        let body = json!({ "runParameters": { "overrides": { "data": data } } });
        for asked in 1..=2_000 {
            let request = self.client.post(format!("{}/v4/deployments/1/run", self.base));
            let request = request.bearer_auth(&self.token).json(&body);
            let sent = request.header("idempotency-key", format!("key-{key}")).send().await;
            let answer = match sent {
                Ok(answer) => (answer.status(), answer.headers().clone(), answer.text().await),
                Err(_) => {
                    // Nobody listens, or whoever did is gone: ask the next one.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            };
            match answer {
                (StatusCode::CREATED, headers, Ok(text)) => {
                    let replayed = headers.contains_key("idempotency-replayed");
                    return Ok(Answered { body: serde_json::from_str(&text)?, replayed, asked });
                }
                (StatusCode::CREATED | StatusCode::SERVICE_UNAVAILABLE, ..) => {}
                (status, _, text) => return Err(format!("key {key}: {status} {text:?}").into()),
            }
        }
        Err(format!("key {key} is never answered").into())
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

/// Chance that can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut given = std::env::args().skip(1);
    let program = PathBuf::from(given.next().ok_or("which program serves?")?);
    let folder = PathBuf::from(given.next().ok_or("in which folder?")?);
    let count: u64 = given.next().map_or(Ok(1_000), |text| text.parse())?;
    let seed: u64 = given.next().map_or(Ok(1), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    let mut server = Server::start(&program, &folder, "127.0.0.1:0").await?;
    let token = std::fs::read_to_string(folder.join("token"))?;
    let base = format!("http://{}", server.address);
    let asker = |_| Asker { client: Client::new(), base: base.clone(), token: token.clone() };
    let [one, other] = [0, 1].map(asker);
    deploy(&one).await?;
    let (mut dice, mut kills, mut repeated, mut runs) = (Dice(seed), 0, 0, BTreeMap::new());
    for key in 0..count {
        let both = async { tokio::try_join!(one.run(key), other.run(key)) };
        // The first key always meets a kill, so that short tests have one.
        let (first, second) = if key == 0 || dice.below(BETWEEN) == 0 {
            let after = Duration::from_micros(dice.below(6_000));
            kills += 1;
            let killed = async {
                tokio::time::sleep(after).await;
                server.replace().await
            };
            tokio::try_join!(both, killed)?.0
        } else {
            both.await?
        };
        if first.body != second.body {
            return Err(format!("key {key}: {} and {}", first.body, second.body).into());
        }
        if !(first.replayed || second.replayed) {
            return Err(format!("key {key}: both made a run").into());
        }
        repeated += first.asked + second.asked - 2;
        let run = first.body["data"][0]["flowRun"]["id"].as_i64().ok_or("it has a run")?;
        if let Some(known) = runs.insert(run, key) {
            return Err(format!("keys {known} and {key} have one run").into());
        }
    }
    check(&one, &runs).await?;
    println!(
        "{count} keys, each sent twice at once; {kills} kills, {repeated} requests repeated: \
         {} runs, one per key",
        runs.len()
    );
    Ok(())
}

async fn deploy(asker: &Asker) -> Result<(), Failure> {
    let post = |path: &str| asker.client.post(format!("{}{path}", asker.base));
    let made = post("/v4/deployments").bearer_auth(&asker.token).json(&json!({ "name": "keys" }));
    made.send().await?.error_for_status()?;
    let part = reqwest::multipart::Part::text(PACKAGE).file_name("package.yaml");
    let form = reqwest::multipart::Form::new().part("data", part);
    let made = post("/v4/deployments/1/releases").bearer_auth(&asker.token).multipart(form);
    made.send().await?.error_for_status()?;
    Ok(())
}

/// Looks at all that the server knows: just these runs, each with its key's value, each complete.
async fn check(asker: &Asker, runs: &BTreeMap<i64, u64>) -> Result<(), Failure> {
    let listed = asker.get("/v4/flowRuns?noLimit=true&sort=id").await?;
    let listed = listed["data"].as_array().ok_or("it is a list")?.clone();
    if listed.len() != runs.len() {
        return Err(format!("{} runs for {} keys", listed.len(), runs.len()).into());
    }
    for run in listed {
        let id = run["id"].as_i64().ok_or("it has an id")?;
        let key = runs.get(&id).ok_or_else(|| format!("run {id} belongs to no key"))?;
        let shown = format!("key-{key}");
        if !run.to_string().contains(&format!("\"{shown}\"")) {
            return Err(format!("run {id} is not that of {shown}: {run}").into());
        }
        let mut status = Value::Null;
        for _ in 0..5 {
            status = asker.get(&format!("/v4/flowRuns/{id}/status?wait=10s")).await?;
            if status == "Complete" {
                break;
            }
        }
        if status != "Complete" {
            return Err(format!("run {id} is {status}").into());
        }
    }
    Ok(())
}
