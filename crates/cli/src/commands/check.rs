//! `jobwright check`: the only command that needs no engine, since a package is read before it
//! meets one.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Done;
use crate::args::Options;
use crate::exit::{Exit, Failure};
use crate::render::{Output, note, refused};

/// The document of a package in a folder.
const DOCUMENT: &str = "package.yaml";

/// Checks a package, without a server and without importing it.
///
/// What is wrong is shown at its place.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The package: a folder, a ZIP, a YAML or a JSON document
    package: PathBuf,
}

pub(crate) fn perform(options: &Options, command: &Check) -> Done {
    let path = &command.package;
    let output = Output::new(options.format(), true);
    if let Err(error) = std::fs::metadata(path)
        && error.kind() == std::io::ErrorKind::NotFound
    {
        return Err(Failure::NotFound(format!("`{}` does not exist", path.display())));
    }
    match jobwright_package::read_path(path) {
        Ok(bundle) => {
            let package = &bundle.package;
            let steps: usize = package.flows.iter().map(|flow| flow.steps.len()).sum();
            if output.is_json() {
                output.document(&described(package))?;
            } else {
                output.line(&format!(
                    "`{}` is a package: {}, {}",
                    crate::render::plain(package.name.as_str()),
                    counted(package.flows.len(), "flow"),
                    counted(steps, "step"),
                ))?;
            }
            Ok(Exit::Success)
        }
        Err(error) => {
            if !output.is_json() {
                // A ZIP has no text to show.
                let document = if path.is_dir() { path.join(DOCUMENT) } else { path.clone() };
                let text = std::fs::read_to_string(&document).ok();
                note(&refused(&document.display().to_string(), text.as_deref(), &error));
            }
            Err(Failure::Package(error.to_string()))
        }
    }
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
