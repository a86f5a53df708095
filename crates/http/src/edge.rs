//! What happens to every request before and after its handler: it gets an id, a time limit, and on
//! failure the one error body. A panic is a failed request, never the end of the server.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use jobwright_core::Timestamp;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use crate::app::App;
use crate::auth::asked;
use crate::problem::{Problem, Sort};
use crate::quota::Seat;
use crate::run::traceparent;

/// The request's id, in the words of today and in those of clients that exist already.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OLD_REQUEST_ID: HeaderName = HeaderName::from_static("x-trifacta-request-id");

/// The longest id that is taken from a client.
const MAX_ID: usize = 128;

pub(crate) async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = app.now();
    let id = request_id(request.headers()).unwrap_or_else(|| app.0.request_ids.draw(began));
    let seat = app.options().requests_per_minute.map(|_| Seat::default());
    if let Some(seat) = &seat {
        request.extensions_mut().insert(seat.clone());
    }
    let uri = asked(request.extensions(), request.uri());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map(MatchedPath::as_str);
    let method = request.method().clone();
    let wants_problem = wants_problem(request.headers());

    let span = tracing::info_span!(
        "http.request",
        otel.kind = "server",
        otel.name = format_args!("{method} {}", route.unwrap_or("none")),
        otel.status_code = Empty,
        request_id = text(&id),
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        traceparent = traceparent(request.headers()).map(tracing::field::display),
    );
    let handled = AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind();
    let answered = tokio::time::timeout(app.options().request_time, handled).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            span.in_scope(|| tracing::error!(path = uri.path(), "a handler panicked"));
            failed(Problem::new(Sort::Internal, "the server failed: see its log"))
        }
        Err(_) => failed(Problem::new(Sort::Timeout, "the request took too long")),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.render(uri.path(), text(&id), wants_problem);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id.clone());
    headers.insert(OLD_REQUEST_ID, id);
    if let Some(seat) = &seat {
        seat.write(headers);
    }
    let (status, took) = (response.status().as_u16(), app.now().since(began));
    app.0.metrics.answered(route.unwrap_or("none"), method.as_str(), status, took);
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    span.in_scope(|| tracing::debug!(status, ?took, "answered"));
    response
}

/// The answer where no route fits, or none with this method: clients expect 404 for both.
pub(crate) async fn no_route(request: Request) -> Problem {
    let uri = asked(request.extensions(), request.uri());
    Problem::new(Sort::NoRoute, format!("Cannot {} {}", request.method(), uri.path()))
}

fn failed(problem: Problem) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.extensions_mut().insert(problem);
    response
}

/// The id that the client gave, if it is fit for logs.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let given = headers.get(REQUEST_ID).or_else(|| headers.get(OLD_REQUEST_ID))?;
    let id = given.as_bytes();
    let fits = (1..=MAX_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    fits.then(|| given.clone())
}

fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

/// Draws the ids of requests: the time, and a number that is random in each server and counts on.
/// Asking the operating system for each would cost more than the rest of a small request.
pub(crate) struct RequestIds {
    first: u128,
    drawn: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is a door: one id per router")]
        let first = Uuid::now_v7().as_u128();
        Self { first, drawn: AtomicU64::new(0) }
    }

    fn draw(&self, now: Timestamp) -> HeaderValue {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let [_, _, _, _, _, _, number @ ..] =
            self.first.wrapping_add(u128::from(count)).to_be_bytes();
        let millis = now.as_millis().cast_unsigned();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &number).into_uuid();
        let mut buffer = Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).expect("it is ASCII")
    }
}

fn wants_problem(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    accepted.into_iter().any(|it| it.contains("application/problem+json"))
}
