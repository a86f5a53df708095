//! The judge: reads through the API what became of every run that was acknowledged, from whichever
//! node, and what the processes left, and says what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::Value;

use crate::dice::Dice;
use crate::evidence::{doubles, read};
use crate::load::{Run, asked, start};
use crate::rig::Rig;

/// What was found.
#[derive(Default)]
pub(crate) struct Verdict {
    /// Facts that were acknowledged and are not there, or not as they were.
    pub(crate) lost: Vec<String>,
    /// Attempts of one job that were alive at the same time.
    pub(crate) doubles: Vec<String>,
    /// Everything else that must not be.
    pub(crate) wrong: Vec<String>,
    pub(crate) runs: u64,
    pub(crate) groups: u64,
    pub(crate) jobs: u64,
    pub(crate) attempts: u64,
    /// Processes that left lines, and those of them that were killed.
    pub(crate) processes: u64,
    pub(crate) killed: u64,
    pub(crate) cancelled: u64,
    pub(crate) adopted: u64,
    /// Groups that waited for each other.
    pub(crate) queued: u64,
}

/// An event of a journal, as the API tells it.
struct Fact {
    seq: u64,
    what: String,
    job: Option<i64>,
    attempt: u64,
    status: Option<String>,
}

/// Judges everything.
pub(crate) async fn judge(rig: &Arc<Rig>) -> Verdict {
    let verdict = Mutex::new(Verdict::default());
    let runs = rig.seen.runs.lock().unwrap().clone();
    stream::iter(runs.iter().enumerate())
        .for_each_concurrent(12, |(at, run)| {
            let verdict = &verdict;
            async move {
                let mut dice = Dice::new(rig.seed ^ at as u64);
                repeated(rig, &mut dice, run, verdict).await;
                journal(rig, &mut dice, run, verdict).await;
            }
        })
        .await;
    let mut verdict = verdict.into_inner().unwrap();
    verdict.runs = runs.len() as u64;
    queued(rig, &runs, &mut verdict);
    listed(rig, &runs, &mut verdict).await;
    verdict
}

/// Where runs wait for each other, no process of one lived beside one of another.
fn queued(rig: &Rig, runs: &[Run], verdict: &mut Verdict) {
    let runs = runs.iter().filter(|run| run.deployment == rig.deployments[2]);
    let span = |run: &Run| {
        let lives: Vec<_> = run.jobs.iter().flat_map(|job| read(&rig.evidence(*job))).collect();
        let start = lives.iter().map(|it| it.start).fold(f64::INFINITY, f64::min);
        let last = lives.iter().map(|it| it.last).fold(0.0, f64::max);
        (start, last, run.group)
    };
    let mut spans: Vec<_> = runs.map(span).filter(|span| span.0 < span.1).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    verdict.queued = spans.len() as u64;
    for pair in spans.windows(2) {
        if pair[1].0 < pair[0].1 {
            verdict.wrong.push(format!("queued groups ran at the same time: {pair:?}"));
        }
    }
}

/// The same key gets the same run.
async fn repeated(rig: &Rig, dice: &mut Dice, run: &Run, verdict: &Mutex<Verdict>) {
    let again = start(rig, dice, run.deployment, &run.key).await;
    let mut verdict = verdict.lock().unwrap();
    match again {
        Ok(again) if (again.run, again.group, &again.jobs) == (run.run, run.group, &run.jobs) => {}
        Ok(again) => verdict.lost.push(format!(
            "key {} was run {} group {}, and is run {} group {}",
            run.key, run.run, run.group, again.run, again.group
        )),
        Err(error) => verdict.wrong.push(format!("key {} is not answered: {error}", run.key)),
    }
}

/// The store has the runs that were acknowledged, and no other.
async fn listed(rig: &Rig, runs: &[Run], verdict: &mut Verdict) {
    let mut dice = Dice::new(rig.seed);
    let known: BTreeMap<&str, i64> = runs.iter().map(|run| (run.key.as_str(), run.run)).collect();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for deployment in rig.deployments {
        // A cursor is the id that the page before ended with.
        let mut cursor = String::new();
        loop {
            let path = format!("/v4/flowRuns?limit=200&deploymentId={deployment}&sort=id{cursor}");
            let text = match asked(rig, &mut dice, Method::GET, &path, |it| it).await {
                Ok(text) => text,
                Err(error) => return verdict.wrong.push(format!("runs are not listed: {error}")),
            };
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            let items = body["data"].as_array().cloned().unwrap_or_default();
            for item in &items {
                let key = item["requestId"].as_str().unwrap_or_default();
                if known.get(key).copied() != item["id"].as_i64() {
                    verdict.wrong.push(format!("run {} of key {key} was never told", item["id"]));
                }
                if !found.insert(key.to_owned()) {
                    verdict.wrong.push(format!("key {key} has two runs"));
                }
            }
            match items.last() {
                Some(last) if items.len() == 200 => cursor = format!("&cursor={}", last["id"]),
                Some(_) | None => break,
            }
        }
    }
    for key in known.keys().filter(|key| !found.contains(**key)) {
        verdict.lost.push(format!("the run of key {key} is not listed"));
    }
}

/// The journal of the run's group says that everything happened, once, in order.
async fn journal(rig: &Rig, dice: &mut Dice, run: &Run, verdict: &Mutex<Verdict>) {
    let path = format!("/v4/jobGroups/{}/events", run.group);
    let status = format!("/v4/jobGroups/{}/status", run.group);
    let now = asked(rig, dice, Method::GET, &status, |it| it).await.unwrap_or_default();
    let now = now.trim().trim_matches('"').to_owned();
    let Some(told) = &run.status else {
        let what = format!("group {} of key {} did not end: {now}", run.group, run.key);
        return verdict.lock().unwrap().wrong.push(what);
    };
    if *told != now {
        let what = format!("group {} was {told}, and is {now}", run.group);
        verdict.lock().unwrap().lost.push(what);
    }
    if now != "Complete" && !(run.cancelled && now == "Canceled") {
        verdict.lock().unwrap().wrong.push(format!("group {} ended as {now}", run.group));
    }
    let text = match asked(rig, dice, Method::GET, &path, |it| it).await {
        Ok(text) => text,
        Err(error) => {
            let what = format!("the events of group {} cannot be read: {error}", run.group);
            return verdict.lock().unwrap().wrong.push(what);
        }
    };
    let facts = facts(&text);
    let mut verdict = verdict.lock().unwrap();
    verdict.groups += 1;
    verdict.cancelled += u64::from(now == "Canceled");
    verdict.jobs += run.jobs.len() as u64;
    sound(run, &facts, &mut verdict);
    if run.deployment != rig.deployments[1] {
        processes(rig, run, &facts, &mut verdict);
    }
}

fn facts(text: &str) -> Vec<Fact> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let bodies = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    bodies
        .filter_map(|body| {
            Some(Fact {
                seq: body["seq"].as_u64()?,
                what: body["type"].as_str()?.to_owned(),
                job: body["jobId"].as_i64(),
                attempt: body["attempt"].as_u64().unwrap_or(0),
                status: body["status"].as_str().map(str::to_owned),
            })
        })
        .collect()
}

fn sound(run: &Run, facts: &[Fact], verdict: &mut Verdict) {
    let group = run.group;
    let expected = 1..=facts.len() as u64;
    if !facts.iter().map(|it| it.seq).eq(expected) {
        verdict.lost.push(format!("the journal of group {group} has holes"));
    }
    let ends = facts.iter().filter(|it| it.what == "groupEnded").count();
    if ends != 1 || facts.last().is_none_or(|it| it.what != "groupEnded") {
        verdict.wrong.push(format!("group {group} ended {ends} times, or not at last"));
    }
    verdict.adopted += facts.iter().filter(|it| it.what == "adopted").count() as u64;
    let mut ended: BTreeMap<i64, u64> = BTreeMap::new();
    let mut live: BTreeMap<i64, u64> = BTreeMap::new();
    for fact in facts {
        let Some(job) = fact.job else { continue };
        if ended.contains_key(&job) {
            verdict.wrong.push(format!("job {job} was touched after its end: {}", fact.what));
        }
        match fact.what.as_str() {
            "requested" => {
                verdict.attempts += 1;
                if let Some(other) = live.insert(job, fact.attempt) {
                    let attempt = fact.attempt;
                    verdict.doubles.push(format!(
                        "job {job}: attempt {attempt} was requested while {other} was live"
                    ));
                }
                for (source, _) in run.edges.iter().filter(|(_, target)| *target == job) {
                    if !ended.contains_key(source) {
                        verdict.wrong.push(format!("job {job} began before {source} ended"));
                    }
                }
            }
            "attemptEnded" if live.remove(&job) != Some(fact.attempt) => {
                verdict.wrong.push(format!("job {job}: attempt {} was not live", fact.attempt));
            }
            _ => {}
        }
        if fact.status.is_some() {
            ended.insert(job, fact.seq);
        }
    }
    let missing: Vec<_> = run.jobs.iter().filter(|job| !ended.contains_key(job)).collect();
    if !missing.is_empty() {
        verdict.wrong.push(format!("jobs of group {group} did not end: {missing:?}"));
    }
}

/// What the processes did is what the journal says.
fn processes(rig: &Rig, run: &Run, facts: &[Fact], verdict: &mut Verdict) {
    let lives: BTreeMap<i64, _> =
        run.jobs.iter().map(|job| (*job, read(&rig.evidence(*job)))).collect();
    for (job, lives) in &lives {
        verdict.processes += lives.len() as u64;
        verdict.killed += lives.iter().filter(|it| !it.is_whole).count() as u64;
        for (first, second) in doubles(lives) {
            verdict.doubles.push(format!(
                "job {job} of group {}: {} lived until {:.2}, {} began at {:.2}",
                run.group, first.attempt, first.last, second.attempt, second.start
            ));
        }
        let complete = facts
            .iter()
            .find(|fact| fact.job == Some(*job) && fact.status.as_deref() == Some("Complete"));
        let Some(complete) = complete else { continue };
        let attempt = format!("{job}-{}", complete.attempt);
        if !lives.iter().any(|life| life.attempt == attempt && life.is_whole) {
            verdict.wrong.push(format!("{attempt} succeeded, and left no end: {lives:?}"));
        }
    }
    for (source, target) in &run.edges {
        let done = lives[source].iter().filter(|it| it.is_whole).map(|it| it.last);
        let done = done.fold(f64::INFINITY, f64::min);
        if lives[target].first().is_some_and(|it| it.start < done) {
            verdict.wrong.push(format!("the process of job {target} began before {source} ended"));
        }
    }
}
