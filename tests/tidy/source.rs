//! The files of the house: which there are, and their code without comments and strings.

use std::fmt;
use std::path::{Path, PathBuf};

/// A text file of the repository.
pub(crate) struct File {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// Its lines as they are.
    pub(crate) lines: Vec<String>,
    /// Its lines with comments and literals blanked out; empty where it is no Rust.
    pub(crate) code: Vec<String>,
    /// The number of lines before the tests at its end.
    pub(crate) before_tests: usize,
}

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    /// The file.
    pub(crate) path: String,
    /// The line from 1; 0 for the file as a whole.
    pub(crate) line: usize,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is wrong and what is right.
    pub(crate) text: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.text)
    }
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
        let code = if is_rust {
            let blanked = blank(text);
            blanked.lines().map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        let mut pairs = lines.windows(2);
        let tests = pairs.position(|pair| pair[0] == "#[cfg(test)]" && pair[1].contains("mod "));
        let before_tests = tests.unwrap_or(lines.len());
        Self { path: path.to_owned(), lines, code, before_tests }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tells whether the file is compiled into a crate that users depend on.
    pub(crate) fn is_product(&self) -> bool {
        let in_src = self.path.starts_with("src/") || self.path.contains("/src/");
        self.is_rust() && in_src && !self.path.ends_with("/tests.rs")
    }

    /// Goes through the product's code: line numbers from 1, without the tests at the end.
    pub(crate) fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_product() { self.before_tests } else { 0 };
        self.code[..end.min(self.code.len())].iter().enumerate().map(|(i, line)| (i + 1, &**line))
    }
}

/// Finds a word or path in code that is not a part of a longer name.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        !inside(before.chars().next_back()) && !inside(after.chars().next())
    })
}

/// Reads all text files of the repository: what version control keeps, or nearly so.
pub(crate) fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("the repository can be read");
        for entry in entries {
            let path = entry.expect("the repository can be read").path();
            if path.is_dir() {
                if !is_foreign(root, &path) {
                    folders.push(path);
                }
            } else if path.ends_with(".git") {
                // In a linked work tree it is a file.
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let relative = path.strip_prefix(root).expect("found below the root");
                let relative = relative.to_string_lossy().replace('\\', "/");
                found.push(File::new(&relative, &text));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Tells whether a folder is not ours: version control, build output, what fuzzing found.
fn is_foreign(root: &Path, folder: &Path) -> bool {
    let ours = ["fuzz/corpus", "fuzz/artifacts", ".git"];
    let foreign: Vec<PathBuf> = ours.iter().map(|path| root.join(path)).collect();
    foreign.iter().any(|path| path == folder)
        || folder.join("CACHEDIR.TAG").exists()
        || folder.file_name().is_some_and(|name| name == "target")
}

/// What stands in the place of a literal's characters.
const LITERAL: char = '·';

/// Counts the characters of a line of code that belong to a literal.
pub(crate) fn literal_width(code: &str) -> usize {
    code.chars().filter(|&c| c == LITERAL).count()
}

/// Replaces comments by spaces and literals by dots; lines stay where they are.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let filler = if chars[at] == '/' { ' ' } else { LITERAL };
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { c } else { filler }));
            at = end;
        }
    }
    out
}

/// Returns where the comment or literal that begins here ends; here, if none begins.
fn literal_or_comment(chars: &[char], at: usize) -> usize {
    let peek = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match (peek(0), peek(1)) {
        ('/', '/') => find(chars, at, |rest| rest[0] == '\n'),
        ('/', '*') => block_comment(chars, at),
        ('"', _) => string(chars, at),
        ('r', '"' | '#') if !continues_name(chars, at) => raw_string(chars, at),
        ('\'', '\\') => find(chars, at + 3, |rest| rest[0] == '\'') + 1,
        ('\'', _) if peek(2) == '\'' => at + 3,
        _ => at,
    }
}

/// Tells whether the character belongs to the name before it. A `b` or `c` alone is a prefix.
fn continues_name(chars: &[char], at: usize) -> bool {
    let is_name = |i: usize| chars.get(i).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let before = at.wrapping_sub(1);
    let prefix = matches!(chars.get(before), Some('b' | 'c')) && !is_name(at.wrapping_sub(2));
    is_name(before) && !prefix
}

fn find(chars: &[char], from: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&at| is_end(&chars[at..])).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at; // A raw name such as r#type.
    }
    let close = |rest: &[char]| {
        rest[0] == '"' && rest[1..].iter().take_while(|&&c| c == '#').count() >= hashes
    };
    (find(chars, at + 2 + hashes, close) + 1 + hashes).min(chars.len())
}
