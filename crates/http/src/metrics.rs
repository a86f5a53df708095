//! Counters of the API, in the text form that Prometheus reads.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;

use crate::app::App;

/// Upper bounds of the histogram, in milliseconds.
const BOUNDS: [u64; 10] = [1, 5, 10, 25, 50, 100, 250, 1_000, 10_000, 60_000];

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: DashMap<Series, Histogram>,
    lagged: AtomicU64,
}

/// Whose requests: a route as it is registered, so that no id and no text of a user is a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Series {
    route: String,
    method: &'static str,
    class: u16,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    millis: u64,
    count: u64,
}

impl Metrics {
    /// Counts a request that was answered.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let known = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"];
        let method = known.into_iter().find(|it| *it == method).unwrap_or("other");
        let series = Series { route: route.to_owned(), method, class: status / 100 };
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut histogram = self.requests.entry(series).or_default();
        histogram.count += 1;
        histogram.millis = histogram.millis.saturating_add(millis);
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(millis <= bound);
        }
    }

    /// Counts what a slow reader of a stream missed.
    pub(crate) fn lagged(&self, missed: u64) {
        self.lagged.fetch_add(missed, Ordering::Relaxed);
    }

    fn render(&self, streams: u64) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text, streams);
        text
    }

    fn write(&self, to: &mut String, streams: u64) -> std::fmt::Result {
        writeln!(to, "# TYPE jobwright_build_info gauge")?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(to, "jobwright_build_info{{version=\"{version}\"}} 1")?;
        writeln!(to, "# TYPE jobwright_sse_clients gauge\njobwright_sse_clients {streams}")?;
        let lagged = self.lagged.load(Ordering::Relaxed);
        writeln!(to, "# TYPE jobwright_sse_lagged_total counter")?;
        writeln!(to, "jobwright_sse_lagged_total {lagged}")?;
        let name = "jobwright_http_request_duration_seconds";
        writeln!(to, "# TYPE {name} histogram")?;
        let mut all: Vec<_> = self.requests.iter().map(|it| it.key().clone()).collect();
        all.sort();
        for series in all {
            let Some(it) = self.requests.get(&series) else { continue };
            let Series { route, method, class } = &series;
            let labels =
                format!("route=\"{route}\",method=\"{method}\",status_class=\"{class}xx\"");
            for (bound, bucket) in BOUNDS.iter().zip(it.buckets) {
                let (whole, thousandths) = (bound / 1_000, bound % 1_000);
                writeln!(to, "{name}_bucket{{{labels},le=\"{whole}.{thousandths:03}\"}} {bucket}")?;
            }
            writeln!(to, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", it.count)?;
            let (whole, thousandths) = (it.millis / 1_000, it.millis % 1_000);
            writeln!(to, "{name}_sum{{{labels}}} {whole}.{thousandths:03}")?;
            writeln!(to, "{name}_count{{{labels}}} {}", it.count)?;
        }
        Ok(())
    }
}

/// Tells the counters.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let text = app.0.metrics.render(app.0.quotas.open_streams());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_up() {
        let metrics = Metrics::default();
        metrics.answered("/v4/jobs/{id}", "GET", 200, Duration::from_millis(7));
        metrics.answered("/v4/jobs/{id}", "GET", 204, Duration::from_millis(2_500));
        let text = metrics.render(3);
        let check = |line: &str| assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        let labels = r#"route="/v4/jobs/{id}",method="GET",status_class="2xx""#;
        let name = "jobwright_http_request_duration_seconds";
        check("jobwright_sse_clients 3");
        check(&format!("{name}_bucket{{{labels},le=\"0.005\"}} 0"));
        check(&format!("{name}_bucket{{{labels},le=\"0.010\"}} 1"));
        check(&format!("{name}_bucket{{{labels},le=\"10.000\"}} 2"));
        check(&format!("{name}_bucket{{{labels},le=\"+Inf\"}} 2"));
        check(&format!("{name}_sum{{{labels}}} 2.507"));
    }
}
