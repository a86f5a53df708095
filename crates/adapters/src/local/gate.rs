//! Holds a program back until its limits are set.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;

use tokio::process::{ChildStdin, Command};

/// Waits for a line, then becomes the command in its arguments, which reads the file `$0`. All of
/// it is a constant: no value is ever a part of it.
const SCRIPT: &str = "read -r go && exec \"$@\" <\"$0\"";

/// Makes a command that waits in the place of `program`, which will read `stdin`.
pub(super) fn closed(program: &Path, arguments: &[String], stdin: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SCRIPT).arg(stdin).arg(program).args(arguments).stdin(Stdio::piped());
    command
}

/// Lets the program begin.
pub(super) fn open(stdin: Option<ChildStdin>) -> io::Result<()> {
    let Some(stdin) = stdin else { return Ok(()) };
    // A pipe that is empty takes a byte without blocking.
    File::from(stdin.into_owned_fd()?).write_all(b"\n")
}
