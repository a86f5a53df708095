//! `jobwright tokens`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Done;
use super::session::Session;
use crate::exit::Exit;
use crate::render::TOKENS;

#[derive(Debug, Args)]
pub(crate) struct Tokens {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List access tokens, without their secrets
    List,
    /// Show an access token, without its secret
    Show(One),
    /// Make an access token; its secret is printed now and never again
    Create {
        /// What it is for
        description: String,
        /// What its holder may do
        #[arg(long, default_value = "viewer")]
        #[arg(value_parser = ["viewer", "operator", "deployer", "admin"])]
        role: String,
        /// How many days it lives; -1 for ever
        #[arg(long, value_name = "NUMBER", default_value_t = 90, allow_negative_numbers = true)]
        days: i64,
    },
    /// Revoke an access token
    #[command(visible_alias = "delete")]
    Revoke(One),
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    token: i64,
}

pub(crate) async fn perform(session: &Session, command: Tokens) -> Done {
    match command.verb {
        Verb::List => {
            let found = session.client.read(TOKENS.path).await?;
            let tokens = found["data"].as_array().map_or(&[][..], Vec::as_slice);
            session.output.list(&TOKENS, tokens)?;
            Ok(Exit::Success)
        }
        Verb::Show(one) => session.show(&TOKENS, one.token).await,
        Verb::Create { description, role, days } => {
            let body = json!({ "description": description, "role": role, "lifetimeInDays": days });
            let made = session.client.post(TOKENS.path, &body).await?;
            match session.output.format() {
                crate::args::Format::Json => session.output.document(&made)?,
                crate::args::Format::Id => {
                    session.output.line(&TOKENS.id_of(&made["tokenInfo"]))?;
                }
                crate::args::Format::Table => {
                    let id = TOKENS.id_of(&made["tokenInfo"]);
                    session.note(&format!("access token {id}, shown this once:"));
                    session.output.line(made["tokenValue"].as_str().unwrap_or_default())?;
                }
            }
            Ok(Exit::Success)
        }
        Verb::Revoke(one) => session.delete(&TOKENS, one.token).await,
    }
}
