//! What a command works with: a way to an engine, a place for what it finds, and a person who can
//! be asked, if there is one.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::args::{Format, Options, Part};
use crate::client::Client;
use crate::compose::Purpose;
use crate::exit::{Exit, Failure};
use crate::render::{DEPLOYMENTS, Noun, Output, note};

/// How many names are looked at to find one that was meant.
const MOST_NAMES: usize = 1_000;

/// How near a name must be to be suggested, from 0 to 1.
const NEAR: f64 = 0.75;

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    yes: bool,
}

impl Session {
    pub(crate) async fn open(options: &Options, purpose: Purpose) -> Result<Self, Failure> {
        let output = Output::new(options.format(), !options.no_headers);
        Ok(Self { client: Client::open(options, purpose).await?, output, yes: options.yes })
    }

    pub(crate) async fn close(self) -> Result<(), Failure> {
        self.client.close().await
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Tells something that is no data, unless a program reads.
    pub(crate) fn note(&self, text: &str) {
        if self.output.format() == Format::Table {
            note(text);
        }
    }

    /// Asks before something is destroyed. Where there is nobody to ask, the answer must have been
    /// given before.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !self.can_ask() {
            let text = format!("{question} There is nobody to ask: say so with `--yes`");
            return Err(Failure::Usage(text));
        }
        match ask(&format!("{question} [y/N] "))?.to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::GaveUp("nothing was done".to_owned())),
        }
    }

    /// Lists what a noun names, and shows it.
    pub(crate) async fn list(
        &self,
        noun: &Noun,
        path: &str,
        mut query: Vec<(&str, String)>,
        part: &Part,
    ) -> Result<Exit, Failure> {
        if let Some(sort) = &part.sort {
            query.push(("sort", sort.clone()));
        }
        let limit = usize::try_from(part.limit).unwrap_or(usize::MAX);
        let items = self.client.list(path, &query, limit).await?;
        self.output.list(noun, &items)?;
        Ok(Exit::Success)
    }

    /// Reads one of what a noun names, and shows it.
    pub(crate) async fn show(&self, noun: &Noun, id: i64) -> Result<Exit, Failure> {
        let item = self.client.read(&format!("{}/{id}", noun.path)).await?;
        self.output.one(noun, &item)?;
        Ok(Exit::Success)
    }

    /// Deletes one of what a noun names.
    pub(crate) async fn delete(&self, noun: &Noun, id: i64) -> Result<Exit, Failure> {
        self.confirm(&format!("Delete {} {id}?", noun.one))?;
        let path = format!("{}/{id}", noun.path);
        self.client.ask(self.client.request(reqwest::Method::DELETE, &path)).await?;
        self.note(&format!("{} {id} is deleted", noun.one));
        Ok(Exit::Success)
    }

    /// Finds a deployment by its id or its name.
    pub(crate) async fn deployment(&self, named: &str) -> Result<i64, Failure> {
        if let Ok(id) = named.parse::<i64>() {
            return Ok(id);
        }
        let exact = [("filter", named.to_owned()), ("filterType", "exact".to_owned())];
        let found = self.client.list(DEPLOYMENTS.path, &exact, 1).await?;
        if let Some(id) = found.first().and_then(|it| it["id"].as_i64()) {
            return Ok(id);
        }
        let all = self.client.list(DEPLOYMENTS.path, &[], MOST_NAMES).await?;
        let names = all.iter().filter_map(|it| it["name"].as_str());
        let hint = match nearest(named, names) {
            Some(name) => format!(": did you mean `{name}`?"),
            None => ": `jobwright deployments list` shows those that do".to_owned(),
        };
        Err(Failure::NotFound(format!("deployment `{named}` does not exist{hint}")))
    }
}

/// Asks a person on standard error, and waits for a line.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    let mut error = anstream::stderr().lock();
    write!(error, "{question}")?;
    error.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// The name that was probably meant.
pub(crate) fn nearest<'n>(meant: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = |name: &&str| strsim::jaro_winkler(&meant.to_lowercase(), &name.to_lowercase());
    let rated = names.map(|name| (near(&name), name)).filter(|(rate, _)| *rate >= NEAR);
    rated.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, name)| name)
}

/// The ids of things that the API lists.
pub(crate) fn ids(items: &[Value]) -> Vec<i64> {
    items.iter().filter_map(|item| item["id"].as_i64()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let names = ["sales report", "inventory", "Sales"];
        let check = |meant: &str, expect: Option<&str>| {
            assert_eq!(nearest(meant, names.into_iter()), expect, "{meant}");
        };
        check("sales reprot", Some("sales report"));
        check("sale", Some("Sales"));
        check("inventroy", Some("inventory"));
        check("xyz", None);
    }
}
