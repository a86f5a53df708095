//! Locations: where values of each type stand in payloads, and how a value rule matches them.

use regex_lite::{NoExpand, Regex};

use super::ValueRule;
use crate::parameter::{PatternError, pattern};

/// The most bytes of a text that value rules look at and may make; longer texts are no locations.
pub const MAX_LOCATION: usize = 65_536;

/// Where values of one type stand.
#[derive(Debug)]
pub(super) struct Place {
    /// The type, as rules name it.
    word: &'static str,
    /// The keys under which its values stand.
    pub(super) keys: &'static [&'static str],
    /// Whether a list under such a key holds values too.
    pub(super) listed: bool,
    /// Whether values are paths, of which a literal matches whole components.
    path: bool,
}

const RELATIONAL: &[&str] = &["database", "relationalPath"];

const PLACES: [Place; 6] = [
    Place { word: "s3Bucket", keys: &["bucket", "dynamicBucket"], listed: false, path: false },
    Place {
        word: "fileLocation",
        keys: &["path", "uri", "dynamicPath"],
        listed: false,
        path: true,
    },
    Place { word: "tableName", keys: &["tableName", "table"], listed: false, path: false },
    Place { word: "databaseName", keys: RELATIONAL, listed: true, path: false },
    Place { word: "relationalPath", keys: RELATIONAL, listed: true, path: false },
    Place { word: "host", keys: &["host", "dynamicHost"], listed: false, path: false },
];

impl Place {
    pub(super) fn of(word: &str) -> Option<&'static Place> {
        PLACES.iter().find(|place| place.word == word)
    }

    pub(super) fn words() -> String {
        PLACES.map(|place| format!("`{}`", place.word)).join(", ")
    }
}

/// What a value rule looks for.
pub(super) enum On<'r> {
    /// This value.
    Whole(&'r str),
    /// This run of components of a path.
    Components(&'r str),
    /// Every match.
    Pattern(Regex),
}

impl<'r> On<'r> {
    pub(super) fn new(rule: &'r ValueRule, place: &Place) -> Result<Self, PatternError> {
        match rule.expression() {
            Some(expression) => pattern::anywhere(expression).map(Self::Pattern),
            None if place.path => Ok(Self::Components(&rule.on)),
            None => Ok(Self::Whole(&rule.on)),
        }
    }

    /// Returns the text with what is looked for replaced; None where nothing changes.
    pub(super) fn replaced(&self, text: &str, with: &str) -> Option<String> {
        if text.len() > MAX_LOCATION {
            return None;
        }
        let replaced = match self {
            Self::Whole(on) if text == *on => with.to_owned(),
            Self::Whole(_) => return None,
            Self::Components(on) => components_replaced(text, on, with),
            Self::Pattern(pattern) => pattern.replace_all(text, NoExpand(with)).into_owned(),
        };
        (replaced != text).then_some(replaced)
    }
}

/// Replaces `on` where it is made of whole components of the path: a slash, or an end of the text,
/// lies at or behind each of its ends.
fn components_replaced(path: &str, on: &str, with: &str) -> String {
    let mut replaced = String::new();
    let (mut kept, mut search) = (0, 0);
    while let Some(found) = path[search..].find(on) {
        let (start, end) = (search + found, search + found + on.len());
        let begins = on.starts_with('/') || start == 0 || path[..start].ends_with('/');
        let ends = on.ends_with('/') || end == path.len() || path[end..].starts_with('/');
        if begins && ends {
            replaced.push_str(&path[kept..start]);
            replaced.push_str(with);
            (kept, search) = (end, end);
        } else {
            search = start + path[start..].chars().next().map_or(1, char::len_utf8);
        }
    }
    replaced.push_str(&path[kept..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_matches_whole_components_of_a_path() {
        let check = |path: &str, on: &str, expect: &str| {
            assert_eq!(components_replaced(path, on, "X"), expect, "{path} {on}");
        };
        check("dev", "dev", "X");
        check("/a/dev/b", "dev", "/a/X/b");
        check("/a/dev/b", "/a/dev", "X/b");
        check("/a/dev/b", "/a/dev/", "Xb");
        check("/a/device/dev", "/a/dev", "/a/device/dev");
        check("dev.csv", "dev", "dev.csv");
        check("aa/a", "a", "aa/X");
        check("ää/ä", "ä", "ää/X");
        check("s3://b/dev/x", "s3://b/dev", "X/x");
    }
}
