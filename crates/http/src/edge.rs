//! What happens to every request before and after its handler: it gets an id, a time limit, and on
//! failure the one error body. A panic is a failed request, never the end of the server.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use crate::app::App;
use crate::problem::{Problem, Sort};
use crate::quota::Seat;
use crate::run::traceparent;

/// The request's id, in the words of today and in those of clients that exist already.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OLD_REQUEST_ID: HeaderName = HeaderName::from_static("x-trifacta-request-id");

/// The longest id that is taken from a client.
const MAX_ID: usize = 128;

pub(crate) async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let seat = Seat::default();
    request.extensions_mut().insert(seat.clone());
    let path = request.extensions().get::<OriginalUri>().map_or(request.uri(), |uri| &uri.0);
    let path = path.path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|it| it.as_str().to_owned());
    let method = request.method().clone();
    let wants_problem = wants_problem(request.headers());
    let began = app.now();

    let span = tracing::info_span!(
        "http.request",
        otel.kind = "server",
        otel.name = format_args!("{method} {}", route.as_deref().unwrap_or("none")),
        otel.status_code = Empty,
        request_id = id,
        http.request.method = %method,
        http.route = route.as_deref(),
        http.response.status_code = Empty,
        traceparent = traceparent(request.headers()).map(tracing::field::display),
    );
    let handled = AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind();
    let answered = tokio::time::timeout(app.options().request_time, handled).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            span.in_scope(|| tracing::error!(path, "a handler panicked"));
            failed(Problem::new(Sort::Internal, "the server failed: see its log"))
        }
        Err(_) => failed(Problem::new(Sort::Timeout, "the request took too long")),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.render(&path, &id, wants_problem);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value.clone());
        headers.insert(OLD_REQUEST_ID, value);
    }
    seat.write(headers);
    let (status, took) = (response.status().as_u16(), app.now().since(began));
    app.0.metrics.answered(route.as_deref().unwrap_or("none"), method.as_str(), status, took);
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    span.in_scope(|| tracing::debug!(status, ?took, "answered"));
    response
}

/// The answer where no route fits, or none with this method: clients expect 404 for both.
pub(crate) async fn no_route(request: Request) -> Problem {
    let path = request.extensions().get::<OriginalUri>().map_or(request.uri(), |uri| &uri.0).path();
    Problem::new(Sort::NoRoute, format!("Cannot {} {path}", request.method()))
}

fn failed(problem: Problem) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.extensions_mut().insert(problem);
    response
}

/// The id that the client gave, if it is fit for logs; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).or_else(|| headers.get(OLD_REQUEST_ID));
    let given = given.and_then(|it| it.to_str().ok());
    let fits = |id: &&str| {
        (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match given.filter(fits) {
        Some(id) => id.to_owned(),
        None => drawn(),
    }
}

fn drawn() -> String {
    #[expect(clippy::disallowed_methods, reason = "this is a door: one id per request")]
    let id = Uuid::now_v7();
    id.to_string()
}

fn wants_problem(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    accepted.into_iter().any(|it| it.contains("application/problem+json"))
}
