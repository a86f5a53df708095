//! Sources of secrets: the process's environment, a folder of files, a program, a fixed map, and
//! several of them one after the other. None logs, stores or shows a content, and none waits
//! without a bound.

mod chain;
#[cfg(target_os = "linux")]
mod command;
mod environment;
#[cfg(target_os = "linux")]
mod file;
mod fixed;

use jobwright_core::secret::{self, SecretError, SecretString};

pub use chain::ChainSecrets;
#[cfg(target_os = "linux")]
pub use command::{CommandError, CommandSecrets};
pub use environment::EnvSecrets;
#[cfg(target_os = "linux")]
pub use file::FileSecrets;
pub use fixed::StaticSecrets;

fn unavailable(name: &str, reason: &str) -> SecretError {
    SecretError::Unavailable { name: name.to_owned(), reason: reason.to_owned() }
}

#[cfg(target_os = "linux")]
fn refused(name: &str, reason: &str) -> SecretError {
    SecretError::Refused { name: name.to_owned(), reason: reason.to_owned() }
}

/// Tells whether a name can stand in a path or an argument as it is.
#[cfg(target_os = "linux")]
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=255).contains(&name.len()) && name.chars().all(is_plain)
}

/// Takes what a file or a program holds as a content: without the line break at its end. Nothing at
/// all is no secret.
#[cfg(target_os = "linux")]
fn text(name: &str, bytes: Vec<u8>) -> Result<SecretString, SecretError> {
    let mut text = String::from_utf8(bytes).map_err(|_| refused(name, "it is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(SecretError::Unknown(name.to_owned()));
    }
    let content = SecretString::from(text);
    match secret::check(name, &content) {
        Err(error @ SecretError::TooLong(_)) => Err(error),
        // What is too short is refused by the engine, whatever its source.
        _ => Ok(content),
    }
}
