//! `jobwright logs`.

use std::collections::VecDeque;

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::Done;
use super::follow::interrupted;
use super::session::Session;
use crate::exit::{Exit, Failure};
use crate::render::plain;

/// How many lines are asked for at a time; the API gives no more.
const PAGE: usize = 10_000;

/// Shows what a job wrote: of a job group, the first job that failed, or else the last that began;
/// where nothing is named, of the newest job group.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The id of a job
    #[arg(conflicts_with = "group")]
    job: Option<i64>,
    /// The id of a job group
    #[arg(long)]
    group: Option<i64>,
    /// Show lines as they are written, until the attempt ends
    #[arg(short, long)]
    follow: bool,
    /// Show the last lines only
    #[arg(long, value_name = "NUMBER", conflicts_with = "follow")]
    tail: Option<usize>,
    /// Show this attempt; the last one where nothing is said
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
    /// Show when each line was written, and by whom
    #[arg(short, long)]
    timestamps: bool,
}

pub(crate) async fn perform(session: &Session, command: Logs) -> Done {
    let job = match (command.job, command.group) {
        (Some(job), _) => job,
        (None, Some(group)) => telling_job(session, group).await?,
        (None, None) => {
            let newest = session.client.list("/jobGroups", &[], 1).await?;
            let newest = newest.first().and_then(|it| it["id"].as_i64());
            let none = || Failure::NotFound("there are no job groups yet".to_owned());
            telling_job(session, newest.ok_or_else(none)?).await?
        }
    };
    if command.follow {
        follow(session, job, &command).await
    } else {
        dump(session, job, &command).await
    }
}

/// The job whose log tells most about a group.
async fn telling_job(session: &Session, group: i64) -> Result<i64, Failure> {
    let jobs = session.client.read(&format!("/jobGroups/{group}/jobs")).await?;
    let jobs = jobs["data"].as_array().cloned().unwrap_or_default();
    let began = |job: &&Value| job["attempts"].as_array().is_some_and(|it| !it.is_empty());
    let failed = jobs.iter().filter(began).find(|job| job["status"] == "Failed");
    let chosen = failed.or_else(|| jobs.iter().rfind(began));
    let Some(job) = chosen else {
        return Err(Failure::NotFound(format!("no job of job group {group} has begun")));
    };
    let (id, name) = (job["id"].as_i64().unwrap_or_default(), job["name"].as_str());
    session.note(&format!("job {id} {}", plain(name.unwrap_or_default())));
    Ok(id)
}

async fn dump(session: &Session, job: i64, command: &Logs) -> Done {
    let (mut after, mut kept) = (0, VecDeque::new());
    loop {
        let mut path = format!("/jobs/{job}/logs?limit={PAGE}&after={after}");
        if let Some(attempt) = command.attempt {
            path.push_str(&format!("&attempt={attempt}"));
        }
        let part = session.client.read(&path).await?;
        let lines = part["data"].as_array().map_or(&[][..], Vec::as_slice);
        for line in lines {
            after = line["seq"].as_u64().unwrap_or(after);
            match command.tail {
                None => show(session, line, command)?,
                Some(tail) if is_data(session, line, command) => {
                    kept.push_back(line.clone());
                    if kept.len() > tail {
                        kept.pop_front();
                    }
                }
                Some(_) => {}
            }
        }
        if lines.len() < PAGE {
            break;
        }
    }
    kept.iter().try_for_each(|line| show(session, line, command))?;
    Ok(Exit::Success)
}

async fn follow(session: &Session, job: i64, command: &Logs) -> Done {
    let mut path = format!("/jobs/{job}/logs?follow=true");
    if let Some(attempt) = command.attempt {
        path.push_str(&format!("&attempt={attempt}"));
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut lines = session.client.follow(path);
    loop {
        tokio::select! {
            event = lines.next() => match event {
                Some(event) => {
                    let event = event?;
                    if event.name == "log" {
                        show(session, &event.data, command)?;
                    }
                }
                None => return Ok(Exit::Success),
            },
            failure = interrupted(&mut interrupt) => return Err(failure),
        }
    }
}

/// Whether a line goes to standard output: what the engine remarks is not the job's, but belongs
/// to the whole story.
fn is_data(session: &Session, line: &Value, command: &Logs) -> bool {
    command.timestamps || session.output.is_json() || line["stream"] != "engine"
}

fn show(session: &Session, line: &Value, command: &Logs) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.line(&line.to_string());
    }
    let text = plain(line["text"].as_str().unwrap_or_default());
    if !is_data(session, line, command) {
        session.note(&format!("[engine] {text}"));
        return Ok(());
    }
    if !command.timestamps {
        return session.output.line(&text);
    }
    let at = session.output.zone().show(line["at"].as_str().unwrap_or_default());
    let stream = line["stream"].as_str().unwrap_or_default();
    session.output.line(&format!("{at} {stream:6} {text}"))
}
