//! ETag, If-Match and If-None-Match.

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_core::{Digest, Revision};

use crate::problem::{Problem, Sort};

/// The tag of a document of this revision.
pub(crate) fn tag(revision: Revision) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", revision.0))
        .unwrap_or(HeaderValue::from_static("\"\""))
}

/// The revision that the request asks for; none where it asks for none, or for any.
pub(crate) fn expected(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    let Some(header) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match number.and_then(|number| number.parse().ok()) {
        Some(number) => Ok(Some(Revision(number))),
        // A tag that was never given fits nothing.
        None => Err(Problem::new(Sort::Stale, format!("no resource has the entity tag `{text}`"))),
    }
}

/// A body with its tag, or 304 where the client has it already.
pub(crate) fn tagged(headers: &HeaderMap, tag: HeaderValue, body: impl IntoResponse) -> Response {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let mut known =
        known.flat_map(|list| list.split(',')).map(|it| it.trim().trim_start_matches("W/"));
    let mut response = if known.any(|it| it == "*" || it.as_bytes() == tag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body.into_response()
    };
    response.headers_mut().insert(ETAG, tag);
    response
}

/// A JSON body, tagged by what it says.
pub(crate) fn by_content(headers: &HeaderMap, body: &serde_json::Value) -> Response {
    let text = body.to_string();
    let digest = Digest::of(text.as_bytes()).to_string();
    let tag = HeaderValue::from_str(&format!("\"{}\"", &digest[..16]));
    tagged(headers, tag.unwrap_or(HeaderValue::from_static("\"\"")), axum::Json(body))
}
