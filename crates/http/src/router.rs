//! The routes, put together.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use dashmap::DashMap;
use jobwright_scheduler::Engine;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{App, Shared};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::quota::Quotas;
use crate::refusals::Refusals;
use crate::spelling::Spelling;
use crate::version::Version;
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
        // Bodies are bounded where they are read, each by its own limit.
        .layer(DefaultBodyLimit::disable())
        .with_state(app.clone());
    let again = routes.clone();
    routes
        .fallback(move |request: Request| spelling.clone().again(again.clone(), request))
        .layer(axum::middleware::from_fn_with_state(app, edge::edge))
}

/// Every route of both versions, with its place in the document.
pub(crate) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::frame())
        .nest("/v3", version().layer(Extension(Version::V3)))
        .nest("/v4", present().layer(Extension(Version::V4)))
}

fn version() -> OpenApiRouter<App> {
    OpenApiRouter::new()
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
fn present() -> OpenApiRouter<App> {
    version().merge(events::routes()).merge(schedules::routes())
}

async fn document(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.0.document.clone()).into_response()
}
