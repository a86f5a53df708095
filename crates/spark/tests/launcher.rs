//! The launcher by itself, with this test in the place of the driver's JVM: an attempt is run once,
//! stopped with its grace, and leaves no process.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/launcher.py");

fn folder(command: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("work")).unwrap();
    let environment = json!({ "GREETING": "a  b" });
    let task = json!({
        "command": command, "environment": environment, "stdin": "/dev/null", "class": null,
        "time": null, "token": "t",
    });
    fs::write(folder.path().join("task.json"), task.to_string()).unwrap();
    folder
}

/// Starts the launcher as the worker's JVM does: with a pipe as its input, in the driver's folder.
fn driver(folder: &Path, name: &str) -> Child {
    let own = folder.join("drivers").join(name);
    fs::create_dir_all(&own).unwrap();
    let mut python = Command::new("python3");
    python.arg(LAUNCHER).arg(folder).arg("t").current_dir(own).env("PYTHONDONTWRITEBYTECODE", "1");
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn document(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&read(folder, name)).unwrap_or_default()
}

/// Waits for the end while the JVM lives: `wait_with_output` would close the pipe.
fn end(mut driver: Child) -> Output {
    let jvm = driver.stdin.take();
    let output = driver.wait_with_output().unwrap();
    drop(jvm);
    output
}

/// Waits until the program has written a file, for as long as the test may take.
fn written(folder: &Path, name: &str) -> String {
    loop {
        let text = read(folder, name);
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        std::thread::yield_now();
    }
}

fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Where nobody reaps orphans a dead one stays as a zombie.
    status.rsplit(')').next().is_some_and(|it| !it.is_empty() && !it.trim().starts_with('Z'))
}

#[test]
fn a_program_is_run_and_its_end_is_told() {
    let check = |script: &str, end_expected: Value, code: i32, out: &str| {
        let folder = folder(&json!(["sh", "-c", script, "sh", "$HOME;\n x"]));
        let output = end(driver(folder.path(), "driver-1"));
        assert_eq!(document(folder.path(), "end.json"), end_expected, "{output:?}");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(read(folder.path(), "out.txt"), out);
        assert_eq!(document(folder.path(), "claim.json"), json!({ "driver": "driver-1" }));
    };
    check("printf '%s' \"$1|$GREETING\"", json!({ "exit": 0 }), 0, "$HOME;\n x|a  b");
    check("exit 7", json!({ "exit": 7 }), 7, "");
    check("kill -9 $$", json!({ "signal": 9 }), 1, "");

    let missing = folder(&json!(["./no-such-program"]));
    assert_eq!(end(driver(missing.path(), "driver-1")).status.code(), Some(127));
    let told = document(missing.path(), "end.json")["unstarted"].to_string();
    assert!(told.contains("No such file"), "{told}");
}

#[test]
fn of_many_drivers_one_runs_the_attempt() {
    let folder = folder(&json!(["sh", "-c", "echo ran"]));
    let drivers: Vec<_> = (0..8).map(|at| driver(folder.path(), &format!("driver-{at}"))).collect();
    let outputs: Vec<_> = drivers.into_iter().map(end).collect();
    assert!(outputs.iter().all(|it| it.status.success()), "{outputs:?}");
    assert_eq!(read(folder.path(), "out.txt"), "ran\n");
    let idle = outputs.iter().filter(|it| !it.stdout.is_empty()).count();
    assert_eq!(idle, 7, "{outputs:?}");
    let left = fs::read_dir(folder.path()).unwrap().flatten();
    let left: Vec<_> =
        left.map(|it| it.file_name()).filter(|it| it.to_str().unwrap().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_was_withdrawn_does_nothing() {
    let folder = folder(&json!(["sh", "-c", "echo ran"]));
    fs::write(folder.path().join("claim.json"), "{}").unwrap();
    assert!(end(driver(folder.path(), "driver-1")).status.success());
    assert_eq!(read(folder.path(), "out.txt"), "");
    assert!(!folder.path().join("end.json").exists());
}

#[test]
fn a_request_to_stop_is_heeded_with_its_grace() {
    let check = |trap: &str, grace: f64, expect: Value| {
        let script = format!("trap '{trap}' TERM; echo $$; while :; do sleep 0.05; done");
        let folder = folder(&json!(["sh", "-c", script]));
        let driver = driver(folder.path(), "driver-1");
        let pid = written(folder.path(), "out.txt");
        let draft = folder.path().join("stop.draft");
        fs::write(&draft, json!({ "grace": grace }).to_string()).unwrap();
        fs::rename(draft, folder.path().join("stop.json")).unwrap();
        end(driver);
        assert_eq!(document(folder.path(), "end.json"), expect);
        assert!(!is_alive(&pid));
    };
    check("exit 3", 60.0, json!({ "exit": 3 }));
    check("", 0.1, json!({ "signal": 9 }));
}

#[test]
fn a_program_ends_with_the_jvm_and_with_its_supervisor() {
    let script = "sleep 1000 & echo $! > ../child; trap 'exit 0' TERM; echo $$; wait";
    for jvm_first in [true, false] {
        let folder = folder(&json!(["sh", "-c", script]));
        let mut driver = driver(folder.path(), "driver-1");
        let pid = written(folder.path(), "out.txt");
        if jvm_first {
            // Without its JVM its end is nobody's: there is no record of it.
            drop(driver.stdin.take());
            assert_eq!(driver.wait().unwrap().code(), Some(1));
            assert!(!is_alive(&written(folder.path(), "child")), "its child is left");
        } else {
            driver.kill().unwrap();
            driver.wait().unwrap();
        }
        while is_alive(&pid) {
            std::thread::yield_now();
        }
        assert!(!folder.path().join("end.json").exists());
        let child = written(folder.path(), "child");
        if is_alive(&child) {
            Command::new("kill").arg(child).status().unwrap();
        }
    }
}
