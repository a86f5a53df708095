//! Names for what an export knows by number: readable, within bounds, and each at most once.

use std::collections::BTreeSet;

use jobwright_core::MAX_NAME;

/// The bytes that are kept free for what is added to a name.
const ROOM: usize = 60;

/// Makes a text fit for a name: no control characters, no outer white space, not too long.
pub(super) fn readable(text: &str, otherwise: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    let text = cut(text.trim(), MAX_NAME - ROOM);
    if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_end()
}

/// Names that are taken.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Takes a name, with an id appended as often as it takes to be new.
    pub(super) fn take(&mut self, name: &str, id: i64) -> String {
        let mut suffix = String::new();
        loop {
            let start = cut(name, MAX_NAME.saturating_sub(suffix.len()));
            let taken = format!("{start}{suffix}");
            if self.0.insert(taken.clone()) {
                return taken;
            }
            suffix.push_str(&format!(" {id}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_differ() {
        assert_eq!(readable(" a\tb ", "x"), "a b");
        assert_eq!(readable(" \n", "recipe 7"), "recipe 7");
        assert_eq!(readable(&"é".repeat(200), "x").len(), 194);
        let mut names = Names::default();
        let taken: Vec<_> = [1, 2, 2, 2].map(|id| names.take("a", id)).into();
        assert_eq!(taken, ["a", "a 2", "a 2 2", "a 2 2 2"]);
        let long = "x".repeat(300);
        for id in 0..100 {
            assert!(names.take(&long, id).len() <= 255);
        }
    }
}
