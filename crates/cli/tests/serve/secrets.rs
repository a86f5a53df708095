//! No content of a secret is stored, logged or answered, in whatever form a job says it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::server::Place;

const LOGIN: &str = "s3cr&t/va lue+0~for me";
const OTHER: &str = "another-Secret_93";

const CONFIG: &str = r#"
[executors.local]
kind = "local"
[secrets]
env-only = ["pin"]
folder = "secrets"
command = ["/bin/sh", "-c", "case $1 in db/other) printf another-%s Secret_93;; esac", "sh", "{name}"]
"#;

const PACKAGE: &str = r#"
jobwright: 1
name: p
flows:
  f:
    executor: local
    parameters:
      login: { type: secret, default: login }
      other: { type: secret, default: db/other }
      pin: { type: secret, default: pin }
    steps:
      tells:
        payload:
          env: { LOGIN: $login, OTHER: $other }
          command:
            - sh
            - -c
            - |
              url() { printf %s "$$1" | sed 's/&/%26/g; s|/|%2F|g; s/ /%20/g; s/+/%2B/g'; }
              echo "plain $$LOGIN and $$OTHER"; echo "url $$(url "$$LOGIN")" >&2
              printf %s "$$LOGIN" | base64; printf "me:%s" "$$OTHER" | base64 | tr +/ -_
              printf "no line break: $$OTHER"; echo; echo "::progress 50 with $$LOGIN"
              printf '{"login":"%s","%s":[1]}' "$$LOGIN" "$$OTHER" > "$$JOBWRIGHT_OUTPUT"
      fails:
        needs: [tells]
        retry: { max_attempts: 1 }
        payload:
          env: { LOGIN: $login }
          command: [sh, -c, 'echo "the last word is $$LOGIN" >&2; exit 3']
      short:
        retry: { max_attempts: 5 }
        payload: { env: { PIN: $pin }, command: [sh, -c, 'echo it ran'] }
    outputs: { o: { steps: [fails] }, s: { steps: [short] } }
"#;

/// The forms in which a content may turn up.
fn forms(content: &str) -> Vec<String> {
    let percent = |upper: bool| -> String {
        let escape =
            |byte: u8| match (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte), upper) {
                (true, _) => char::from(byte).to_string(),
                (false, true) => format!("%{byte:02X}"),
                (false, false) => format!("%{byte:02x}"),
            };
        content.bytes().map(escape).collect()
    };
    // Three characters of base64 hang on what stands behind; without them it is still a leak.
    let encoded = |text: String| [STANDARD.encode(&text), URL_SAFE.encode(&text)];
    let cut = |text: String| text[..text.len() - 4].to_owned();
    let mut forms = vec![content.to_owned(), percent(true), percent(false)];
    forms.extend(encoded(content.to_owned()).map(cut));
    forms.extend(encoded(format!("me:{content}")).map(cut).map(|it| it[4..].to_owned()));
    forms
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("data/secrets") => {}
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[tokio::test]
async fn nothing_that_is_stored_logged_or_answered_holds_a_secret() {
    let place = Place::new(CONFIG);
    let folder = place.path("data/secrets");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(place.path("data"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(folder.join("login"), format!("{LOGIN}\n")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(folder.join("login"), mode).unwrap();
    let mut command = place.command("127.0.0.1:0");
    command.env("JOBWRIGHT_SECRET_PIN", "12345");
    let server = place.start_as(command).await;
    server.deploy(PACKAGE).await;

    let started = server.post("/v4/deployments/1/run", &serde_json::json!({})).await.expect(201);
    let groups: Vec<i64> = started.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_i64().unwrap())
        .collect();
    let mut answers = vec![started.text];
    for group in &groups {
        assert_eq!(server.ended(*group).await, "\"Failed\"");
    }
    let mut paths: Vec<String> = [
        "deployments/1",
        "deployments/1/explain",
        "flowRuns/1?embed=jobGroups.jobs",
        "releases/1/package",
        "auditRecords",
    ]
    .map(|path| format!("/v4/{path}"))
    .into();
    paths.push("/metrics".to_owned());
    for group in &groups {
        paths.extend(
            ["", "?embed=jobs", "/jobs", "/events"].map(|it| format!("/v4/jobGroups/{group}{it}")),
        );
    }
    for job in 1..=3 {
        paths.extend(["", "/logs", "/waiting"].map(|it| format!("/v4/jobs/{job}{it}")));
    }
    for path in &paths {
        answers.push(server.get(path).await.expect(200).text);
    }
    let said = answers.join("\n");
    // The jobs said it all, and one of them failed for what it was not given.
    for expect in ["plain *** and ***", "url ***", "no line break: ***", "the last word is ***"] {
        assert!(said.contains(expect), "`{expect}` is not in:\n{said}");
    }
    let floor = "secret `pin` has fewer than 6 bytes, too few to be kept out of logs";
    assert!(said.contains(floor), "{said}");
    let log = server.get("/v4/jobs/3/logs").await.expect(200).json();
    assert_eq!(log["data"], serde_json::json!([]), "it did not run");
    server.stop().await;

    let mut kept = Vec::new();
    files(&place.path(""), &mut kept);
    assert!(kept.iter().any(|path| path.ends_with("out.log")), "{kept:?}");
    assert!(kept.iter().any(|path| path.ends_with("log")), "{kept:?}");
    let input = kept.iter().filter(|path| path.ends_with("input.json"));
    let masked = |path: &PathBuf| std::fs::read_to_string(path).unwrap().contains(r#""***":[1]"#);
    assert!(input.clone().any(masked), "the result is handed on: {kept:?}");
    let mut all = vec![("an answer".to_owned(), said.into_bytes())];
    all.extend(kept.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())));
    for form in [LOGIN, OTHER].into_iter().flat_map(forms) {
        for (place, bytes) in &all {
            let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
            assert!(!found, "`{form}` is in {place}");
        }
    }
}
