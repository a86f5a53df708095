//! Secrets that a program prints.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::secret::{MAX_SECRET, SecretError, SecretSource, SecretString};
use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::{is_plain, text, unavailable};
use crate::forks;

/// What stands for the secret's name in an argument.
const NAME: &str = "{name}";

/// Asks a program for secrets: it is given the name, and prints the content on standard output.
///
/// No shell is involved. The program has the arguments that are given here and the variables that
/// are named here, no others; it reads nothing, what it prints on standard error is thrown away,
/// and with its whole process group it is killed when its time is over or when it prints more than
/// a secret may have.
///
/// If it succeeds and prints nothing, there is no such secret; if it fails, it is asked again when
/// the attempt is tried again. Names with anything but letters, digits and `._-/@:`, or with a `-`
/// first, are unknown.
#[derive(Debug, Clone)]
pub struct CommandSecrets {
    program: PathBuf,
    arguments: Vec<String>,
    inherited: Vec<(OsString, OsString)>,
    limit: Duration,
}

/// A command that cannot be a source of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no program.
    #[error("the command that is asked for secrets is empty")]
    Empty,
    /// There is no search path to find it by.
    #[error("program `{0}` is asked for secrets: say where it is, from `/` on")]
    Relative(PathBuf),
    /// It would not know what it is asked for.
    #[error("no argument of the command that is asked for secrets holds `{NAME}`")]
    Nameless,
}

impl CommandSecrets {
    /// Takes the program and its arguments, of which one at least holds `{name}`.
    ///
    /// # Errors
    /// There is no program, its path is not absolute, or no argument holds the name.
    pub fn new(command: impl IntoIterator<Item = String>) -> Result<Self, CommandError> {
        let mut command = command.into_iter();
        let program = PathBuf::from(command.next().ok_or(CommandError::Empty)?);
        if !program.is_absolute() {
            return Err(CommandError::Relative(program));
        }
        let arguments: Vec<String> = command.collect();
        if !arguments.iter().any(|argument| argument.contains(NAME)) {
            return Err(CommandError::Nameless);
        }
        let limit = Duration::from_secs(10);
        Ok(Self { program, arguments, inherited: Vec::new(), limit })
    }

    /// Limits how long the program may take. Default 10 seconds.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Lets the program inherit a variable of this process, with the value that it has now.
    #[must_use]
    pub fn inherit(mut self, variable: &str) -> Self {
        if let Some(value) = std::env::var_os(variable) {
            self.inherited.push((variable.into(), value));
        }
        self
    }

    fn start(&self, name: &str) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(self.arguments.iter().map(|argument| argument.replace(NAME, name)));
        command.env_clear().envs(self.inherited.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        forks::spawn(&mut command)
    }
}

#[async_trait]
impl SecretSource for CommandSecrets {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        let within = |c: char| "/@:".contains(c);
        if !is_plain(&name.replace(within, "_")) || name.starts_with('-') {
            return Err(SecretError::Unknown(name.to_owned()));
        }
        let child = self.start(name).map_err(|error| {
            unavailable(name, &format!("`{}` does not start: {error}", self.program.display()))
        })?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let asked = tokio::time::timeout(self.limit, answer(child)).await;
        let (bytes, ended) = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return Err(unavailable(name, &reason)),
            Err(_) => return Err(unavailable(name, "the program that is asked takes too long")),
        };
        if ended {
            group.0 = None;
        }
        text(name, bytes)
    }
}

/// Reads what a program prints, and waits for its end. Tells whether it has ended.
async fn answer(mut child: Child) -> Result<(Vec<u8>, bool), String> {
    let mut bytes = Vec::new();
    let Some(output) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    // One more than a secret may have, and a line break.
    let most = MAX_SECRET as u64 + 3;
    let read = output.take(most).read_to_end(&mut bytes).await;
    read.map_err(|error| format!("what it prints cannot be read: {error}"))?;
    if bytes.len() as u64 == most {
        // It may go on printing for ever: its end is not waited for, and what it said is too long.
        return Ok((bytes, false));
    }
    match child.wait().await {
        Ok(status) if status.success() => Ok((bytes, true)),
        Ok(status) => Err(format!("the program that is asked ends with {status}")),
        Err(error) => Err(format!("the program that is asked cannot be waited for: {error}")),
    }
}

/// Kills a process group when it is dropped, unless it is let go.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use jobwright_core::secret::ExposeSecret;

    use super::*;

    #[test]
    fn a_command_is_a_program_and_its_arguments() {
        let check = |command: &[&str], expect: &str| {
            let made = CommandSecrets::new(command.iter().map(|it| (*it).to_owned()));
            assert_eq!(made.unwrap_err().to_string(), expect);
        };
        check(&[], "the command that is asked for secrets is empty");
        check(
            &["pass", "{name}"],
            "program `pass` is asked for secrets: say where it is, from `/` on",
        );
        check(
            &["/bin/pass", "show"],
            "no argument of the command that is asked for secrets holds `{name}`",
        );
    }

    #[tokio::test]
    async fn a_program_is_asked_and_held_to_its_bounds() {
        let check = async |script: &str, name: &str, expect: &str| {
            // The shell is the program under test here, with a script that is a constant of it.
            let command = ["/bin/sh", "-c", script, "sh", "{name}"].map(str::to_owned);
            let source = CommandSecrets::new(command).unwrap().inherit("CARGO_PKG_NAME");
            let found = source.time_limit(Duration::from_millis(500)).fetch(name).await;
            let told = match found {
                Ok(content) => format!("{:?}", content.expose_secret()),
                Err(error) => error.to_string(),
            };
            assert_eq!(told, expect, "{script}");
        };
        check("echo \"the $1\"", "db/login", r#""the db/login""#).await;
        check("echo $CARGO_PKG_NAME ${HOME-none}", "a", r#""jobwright-adapters none""#).await;
        check("cat; pwd", "a", r#""/""#).await;
        check("true", "a", "no secret is named `a`").await;
        for unknown in ["-rf", "a b", "a;b", "", "$a"] {
            check("echo it", unknown, &format!("no secret is named `{unknown}`")).await;
        }
        let fails = "secret `a` cannot be fetched now: the program that is asked";
        check("echo half; echo why >&2; exit 3", "a", &format!("{fails} ends with exit status: 3"))
            .await;
        check("kill -9 $$", "a", &format!("{fails} ends with signal: 9 (SIGKILL)")).await;
        check("sleep 60", "a", &format!("{fails} takes too long")).await;
        check("sleep 60 & echo it", "a", &format!("{fails} takes too long")).await;
        let large = "secret `a` has more than 16384 bytes, too many to be kept out of logs";
        check("yes", "a", large).await;
        check("printf '\\377'", "a", "secret `a` is refused: it is not UTF-8").await;
        let missing = CommandSecrets::new(["/no/such", "{name}"].map(str::to_owned)).unwrap();
        let told = missing.fetch("a").await.unwrap_err().to_string();
        assert!(told.contains("`/no/such` does not start"), "{told}");
    }
}
