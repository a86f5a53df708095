//! The workload: clients that run a deployment, perhaps cancel what they began, and wait for its
//! end, each request to any node. What is not answered is asked again, under the same key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::rig::Rig;

/// How long a client waits for an answer before it asks another node.
const PATIENCE: Duration = Duration::from_secs(8);

/// A run that the engine acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) key: String,
    pub(crate) deployment: i64,
    pub(crate) run: i64,
    pub(crate) group: i64,
    pub(crate) jobs: Vec<i64>,
    /// Which job needs which: first the one that is needed.
    pub(crate) edges: Vec<(i64, i64)>,
    pub(crate) cancelled: bool,
    /// How it ended, by the first node that said so.
    pub(crate) status: Option<String>,
}

/// What all clients saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) runs: Mutex<Vec<Run>>,
    pub(crate) requests: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) refused: Mutex<Vec<String>>,
}

/// One client, until the time is over and its last run has ended.
pub(crate) async fn client(rig: Arc<Rig>, number: u64, deployment: i64, until: Instant) {
    let mut dice = Dice::new(rig.seed ^ (number << 32));
    for round in 0.. {
        if Instant::now() >= until {
            return;
        }
        let key = format!("{}-{number}-{round}", rig.seed);
        let Ok(mut run) = start(&rig, &mut dice, deployment, &key).await else { return };
        if dice.draw(0..20) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.draw(0..1500))).await;
            let path = format!("/v4/jobGroups/{}/cancel", run.group);
            run.cancelled = asked(&rig, &mut dice, Method::POST, &path, |it| it).await.is_ok();
        }
        // It is known from now on, whatever becomes of this client.
        let (group, at) = {
            let mut runs = rig.seen.runs.lock().unwrap();
            runs.push(run);
            (runs[runs.len() - 1].group, runs.len() - 1)
        };
        let status = ended(&rig, &mut dice, group, until + rig.settle).await;
        rig.seen.runs.lock().unwrap()[at].status = status;
    }
}

/// Runs a deployment under a key, on whichever node answers.
pub(crate) async fn start(
    rig: &Rig,
    dice: &mut Dice,
    deployment: i64,
    key: &str,
) -> anyhow::Result<Run> {
    let path = format!("/v4/deployments/{deployment}/run");
    let named = |it: RequestBuilder| it.header("idempotency-key", key);
    let text = asked(rig, dice, Method::POST, &path, named).await?;
    let body: Value = serde_json::from_str(&text)?;
    let group = &body["data"][0];
    let number = |value: &Value| value.as_i64().with_context(|| format!("no number in {text}"));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let edge = |it: &Value| Ok((number(&it["source"])?, number(&it["target"])?));
    Ok(Run {
        key: key.to_owned(),
        deployment,
        run: number(&group["flowRun"]["id"])?,
        group: number(&group["id"])?,
        jobs: list(&group["jobs"]["data"])
            .iter()
            .map(|it| number(&it["id"]))
            .collect::<anyhow::Result<_>>()?,
        edges: list(&group["jobGraph"]["edges"]).iter().map(edge).collect::<anyhow::Result<_>>()?,
        cancelled: false,
        status: None,
    })
}

/// Waits for the end of a group; none where that does not come.
pub(crate) async fn ended(
    rig: &Rig,
    dice: &mut Dice,
    group: i64,
    until: Instant,
) -> Option<String> {
    let path = format!("/v4/jobGroups/{group}/status?wait=3s");
    while Instant::now() < until {
        let text = asked(rig, dice, Method::GET, &path, |it| it).await.ok()?;
        let status = text.trim().trim_matches('"');
        if matches!(status, "Complete" | "Failed" | "Canceled") {
            return Some(status.to_owned());
        }
        // Some states answer at once.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

/// Asks one node after the other until one of them answers.
///
/// # Errors
/// A node refuses what it should not, or none answers although all faults are over.
pub(crate) async fn asked(
    rig: &Rig,
    dice: &mut Dice,
    method: Method,
    path: &str,
    dressed: impl Fn(RequestBuilder) -> RequestBuilder,
) -> anyhow::Result<String> {
    let mut tries = 0;
    loop {
        let node = dice.choose(&rig.nodes);
        rig.seen.requests.fetch_add(1, Ordering::Relaxed);
        let request = rig.client.request(method.clone(), format!("{}{path}", node.base));
        let request = dressed(request.bearer_auth(&rig.token).timeout(PATIENCE));
        let answer = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.text().await?))
        };
        match answer.await {
            Ok((200..=299, text)) => return Ok(text),
            // Not now: another node, or later.
            Ok((408 | 409 | 425 | 429 | 500..=599, _)) | Err(_) => {}
            Ok((status, text)) => {
                let refusal = format!("{} said {status} to {method} {path}: {text}", node.name);
                rig.seen.refused.lock().unwrap().push(refusal.clone());
                bail!(refusal);
            }
        }
        rig.seen.repeated.fetch_add(1, Ordering::Relaxed);
        tries += 1;
        if tries > 600 {
            bail!("nobody answers {method} {path}");
        }
        tokio::time::sleep(Duration::from_millis(dice.draw(20..200))).await;
    }
}
