//! `jobwright releases`.

mod bundle;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use reqwest::multipart::{Form, Part as Piece};
use serde_json::{Value, json};

use super::Done;
use super::check::{existing, read_here};
use super::session::Session;
use crate::args::Part;
use crate::exit::{Exit, Failure};
use crate::render::{Change, RELEASES, differences, plain};

/// How many releases are looked at to find the one before the active one.
const MOST: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Releases {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List releases, the newest first
    List {
        /// Only those of this deployment
        deployment: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Show a release
    Show(One),
    /// Import a package, and make it the active release
    Import(Package),
    /// Say what importing a package would do
    DryRun(Package),
    /// Make a release the active one
    Activate(One),
    /// Make the release before the active one the active one
    Rollback {
        /// The deployment, by its id or its name
        deployment: String,
    },
    /// Say how the packages of two releases differ
    Diff {
        /// The id of the older one
        old: i64,
        /// The id of the newer one
        new: i64,
    },
    /// Write the package of a release, as it is run, as JSON
    Export {
        #[command(flatten)]
        one: One,
        /// Where to; standard output where nothing is said
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Delete a release that no live run uses
    Delete(One),
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    release: i64,
}

#[derive(Debug, Args)]
struct Package {
    /// The deployment, by its id or its name
    deployment: String,
    /// The package: a folder, a ZIP, a YAML or a JSON document
    package: PathBuf,
}

pub(crate) async fn perform(session: &Session, command: Releases) -> Done {
    match command.verb {
        Verb::List { deployment, part } => {
            let path = match deployment {
                Some(named) => {
                    format!("/deployments/{}/releases", session.deployment(&named).await?)
                }
                None => RELEASES.path.to_owned(),
            };
            session.list(&RELEASES, &path, Vec::new(), &part).await
        }
        Verb::Show(one) => session.show(&RELEASES, one.release).await,
        Verb::Import(package) => import(session, &package).await,
        Verb::DryRun(package) => dry_run(session, &package).await,
        Verb::Activate(one) => activate(session, one.release).await,
        Verb::Rollback { deployment } => rollback(session, &deployment).await,
        Verb::Diff { old, new } => diff(session, old, new).await,
        Verb::Export { one, to } => export(session, one.release, to).await,
        Verb::Delete(one) => session.delete(&RELEASES, one.release).await,
    }
}

async fn upload(session: &Session, package: &Package, verb: &str) -> Result<Value, Failure> {
    existing(&package.package)?;
    let id = session.deployment(&package.deployment).await?;
    let path = package.package.clone();
    let read = tokio::task::spawn_blocking(move || bundle::read(&path));
    let bytes = read.await.context("the package cannot be read")??;
    let form = Form::new().part("data", Piece::bytes(bytes).file_name("package"));
    let path = format!("/deployments/{id}/releases{verb}");
    let request = session.client.request(Method::POST, &path).multipart(form);
    let answer = session.client.ask(request).await;
    if let Err(Failure::Refused(problem)) = &answer
        && problem["status"] == 400
        && !session.output.is_json()
    {
        // What the server refuses can be shown with its place, if it is refused here too.
        read_here(&package.package)?;
    }
    answer
}

async fn import(session: &Session, package: &Package) -> Done {
    let answer = upload(session, package, "").await?;
    if session.output.is_json() {
        session.output.document(&answer)?;
        return Ok(Exit::Success);
    }
    session.output.one(&RELEASES, &answer["release"])?;
    rule_changes(session, &answer);
    Ok(Exit::Success)
}

async fn dry_run(session: &Session, package: &Package) -> Done {
    let answer = upload(session, package, "/dryRun").await?;
    if session.output.is_json() {
        session.output.document(&answer)?;
        return Ok(Exit::Success);
    }
    let names = |member: &str| {
        let items = answer[member].as_array().into_iter().flatten();
        items.filter_map(|it| it["name"].as_str()).map(plain).collect::<Vec<_>>().join(", ")
    };
    let shown = [("flows", "flows"), ("outputs", "outputobjects"), ("steps", "flownodes")];
    for (word, member) in shown {
        session.output.line(&format!("{word}: {}", names(member)))?;
    }
    rule_changes(session, &answer);
    session.note("nothing was imported");
    Ok(Exit::Success)
}

fn rule_changes(session: &Session, answer: &Value) {
    let changes = &answer["importRuleChanges"];
    let count = |member: &str| changes[member].as_array().map_or(0, Vec::len);
    let (objects, values) = (count("object"), count("value"));
    if objects + values > 0 {
        session.note(&format!("import rules changed {objects} objects and {values} values"));
    }
}

async fn activate(session: &Session, release: i64) -> Done {
    let path = format!("/releases/{release}");
    let request = session.client.request(Method::PATCH, &path).json(&json!({ "active": true }));
    session.client.ask(request).await?;
    session.show(&RELEASES, release).await
}

async fn rollback(session: &Session, named: &str) -> Done {
    let id = session.deployment(named).await?;
    let path = format!("/deployments/{id}/releases");
    let releases = session.client.list(&path, &[], MOST).await?;
    let mut older = releases.iter().skip_while(|it| it["active"] != true).skip(1);
    let Some(before) = older.next().and_then(|it| it["id"].as_i64()) else {
        let text = format!("deployment `{named}` has no release before the active one");
        return Err(Failure::NotFound(text));
    };
    session.confirm(&format!("Go back to release {before}?"))?;
    activate(session, before).await
}

async fn diff(session: &Session, old: i64, new: i64) -> Done {
    let package = async |id: i64| session.client.read(&format!("/releases/{id}/package")).await;
    let (old, new) = (package(old).await?, package(new).await?);
    let changes = differences(&old, &new);
    if session.output.is_json() {
        let shown = changes.iter().map(|change| match change {
            Change::Added(at, new) => json!({ "change": "added", "at": at, "new": new }),
            Change::Removed(at, old) => json!({ "change": "removed", "at": at, "old": old }),
            Change::Changed(at, old, new) => {
                json!({ "change": "changed", "at": at, "old": old, "new": new })
            }
        });
        session.output.document(&json!({ "data": shown.collect::<Vec<_>>() }))?;
        return Ok(Exit::Success);
    }
    for change in &changes {
        let line = match change {
            Change::Added(at, new) => format!("+ {at}{}", of(new)),
            Change::Removed(at, old) => format!("- {at}{}", of(old)),
            Change::Changed(at, old, new) => format!("~ {at}: {old} -> {new}"),
        };
        session.output.line(&plain(&line))?;
    }
    if changes.is_empty() {
        session.note("the packages are the same");
    }
    Ok(Exit::Success)
}

/// A value that fits behind its name.
fn of(value: &Value) -> String {
    if value.is_object() { String::new() } else { format!(": {value}") }
}

async fn export(session: &Session, release: i64, to: Option<PathBuf>) -> Done {
    let package = session.client.read(&format!("/releases/{release}/package")).await?;
    let Some(to) = to else {
        session.output.document(&package)?;
        return Ok(Exit::Success);
    };
    std::fs::write(&to, format!("{package:#}\n"))
        .with_context(|| format!("failed to write `{}`", to.display()))?;
    session.note(&format!("release {release} is in `{}`", to.display()));
    Ok(Exit::Success)
}
