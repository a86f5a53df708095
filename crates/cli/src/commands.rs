//! What the commands do. Each takes its arguments and a session, asks the API, and shows the
//! answer; none knows whether the engine is here or elsewhere.

pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod deployments;
pub(crate) mod env;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod groups;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod releases;
pub(crate) mod retry;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod tokens;

mod follow;
mod session;
mod started;

use crate::args::{Command, Format, Options, With};
use crate::exit::{Exit, Failure};
use session::Session;

/// How a command ends.
type Done = Result<Exit, Failure>;

/// Does what the command line says, except for serving.
pub(crate) async fn perform(command: Command) -> Done {
    match command {
        Command::Serve(_) => Ok(Exit::Success),
        Command::Deployments(it) => with(it, deployments::perform).await,
        Command::Releases(it) => with(it, releases::perform).await,
        Command::Rules(it) => with(it, rules::perform).await,
        Command::Run(it) => with(it, run::perform).await,
        Command::Explain(it) => with(it, explain::perform).await,
        Command::Runs(it) => with(it, runs::perform).await,
        Command::Groups(it) => with(it, groups::perform).await,
        Command::Jobs(it) => with(it, jobs::perform).await,
        Command::Logs(it) => with(it, logs::perform).await,
        Command::Cancel(it) => with(it, cancel::perform).await,
        Command::Retry(it) => with(it, retry::perform).await,
        Command::Events(it) => with(it, events::perform).await,
        Command::Tokens(it) => with(it, tokens::perform).await,
        Command::Env(it) => with(it, env::perform).await,
        Command::Check(it) => check::perform(&it),
        Command::Completions(it) => completions::perform(&it),
        Command::Man(it) => man::perform(&it),
        Command::ExitCodes => exit_codes(),
    }
}

/// Opens a session, and closes it whatever comes of it.
async fn with<T: clap::Args>(
    command: With<T>,
    perform: impl AsyncFnOnce(&Session, T) -> Done,
) -> Done {
    let session = Session::open(&command.options).await?;
    let done = perform(&session, command.what).await;
    let closed = session.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

/// How errors of a command are to be shown.
pub(crate) fn format(command: &Command) -> Format {
    let options: Option<&Options> = match command {
        Command::Deployments(it) => Some(&it.options),
        Command::Releases(it) => Some(&it.options),
        Command::Rules(it) => Some(&it.options),
        Command::Run(it) => Some(&it.options),
        Command::Explain(it) => Some(&it.options),
        Command::Runs(it) => Some(&it.options),
        Command::Groups(it) => Some(&it.options),
        Command::Jobs(it) => Some(&it.options),
        Command::Logs(it) => Some(&it.options),
        Command::Cancel(it) => Some(&it.options),
        Command::Retry(it) => Some(&it.options),
        Command::Events(it) => Some(&it.options),
        Command::Tokens(it) => Some(&it.options),
        Command::Env(it) => Some(&it.options),
        Command::Check(it) => return it.format(),
        Command::Serve(_) | Command::Completions(_) | Command::Man(_) | Command::ExitCodes => None,
    };
    options.map_or(Format::Table, Options::format)
}

fn exit_codes() -> Done {
    use std::io::Write as _;
    write!(anstream::stdout(), "{}", crate::exit::table())?;
    Ok(Exit::Success)
}
