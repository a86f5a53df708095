//! The one error body: the members of RFC 9457 for readers of today, the `exception` object for
//! clients that exist already. The edge renders it, since it alone knows the request's id.

use std::error::Error;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What sort of problem: the registry of `type`s, each with its status and its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Validation,
    Profiling,
    Unauthenticated,
    Denied,
    NoRoute,
    NotFound,
    Timeout,
    Conflict,
    Stale,
    TooLarge,
    MediaType,
    KeyReused,
    TooMany,
    Internal,
    Unavailable,
}

impl Sort {
    /// The status, the slug of the type, the exception's name, and the title.
    pub(crate) fn words(self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::Validation => (400, "validation", "ValidationFailed", "Input validation failed"),
            Self::Profiling => (
                400,
                "no-profile",
                "ProfilingDataNotFoundException",
                "The job group was not profiled",
            ),
            Self::Unauthenticated => {
                (401, "unauthenticated", "AuthenticationException", "Authentication is required")
            }
            Self::Denied => (403, "denied", "AccessControlException", "This is not allowed"),
            Self::NoRoute => {
                (404, "no-route", "RouteNotFoundException", "This route does not exist")
            }
            Self::NotFound => {
                (404, "not-found", "DataNotFoundException", "The resource does not exist")
            }
            Self::Timeout => (408, "timeout", "RequestTimeoutException", "It took too long"),
            Self::Conflict => {
                (409, "conflict", "ConflictException", "The state does not allow it now")
            }
            Self::Stale => {
                (412, "stale", "PreconditionFailedException", "The resource has changed")
            }
            Self::TooLarge => {
                (413, "too-large", "PayloadTooLargeException", "The body is too large")
            }
            Self::MediaType => {
                (415, "media-type", "UnsupportedMediaTypeException", "The media type does not fit")
            }
            Self::KeyReused => (
                422,
                "key-reused",
                "IdempotencyKeyReusedException",
                "The idempotency key belongs to another request",
            ),
            Self::TooMany => (429, "too-many", "TooManyRequestsException", "Too many requests"),
            Self::Internal => (500, "internal", "InternalServerException", "The server failed"),
            Self::Unavailable => {
                (503, "unavailable", "ServiceUnavailableException", "It cannot be done now")
            }
        }
    }
}

/// An error on its way to the edge.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) sort: Sort,
    pub(crate) detail: String,
    pub(crate) errors: Vec<Place>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// One fault of a request, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Place {
    /// A JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// What is wrong there.
    pub(crate) detail: String,
}

/// The error body of every status from 400 on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Names the sort of problem.
    r#type: String,
    /// The sort of problem in words.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What is wrong, and what to do.
    detail: String,
    /// The path that was asked for.
    instance: String,
    /// The request's id, to find it in logs.
    #[serde(rename = "requestId")]
    request_id: String,
    /// The faults one by one, where there may be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Place>,
    /// The same, for clients that look here.
    exception: Exception,
}

/// The error in the words of clients that exist already.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Exception {
    /// A stable name.
    name: &'static str,
    /// The sort of problem in words.
    message: &'static str,
    /// What is wrong, and what to do.
    details: String,
}

impl Problem {
    pub(crate) fn new(sort: Sort, detail: impl Into<String>) -> Self {
        Self { sort, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    pub(crate) fn validation(detail: impl Into<String>) -> Self {
        Self::new(Sort::Validation, detail)
    }

    /// A fault at one place of the body.
    pub(crate) fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (Some(pointer.into()), detail.into());
        Self { errors: vec![Place { pointer, detail: detail.clone() }], ..Self::validation(detail) }
    }

    pub(crate) fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Sort::NotFound, format!("{what} {id} does not exist"))
    }

    pub(crate) fn unauthenticated(detail: &str) -> Self {
        let mut problem = Self::new(Sort::Unauthenticated, detail);
        for scheme in ["Bearer realm=\"jobwright\"", "Basic realm=\"jobwright\""] {
            problem.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(scheme)));
        }
        problem
    }

    pub(crate) fn errors(mut self, errors: Vec<Place>) -> Self {
        self.errors = errors;
        self
    }

    /// Says when asking again may help.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        for name in [RETRY_AFTER, HeaderName::from_static("x-retry-after")] {
            self.headers.push((name, HeaderValue::from(seconds)));
        }
        self
    }

    /// The body, now that the request is known.
    pub(crate) fn render(self, path: &str, request_id: &str, wants_problem: bool) -> Response {
        let (status, slug, name, title) = self.sort.words();
        let body = ProblemBody {
            r#type: format!("urn:jobwright:problem:{slug}"),
            title,
            status,
            detail: self.detail.clone(),
            instance: path.to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors,
            exception: Exception { name, message: title, details: self.detail },
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = if wants_problem { "application/problem+json" } else { "application/json" };
        let mut response = (status, bytes).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.sort.words().0);
        let mut response = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error with what caused it, in one line.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent variants and lists repeat what their cause says.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
