//! Waiting for job groups: their events are told as they come, until all are over, or the time is,
//! or the person has seen enough.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::session::{Session, ask};
use crate::exit::{Exit, Failure};
use crate::render::Board;

/// How many groups are followed at a time; the API allows a token some more streams.
const STREAMS: usize = 8;

/// How long an engine in this process gets to end what was cancelled.
const LAST: Duration = Duration::from_secs(30);

/// What a person who interrupts wants.
enum Wish {
    Detach,
    Cancel,
    GoOn,
}

/// Waits until all groups are over, and returns them as the API shows them.
///
/// An engine in this process ends with it: there is nothing to detach from, so a signal, or the
/// end of the time, cancels the groups first.
pub(crate) async fn follow(
    session: &Session,
    groups: &[i64],
    timeout: Option<Duration>,
) -> Result<Vec<Value>, Failure> {
    let mut jobs = Vec::new();
    for group in groups {
        let mut body = session.client.read(&format!("/jobGroups/{group}/jobs")).await?;
        if let Value::Array(items) = body["data"].take() {
            jobs.extend(items);
        }
    }
    let mut board = Board::new(&session.output, &jobs);
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let deadline = tokio::time::sleep(timeout.unwrap_or(Duration::MAX / 4));
    let mut deadline = std::pin::pin!(deadline);
    let mut events = stream::iter(groups.iter().copied())
        .map(|group| session.client.follow(format!("/jobGroups/{group}/events")))
        .flatten_unordered(STREAMS);
    let mut ending = None;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => board.tell(&event?),
                None => break,
            },
            () = &mut deadline, if ending.is_none() => {
                let words = format!("gave up waiting for job {}", named(groups));
                ending = Some(stop(session, groups, &board, Failure::GaveUp(words)).await?);
            }
            _ = terminate.recv() => {
                let failure = gone(groups, Exit::Terminated);
                ending = Some(stop(session, groups, &board, failure).await?);
            }
            _ = interrupt.recv() => match wish(session, &board, ending.is_some())? {
                // Who asks twice does not wait for the cancelling.
                _ if ending.is_some() => break,
                Wish::GoOn => {}
                Wish::Detach => {
                    let failure = gone(groups, Exit::Interrupted);
                    ending = Some(stop(session, groups, &board, failure).await?);
                }
                Wish::Cancel => cancel(session, groups).await?,
            },
            () = last(ending.is_some()) => break,
        }
    }
    if let Some(failure) = ending {
        return Err(failure);
    }
    let mut found = Vec::with_capacity(groups.len());
    for group in groups {
        found.push(session.client.read(&format!("/jobGroups/{group}")).await?);
    }
    Ok(found)
}

/// Ends the waiting: at once where a server goes on, after cancelling where the engine is here.
async fn stop(
    session: &Session,
    groups: &[i64],
    board: &Board,
    failure: Failure,
) -> Result<Failure, Failure> {
    if !session.client.is_local() {
        return Err(failure);
    }
    board.say("the engine ends with this command: the job groups are cancelled");
    cancel(session, groups).await?;
    Ok(failure)
}

async fn last(ending: bool) {
    if ending {
        tokio::time::sleep(LAST).await;
    } else {
        std::future::pending::<()>().await;
    }
}

fn gone(groups: &[i64], exit: Exit) -> Failure {
    let words = format!("no longer waiting for job {}", named(groups));
    Failure::Signal { exit, words }
}

fn named(groups: &[i64]) -> String {
    let ids: Vec<_> = groups.iter().map(i64::to_string).collect();
    format!("{} {}", if ids.len() == 1 { "group" } else { "groups" }, ids.join(", "))
}

/// What the person wants who pressed Ctrl-C. Who cannot be asked detaches.
fn wish(session: &Session, board: &Board, again: bool) -> Result<Wish, Failure> {
    if again || !session.can_ask() {
        return Ok(Wish::Detach);
    }
    let question = match session.client.is_local() {
        true => "\nStop waiting: (c)ancel the job groups, or (g)o on? ",
        false => "\nStop waiting: (d)etach and let them run, (c)ancel them, or (g)o on? ",
    };
    let answer = board.suspend(|| ask(question))?;
    Ok(match answer.to_lowercase().as_str() {
        "d" | "detach" => Wish::Detach,
        "c" | "cancel" => Wish::Cancel,
        _ => Wish::GoOn,
    })
}

/// Cancels groups, those that are over aside.
pub(crate) async fn cancel(session: &Session, groups: &[i64]) -> Result<(), Failure> {
    for group in groups {
        let path = format!("/jobGroups/{group}/cancel");
        session.client.ask(session.client.request(reqwest::Method::POST, &path)).await?;
    }
    Ok(())
}

/// Ctrl-C, as a future that comes once.
pub(crate) async fn interrupted(signal: &mut Signal) -> Failure {
    signal.recv().await;
    Failure::Signal { exit: Exit::Interrupted, words: "interrupted".to_owned() }
}
