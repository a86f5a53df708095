//! `/metrics`: its form, strictly read; its numbers, compared with what happened; and that what is
//! written about it and built on it names series that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::Failure;
use jobwright_http::{Meter, Options};
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use reqwest::Method;
use serde_json::json;

use crate::server::Server;

/// Three job groups: one succeeds at the second attempt, one fails, one hangs.
const PACKAGE: &str = r#"
jobwright: 1
name: moods
flows:
  moods:
    executor: mock
    steps:
      flaky: { retry: { max_attempts: 3, backoff: { type: fixed, delay: 20ms } } }
      bad: {}
      after: { needs: [bad] }
      stuck: {}
    outputs:
      one: { steps: [flaky] }
      two: { steps: [after] }
      three: { steps: [stuck] }
"#;

type Labels = BTreeMap<String, String>;

/// A page, read as strictly as Prometheus's own linter does.
#[derive(Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Page {
    fn read(text: &str) -> Self {
        let (mut page, mut current, mut seen) = (Self::default(), String::new(), BTreeSet::new());
        assert!(text.ends_with('\n'), "the last line is not whole");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help has words");
                assert!(help.ends_with('.') && is_name(name), "{line}");
                assert!(seen.insert(name.to_owned()), "family {name} comes twice");
                let kind = lines.next().and_then(|it| it.strip_prefix("# TYPE ")).unwrap();
                let (of, kind) = kind.split_once(' ').unwrap();
                assert!(of == name && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
                assert!(name.starts_with("jobwright_"), "{name}");
                assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}: base units");
                page.kinds.insert(name.to_owned(), kind.to_owned());
                name.clone_into(&mut current);
                continue;
            }
            let (name, labels, value) = sample(line);
            let suffix = name.strip_prefix(current.as_str()).unwrap_or_else(|| panic!("{line}"));
            let suffixes: &[&str] = match page.kinds[&current].as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix), "{line}");
            assert_eq!(labels.contains_key("le"), suffix == "_bucket", "{line}");
            assert!(page.samples.insert((name, labels), value).is_none(), "twice: {line}");
        }
        page.check_histograms();
        page
    }

    /// Buckets only grow, and the last one is the count.
    fn check_histograms(&self) {
        let mut buckets: BTreeMap<(&str, Labels), Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &self.samples {
            if let (Some(family), Some(le)) = (name.strip_suffix("_bucket"), labels.get("le")) {
                let mut rest = labels.clone();
                rest.remove("le");
                let bound = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
                buckets.entry((family, rest)).or_default().push((bound, *value));
            }
        }
        for ((family, labels), mut buckets) in buckets {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{family} {labels:?}");
            let last = buckets.last().unwrap();
            let count = self.samples[&(format!("{family}_count"), labels.clone())];
            assert_eq!(*last, (f64::INFINITY, count), "{family} {labels:?}");
            let sum = self.samples[&(format!("{family}_sum"), labels)];
            assert!(sum >= 0.0 && (count > 0.0 || sum == 0.0), "{family}");
        }
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(label, text)| (label.to_string(), text.to_string()));
        let key = (name.to_owned(), labels.collect());
        *self.samples.get(&key).unwrap_or_else(|| panic!("no sample {key:?}"))
    }

    /// All samples of a name that are not 0.
    fn counted(&self, name: &str) -> Vec<(Vec<&str>, f64)> {
        let of_name = self.samples.iter().filter(|((it, _), value)| it == name && **value != 0.0);
        of_name
            .map(|((_, labels), value)| (labels.values().map(String::as_str).collect(), *value))
            .collect()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
        None => (series, ""),
    };
    assert!(is_name(name), "{line}");
    let mut read = Labels::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(label), "{line}");
        let mut end = None;
        let mut escaped = false;
        for (at, byte) in after.bytes().enumerate() {
            match byte {
                b'\\' if !escaped => escaped = true,
                b'"' if !escaped => {
                    end = Some(at);
                    break;
                }
                b'\\' | b'"' | b'n' if escaped => escaped = false,
                _ => assert!(!escaped, "{line}"),
            }
        }
        let end = end.unwrap_or_else(|| panic!("{line}"));
        assert!(read.insert(label.to_owned(), after[..end].to_owned()).is_none(), "{line}");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() };
    (name.to_owned(), read, value)
}

/// A server whose engine has a meter, and four slots.
async fn metered(meter: Meter) -> Server {
    let mock = MockExecutor::new()
        .on("flaky", [Act::fails(Failure::retryable("exit", "no")), Act::succeeds()])
        .on("bad", [Act::fails(Failure::permanent("exit", "no"))])
        .on("stuck", [Act::hangs()]);
    let engine = Engine::builder().store(MemoryStore::new()).executor("mock", mock);
    let engine = engine.executor_limit("mock", 4).executor("spare", MockExecutor::new());
    let server = Server::over(engine.observer(meter.clone()), Options::default().meter(meter));
    server.await
}

async fn page(server: &Server) -> Page {
    Page::read(&server.send(server.bare(Method::GET, "/metrics")).await.expect(200).text)
}

/// Runs the package once, and ends all of it.
async fn run(server: &Server) {
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    assert_eq!(server.ended(1).await, "\"Complete\"");
    assert_eq!(server.ended(2).await, "\"Failed\"");
}

#[tokio::test]
async fn the_numbers_are_what_happened() {
    let server = metered(Meter::new()).await;
    let before = page(&server).await;
    for result in ["succeeded", "failed", "cancelled"] {
        assert_eq!(before.value("jobwright_job_groups_total", &[("result", result)]), 0.0);
    }
    for executor in ["mock", "spare"] {
        let labels = [("executor", executor), ("result", "timed_out")];
        assert_eq!(before.value("jobwright_job_attempts_total", &labels), 0.0);
        assert_eq!(before.value("jobwright_job_run_duration_seconds_count", &labels), 0.0);
        let labels = [("executor", executor), ("reason", "lost")];
        assert_eq!(before.value("jobwright_job_retries_total", &labels), 0.0);
    }
    let free = |executor| [("executor", executor), ("state", "free")];
    assert_eq!(before.value("jobwright_executor_slots", &free("spare")), f64::INFINITY);
    assert_eq!(before.counted("jobwright_build_info")[0].1, 1.0);

    server.deploy_package(PACKAGE).await;
    run(&server).await;
    let during = page(&server).await;
    assert_eq!(during.counted("jobwright_jobs"), [(vec!["running"], 1.0)]);
    assert_eq!(during.value("jobwright_job_groups_live", &[]), 1.0);
    assert_eq!(during.value("jobwright_executor_slots", &free("mock")), 3.0);
    let cancel = server.post("/v4/jobGroups/3/cancel", &json!({})).await;
    cancel.expect(200);
    assert_eq!(server.ended(3).await, "\"Canceled\"");

    let after = page(&server).await;
    let each = |result: &'static str| (vec![result], 1.0);
    let groups = [each("cancelled"), each("failed"), each("succeeded")];
    assert_eq!(after.counted("jobwright_job_groups_total"), groups);
    assert_eq!(after.counted("jobwright_job_group_duration_seconds_count"), groups);
    let of_mock = |result: &'static str| (vec!["mock", result], 1.0);
    let attempts = ["cancelled", "permanent", "retryable", "succeeded"].map(of_mock);
    assert_eq!(after.counted("jobwright_job_attempts_total"), attempts);
    assert_eq!(after.counted("jobwright_job_run_duration_seconds_count"), attempts);
    assert_eq!(after.counted("jobwright_job_retries_total"), [of_mock("retryable")]);
    let queued = after.counted("jobwright_job_queue_duration_seconds_count");
    assert_eq!(queued, [(vec!["mock"], 4.0)]);
    assert_eq!(after.counted("jobwright_jobs"), []);
    assert_eq!(after.value("jobwright_executor_slots", &free("mock")), 4.0);
    let mut events = 0;
    for group in 1..=3 {
        let group = jobwright_core::GroupId::new(group).unwrap();
        events += server.engine.history(group, jobwright_core::Seq(1)).await.unwrap().len();
    }
    assert_eq!(after.value("jobwright_store_events_total", &[]), events as f64);
    assert_eq!(after.value("jobwright_store_errors_total", &[]), 0.0);
    assert_eq!(after.value("jobwright_lease_epoch", &[]), 1.0);
    assert!(after.value("jobwright_scheduler_lag_seconds_count", &[]) >= 1.0, "the retry was due");
    assert!(after.value("jobwright_store_append_duration_seconds_count", &[]) >= 4.0);
    let request = [("method", "POST"), ("route", "/v4/deployments/{id}/run")];
    let request = [request[0], request[1], ("status_class", "2xx")];
    assert_eq!(after.value("jobwright_http_request_duration_seconds_count", &request), 1.0);
}

#[tokio::test]
async fn deployments_are_told_apart_where_that_is_wanted() {
    let server = metered(Meter::by_deployment()).await;
    assert_eq!(page(&server).await.counted("jobwright_job_groups_total"), []);
    server.deploy_package(PACKAGE).await;
    run(&server).await;
    let renamed = json!({ "name": "a \"b\" \\ c" });
    server.patch("/v4/deployments/1", &renamed).await.expect(200);
    let name = "a \\\"b\\\" \\\\ c";
    let of = |result| (vec![name, result], 1.0);
    let page = page(&server).await;
    assert_eq!(page.counted("jobwright_job_groups_total"), [of("failed"), of("succeeded")]);
    let labels = [("deployment", name), ("result", "cancelled")];
    assert_eq!(page.value("jobwright_job_group_duration_seconds_count", &labels), 0.0);
}

/// The names of series that a text holds, without the suffixes of histograms.
fn named(text: &str, kinds: &BTreeMap<String, String>) -> BTreeSet<String> {
    let words = text.split(|it: char| !(it.is_ascii_lowercase() || it == '_'));
    let words = words.filter(|word| word.starts_with("jobwright_"));
    words
        .map(|word| {
            let mut suffixes = ["_bucket", "_sum", "_count"].into_iter();
            let family = suffixes.find_map(|suffix| word.strip_suffix(suffix));
            let family = family.filter(|it| kinds.get(*it).is_some_and(|it| it == "histogram"));
            family.unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn what_is_written_about_series_is_true() {
    let kinds = page(&metered(Meter::new()).await).await.kinds;
    let all: BTreeSet<_> = kinds.keys().cloned().collect();
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(path);
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(named(&read("observability.md"), &kinds), all, "docs/observability.md");
    let dashboard = read("grafana/dashboard.json");
    let unknown: Vec<_> = named(&dashboard, &kinds).difference(&all).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new(), "docs/grafana/dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 12, "{} panels", panels.len());
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "a panel's id is its own");
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        assert!(target["expr"].as_str().unwrap().contains("jobwright_"), "{target}");
    }
    let alerts = read("grafana/alerts.yml");
    let unknown: Vec<_> = named(&alerts, &kinds).difference(&all).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new(), "docs/grafana/alerts.yml");
    assert_eq!(alerts.matches("- alert: ").count(), 6);
}
