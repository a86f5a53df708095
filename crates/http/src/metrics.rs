//! `/metrics`: the series of the API and of the engine. No id and no text of a user is a label,
//! unless the embedder lets the names of deployments be one.

mod engine;
mod exposition;
mod histogram;
mod meter;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;

use crate::app::App;
use crate::view::View;

use self::exposition::Page;
use self::histogram::{Histogram, REQUEST};

pub use meter::Meter;

/// How long the names of deployments may take to be read.
const NAMES_WITHIN: Duration = Duration::from_secs(1);

/// What is counted of the API.
#[derive(Default)]
pub(crate) struct Metrics {
    routes: DashMap<String, Arc<OfRoute>>,
    lagged: AtomicU64,
}

/// The requests of a route as it is registered, by their methods and the classes of their statuses.
#[derive(Default)]
struct OfRoute([[OnceLock<Histogram>; CLASSES]; METHODS.len()]);

const METHODS: [&str; 8] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "other"];

/// From `0xx` to `5xx`.
const CLASSES: usize = 6;

impl Metrics {
    /// Counts a request that was answered.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let method = METHODS.iter().position(|it| *it == method).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100).min(CLASSES - 1);
        let record = |of: &OfRoute| {
            of.0[method][class].get_or_init(|| Histogram::new(REQUEST)).record(took);
        };
        match self.routes.get(route) {
            Some(of) => record(&of),
            None => record(&self.routes.entry(route.to_owned()).or_default()),
        }
    }

    /// Counts what a slow reader of a stream missed.
    pub(crate) fn lagged(&self, missed: u64) {
        self.lagged.fetch_add(missed, Ordering::Relaxed);
    }

    fn write(&self, page: &mut Page, streams: u64) {
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", option_env!("JOBWRIGHT_COMMIT").unwrap_or("unknown")),
        ];
        page.gauge("jobwright_build_info", "What was built; always 1.").sample(&labels, 1);
        page.gauge("jobwright_sse_clients", "Event streams that are open.").sample(&[], streams);
        page.counter("jobwright_sse_lagged_total", "Turns and lines that slow streams missed.")
            .sample(&[], self.lagged.load(Ordering::Relaxed));
        let mut all: Vec<_> =
            self.routes.iter().map(|it| (it.key().clone(), Arc::clone(it.value()))).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let help = "From the headers of a request to those of its response.";
        let mut family = page.histogram("jobwright_http_request_duration_seconds", help);
        for (route, of) in &all {
            for (method, classes) in METHODS.iter().zip(&of.0) {
                for (class, histogram) in classes.iter().enumerate() {
                    let Some(histogram) = histogram.get() else { continue };
                    let class = format!("{class}xx");
                    let labels =
                        [("route", &**route), ("method", method), ("status_class", &class)];
                    family.samples(&labels, histogram);
                }
            }
        }
    }
}

/// Tells the counters. Waits for nothing but the names of deployments, where they are labels.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let mut page = Page::default();
    app.0.metrics.write(&mut page, app.0.quotas.open_streams());
    if let Some(meter) = &app.options().meter {
        let named = tokio::time::timeout(NAMES_WITHIN, named(&app, meter)).await;
        engine::counted(&mut page, meter.counted(), &named.unwrap_or_default());
    }
    engine::gauges(&mut page, &View::new(&app.0.engine).gauges());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], page.into_text()).into_response()
}

/// The groups of deployments by the names that those have now; one that was deleted has none.
async fn named(app: &App, meter: &Meter) -> engine::Named {
    let mut named = engine::Named::new();
    let Some(deployments) = &meter.counted().deployments else { return named };
    let mut all: Vec<_> =
        deployments.iter().map(|it| (*it.key(), Arc::clone(it.value()))).collect();
    all.sort_by_key(|(id, _)| *id);
    let view = View::new(&app.0.engine);
    for (id, groups) in all {
        if let Ok(Some((deployment, _))) = view.find_deployment(id).await {
            named.push((deployment.name, groups));
        }
    }
    // A name that changed hands while they were read must not come twice.
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    named.dedup_by(|(one, _), (other, _)| one == other);
    named
}
