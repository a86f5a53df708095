//! The crates' arrows: who may depend on whom.

use std::process::Command;

use crate::source::Breach;

/// A crate, what it may depend on, and what its tests may use besides. What is not here is
/// forbidden; siblings never meet.
const ARROWS: [(&str, &[&str], &[&str]); 13] = [
    ("core", &[], &[]),
    ("package", &["core"], &[]),
    ("scheduler", &["core"], &["adapters", "store"]),
    ("adapters", &["core"], &[]),
    ("slurm", &["adapters", "core"], &["jobwright", "package", "scheduler", "store", "postgres"]),
    ("store", &["core"], &[]),
    ("postgres", &["core"], &["adapters", "scheduler", "store"]),
    ("spark", &["adapters", "core"], &["jobwright", "scheduler", "store", "postgres"]),
    ("kubernetes", &["adapters", "core"], &["jobwright", "scheduler", "store", "postgres"]),
    ("webhooks", &["scheduler", "core"], &["adapters", "store"]),
    ("http", &["scheduler", "package", "core"], &["adapters", "store"]),
    (
        "cli",
        &[
            "core",
            "package",
            "scheduler",
            "adapters",
            "slurm",
            "spark",
            "store",
            "postgres",
            "http",
            "webhooks",
            "kubernetes",
        ],
        &[],
    ),
    ("jobwright", &["core", "package", "scheduler", "adapters", "store"], &["http", "postgres"]),
];

/// What a library never brings along: the program that embeds it chooses these.
const PROGRAMS_ONLY: [&str; 4] = ["anyhow", "clap", "tracing-subscriber", "toml"];

/// Compares what the manifests say with the table.
pub(crate) fn check() -> Vec<Breach> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    packages.iter().flat_map(breaches).collect()
}

fn breaches(package: &serde_json::Value) -> Vec<Breach> {
    let name = short(package["name"].as_str().expect("a package has a name"));
    let breach = |text: String| Breach {
        path: if name == "jobwright" { "Cargo.toml".into() } else { format!("crates/{name}") },
        line: 0,
        rule: "arrows",
        text,
    };
    let Some((_, normal, tests)) = ARROWS.iter().find(|(known, _, _)| *known == name) else {
        return vec![breach(format!("crate `{name}` is not in the table of tests/tidy/arrows.rs"))];
    };
    let mut found = Vec::new();
    for dependency in package["dependencies"].as_array().expect("a package has dependencies") {
        let full = dependency["name"].as_str().expect("a dependency has a name");
        let on = short(full);
        let for_tests = dependency["kind"] == "dev";
        let is_ours =
            full.starts_with("jobwright") && ARROWS.iter().any(|(known, _, _)| *known == on);
        let allowed = normal.contains(&on) || (for_tests && tests.contains(&on));
        if is_ours && !allowed {
            found.push(breach(format!("`{name}` may not depend on `{on}`")));
        }
        if name != "cli" && !for_tests && PROGRAMS_ONLY.contains(&full) {
            found.push(breach(format!("a library may not depend on `{full}`")));
        }
    }
    found
}

fn short(name: &str) -> &str {
    name.strip_prefix("jobwright-").unwrap_or(name)
}
