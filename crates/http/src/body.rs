//! Bodies and paths as they come: bounded, of the right media type, refused with the place of what
//! is wrong.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Multipart, Request};
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::{Problem, Sort, told};
use crate::wire::Object;

/// A JSON object.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON list.
pub(crate) struct JsonList<T>(pub(crate) Vec<T>);

/// A JSON object, or nothing at all: then the default.
pub(crate) struct MaybeJson<T>(pub(crate) T);

/// The file of an upload: the part `data` of a multipart body.
pub(crate) struct Upload(pub(crate) Bytes);

/// An id in the path.
pub(crate) struct Id<T>(pub(crate) T);

/// The members of a query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let Object(body) = parse(&json(request, app).await?)?;
        Ok(Self(body))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for JsonList<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let items: Vec<Object<T>> = parse(&json(request, app).await?)?;
        Ok(Self(items.into_iter().map(|Object(item)| item).collect()))
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = bounded(body, app.options().body_bytes).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json(&parts.headers) {
            return Err(wants("application/json"));
        }
        let body: Option<Object<T>> = parse(&bytes)?;
        Ok(Self(body.unwrap_or_default().0))
    }
}

impl FromRequest<App> for Upload {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Problem> {
        let limit = app.options().upload_bytes;
        // The parts are bounded here, one by one.
        DefaultBodyLimit::disable().apply(&mut request);
        let kind = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        if !kind.is_some_and(|it| it.to_ascii_lowercase().starts_with("multipart/form-data")) {
            return Err(wants("multipart/form-data"));
        }
        let mut parts = match Multipart::from_request(request, app).await {
            Ok(parts) => parts,
            Err(error) => return Err(Problem::validation(told(&error))),
        };
        while let Some(mut part) = parts.next_field().await.map_err(|it| multipart(&it))? {
            if part.name() != Some("data") {
                continue;
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = part.chunk().await.map_err(|it| multipart(&it))? {
                if bytes.len() + chunk.len() > limit {
                    return Err(too_large(limit));
                }
                bytes.extend_from_slice(&chunk);
            }
            return Ok(Self(bytes.into()));
        }
        Err(Problem::validation("the upload has no part named `data`: put the package there"))
    }
}

impl<T> FromRequestParts<App> for Id<T>
where
    T: FromStr<Err: Display>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        let axum::extract::Path(text) = path.map_err(|error| Problem::validation(told(&error)))?;
        text.parse().map(Self).map_err(|error| Problem::validation(error.to_string()))
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, app).await;
        let refuse = |error| Problem::validation(told(&error));
        query.map(|axum::extract::Query(query)| Self(query)).map_err(refuse)
    }
}

/// The bytes of a body that says that it is JSON.
async fn json(request: Request, app: &App) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = bounded(body, app.options().body_bytes).await?;
    if is_json(&parts.headers) { Ok(bytes) } else { Err(wants("application/json")) }
}

async fn bounded(body: Body, limit: usize) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        let text = told(&error);
        if text.contains("length limit") { too_large(limit) } else { Problem::validation(text) }
    })
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Sort::TooLarge, format!("the body has more than {limit} bytes"))
}

fn wants(kind: &str) -> Problem {
    Problem::new(Sort::MediaType, format!("the body must be `{kind}`"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().iter().map(segment).collect::<String>();
        Problem::at(format!("#{path}"), error.inner().to_string())
    })?;
    reader.end().map_err(|error| Problem::at("#", error.to_string()))?;
    Ok(value)
}

fn segment(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    }
}

fn multipart(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(Sort::TooLarge, error.body_text());
    }
    Problem::validation(format!("the upload cannot be read: {}", error.body_text()))
}
