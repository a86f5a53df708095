//! How far job groups are, while one waits: bars on a terminal, a line per transition elsewhere,
//! nothing where a program reads. All of it on standard error.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::text::{line, plain};
use super::time::Zone;
use super::{Output, note};
use crate::client::ServerEvent;

/// How many running jobs have a line of their own; a screen is not redrawn for thousands.
const MOST_BARS: usize = 12;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// The place where progress is told.
pub(crate) struct Board {
    jobs: BTreeMap<i64, Job>,
    show: Show,
}

struct Job {
    name: String,
    bar: Option<ProgressBar>,
    ended: bool,
}

enum Show {
    Bars { screen: MultiProgress, sum: ProgressBar, failed: u64 },
    Lines(Zone),
    Nothing,
}

impl Board {
    /// `jobs` are those of all groups, as the API shows them.
    pub(crate) fn new(output: &Output, jobs: &[Value]) -> Self {
        let show = if output.is_json() {
            Show::Nothing
        } else if std::io::stderr().is_terminal() {
            bars(jobs.len())
        } else {
            Show::Lines(Zone::Kept)
        };
        let job = |it: &Value| {
            let name = plain(it["name"].as_str().unwrap_or_default());
            Some((it["id"].as_i64()?, Job { name, bar: None, ended: false }))
        };
        Self { jobs: jobs.iter().filter_map(job).collect(), show }
    }

    /// Tells what happened.
    pub(crate) fn tell(&mut self, event: &ServerEvent) {
        match event.name.as_str() {
            "job" => self.job(&event.data),
            "progress" => self.progress(&event.data),
            "jobGroup" => self.group(&event.data),
            "gap" => self.say(&format!("{} events were missed", event.data["missed"])),
            _ => {}
        }
    }

    /// Says something beside the progress.
    pub(crate) fn say(&self, text: &str) {
        match &self.show {
            Show::Bars { screen, .. } => screen.suspend(|| note(text)),
            Show::Lines(_) => note(text),
            Show::Nothing => {}
        }
    }

    /// Asks for room for a question.
    pub(crate) fn suspend<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.show {
            Show::Bars { screen, .. } => screen.suspend(ask),
            Show::Lines(_) | Show::Nothing => ask(),
        }
    }

    fn job(&mut self, event: &Value) {
        let Some(id) = event["jobId"].as_i64() else { return };
        let Some(words) = words(event) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let status = event["status"].as_str();
        match &mut self.show {
            Show::Nothing => {}
            Show::Lines(zone) => {
                let at = zone.show(event["at"].as_str().unwrap_or_default());
                note(&format!("{at} job {id} {}: {words}", job.name));
            }
            Show::Bars { screen, sum, failed } => {
                if let Some(status) = status.filter(|_| !job.ended) {
                    job.ended = true;
                    sum.inc(1);
                    *failed += u64::from(status == "Failed");
                    if let Some(bar) = job.bar.take() {
                        bar.finish_and_clear();
                    }
                    if status != "Complete" {
                        screen.suspend(|| note(&format!("job {id} {}: {words}", job.name)));
                    }
                    if *failed > 0 {
                        sum.set_message(format!("{failed} failed"));
                    }
                } else {
                    self.live(id, &words);
                }
            }
        }
    }

    /// Shows a job that runs in a line of its own, if there is room.
    fn live(&mut self, id: i64, words: &str) {
        let shown = self.jobs.values().filter(|job| job.bar.is_some()).count();
        let (Show::Bars { screen, .. }, Some(job)) = (&self.show, self.jobs.get_mut(&id)) else {
            return;
        };
        if job.bar.is_none() && shown < MOST_BARS && !job.ended {
            let bar = screen.insert_from_back(1, ProgressBar::new_spinner());
            bar.set_prefix(job.name.clone());
            bar.set_style(style("  {spinner} {prefix} {wide_msg} {elapsed}"));
            bar.enable_steady_tick(TICK);
            job.bar = Some(bar);
        }
        if let Some(bar) = &job.bar {
            bar.set_message(words.to_owned());
        }
    }

    fn progress(&mut self, event: &Value) {
        let Some(id) = event["jobId"].as_i64() else { return };
        let message = line(event["message"].as_str().unwrap_or_default());
        let words = format!("{} % {message}", event["percent"]);
        if matches!(self.show, Show::Bars { .. }) {
            self.live(id, words.trim_end());
        }
    }

    fn group(&self, event: &Value) {
        let id = &event["jobGroupId"];
        let words = match (event["type"].as_str(), event["status"].as_str()) {
            (Some("groupEnded"), Some(status)) => status.to_owned(),
            (Some("cancelRequested"), _) => "is being cancelled".to_owned(),
            (Some("adopted"), _) => "was taken up by another engine".to_owned(),
            _ => return,
        };
        self.say(&format!("job group {id}: {words}"));
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if let Show::Bars { sum, screen, .. } = &self.show {
            sum.finish_and_clear();
            // What is left on the screen when there is nobody to look is no failure.
            let _ = screen.clear();
        }
    }
}

/// What happened to a job, if it is worth a line.
fn words(event: &Value) -> Option<String> {
    let attempt = &event["attempt"];
    let message = event["errorMessage"].as_str().map(line);
    let because = || message.clone().map_or_else(String::new, |it| format!(": {it}"));
    Some(match event["type"].as_str()? {
        "requested" => format!("attempt {attempt} begins"),
        "stopping" => format!("attempt {attempt} is being stopped"),
        "attemptEnded" | "jobEnded" => match (event["status"].as_str(), &event["retryAt"]) {
            (Some(status), _) => format!("{status}{}", because()),
            (None, Value::String(at)) => {
                format!("attempt {attempt} failed, next at {at}{}", because())
            }
            (None, _) => format!("attempt {attempt} ended{}", because()),
        },
        _ => return None,
    })
}

fn bars(jobs: usize) -> Show {
    let screen = MultiProgress::new();
    let sum = screen.add(ProgressBar::new(jobs as u64));
    sum.set_style(style("{bar:30} {pos}/{len} jobs {msg} {elapsed}"));
    sum.enable_steady_tick(TICK);
    Show::Bars { screen, sum, failed: 0 }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn transitions_have_their_words() {
        let check = |event: Value, expect: Option<&str>| {
            assert_eq!(words(&event).as_deref(), expect, "{event}");
        };
        check(json!({ "type": "ready" }), None);
        check(json!({ "type": "requested", "attempt": 2 }), Some("attempt 2 begins"));
        check(
            json!({ "type": "attemptEnded", "attempt": 1, "retryAt": "2026-01-01T00:00:00Z",
                    "errorMessage": "exit 3" }),
            Some("attempt 1 failed, next at 2026-01-01T00:00:00Z: exit 3"),
        );
        check(
            json!({ "type": "attemptEnded", "attempt": 1, "status": "Complete" }),
            Some("Complete"),
        );
        check(json!({ "type": "jobEnded", "status": "Canceled" }), Some("Canceled"));
    }
}
