//! `jobwright rules`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::Value;

use super::Done;
use super::session::Session;
use crate::exit::Exit;
use crate::render::{Column, OBJECT_RULES, VALUE_RULES};

#[derive(Debug, Args)]
pub(crate) struct Rules {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the rules of a deployment, in order
    List(Of),
    /// Replace the rules of a deployment by those of a file
    Set {
        #[command(flatten)]
        of: Of,
        /// The rules as a JSON list, as `list --json` shows them; `-` reads standard input
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// The deployment, by its id or its name
    deployment: String,
    /// Which rules
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Kind {
    /// They replace values: paths, buckets, tables
    #[default]
    Value,
    /// They replace connections
    Object,
}

impl Kind {
    fn path(self, deployment: i64) -> String {
        let word = match self {
            Self::Value => "valueImportRules",
            Self::Object => "objectImportRules",
        };
        format!("/deployments/{deployment}/{word}")
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::Value => VALUE_RULES,
            Self::Object => OBJECT_RULES,
        }
    }
}

pub(crate) async fn perform(session: &Session, command: Rules) -> Done {
    let of = match command.verb {
        Verb::List(of) => of,
        Verb::Set { of, file } => {
            let rules = read(&file)?;
            let path = of.kind.path(session.deployment(&of.deployment).await?);
            session.client.ask(session.client.request(Method::PATCH, &path).json(&rules)).await?;
            of
        }
    };
    let path = of.kind.path(session.deployment(&of.deployment).await?);
    let rules = session.client.read(&path).await?;
    let items = rules["data"].as_array().map_or(&[][..], Vec::as_slice);
    if session.output.is_json() {
        session.output.document(&rules)?;
    } else if items.is_empty() {
        session.note("no rules");
    } else {
        session.output.table(of.kind.columns(), items)?;
    }
    Ok(Exit::Success)
}

/// Reads rules: a list, or what `list --json` prints.
fn read(file: &PathBuf) -> anyhow::Result<Value> {
    let mut rules = document(file)?;
    Ok(if rules["data"].is_array() { rules["data"].take() } else { rules })
}

/// Reads a JSON document from a file, or from standard input.
pub(super) fn document(file: &PathBuf) -> anyhow::Result<Value> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("failed to read `{}`", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is no JSON", file.display()))
}
