//! Brings an attempt to life: checks its payload, furnishes its folder, starts its process and
//! writes down which one it is.

use std::fs::File;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use jobwright_core::{Attempt, Failure, Handle};
use rustix::io::Errno;
use tokio::process::Command;

use super::LocalProcessExecutor;
use super::capture::{Capture, Pipe};
use super::environment::{environment, inputs_document, parameters_document};
use super::folder::{Folder, INPUT, LOG, PARAMETERS, STDIN};
use super::gate;
use super::identity::Identity;
use super::payload::Payload;
use super::process::Process;
use super::program;
use super::reattach::sweep;
use crate::log::LogWriter;
use crate::mask::Masker;

/// About how long a program is waited for that somebody has open for writing.
const BUSY: Duration = Duration::from_secs(4);

/// A process that has begun. Dropping it kills its group.
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) capture: Capture,
    pub(super) folder: Folder,
    pub(super) command: String,
}

impl LocalProcessExecutor {
    /// Starts the process of an attempt.
    pub(super) async fn start(&self, attempt: &Attempt) -> Result<Started, Box<Failure>> {
        let payload = Payload::parse(attempt.payload())
            .map_err(|error| Failure::permanent("payload", chain(&error)))?;
        let masker = Masker::new(attempt.secrets())
            .map_err(|error| Failure::permanent("secret", chain(&error)))?;
        let folder = self.furnish(attempt, payload.stdin.as_deref()).await?;
        match self.launch(attempt, &payload, &folder).await {
            Ok((mut process, log)) => {
                let (out, err) = process.pipes();
                let (out, err) =
                    (out.map(|it| Box::new(it) as Pipe), err.map(|it| Box::new(it) as Pipe));
                let capture = Capture::new(attempt.clone(), masker, log, out, err);
                let command = payload.command.into_iter().next().unwrap_or_default();
                Ok(Started { process, capture, folder, command })
            }
            Err(failure) => {
                // It never ran: nobody will look for it, and its number may come again.
                if let Err(error) = folder.remove() {
                    tracing::warn!(%error, attempt = %attempt.id(), "a folder cannot be removed");
                }
                Err(failure)
            }
        }
    }

    /// Makes the folder and what is in it.
    async fn furnish(
        &self,
        attempt: &Attempt,
        stdin: Option<&str>,
    ) -> Result<Folder, Box<Failure>> {
        let made = Folder::create(&self.root, attempt);
        let (folder, was_there) =
            made.map_err(|error| io_failure("the folder of the attempt cannot be made", &error))?;
        if was_there {
            // Nobody asks any more for what another life left running under these ids.
            sweep(&folder, None)
                .await
                .map_err(|error| io_failure("an earlier process cannot be ended", &error))?;
        }
        lay_out(folder, attempt, stdin).await
    }

    async fn launch(
        &self,
        attempt: &Attempt,
        payload: &Payload,
        folder: &Folder,
    ) -> Result<(Process, LogWriter), Box<Failure>> {
        let (name, arguments) =
            payload.command.split_first().unwrap_or((const { &String::new() }, &[]));
        let work = folder.work();
        let program = program::find(name, &work, &self.search)
            .map_err(|error| Failure::permanent(error.code(), error.to_string()))?;
        let variables =
            environment(attempt, payload, &folder.places(), &self.inherited, &self.path)?;
        let files =
            |error: io::Error| io_failure("the files of the attempt cannot be opened", &error);
        let log = LogWriter::new(folder.create_file(LOG).map_err(files)?, self.log_cap);
        let limits = payload.limits.within(self.limits);
        let mut command = if limits.is_empty() {
            let mut command = Command::new(&program);
            command.args(arguments).arg0(name).stdin(match payload.stdin {
                Some(_) => {
                    folder.open_file(STDIN).map_err(files)?.map_or(Stdio::null(), File::into)
                }
                None => Stdio::null(),
            });
            command
        } else {
            let stdin = payload.stdin.as_ref().map(|_| folder.path(STDIN));
            gate::closed(&program, arguments, &stdin.unwrap_or_else(|| "/dev/null".into()))
        };
        command.env_clear().envs(variables).current_dir(&work);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = spawn(attempt, name, &mut command).await?;
        if !limits.is_empty() {
            limits.impose(process.pid()).map_err(|error| {
                let message = format!("the limits of `{name}` cannot be set: {error}");
                Failure::permanent("limits", message)
            })?;
            owned(attempt)?;
            gate::open(process.stdin()).map_err(files)?;
        }
        Ok((process, log))
    }
}

/// Starts the process. A program that somebody has open for writing is waited for: that may be a
/// child of this process which is about to become another program, see [`forks`](crate::forks).
async fn spawn(
    attempt: &Attempt,
    name: &str,
    command: &mut Command,
) -> Result<Process, Box<Failure>> {
    let mut pause = Duration::from_millis(1);
    loop {
        owned(attempt)?;
        match Process::spawn(command) {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && pause < BUSY => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            started => return started.map_err(|error| refusal(name, &error)),
        }
    }
}

/// Sees to it that nothing begins that another engine may have by now.
fn owned(attempt: &Attempt) -> Result<(), Box<Failure>> {
    match attempt.is_owned() {
        true => Ok(()),
        false => Err(Failure::rejected("not_owned", "the engine may have lost the attempt").into()),
    }
}

impl Started {
    /// Writes down which process it is. Not synced: the record serves against a crash of the
    /// engine, and after a crash of the machine there is no process to find.
    pub(super) fn record(&mut self, boot: &str) -> Result<Handle, Box<Failure>> {
        let identity = Identity::of(self.process.pid(), boot);
        let identity = identity
            .ok_or_else(|| Failure::retryable("spawn", "the process cannot be found in `/proc`"))?;
        let identity = identity.to_string();
        self.capture.begin(&identity);
        Ok(Handle::new(&identity))
    }
}

/// Puts into an attempt's folder what its program finds there. Only artifacts can be many or large;
/// without them a trip to the blocking pool would take longer than the work.
pub(crate) async fn lay_out(
    folder: Folder,
    attempt: &Attempt,
    stdin: Option<&str>,
) -> Result<Folder, Box<Failure>> {
    let folder = if attempt.artifacts().iter().next().is_none() {
        folder
    } else {
        let artifacts = attempt.artifacts().clone();
        let place = move || {
            artifacts.iter().try_for_each(|(artifact, content)| folder.place(artifact, content))?;
            Ok(folder)
        };
        let placed = tokio::task::spawn_blocking(place).await.map_err(io::Error::other);
        placed.flatten().map_err(|error| io_failure("an artifact cannot be written", &error))?
    };
    folder
        .share(PARAMETERS, &parameters_document(attempt))
        .and_then(|()| folder.share(INPUT, &inputs_document(attempt)))
        .and_then(|()| stdin.map_or(Ok(()), |text| folder.write(STDIN, text.as_bytes())))
        .map_err(|error| io_failure("the files of the attempt cannot be written", &error))?;
    Ok(folder)
}

/// Says why a program did not start. What is wrong with the program is permanent; what is wrong
/// with the machine passes.
fn refusal(name: &str, error: &io::Error) -> Box<Failure> {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let permanent = |code, why: &str| Failure::permanent(code, format!("`{name}` {why}"));
    Box::new(match errno {
        Some(Errno::NOEXEC) => permanent("not_executable", "is no program, nor a script with `#!`"),
        Some(Errno::ACCESS) => permanent("not_executable", "may not be executed"),
        Some(Errno::NOENT) => {
            permanent("command_not_found", "or the interpreter that it names cannot be found")
        }
        Some(Errno::TOOBIG) => permanent(
            "too_large",
            "was given too much: pass long values in files, see JOBWRIGHT_PARAMETERS",
        ),
        _ => return io_failure(&format!("`{name}` cannot be started"), error),
    })
}

/// Tells a shortage, after which the attempt can be tried as if nothing had happened, from other
/// errors.
pub(crate) fn io_failure(what: &str, error: &io::Error) -> Box<Failure> {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM];
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let message = format!("{what}: {error}");
    Box::new(if errno.is_some_and(|errno| shortages.contains(&errno)) {
        Failure::rejected("shortage", message)
    } else {
        Failure::retryable("io", message)
    })
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    // The outermost text of a payload error has its source in it already.
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !message.contains(&cause_text) {
            message.push_str(": ");
            message.push_str(&cause_text);
        }
        source = cause.source();
    }
    message
}
