//! The house rules that no compiler knows: the crates' arrows, the purity of the core and of the
//! machine, sizes, names, words. Every breach is listed with its place and its rule.

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use source::{Breach, File};

#[test]
fn the_house_is_tidy() {
    let files = source::files();
    assert!(files.len() > 30, "found {} files only: is this the root?", files.len());
    let mut breaches: Vec<Breach> = files.iter().flat_map(rules::check).collect();
    breaches.extend(rules::decisions(&files));
    breaches.extend(arrows::check());
    breaches.sort();
    let list: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} breaches of the house rules:\n{}", list.len(), list.join("\n"));
}

#[test]
fn each_rule_finds_its_breach() {
    let check = |path: &str, text: &str, expect: &[&str]| {
        let found: Vec<String> = rules::check(&File::new(path, text))
            .iter()
            .map(|breach| format!("{} {}", breach.line, breach.rule))
            .collect();
        assert_eq!(found, expect, "in {path}:\n{text}");
    };
    let core = "crates/core/src/plan.rs";
    let machine = "crates/scheduler/src/machine/job.rs";
    let driver = "crates/scheduler/src/driver.rs";

    check(core, "//! Plans.\n", &[]);
    check(core, "use std::fmt;\n", &["1 module-doc"]);
    check("crates/core/src/plan/mod.rs", "//! Plans.\n", &["0 name"]);
    check("crates/store/src/utils.rs", "//! Odds.\n", &["0 name"]);

    check(core, "//! P.\nuse tokio_util::sync::Notify;\n", &["2 purity"]);
    check(core, "//! P.\nfn f() { std::fs::read(\"x\"); }\n", &["2 purity"]);
    check(
        core,
        "//! P.\n// SystemTime::now() is for the driver\nconst A: &str = \"tokio\";\n",
        &[],
    );
    check(core, "//! P.\nconst A: &str = r#\"a \" std::env::var\"#;\nfn f<'a>() {}\n", &[]);
    check("crates/core/src/executor.rs", "//! E.\nuse tokio_util::sync::CancellationToken;\n", &[]);
    check(core, "//! P.\nfn f() -> T { jiff::Timestamp::now() }\n", &["2 purity", "2 clock"]);
    check(core, "//! P.\nlet operand = strand;\n", &[]);

    check(machine, "//! J.\nasync fn f() {}\n", &["2 purity"]);
    check(machine, "//! J.\nlet a: HashMap<u8, u8>;\n", &["2 hash-order"]);
    check(machine, "//! J.\nmatch a {\n    A => 1,\n    _ => 2,\n}\n", &["4 wildcard"]);
    check(machine, "//! J.\nmatch a { A | _ if b => 1 }\n", &["2 wildcard"]);
    check(machine, "//! J.\n#[cfg(test)]\nmod tests {\n    use tracing::info;\n}\n", &[]);
    check(driver, "//! D.\nasync fn f() { SystemTime::now(); }\n", &[]);
    check("crates/store/src/sqlite.rs", "//! S.\nlet a = Instant::now();\n", &["2 clock"]);

    let long = format!("//! L.\n{}\n", "x".repeat(101));
    check(driver, &long, &["2 width"]);
    check(driver, &format!("//! L.\n// https://{}\n", "x".repeat(101)), &[]);
    check(driver, &format!("//! L.\n    #[error(\"{}\")]\n", "x".repeat(101)), &[]);
    check(driver, &format!("//! L.\nlet a = \"\n{}\";\n", "x".repeat(101)), &[]);
    check(driver, &format!("//! L.\n{}", "a();\n".repeat(600)), &["601 size"]);
    let tested = format!("//! L.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "a();\n".repeat(900));
    check(driver, &tested, &[]);
    check("examples/a.rs", &format!("//! L.\n{}", "a();\n".repeat(120)), &["121 size"]);
    let forty = format!("//! L.\n// why\n\n{}", "a();\n".repeat(41));
    check("examples/custom_executor.rs", &forty, &["44 size"]);
    check("crates/core/src/lib.rs", "//! L.\nmod a;\nfn f() {}\n", &["3 lib-logic"]);

    check("README.md", concat!("a\nTO", "DO: more\n"), &["2 word"]);
    check(driver, concat!("//! D.\n#[ign", "ore]\nfn f() {}\n"), &["2 word"]);
    check("check", concat!("cd /wo", "rk/x\n"), &["1 place"]);
    check("Cargo.lock", "source = \"registry+https://example.org/index\"\n", &["1 place"]);
}
