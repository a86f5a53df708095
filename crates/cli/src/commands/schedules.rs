//! `jobwright schedules`.

use std::time::Duration;

use clap::{Args, Subcommand};
use jobwright_core::spelled;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Done;
use super::session::{Session, nearest};
use crate::args::{Pair, Part, duration};
use crate::exit::{Exit, Failure};
use crate::render::{BACKFILL_RUNS, BACKFILLS, FIRINGS, SCHEDULES};

/// How many schedules are looked at to find one by its name.
const MOST: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Schedules {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List schedules, the newest first
    List {
        /// Only those of this deployment
        deployment: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Show a schedule
    Show(One),
    /// Make a schedule: a deployment's scheduled outputs are produced by themselves
    Create {
        /// The deployment, by its id or its name
        deployment: String,
        /// Its name, unique in the deployment
        name: String,
        /// When it fires: five fields, as in `30 6 * * MON-FRI`, or a word such as `@daily`
        cron: String,
        #[command(flatten)]
        rest: Rest,
    },
    /// Change a schedule; what is not said stays
    Edit {
        #[command(flatten)]
        one: One,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        /// When it fires
        #[arg(long, value_name = "PATTERN")]
        cron: Option<String>,
        #[command(flatten)]
        rest: Rest,
        /// Take the value of this parameter away
        #[arg(long, value_name = "NAME")]
        unset: Vec<String>,
    },
    /// Delete a schedule and its backfills; runs that they began go on
    Delete(One),
    /// Let it not fire until it is resumed
    Pause(One),
    /// Let it fire from now on; what was missed while it was paused is not made up for
    Resume(One),
    /// Show the firings that come next
    Next {
        #[command(flatten)]
        one: One,
        /// At most so many
        #[arg(long, value_name = "NUMBER", default_value_t = 10)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
        count: u32,
        /// Those after this time, instead of those from now on
        #[arg(long, value_name = "TIME")]
        after: Option<String>,
    },
    /// Begin the runs of a range of firings that lies behind
    Backfill {
        #[command(flatten)]
        one: One,
        /// The first time that is meant, such as `2026-01-01T00:00:00Z`
        #[arg(long, value_name = "TIME")]
        from: String,
        /// The first time that is not meant any more
        #[arg(long, value_name = "TIME")]
        to: String,
        /// How many runs go on at a time
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=16))]
        parallel: u32,
        /// Run again what ran already
        #[arg(long)]
        again: bool,
        /// Wait until all its runs have ended
        #[arg(long)]
        wait: bool,
    },
    /// List the backfills of a schedule, the newest first
    Backfills {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        part: Part,
    },
    /// End a backfill; runs that it began go on
    CancelBackfill {
        /// Its id
        backfill: i64,
    },
}

#[derive(Debug, Args)]
struct One {
    /// Its id or its name
    schedule: String,
}

/// What a schedule may have.
#[derive(Debug, Args)]
struct Rest {
    /// On whose clocks it fires: an IANA time zone such as `Europe/Berlin`
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// A value for a parameter; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Pair>,
    /// What its runs do when the deployment is already running; `deployment` for what that says
    #[arg(long, value_name = "POLICY")]
    #[arg(value_parser = ["allow", "queue", "skip", "cancel_previous", "deployment"])]
    policy: Option<String>,
    /// What is done about firings that were missed
    #[arg(long, value_name = "WHICH", value_parser = ["none", "last", "all"])]
    catch_up: Option<String>,
    /// How late a missed firing may be made up for
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    window: Option<Duration>,
    /// By how much firings may come later than their time
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    jitter: Option<Duration>,
}

impl Rest {
    /// The members of a body, but for the values.
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut put = |member: &str, value: Option<Value>| {
            body.extend(value.map(|value| (member.to_owned(), value)));
        };
        put("zone", self.zone.clone().map(Value::String));
        put("catchUp", self.catch_up.clone().map(Value::String));
        put("window", self.window.map(|it| spelled(it).into()));
        put("jitter", self.jitter.map(|it| spelled(it).into()));
        let policy = self.policy.as_deref();
        put("runPolicy", policy.map(|it| if it == "deployment" { Value::Null } else { it.into() }));
        body
    }

    fn values(&self) -> impl Iterator<Item = (String, Value)> {
        self.set.iter().map(|pair| (pair.key.clone(), Value::String(pair.value.clone())))
    }
}

impl Schedules {
    /// Whether job groups begin or end meanwhile.
    pub(crate) fn works(&self) -> bool {
        matches!(self.verb, Verb::Backfill { .. } | Verb::CancelBackfill { .. })
    }
}

pub(crate) async fn perform(session: &Session, command: Schedules) -> Done {
    match command.verb {
        Verb::List { deployment, part } => {
            let path = match deployment {
                Some(named) => {
                    format!("/deployments/{}/schedules", session.deployment(&named).await?)
                }
                None => SCHEDULES.path.to_owned(),
            };
            session.list(&SCHEDULES, &path, Vec::new(), &part).await
        }
        Verb::Show(one) => {
            let id = found(session, &one).await?;
            session.show(&SCHEDULES, id).await
        }
        Verb::Create { deployment, name, cron, rest } => {
            let id = session.deployment(&deployment).await?;
            let mut body = rest.body();
            body.insert("name".to_owned(), name.into());
            body.insert("cron".to_owned(), cron.into());
            body.insert("parameters".to_owned(), Value::Object(rest.values().collect()));
            let path = format!("/deployments/{id}/schedules");
            let made = session.client.post(&path, &Value::Object(body)).await?;
            session.output.one(&SCHEDULES, &made)?;
            Ok(Exit::Success)
        }
        Verb::Edit { one, name, cron, rest, unset } => {
            let mut body = rest.body();
            body.extend(name.map(|name| ("name".to_owned(), name.into())));
            body.extend(cron.map(|cron| ("cron".to_owned(), cron.into())));
            edit(session, &one, body, &rest, &unset).await
        }
        Verb::Delete(one) => {
            let id = found(session, &one).await?;
            session.delete(&SCHEDULES, id).await
        }
        Verb::Pause(one) => pause(session, &one, "pause").await,
        Verb::Resume(one) => pause(session, &one, "resume").await,
        Verb::Next { one, count, after } => next(session, &one, count, after).await,
        Verb::Backfill { one, from, to, parallel, again, wait } => {
            let id = found(session, &one).await?;
            let body = json!({ "from": from, "to": to, "parallel": parallel, "again": again });
            let path = format!("/schedules/{id}/backfills");
            let begun = session.client.post(&path, &body).await?;
            if wait { follow(session, &begun).await } else { show_backfill(session, &begun) }
        }
        Verb::Backfills { one, part } => {
            let path = format!("/schedules/{}/backfills", found(session, &one).await?);
            session.list(&BACKFILLS, &path, Vec::new(), &part).await
        }
        Verb::CancelBackfill { backfill } => {
            let path = format!("/backfills/{backfill}/cancel");
            let ended = session.client.post(&path, &json!({})).await?;
            show_backfill(session, &ended)
        }
    }
}

async fn edit(
    session: &Session,
    one: &One,
    mut body: Map<String, Value>,
    rest: &Rest,
    unset: &[String],
) -> Done {
    let id = found(session, one).await?;
    let path = format!("/schedules/{id}");
    if !rest.set.is_empty() || !unset.is_empty() {
        let before = session.client.read(&path).await?;
        let mut values = before["parameters"].as_object().cloned().unwrap_or_default();
        for name in unset {
            values.remove(name);
        }
        values.extend(rest.values());
        body.insert("parameters".to_owned(), Value::Object(values));
    }
    if body.is_empty() {
        let text = "nothing to change: `jobwright help schedules edit` lists what can be";
        return Err(Failure::Usage(text.to_owned()));
    }
    session.client.ask(session.client.request(Method::PATCH, &path).json(&body)).await?;
    session.show(&SCHEDULES, id).await
}

async fn pause(session: &Session, one: &One, verb: &str) -> Done {
    let id = found(session, one).await?;
    let path = format!("/schedules/{id}/{verb}");
    session.client.ask(session.client.request(Method::POST, &path)).await?;
    session.show(&SCHEDULES, id).await
}

async fn next(session: &Session, one: &One, count: u32, after: Option<String>) -> Done {
    let id = found(session, one).await?;
    let mut path = format!("/schedules/{id}/next?count={count}");
    if let Some(after) = after {
        // A time holds nothing that a query must not, but for the sign of an offset.
        path.push_str(&format!("&after={}", after.replace('+', "%2B")));
    }
    let next = session.client.read(&path).await?;
    if session.output.is_json() {
        session.output.document(&next)?;
        return Ok(Exit::Success);
    }
    let words = next["description"].as_str().unwrap_or_default();
    let zone = next["zone"].as_str().unwrap_or_default();
    session.note(&format!("{} ({zone})", words.trim_end_matches('.')));
    let firings = next["data"].as_array().map_or(&[][..], Vec::as_slice);
    session.output.list(&FIRINGS, firings)?;
    Ok(Exit::Success)
}

/// Waits until a backfill is over.
async fn follow(session: &Session, begun: &Value) -> Done {
    let path = format!("/backfills/{}", begun["id"]);
    loop {
        let seen = session.client.read(&path).await?;
        if seen["state"] != "running" {
            show_backfill(session, &seen)?;
            return Ok(Exit::of_groups(seen["runs"].as_array().map_or(&[][..], Vec::as_slice)));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn show_backfill(session: &Session, backfill: &Value) -> Done {
    if session.output.is_json() {
        session.output.document(backfill)?;
        return Ok(Exit::Success);
    }
    session.output.one(&BACKFILLS, backfill)?;
    let runs = backfill["runs"].as_array().map_or(&[][..], Vec::as_slice);
    if !runs.is_empty() && session.output.format() == crate::args::Format::Table {
        session.output.list(&BACKFILL_RUNS, runs)?;
    }
    Ok(Exit::Success)
}

/// Finds a schedule by its id or its name.
async fn found(session: &Session, one: &One) -> Result<i64, Failure> {
    let named = &one.schedule;
    if let Ok(id) = named.parse::<i64>() {
        return Ok(id);
    }
    let all = session.client.list(SCHEDULES.path, &[], MOST).await?;
    let ids: Vec<_> =
        all.iter().filter(|it| it["name"] == **named).filter_map(|it| it["id"].as_i64()).collect();
    match ids.as_slice() {
        [id] => Ok(*id),
        [] => {
            let near = nearest(named, all.iter().filter_map(|it| it["name"].as_str()));
            let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
            Err(Failure::NotFound(format!("schedule `{named}` does not exist{hint}")))
        }
        _ => Err(Failure::Usage(format!(
            "several schedules are named `{named}`: give one of the ids {ids:?}"
        ))),
    }
}
