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
pub(crate) mod schedules;
pub(crate) mod tokens;

mod follow;
mod session;
mod started;

use crate::args::{Command, Options};
use crate::compose::Purpose;
use crate::exit::{Exit, Failure};
use session::Session;

/// How a command ends.
type Done = Result<Exit, Failure>;

/// Does what the command line says, except for serving.
pub(crate) async fn perform(options: &Options, command: Command) -> Done {
    let purpose = purpose(&command);
    match command {
        Command::Serve(_) | Command::Guard(_) => Ok(Exit::Success),
        Command::Deployments(it) => with(options, purpose, it, deployments::perform).await,
        Command::Releases(it) => with(options, purpose, it, releases::perform).await,
        Command::Rules(it) => with(options, purpose, it, rules::perform).await,
        Command::Schedules(it) => with(options, purpose, it, schedules::perform).await,
        Command::Run(it) => with(options, purpose, it, run::perform).await,
        Command::Explain(it) => with(options, purpose, it, explain::perform).await,
        Command::Runs(it) => with(options, purpose, it, runs::perform).await,
        Command::Groups(it) => with(options, purpose, it, groups::perform).await,
        Command::Jobs(it) => with(options, purpose, it, jobs::perform).await,
        Command::Logs(it) => with(options, purpose, it, logs::perform).await,
        Command::Cancel(it) => with(options, purpose, it, cancel::perform).await,
        Command::Retry(it) => with(options, purpose, it, retry::perform).await,
        Command::Events(it) => with(options, purpose, it, events::perform).await,
        Command::Tokens(it) => with(options, purpose, it, tokens::perform).await,
        Command::Env(it) => with(options, purpose, it, env::perform).await,
        Command::Check(it) => check::perform(options, &it),
        Command::Completions(it) => completions::perform(&it),
        Command::Man(it) => man::perform(&it),
        Command::ExitCodes => exit_codes(),
    }
}

/// What an engine in this process is for: most commands leave job groups alone.
fn purpose(command: &Command) -> Purpose {
    let works = match command {
        Command::Run(_) | Command::Retry(_) | Command::Cancel(_) => true,
        Command::Groups(groups) => groups.works(),
        Command::Schedules(schedules) => schedules.works(),
        _ => false,
    };
    if works { Purpose::Work } else { Purpose::Look }
}

/// Opens a session, and closes it whatever comes of it.
async fn with<T>(
    options: &Options,
    purpose: Purpose,
    command: T,
    perform: impl AsyncFnOnce(&Session, T) -> Done,
) -> Done {
    let session = Session::open(options, purpose).await?;
    let done = perform(&session, command).await;
    let closed = session.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

fn exit_codes() -> Done {
    use std::io::Write as _;
    write!(anstream::stdout(), "{}", crate::exit::table())?;
    Ok(Exit::Success)
}
