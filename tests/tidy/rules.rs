//! The rules for single files, and that for the decision records.

use crate::source::{Breach, File, has_word, literal_width};

/// What neither the core nor the machine may name: input and output, clocks, chance, runtimes.
const IMPURE: [&str; 15] = [
    "tokio",
    "tokio_util",
    "futures_util",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "now",
    "rand",
    "tracing",
    "println",
    "eprintln",
];

/// What is impure and allowed all the same: the one type of a runtime that executors need.
const ALLOWED: [(&str, &str); 1] =
    [("crates/core/src/executor.rs", "use tokio_util::sync::CancellationToken;")];

/// Hash maps that the machine only looks things up in and never goes through: file and code.
const LOOKED_UP_ONLY: &[(&str, &str)] = &[];

/// Names that say nothing about what is in a file, or that mean something else here.
const EMPTY_NAMES: [&str; 18] = [
    "common", "data", "error", "errors", "helper", "helpers", "info", "manager", "misc", "prelude",
    "service", "shared", "task", "traits", "types", "util", "utils", "worker",
];

/// Places where the time is read: the driver with its clock, the adapters, and what is no product.
const CLOCKS: [&str; 9] = [
    "crates/scheduler/src/clock.rs",
    "crates/scheduler/src/driver",
    "crates/adapters/src/",
    "crates/slurm/src/token.rs",
    "crates/cli/src/",
    "benches/",
    "examples/",
    "tests/",
    "fuzz/",
];

/// Applies every rule to a file, in the order of its lines.
pub(crate) fn check(file: &File) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut breach = |line: usize, rule: &'static str, text: String| {
        found.push(Breach { path: file.path.clone(), line, rule, text });
    };
    words(file, &mut breach);
    if file.is_rust() {
        names(file, &mut breach);
        sizes(file, &mut breach);
        lib(file, &mut breach);
        purity(file, &mut breach);
        clocks(file, &mut breach);
    }
    found.sort_by_key(|breach| breach.line);
    found
}

type Report<'a> = dyn FnMut(usize, &'static str, String) + 'a;

/// Nothing is left for later, and nothing is said about the machine that it was written on.
fn words(file: &File, breach: &mut Report<'_>) {
    // Taken apart, so that this file does not hold what it looks for.
    let later = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ign", "ore"),
    ];
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("replace", "-with")];
    for (number, line) in numbered(&file.lines) {
        for word in later.iter().filter(|word| line.contains(**word)) {
            breach(number, "word", format!("`{word}`: do it now, or file an issue"));
        }
        for place in places.iter().filter(|place| line.contains(**place)) {
            breach(number, "place", format!("`{place}` is a place of one machine only"));
        }
        let official = concat!("registry+https", "://github.com/rust-lang/crates.io-index");
        if file.path.ends_with("Cargo.lock")
            && line.starts_with("source = ")
            && !line.contains(official)
        {
            breach(number, "place", format!("`{line}` is not the public registry"));
        }
    }
}

/// A file says what it is: by its name, and by its first line.
fn names(file: &File, breach: &mut Report<'_>) {
    let stem = file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
    let stem = stem.unwrap_or_default();
    if stem == "mod" {
        breach(0, "name", "a module `a` is `a.rs`, with its parts in `a/`".to_owned());
    }
    if EMPTY_NAMES.contains(&stem) {
        breach(0, "name", format!("`{stem}` does not say what is in it: name it by its purpose"));
    }
    if !file.lines.first().is_some_and(|line| line.starts_with("//!")) {
        breach(1, "module-doc", "a module opens with `//!`: what it owns".to_owned());
    }
}

/// A room is small.
fn sizes(file: &File, breach: &mut Report<'_>) {
    for ((number, line), code) in numbered(&file.lines).zip(&file.code) {
        // A text stays on one line, so that it can be searched for; so do addresses and tables.
        let width = line.chars().count() - literal_width(code);
        let is_whole = line.contains("://") || line.trim_start().starts_with("/// |");
        if width > 100 && !is_whole {
            breach(
                number,
                "width",
                format!("{width} characters besides literals, 100 are allowed"),
            );
        }
    }
    let is_example = file.path.starts_with("examples/");
    let limit = if is_example { 120 } else { 600 };
    let lines = if file.is_product() { file.before_tests } else { file.lines.len() };
    if (file.is_product() || is_example) && lines > limit {
        breach(lines, "size", format!("{lines} lines without tests, {limit} are allowed"));
    }
    if file.path == "examples/custom_executor.rs" {
        let code = file.code.iter().filter(|line| !line.trim().is_empty()).count();
        if code > 40 {
            breach(lines, "size", format!("{code} lines of code: a new executor takes 40"));
        }
    }
}

/// A crate's root is its table of contents.
fn lib(file: &File, breach: &mut Report<'_>) {
    if !file.path.ends_with("src/lib.rs") {
        return;
    }
    for (number, code) in file.product_code() {
        let logic = ["fn", "impl", "struct", "enum", "trait", "const", "static", "macro_rules"];
        if let Some(word) = logic.iter().find(|word| has_word(code, word)) {
            breach(number, "lib-logic", format!("`{word}` belongs in a module of its own"));
        }
    }
}

/// The core says what is and the machine decides: from their arguments alone.
fn purity(file: &File, breach: &mut Report<'_>) {
    let is_machine = file.path == "crates/scheduler/src/machine.rs"
        || file.path.starts_with("crates/scheduler/src/machine/");
    if !is_machine && !file.path.starts_with("crates/core/src/") {
        return;
    }
    for (number, code) in file.product_code() {
        let allowed = |list: &[(&str, &str)]| list.contains(&(&*file.path, code.trim()));
        if !allowed(&ALLOWED)
            && let Some(word) = IMPURE.iter().find(|word| is_impure(code, word))
        {
            breach(number, "purity", format!("`{word}`: no input, output, clock, chance, runtime"));
        }
        if !is_machine {
            continue;
        }
        for word in ["async", "await"].iter().filter(|word| has_word(code, word)) {
            breach(number, "purity", format!("`{word}`: the machine is plain code"));
        }
        let hashes = has_word(code, "HashMap") || has_word(code, "HashSet");
        if hashes && !allowed(LOOKED_UP_ONLY) {
            breach(number, "hash-order", "use a vector or a BTreeMap: their order is fixed".into());
        }
        if is_wildcard(code) {
            breach(number, "wildcard", "name every variant, so that a new one is seen".into());
        }
    }
}

fn is_impure(code: &str, word: &str) -> bool {
    // `now` is an argument everywhere; only a call under a type's name reads a clock.
    if word == "now" { code.contains("::now(") } else { has_word(code, word) }
}

fn is_wildcard(code: &str) -> bool {
    let arms = ["_ =>", "_ if "];
    arms.iter().any(|arm| {
        code.match_indices(arm).any(|(at, _)| {
            matches!(code[..at].trim_end().chars().next_back(), None | Some('{' | '|' | ','))
        })
    })
}

/// Time is an argument; where it comes from is one of few places.
fn clocks(file: &File, breach: &mut Report<'_>) {
    if CLOCKS.iter().any(|place| file.path.starts_with(place)) || file.path.contains("/tests/") {
        return;
    }
    for (number, code) in file.product_code() {
        let clocks = ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"];
        if clocks.iter().any(|clock| code.contains(clock)) {
            breach(number, "clock", "the time is read in the driver and the adapters only".into());
        }
    }
}

/// Decision records are numbered without gaps, and the list of them names each.
pub(crate) fn decisions(files: &[File]) -> Vec<Breach> {
    let folder = "docs/decisions/";
    let breach = |path: &str, text: String| Breach {
        path: path.to_owned(),
        line: 0,
        rule: "decisions",
        text,
    };
    let list = files.iter().find(|file| file.path == "docs/decisions/README.md");
    let Some(list) = list else {
        return vec![breach(folder, "README.md with the list of decisions is missing".to_owned())];
    };
    let mut found = Vec::new();
    let records = files.iter().filter(|file| file.path.starts_with(folder));
    let records = records.filter(|file| file.path != list.path);
    for (index, record) in records.enumerate() {
        let name = &record.path[folder.len()..];
        if !name.starts_with(&format!("{:04}-", index + 1)) {
            found.push(breach(&record.path, format!("expected number {:04}", index + 1)));
        }
        if !list.lines.iter().any(|line| line.contains(&format!("({name})"))) {
            found.push(breach(&record.path, "README.md does not link it".to_owned()));
        }
    }
    found
}

fn numbered(lines: &[String]) -> impl Iterator<Item = (usize, &str)> {
    lines.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
}
