//! The routes, put together.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dashmap::DashMap;
use jobwright_scheduler::Engine;
use utoipa::openapi::path::Paths;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::app::{App, Shared};
use crate::edge::RequestIds;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::quota::Quotas;
use crate::refusals::Refusals;
use crate::spelling::Spelling;
use crate::{
    deployments, edge, environment, events, groups, health, jobs, logs, metrics, openapi,
    overrides, releases, rules, run, runs, schedules, tokens, webhooks,
};

/// Makes the router of an engine. It may be nested under any path, and listens to nothing itself.
pub fn router(engine: Engine, options: Options) -> Router {
    let app = App(Arc::new(Shared {
        engine,
        options,
        known: DashMap::new(),
        quotas: Quotas::default(),
        refusals: Refusals::default(),
        revoked: tokio::sync::watch::Sender::new(0),
        metrics: Arc::new(Metrics::default()),
        request_ids: RequestIds::new(),
        document: openapi::openapi(),
    }));
    let (routes, described) = api().split_for_parts();
    let spelling = Spelling::of(described.paths.paths.keys().map(String::as_str));
    let routes = routes
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(document))
        .fallback(edge::no_route)
        .method_not_allowed_fallback(edge::no_route)
        .with_state(app.clone());
    let again = routes.clone();
    routes
        .fallback(move |request: Request| spelling.clone().again(again.clone(), request))
        .layer(axum::middleware::from_fn_with_state(app, edge::edge))
}

/// Every route of both versions, with its place in the document.
pub(crate) fn api() -> OpenApiRouter<App> {
    let router = OpenApiRouter::with_openapi(openapi::frame());
    present().under("/v4", version().under("/v3", router))
}

/// Routes, before it is said under which version they stand. They are registered with their whole
/// paths: nested, the path of every request would be written anew.
pub(crate) struct Routes(Vec<UtoipaMethodRouter<App>>);

impl Routes {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn routes(mut self, routes: UtoipaMethodRouter<App>) -> Self {
        self.0.push(routes);
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn under(self, prefix: &str, router: OpenApiRouter<App>) -> OpenApiRouter<App> {
        self.0.into_iter().fold(router, |router, (schemas, described, methods)| {
            let mut paths = Paths::new();
            let whole = described.paths.into_iter().map(|(at, it)| (format!("{prefix}{at}"), it));
            paths.paths.extend(whole);
            router.routes((schemas, paths, methods))
        })
    }
}

fn version() -> Routes {
    Routes::new()
        .merge(deployments::routes())
        .merge(releases::routes())
        .merge(rules::routes())
        .merge(run::routes())
        .merge(runs::routes())
        .merge(groups::routes())
        .merge(jobs::routes())
        .merge(logs::routes())
        .merge(environment::routes())
        .merge(overrides::routes())
        .merge(webhooks::routes())
        .merge(tokens::routes())
}

/// What only the present version has, with the rest.
fn present() -> Routes {
    version().merge(events::routes()).merge(schedules::routes())
}

async fn document(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.0.document.clone()).into_response()
}
