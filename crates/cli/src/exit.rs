//! How the program ends: one table of exit codes, and the one way from a failure to its code and
//! its words. Nothing here prints.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};
use thiserror::Error;

use crate::render::Refused;

/// What the program says to its caller by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Failure = 1,
    Usage = 2,
    GaveUp = 3,
    Denied = 4,
    RunFailed = 5,
    RunCanceled = 6,
    NotFound = 7,
    Conflict = 8,
    Unreachable = 9,
    Interrupted = 130,
    Terminated = 143,
}

/// Every exit code with its meaning, as `jobwright help exit-codes` shows them.
const MEANINGS: [(Exit, &str); 12] = [
    (Exit::Success, "success, also where a list is empty"),
    (Exit::Failure, "the command failed"),
    (Exit::Usage, "the command was not understood"),
    (Exit::GaveUp, "it was no longer waited for (`--timeout`), or a question was answered by no"),
    (Exit::Denied, "no access token, a wrong one, or one whose role does not allow this"),
    (Exit::RunFailed, "the run ended as `Failed`"),
    (Exit::RunCanceled, "the run ended as `Canceled`"),
    (Exit::NotFound, "what was named does not exist"),
    (Exit::Conflict, "the state does not allow it now, or has changed meanwhile"),
    (Exit::Unreachable, "no server answers, or it takes no requests now"),
    (Exit::Interrupted, "interrupted (Ctrl-C)"),
    (Exit::Terminated, "terminated (SIGTERM)"),
];

/// The table of exit codes as text.
pub(crate) fn table() -> String {
    MEANINGS.iter().fold(String::new(), |mut text, (exit, meaning)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:>4}  {meaning}", *exit as u8);
        text
    })
}

impl Exit {
    /// What an answer of the server from 400 on means.
    fn of_answer(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            404 => Self::NotFound,
            409 | 412 | 422 => Self::Conflict,
            408 | 502..=504 => Self::Unreachable,
            _ => Self::Failure,
        }
    }

    /// What job groups that are over add up to: failed before cancelled before complete.
    pub(crate) fn of_groups(groups: &[Value]) -> Self {
        let any = |word: &str| groups.iter().any(|group| group["status"] == word);
        if any("Failed") {
            Self::RunFailed
        } else if any("Canceled") {
            Self::RunCanceled
        } else {
            Self::Success
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The server, or the engine in this process, refused.
    #[error("{}", detail(.0))]
    Refused(Value),
    /// The server does not answer.
    #[error("no server answers at {server}: {reason}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What went wrong on the way.
        reason: String,
    },
    /// Another process has the data directory.
    #[error("{0}")]
    Held(String),
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// There is no access token to show.
    #[error("{0}")]
    NoToken(String),
    /// It was not waited for to the end, or the user said no.
    #[error("{0}")]
    GaveUp(String),
    /// A signal ended it.
    #[error("{words}")]
    Signal {
        /// Which one.
        exit: Exit,
        /// What goes on all the same.
        words: String,
    },
    /// A package is refused.
    #[error("{0}")]
    Package(Box<Refused>),
    /// Nobody reads standard output any more.
    #[error("standard output is closed")]
    Closed,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("the server refused")
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(error.into()),
        }
    }
}

impl Failure {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Refused(problem) => {
                let status = problem["status"].as_u64().and_then(|it| u16::try_from(it).ok());
                Exit::of_answer(status.unwrap_or_default())
            }
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Held(_) => Exit::Conflict,
            Self::NotFound(_) => Exit::NotFound,
            Self::Usage(_) => Exit::Usage,
            Self::NoToken(_) => Exit::Denied,
            Self::GaveUp(_) => Exit::GaveUp,
            Self::Signal { exit, .. } => *exit,
            // As other filters: a reader that has enough is no failure.
            Self::Closed => Exit::Success,
            Self::Package(_) | Self::Other(_) => Exit::Failure,
        }
    }

    /// What to do next, where that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some(
                "is `jobwright serve` running there? `--server URL` or JOBWRIGHT_SERVER names another",
            ),
            Self::Held(_) => Some("talk to the server that holds it: `--server http://HOST:PORT`"),
            Self::NoToken(_) => {
                Some("give `--token-file FILE`, JOBWRIGHT_TOKEN_FILE or JOBWRIGHT_TOKEN")
            }
            Self::Refused(problem) if problem["status"] == 401 => Some(
                "check the token: `--token-file FILE`, JOBWRIGHT_TOKEN_FILE or JOBWRIGHT_TOKEN",
            ),
            Self::Refused(problem) if problem["status"] == 412 => {
                Some("somebody else changed it meanwhile: look at it and try again")
            }
            _ => None,
        }
    }

    /// The words with their causes, and the faults one by one.
    pub(crate) fn words(&self) -> Vec<String> {
        let faults = match self {
            Self::Refused(problem) => problem["errors"].as_array().map_or(&[][..], Vec::as_slice),
            _ => &[],
        };
        match self {
            Self::Other(error) => vec![format!("{error:#}")],
            // The detail strings many faults together.
            Self::Refused(problem) if faults.len() > 1 => {
                let count = format!("{} faults", faults.len());
                let faults = faults.iter().filter_map(|fault| fault["detail"].as_str());
                [count].into_iter().chain(faults.map(str::to_owned)).collect()
            }
            other => vec![other.to_string()],
        }
    }

    /// The same as a problem body, for programs.
    pub(crate) fn problem(&self) -> Value {
        let slug = match self {
            Self::Refused(problem) => return problem.clone(),
            Self::Unreachable { .. } => "unreachable",
            Self::Held(_) => "held",
            Self::NotFound(_) => "not-found",
            Self::Usage(_) => "usage",
            Self::NoToken(_) => "no-token",
            Self::GaveUp(_) => "gave-up",
            Self::Signal { .. } => "signal",
            Self::Package(_) => "package",
            Self::Closed | Self::Other(_) => "failed",
        };
        let mut problem = json!({
            "type": format!("urn:jobwright:problem:{slug}"),
            "title": "The command failed",
            "detail": self.words().join("; "),
        });
        if let Self::Package(refused) = self {
            problem["errors"] = refused.faults().into();
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_their_exit_codes() {
        let check = |status: u16, expect: u8| {
            let failure = Failure::Refused(json!({ "status": status, "detail": "no" }));
            assert_eq!(failure.exit() as u8, expect, "{status}");
        };
        for (status, expect) in [
            (400, 1),
            (401, 4),
            (403, 4),
            (404, 7),
            (409, 8),
            (412, 8),
            (422, 8),
            (500, 1),
            (503, 9),
        ] {
            check(status, expect);
        }
    }

    #[test]
    fn the_manual_has_the_same_meanings() {
        let manual = include_str!("../../../docs/cli.md");
        for (exit, meaning) in &MEANINGS[..10] {
            let row = format!("| {} | {meaning} |", *exit as u8);
            assert!(manual.contains(&row), "{row}");
        }
    }

    #[test]
    fn groups_add_up() {
        let check = |statuses: &[&str], expect: Exit| {
            let groups: Vec<_> = statuses.iter().map(|it| json!({ "status": it })).collect();
            assert_eq!(Exit::of_groups(&groups), expect, "{statuses:?}");
        };
        check(&["Complete", "Complete"], Exit::Success);
        check(&["Complete", "Canceled"], Exit::RunCanceled);
        check(&["Canceled", "Failed"], Exit::RunFailed);
    }
}
