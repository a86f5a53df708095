//! `jobwright events`.

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::Done;
use super::follow::interrupted;
use super::session::Session;
use crate::client::ServerEvent;
use crate::exit::Exit;
use crate::render;

/// Shows what happens, as it happens: of a job group from its beginning to its end, or of all from
/// now on.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only those of this job group
    #[arg(long)]
    group: Option<i64>,
}

pub(crate) async fn perform(session: &Session, command: Events) -> Done {
    let path = match command.group {
        Some(group) => format!("/jobGroups/{group}/events"),
        None => "/events".to_owned(),
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut events = session.client.follow(path);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    let event = event?;
                    if session.output.is_json() {
                        let line = json!({ "event": event.name, "data": event.data });
                        session.output.line(&line.to_string())?;
                    } else if let Some(line) = line(session, &event) {
                        session.output.line(&render::line(&line))?;
                    }
                }
                None => return Ok(Exit::Success),
            },
            failure = interrupted(&mut interrupt) => return Err(failure),
        }
    }
}

/// An event in one line: when, whose, what.
fn line(session: &Session, event: &ServerEvent) -> Option<String> {
    let data = &event.data;
    let mut words = Vec::new();
    if let Some(at) = data["at"].as_str() {
        words.push(session.output.zone().show(at));
    }
    for (member, word) in [("jobGroupId", "group"), ("jobId", "job"), ("attempt", "attempt")] {
        if let Some(id) = data[member].as_i64() {
            words.push(format!("{word} {id}"));
        }
    }
    match event.name.as_str() {
        "bye" => return None,
        "gap" => words.push(format!("{} events were missed", data["missed"])),
        "log" => words.push(format!("| {}", data["line"].as_str().unwrap_or_default())),
        "progress" => words.push(format!("{} %", data["percent"])),
        _ => words.push(data["type"].as_str().unwrap_or_default().to_owned()),
    }
    for member in ["status", "errorMessage", "retryAt", "message"] {
        if let Value::String(text) = &data[member] {
            words.push(text.clone());
        }
    }
    Some(words.join(" "))
}
