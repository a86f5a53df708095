//! `jobwright check`: the only command that needs no engine, since a package is read before it
//! meets one.

use std::path::{Path, PathBuf};

use clap::Args;
use jobwright_core::Bundle;
use serde_json::{Value, json};

use super::Done;
use crate::args::Options;
use crate::exit::{Exit, Failure};
use crate::render::{Output, Refused};

/// The document of a package in a folder.
const DOCUMENT: &str = "package.yaml";

/// A larger document is not read again to show a place in it.
const MOST_SHOWN: u64 = 16 << 20;

/// Checks a package, without a server and without importing it.
///
/// What is wrong is shown at its place.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The package: a folder, a ZIP, a YAML or a JSON document
    package: PathBuf,
}

pub(crate) fn perform(options: &Options, command: &Check) -> Done {
    let output = Output::new(options.format(), true);
    existing(&command.package)?;
    let bundle = read_here(&command.package)?;
    let package = &bundle.package;
    if output.is_json() {
        output.document(&described(package))?;
        return Ok(Exit::Success);
    }
    let steps: usize = package.flows.iter().map(|flow| flow.steps.len()).sum();
    output.line(&format!(
        "`{}` is a package: {}, {}",
        crate::render::plain(package.name.as_str()),
        counted(package.flows.len(), "flow"),
        counted(steps, "step"),
    ))?;
    Ok(Exit::Success)
}

/// Refuses a package that is not there.
pub(super) fn existing(path: &Path) -> Result<(), Failure> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::NotFound(format!("`{}` does not exist", path.display())))
        }
        // What else is wrong is told when it is read.
        _ => Ok(()),
    }
}

/// Reads a package; what is wrong with it can be shown at its place.
pub(super) fn read_here(path: &Path) -> Result<Bundle, Failure> {
    jobwright_package::read_path(path).map_err(|error| {
        // A ZIP has no text to show.
        let document = if path.is_dir() { path.join(DOCUMENT) } else { path.to_owned() };
        let size = std::fs::metadata(&document).map_or(u64::MAX, |it| it.len());
        let text = (size <= MOST_SHOWN).then(|| std::fs::read_to_string(&document).ok()).flatten();
        let refused = Refused::new(&document.display().to_string(), text, &error);
        Failure::Package(Box::new(refused))
    })
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn described(package: &jobwright_core::Package) -> Value {
    let flows = package.flows.iter().map(|flow| {
        json!({
            "name": flow.name,
            "steps": flow.steps.iter().map(|it| &it.name).collect::<Vec<_>>(),
            "outputs": flow.outputs.iter().map(|it| &it.name).collect::<Vec<_>>(),
        })
    });
    json!({ "name": package.name, "flows": flows.collect::<Vec<_>>() })
}
