//! Which of the two APIs is spoken.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// A version of the API. The handlers are the same; some members have other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// `createdBy` and `updatedBy` are numbers.
    V3,
    /// `creator` and `updater` are objects; a started group shows its `jobGraph`.
    V4,
}

impl Version {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::V4 => "v4",
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The path as the router sees it, whatever it is nested under.
        let is_old = parts.uri.path().starts_with("/v3/");
        Ok(if is_old { Self::V3 } else { Self::V4 })
    }
}
