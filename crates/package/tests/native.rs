//! Native packages: the whole format once, and every fault with the text that a person reads.

#![cfg(test)]

use std::path::PathBuf;

use jobwright_package::{read, read_path};

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/native/pos_report")
}

#[test]
fn the_whole_format_is_read() {
    let bundle = read_path(fixture()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&bundle.package).unwrap());
    assert_eq!(bundle.contents.len(), 2);
    for artifact in &bundle.package.artifacts {
        assert_eq!(bundle.contents[&artifact.digest].len() as u64, artifact.size);
    }
    assert_eq!(read_path(fixture()).unwrap().package.digest(), bundle.package.digest());
    let alone = read_path(fixture().join("package.yaml")).unwrap();
    assert_eq!(alone.package.flows, bundle.package.flows);
}

/// A package of one flow with this inside, indented by four.
fn flow(inside: &str) -> String {
    let head = "jobwright: 1\nname: p\nflows:\n  f:\n    executor: local\n";
    inside.lines().fold(head.to_owned(), |text, line| text + "    " + line + "\n")
}

#[test]
fn the_shortest_package_and_other_spellings() {
    let check = |text: &str| read(text.as_bytes()).unwrap().package;
    let package = check("jobwright: 1\nname: p\nflows: { f: {} }\n");
    assert_eq!(package.primary[0].as_str(), "f");
    let json = check("{\"name\": \"p\", \"jobwright\": 1, \"flows\": {\"f\": {}}}");
    assert_eq!(json, package);
    assert_eq!(check("\u{feff}{jobwright: 1, name: p, flows: {f: {}}}"), package);
    let anchors =
        check(&flow("steps:\n  a: { payload: &x { n: 1 } }\n  b: { payload: *x, needs: [a] }"));
    assert_eq!(anchors.flows[0].steps[1].payload, serde_json::json!({"n": 1}));
}

/// Reads a text, which must be refused so.
fn check(text: &str, expect: &str) {
    let error = read(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(error.strip_prefix("`the document`: "), Some(expect), "{text}");
}

#[test]
fn faults_of_the_document_are_named() {
    check("name: p\n", "`jobwright` is missing: a package begins with `jobwright: 1`");
    check(
        "jobwright: 2\nname: p\nshape: other\n",
        "line 1: the package has format version 2, this engine reads version 1",
    );
    check("jobwright: one\n", "line 1, column 12, at `jobwright`: invalid u64");
    check("jobwright: 1\nflows: { f: {} }\n", "line 2, column 1: missing field `name`");
    check(
        "jobwright: 1\nname: ''\nflows: { f: {} }\n",
        "line 2, column 7, at `name`: a package name is empty",
    );
    check("jobwright: 1\nname: p\n", "line 2, column 1: missing field `flows`");
    check(
        "jobwright: 1\nname: p\nflows: {}\n",
        "`flows` is empty: a package has at least one flow",
    );
    check(
        "jobwright: 1\nname: p\nflows: { f: {}, g: {} }\n",
        "`primary` is missing: with 2 flows, it names those whose outputs a run selects",
    );
    check(
        "jobwright: 1\nname: p\nprimary: [h]\nflows: { f: {} }\n",
        "`primary` names flow `h`, which is not among the flows",
    );
    check(
        "jobwright: 1\nname: p\nprimary: [f, f]\nflows: { f: {} }\n",
        "`primary` names flow `f` twice",
    );
    check(
        "jobwright: 1\nname: p\ncolour: red\nflows: { f: {} }\n",
        "line 3, column 1, at `colour`: unknown field `colour`, expected one of jobwright, name, version, description, primary, flows",
    );
    check(
        "jobwright: 1\nname: p\nflows:\n  f: {}\n  f: {}\n",
        "line 5, column 3, at `flows`: duplicate mapping key `f` is not allowed here",
    );
    check(
        "jobwright: 1\nname: p\nflows: { f: [\n",
        "line 3, column 13, at `flows.f`: unclosed bracket '['",
    );
    check(
        "jobwright: 1\nname: p\nflows: { f: {} }\n---\nmore: 1\n",
        "line 5, column 1: only single YAML document expected but multiple found",
    );
    check(
        "jobwright: 1\n<<: { name: p }\nflows: { f: {} }\n",
        "line 2, column 1: merge key not allowed here",
    );
    check(
        "jobwright: 1\nname: !odd p\nflows: { f: {} }\n",
        "line 2, column 12: unsupported tag `!odd`",
    );
    check(
        "jobwright: 1\nname: p\nflows:\n  f:\n    steps:\n      s: { kind: wrangle }\n",
        "line 6, column 10, at `flows.f.steps.s`: no executor: give `executor` to the step or to its flow",
    );
}

#[test]
fn faults_of_steps_and_outputs_are_named() {
    check(
        &flow("steps:\n  s: { kind: wrangel }"),
        "line 7, column 18, at `flows.f.steps.s.kind`: unknown variant `wrangel`, expected one of schemadrift, sqlexecution, fileconverter, ingest, artifactstaging, filereader, wrangle, profile, filewriter, publish",
    );
    check(
        &flow("steps:\n  s: { retries: 3 }"),
        "line 7, column 12, at `flows.f.steps.s.retries`: unknown field `retries`, expected one of kind, executor, needs, payload, retry, timeouts, priority, pool, crash_limit, on_lost, grace, optional",
    );
    check(
        &flow("steps:\n  s: { retry: { max_attempts: many } }"),
        "line 7, column 35, at `flows.f.steps.s.retry.max_attempts`: invalid u32",
    );
    check(
        &flow("steps:\n  s: { timeouts: { attempt: soon } }"),
        "line 7, column 33, at `flows.f.steps.s.timeouts.attempt`: `soon` is not a duration such as `90s`, `5m` or `1h 30m`",
    );
    check(
        &flow("steps:\n  s: { needs: [t] }"),
        "step `s` of flow `f` needs `t`, which does not exist",
    );
    check(
        &flow("steps:\n  s: { needs: [g/t] }"),
        "step `s` of flow `f` needs `g/t`, which does not exist",
    );
    check(
        &flow("steps:\n  s: { needs: [{ step: s, if: failed }] }"),
        "line 7, column 31, at `flows.f.steps.s.needs[0].if`: unknown field `if`, expected one of flow, step, when",
    );
    check(
        &flow("steps:\n  s: { needs: [''] }"),
        "line 7, column 20, at `flows.f.steps.s.needs[0]`: a step name is empty",
    );
    check(
        &flow("steps:\n  s: { payload: { a: 1, a: 2 } }"),
        "line 7, column 29, at `flows.f.steps.s.payload`: duplicate mapping key `a` is not allowed here",
    );
    check(
        &flow("steps:\n  s: { payload: .nan }"),
        "line 7, column 21, at `flows.f.steps.s.payload`: value `.nan` is not a finite number",
    );
    check(
        &flow("steps:\n  s: { optional: yes }"),
        "line 7, column 22, at `flows.f.steps.s.optional`: invalid boolean (true or false expected)",
    );
    check(
        &flow("outputs:\n  o: { steps: [t] }"),
        "output `o` of flow `f` names step `t`, which does not exist",
    );
    check(
        &flow("outputs:\n  o: { trigger: manual }"),
        "line 7, column 12, at `flows.f.outputs.o`: missing field `steps`",
    );
}

#[test]
fn faults_of_parameters_are_named() {
    check(
        &flow("parameters:\n  p: { type: text }"),
        "line 7, column 18, at `flows.f.parameters.p.type`: unknown variant `text`, expected one of string, integer, number, boolean, choice, date, secret",
    );
    check(
        &flow("parameters:\n  p: { default: 1 }"),
        "line 7, column 12, at `flows.f.parameters.p`: missing field `type`",
    );
    check(
        &flow("parameters:\n  p: { type: string, min: 1 }"),
        "line 7, column 10, at `flows.f.parameters.p`: `min` means nothing for a string parameter",
    );
    check(
        &flow("parameters:\n  p: { type: integer, max: 0.5 }"),
        "line 7, column 10, at `flows.f.parameters.p`: `max` of an integer parameter is `0.5`, which is no whole number of 64 bits",
    );
    check(
        &flow("parameters:\n  p: { type: choice }"),
        "line 7, column 10, at `flows.f.parameters.p`: a choice parameter needs `choices`",
    );
    check(
        &flow("parameters:\n  p: { type: date, zone: UTC }"),
        "line 7, column 10, at `flows.f.parameters.p`: a date parameter needs `format`",
    );
    check(
        &flow("parameters:\n  p: { type: string }\n  p: { type: string }"),
        "line 8, column 7, at `flows.f.parameters`: duplicate mapping key `p` is not allowed here",
    );
}

#[test]
fn hostile_documents_cost_little() {
    let check = |text: &str, expect: &str| {
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(
        &format!("jobwright: 1\nname: {}", "[".repeat(100_000)),
        "line 2, column 103, at `name`: recursion limit exceeded",
    );
    let deep: String = (0..200).map(|depth| " ".repeat(depth) + "a:\n").collect();
    check(
        &format!("jobwright: 1\nname:\n {}", deep.replace('\n', "\n ")),
        "limits breached: Depth { depth: 97 }",
    );
    let mut bomb = String::from("jobwright: 1\nname: p\na: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (one, next) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        let list = vec![format!("*{one}"); 10].join(",");
        bomb += &format!("{next}: &{next} [{list}]\n");
    }
    check(&bomb, "line 7, column 29, at `e[7][0][7][0]`: YAML document too large or too complex");
    let text = [b"jobwright: 1\nname: \xff".as_slice(), &[0xfe]].concat();
    let error = read(&text).unwrap_err().to_string();
    assert_eq!(error, "`the document` is not UTF-8 from byte 19 on");
}
