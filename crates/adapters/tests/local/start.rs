//! What a process is given, and what keeps it from starting.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use jobwright_adapters::LocalProcessExecutor;
use jobwright_adapters::conformance::{AttemptBuilder, attempt};
use jobwright_adapters::local::{Keep, Limits};
use jobwright_core::parameter::Value;
use jobwright_core::{Executor, FailureClass, JobInput, StepName, Verdict};
use serde_json::json;
use tokio::task::JoinSet;

use crate::bench::{Bench, script};

#[tokio::test]
async fn the_environment_is_made_anew() {
    let bench = Bench::new();
    let attempt = attempt(json!({"command": ["env"], "env": {"MINE": 7, "HOME": "/nowhere"}}))
        .group(68)
        .job(70)
        .number(2)
        .step("a step")
        .parameter("region code", Value::Text("north".into()))
        .parameter("rows", Value::Integer(3))
        .parameter("api key", Value::Secret("api".into()))
        .build();
    bench.run(&attempt).await.unwrap();
    let folder = bench.folder(&attempt).display().to_string();
    let (mut lines, _) = bench.said(&attempt);
    lines.retain(|line| !["LANG=", "LC_ALL=", "TZ="].iter().any(|it| line.starts_with(it)));
    lines.sort();
    let lines: Vec<_> = lines.iter().map(|line| line.replace(&folder, "FOLDER")).collect();
    let expect = [
        "HOME=/nowhere",
        "JOBWRIGHT_ATTEMPT=70-2",
        "JOBWRIGHT_INPUT=FOLDER/input.json",
        "JOBWRIGHT_JOB_GROUP_ID=68",
        "JOBWRIGHT_JOB_ID=70",
        "JOBWRIGHT_OUTPUT=FOLDER/output.json",
        "JOBWRIGHT_PARAMETERS=FOLDER/parameters.json",
        "JOBWRIGHT_PARAM_REGION_CODE=north",
        "JOBWRIGHT_PARAM_ROWS=3",
        "JOBWRIGHT_RUN_ID=1",
        "JOBWRIGHT_STEP=a step",
        "MINE=7",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        &format!("TRACEPARENT={}", attempt.trace()),
    ];
    assert_eq!(lines, expect);
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn files_are_handed_over_both_ways() {
    let bench = Bench::new();
    let text = "cat; cat \"$JOBWRIGHT_INPUT\" \"$JOBWRIGHT_PARAMETERS\"; echo; ./bin/show; \
                ls -l data.csv | cut -c1-10; echo '{\"rows\": 3}' > \"$JOBWRIGHT_OUTPUT\"";
    let attempt = attempt(json!({"command": ["sh", "-c", text], "stdin": "given\n"}))
        .parameter("rows", Value::Integer(3))
        .artifact("bin/show", b"#!/bin/sh\ncat data.csv\n", true)
        .artifact("data.csv", b"a,b\n", false)
        .input(JobInput {
            step: StepName::new("before").unwrap(),
            verdict: Verdict::Succeeded,
            result: Some(Arc::new(json!([1]))),
        })
        .build();
    let success = bench.run(&attempt).await.unwrap();
    assert_eq!(success.result().map(|it| (**it).clone()), Some(json!({"rows": 3})));
    let (lines, _) = bench.said(&attempt);
    let input = r#"[{"step":"before","verdict":"succeeded","result":[1]}]{"rows":3}"#;
    assert_eq!(lines, ["given", input, "a,b", "-rw-------"]);
}

#[tokio::test]
async fn a_program_that_somebody_writes_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let written = std::fs::OpenOptions::new().append(true).open(&program).unwrap();
    let attempt = attempt(json!({"command": [program]})).build();
    let bench = Bench::new();
    let (end, ()) = tokio::join!(bench.run(&attempt), async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(written);
    });
    end.unwrap();
}

/// Runs an attempt that cannot start and compares how it fails.
async fn refused(attempt: AttemptBuilder, code: &str, words: &str) {
    let bench = Bench::new();
    let attempt = attempt.build();
    let failure = bench.run(&attempt).await.unwrap_err();
    assert_eq!((failure.class, &*failure.code), (FailureClass::Permanent, code), "{failure}");
    assert!(failure.message.contains(words), "{failure}");
    assert!(!bench.folder(&attempt).exists(), "what never ran leaves no folder");
}

#[tokio::test]
async fn what_cannot_start_fails_for_good() {
    let command = |words: &[&str]| attempt(json!({ "command": words }));
    let not_found = "command_not_found";
    let searched = "no program `no-such-tool` in `/usr/local/bin:/usr/bin:/bin`";
    refused(command(&["no-such-tool"]), not_found, searched).await;
    refused(command(&["/no/such/tool"]), not_found, "no program `/no/such/tool`").await;
    refused(command(&["./missing.sh"]), not_found, "among the package's artifacts").await;
    refused(command(&["../out"]), "payload", "outside the working directory").await;
    let plain = command(&["./plain"]).artifact("plain", b"#!/bin/sh\n", false);
    refused(plain, "not_executable", "mark it as such in the package").await;
    let garbage = command(&["./garbage"]).artifact("garbage", b"\x00\x01", true);
    refused(garbage, "not_executable", "is no program").await;
    let orphan = command(&["./script"]).artifact("script", b"#!/no/such/shell\n", true);
    refused(orphan, not_found, "interpreter").await;
    let huge = command(&["true", &"x".repeat(200_000)]);
    refused(huge, "too_large", "pass long values in files").await;
    refused(command(&["true", "a\u{0}b"]), "payload", "`command[1]` holds a NUL").await;
    let nul = command(&["true"]).parameter("p", Value::Text("a\u{0}b".into()));
    refused(nul, "payload", "parameter `p` holds a NUL").await;
    refused(attempt(json!({"cmd": []})), "payload", "unknown field `cmd`").await;
    let secret = || json!({"command": ["true"], "env": {"TOKEN": {"$secret": "token"}}});
    refused(attempt(secret()), "payload", "secret `token`, which was not handed over").await;
    refused(attempt(secret()).secret("token", "short"), "secret", "fewer than 6 bytes").await;
    let argument = attempt(json!({"command": ["true", {"$secret": "token"}]}));
    refused(argument.secret("token", "long enough"), "payload", "pass it in `env`").await;
}

#[tokio::test]
async fn limits_hold() {
    let bench = Bench::new();
    let text = "head -c 100000 /dev/zero > big; code=$?; ulimit -n; exit $code";
    let limits = json!({"file_bytes": 4096, "open_files": 50});
    let attempt = attempt(json!({"command": ["sh", "-c", text], "limits": limits})).build();
    let narrow = Limits { open_files: Some(40), ..Limits::default() };
    let executor = bench.executor.clone().limits(narrow);
    let failure = executor.execute(attempt.clone()).await.unwrap_err();
    // 128 and the number of SIGXFSZ.
    assert_eq!(failure.details["exit_code"], 128 + 25, "{failure}");
    let big = bench.folder(&attempt).join("work/big");
    assert!(big.metadata().unwrap().len() <= 4096);
    assert!(bench.said(&attempt).0.contains(&"40".to_owned()));
}

#[tokio::test]
async fn folders_are_kept_set_aside_and_removed() {
    let bench = Bench::new();
    let (good, bad) = (script("true").job(1).build(), script("false").job(2).build());
    bench.run(&good).await.unwrap();
    bench.run(&good).await.unwrap();
    let aside = bench.root.path().join("1/1-1.old1/out.log");
    assert!(aside.exists() && bench.folder(&good).join("out.log").exists());
    let executor = LocalProcessExecutor::new(bench.root.path()).keep(Keep::Failed);
    executor.execute(good.clone()).await.unwrap();
    executor.execute(bad.clone()).await.unwrap_err();
    assert!(!bench.folder(&good).exists() && bench.folder(&bad).exists());
    executor.remove_group(good.group()).unwrap();
    executor.remove_group(good.group()).unwrap();
    assert!(!bench.root.path().join("1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_a_time_all_end() {
    let bench = Bench::new();
    let mut attempts = JoinSet::new();
    for job in 1..=1000 {
        let executor = bench.executor.clone();
        attempts.spawn(async move {
            // Where there are too few file handles, attempts are rejected, and may come again.
            loop {
                let attempt = attempt(json!({"command": ["true"]})).job(job).build();
                match executor.execute(attempt).await {
                    Err(failure) if failure.class == FailureClass::Rejected => {
                        tokio::task::yield_now().await;
                    }
                    end => return end,
                }
            }
        });
    }
    while let Some(end) = attempts.join_next().await {
        end.unwrap().unwrap();
    }
}
