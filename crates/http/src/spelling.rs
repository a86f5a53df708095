//! Other spellings of a path. The product does not tell upper from lower case in its routes, nor a
//! path with a slash at its end from one without, and clients rest on that: one asks for
//! `/v4/jobgroups/7/status`. What is no route is looked up once more as it is spelled here.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use crate::edge;

/// The segments of all routes as they are spelled, by their lower case.
#[derive(Debug, Clone)]
pub(crate) struct Spelling(Arc<HashMap<String, String>>);

impl Spelling {
    /// Takes the paths of the routes.
    pub(crate) fn of<'p>(paths: impl Iterator<Item = &'p str>) -> Self {
        let segments = paths.flat_map(|path| path.split('/')).filter(|it| !it.starts_with('{'));
        let segments = segments.map(|it| (it.to_ascii_lowercase(), it.to_owned()));
        Self(Arc::new(segments.collect()))
    }

    /// The path as the routes spell it; none where it is so already.
    fn respell(&self, path: &str) -> Option<String> {
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let spelled = trimmed.split('/').map(|segment| {
            self.0.get(&segment.to_ascii_lowercase()).map_or(segment, String::as_str)
        });
        let spelled = spelled.collect::<Vec<_>>().join("/");
        (spelled != path && !spelled.is_empty()).then_some(spelled)
    }

    /// Answers what no route of the router fits, by a route that is spelled otherwise.
    pub(crate) async fn again(self, routes: Router, mut request: Request) -> Response {
        let Some(path) = self.respell(request.uri().path()) else {
            return edge::no_route(request).await.into_response();
        };
        let whole = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let Ok(uri) = whole.parse::<Uri>() else {
            return edge::no_route(request).await.into_response();
        };
        *request.uri_mut() = uri;
        routes.oneshot(request).await.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelled_as_the_routes() {
        let paths = ["/v4/jobGroups/{id}/status", "/v4/deployments/{id}/releases/dryRun"];
        let spelling = Spelling::of(paths.into_iter());
        let check = |path: &str, expect: Option<&str>| {
            assert_eq!(spelling.respell(path).as_deref(), expect, "{path}");
        };
        check("/v4/jobGroups/7/status", None);
        check("/v4/jobgroups/7/status", Some("/v4/jobGroups/7/status"));
        check("/V4/JOBGROUPS/7/", Some("/v4/jobGroups/7"));
        check("/v4/deployments/1/releases/dryrun", Some("/v4/deployments/1/releases/dryRun"));
        check("/v4/other", None);
        check("/v4//", Some("/v4/"));
        check("/", None);
    }
}
