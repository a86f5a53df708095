//! `jobwright env`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Done;
use super::session::{Session, nearest};
use crate::args::{Pair, Part};
use crate::exit::{Exit, Failure};
use crate::render::ENVIRONMENT;

/// How many parameters are looked at to find one by its name.
const MOST: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Env {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the parameters of the environment
    List {
        #[command(flatten)]
        part: Part,
    },
    /// Set parameters; their names begin with `env.`
    Set {
        /// The values
        #[arg(value_name = "NAME=VALUE", required = true)]
        set: Vec<Pair>,
    },
    /// Remove a parameter
    Delete {
        /// Its name
        name: String,
    },
    /// Write all parameters as a package, to be imported elsewhere
    Export {
        /// Where to; standard output where nothing is said
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Set the parameters of a package
    Import {
        /// The package; `-` reads standard input
        file: PathBuf,
    },
}

pub(crate) async fn perform(session: &Session, command: Env) -> Done {
    match command.verb {
        Verb::List { part } => {
            session.list(&ENVIRONMENT, ENVIRONMENT.path, Vec::new(), &part).await
        }
        Verb::Set { set } => {
            let set: Vec<_> = set
                .into_iter()
                .map(|pair| json!({ "overrideKey": pair.key, "value": pair.value }))
                .collect();
            // The import of a package sets what exists and makes what does not, in one request.
            import(session, &json!({ "environmentParameters": set })).await
        }
        Verb::Delete { name } => {
            let id = found(session, &name).await?;
            session.delete(&ENVIRONMENT, id).await
        }
        Verb::Export { to } => export(session, to).await,
        Verb::Import { file } => import(session, &super::rules::document(&file)?).await,
    }
}

async fn import(session: &Session, package: &Value) -> Done {
    let set = session.client.post("/environmentParameters/package", package).await?;
    let set = set["data"].as_array().map_or(&[][..], Vec::as_slice);
    session.output.list(&ENVIRONMENT, set)?;
    Ok(Exit::Success)
}

async fn export(session: &Session, to: Option<PathBuf>) -> Done {
    let package = session.client.read("/environmentParameters/package").await?;
    let Some(to) = to else {
        session.output.document(&package)?;
        return Ok(Exit::Success);
    };
    std::fs::write(&to, format!("{package:#}\n"))
        .with_context(|| format!("failed to write `{}`", to.display()))?;
    session.note(&format!("the environment is in `{}`", to.display()));
    Ok(Exit::Success)
}

async fn found(session: &Session, name: &str) -> Result<i64, Failure> {
    let all = session.client.list(ENVIRONMENT.path, &[], MOST).await?;
    let named = all.iter().find(|it| it["overrideKey"] == name);
    if let Some(id) = named.and_then(|it| it["id"].as_i64()) {
        return Ok(id);
    }
    let near = nearest(name, all.iter().filter_map(|it| it["overrideKey"].as_str()));
    let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
    Err(Failure::NotFound(format!("environment parameter `{name}` does not exist{hint}")))
}
