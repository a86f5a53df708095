//! What is logged: one level, or levels by module.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// Reads a level, or `module=level` with commas; a level among these holds for all other modules.
///
/// # Errors
/// Says what is none. A word alone is a level: a mistyped one would else be a module, and nothing
/// would be logged.
pub(crate) fn levels(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim) {
        let (module, word) = match part.split_once('=') {
            Some((module, word)) => (Some(module.trim()), word.trim()),
            None => (None, part),
        };
        let is_word = word.starts_with(|letter: char| letter.is_ascii_alphabetic());
        let level = word.parse::<LevelFilter>().ok().filter(|_| is_word).ok_or_else(|| {
            format!("`{word}` is no level: expected `error`, `warn`, `info`, `debug`, `trace` or `off`, or `module=level` with commas")
        })?;
        targets = match module {
            Some("") => return Err(format!("`{part}` names no module")),
            Some(module) => targets.with_target(module, level),
            None => targets.with_default(level),
        };
    }
    Ok(targets)
}
