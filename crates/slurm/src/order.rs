//! What is handed over: a fixed script, the program's arguments as quoted words of it, and the job.

use std::path::Path;

use jobwright_adapters::remote::{Job, Resources, Variable};
use serde_json::{Value, json};

use crate::api::ApiVersion;
use crate::slurm::Site;

/// The names of what a job leaves in its attempt's folder.
pub(crate) const OUT: &str = "stdout.txt";
pub(crate) const ERR: &str = "stderr.txt";
/// Made by who comes first: the job, or the engine that gives it up.
pub(crate) const TAKEN: &str = "taken";
/// How the program ended, in one line: the job's number, the exit code, and the mark.
pub(crate) const EXIT: &str = "exit.txt";
/// The exit code of a job that came too late.
pub(crate) const BARRED: i32 = 213;

/// The script after its first words. It waits for the program also when it is asked to stop, so
/// that it can write down how that ended. Of all its commands only the program is a process.
const SCRIPT: &str = "\
trap : HUP INT TERM
folder=$1 mark=$2
shift 2
set -C
{ true >\"$folder/taken\"; } 2>/dev/null || exit 213
set +C
\"$@\"
code=$?
echo \"$SLURM_JOB_ID $code $mark\" >\"$folder/exit.txt\"
exit \"$code\"
";

/// An attempt as it is handed over. Holds secrets: it cannot be shown.
pub struct Order {
    script: String,
    variables: Vec<Variable>,
    resources: Resources,
    stdin: bool,
}

impl Order {
    pub(crate) fn new(
        job: &Job,
        command: &[String],
        variables: Vec<Variable>,
        resources: Resources,
        stdin: bool,
    ) -> Self {
        let folder = job.folder().to_string_lossy().into_owned();
        let (script, resources) = (script(&folder, &job.mark(), command), resources);
        Self { script, variables, resources, stdin }
    }

    /// Returns the body of the submission, in the words of a version.
    pub(crate) fn body(&self, job: &Job, site: &Site, version: ApiVersion) -> Value {
        let folder = job.folder();
        let at = |name: &str| text(&folder.join(name));
        let mut fields = json!({
            "name": job.key().as_str(),
            "comment": comment(job),
            "current_working_directory": text(&job.places().work),
            "standard_output": at(OUT),
            "standard_error": at(ERR),
            "standard_input": if self.stdin { text(&job.stdin()) } else { "/dev/null".into() },
            "tasks": 1,
            "cpus_per_task": cpus(self.resources),
        });
        let names = [
            ("partition", &site.partition),
            ("account", &site.account),
            ("qos", &site.qos),
            ("constraints", &site.constraints),
            ("reservation", &site.reservation),
        ];
        for (name, value) in names {
            if let Some(value) = value {
                fields[name] = value.as_str().into();
            }
        }
        if let Some(bytes) = self.resources.memory_bytes {
            fields["memory_per_node"] = quantity(bytes.div_ceil(1 << 20), version);
        }
        if let Some(time) = self.resources.time {
            fields["time_limit"] = quantity(time.as_secs().div_ceil(60), version);
        }
        let variables = &self.variables;
        if version.has_lists() {
            let list = variables.iter().map(|it| format!("{}={}", it.name, it.value));
            fields["environment"] = list.collect();
            fields["requeue"] = false.into();
            if let Some(gpus) = self.resources.gpus {
                fields["tres_per_job"] = format!("gres/gpu:{gpus}").into();
            }
        } else {
            let map = variables.iter().map(|it| (it.name.clone(), Value::from(it.value.as_str())));
            fields["environment"] = Value::Object(map.collect());
            fields["no_requeue"] = true.into();
            if let Some(gpus) = self.resources.gpus {
                fields["gres"] = format!("gpu:{gpus}").into();
            }
        }
        if version.has_flags() {
            fields["script"] = self.script.as_str().into();
            json!({ "job": fields })
        } else {
            json!({ "script": self.script, "job": fields })
        }
    }
}

/// What tells people whose job it is, and us whether it is ours.
pub(crate) fn comment(job: &Job) -> String {
    let attempt = job.attempt();
    format!("jobwright group={} attempt={} session={}", attempt.group(), attempt.id(), job.mark())
}

/// Makes the script: everything that differs is a word of its first line, in single quotes, in
/// which a shell knows no other special character.
fn script(folder: &str, mark: &str, command: &[String]) -> String {
    let words = [folder, mark].into_iter().chain(command.iter().map(String::as_str));
    let words: Vec<_> = words.map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    format!("#!/bin/sh\nset -- {}\n{SCRIPT}", words.join(" "))
}

fn cpus(resources: Resources) -> u32 {
    resources.cpu_millis.map_or(1, |millis| millis.div_ceil(1000).max(1))
}

fn quantity(number: u64, version: ApiVersion) -> Value {
    match version.has_flags() {
        true => json!({ "set": true, "infinite": false, "number": number }),
        false => number.into(),
    }
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The script is run by a real shell: what a step says arrives as it is.
    #[test]
    fn no_text_of_a_step_is_grammar() {
        let folder = tempfile::Builder::new().prefix("it's $HOME ").tempdir().unwrap();
        let texts =
            ["$(touch pwned)", "a'b", "`x`", "\"", "\\", "a\nb; exit 9", "", "-n", "*", "#"];
        let program = ["printf", "<%s>"].into_iter().chain(texts);
        let program: Vec<String> = program.map(str::to_owned).collect();
        let script = script(&folder.path().to_string_lossy(), "m'k", &program);
        let file = folder.path().join("script");
        std::fs::write(&file, script).unwrap();
        let run = || {
            let mut shell = Command::new("sh");
            shell.arg(&file).current_dir(&folder).env("SLURM_JOB_ID", "7").output().unwrap()
        };
        let output = run();
        let expect: String = texts.iter().map(|text| format!("<{text}>")).collect();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expect);
        assert_eq!(std::fs::read_to_string(folder.path().join(EXIT)).unwrap(), "7 0 m'k\n");
        assert!(!folder.path().join("pwned").exists());
        let again = run();
        assert_eq!((again.status.code(), again.stdout.len()), (Some(BARRED), 0));
    }
}
