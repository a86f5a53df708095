//! The one way to an engine: the HTTP API. With a server it goes over a socket; without one the
//! data directory is opened here and the same router is called in this process. What is sent and
//! what comes back are the same, so commands cannot tell the two apart.

mod sse;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jobwright_http::axum;
use reqwest::header::{ACCEPT, LINK};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tower::ServiceExt as _;

use crate::args::Options;
use crate::compose::{self, Composed, Purpose};
use crate::config::Config;
use crate::exit::Failure;
use crate::tls;

pub(crate) use sse::ServerEvent;

/// How long an answer may take that is no stream; a server gives up before.
const ANSWER: Duration = Duration::from_secs(120);

/// How many items a page of a list has at most, by the API.
const PAGE: usize = 200;

/// How long an engine in this process gets to stop what it runs.
const GRACE: Duration = Duration::from_secs(10);

/// What requests to the engine in this process are addressed to; nothing is looked up.
const HERE: &str = "http://localhost";

/// A way to an engine, with the access token to show.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: SecretString,
    local: Option<Composed>,
}

impl Client {
    /// Finds the server, or opens the data directory.
    pub(crate) async fn open(options: &Options, purpose: Purpose) -> Result<Self, Failure> {
        let server = options.server.as_deref().map(str::trim).filter(|it| !it.is_empty());
        if let Some(server) = server {
            let base = address(server)?;
            let http = tls::client(&base).map_err(anyhow::Error::from)?;
            let token = remote_token(options)?;
            return Ok(Self { http, base, token, local: None });
        }
        let (composed, token) = open_here(options, purpose).await?;
        let http = tls::client(HERE).map_err(anyhow::Error::from)?;
        Ok(Self { http, base: HERE.to_owned(), token, local: Some(composed) })
    }

    /// Whether the engine runs in this process, and so only as long as the command.
    pub(crate) fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// Closes what was opened.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self.local {
            Some(composed) => Ok(composed.close(GRACE).await?),
            None => Ok(()),
        }
    }

    /// Begins a request for a path below the version, for example `/deployments`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/v4{path}", self.base));
        let request = request.header(ACCEPT, "application/json, application/problem+json;q=0.9");
        request.bearer_auth(self.token.expose_secret())
    }

    /// Sends a request. Whatever is no success is a failure.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = request.build().context("the request cannot be made")?;
        let answer = match &self.local {
            Some(composed) => here(composed, request).await?,
            None => self.http.execute(request).await.map_err(|error| self.unreachable(&error))?,
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.unwrap_or_default();
        let mut problem = match serde_json::from_slice(&body) {
            Ok(Value::Object(problem)) => problem,
            Ok(_) | Err(_) => Map::new(),
        };
        // A proxy on the way may answer in its own words.
        let detail = format!("{} answers {status}", self.base);
        problem.entry("status").or_insert_with(|| status.as_u16().into());
        problem.entry("detail").or_insert_with(|| detail.into());
        Err(Failure::Refused(problem.into()))
    }

    /// Sends a request and takes the JSON of the answer; null where there is none.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let answer = self.send(request.timeout(ANSWER)).await?;
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        let text = || format!("{} does not speak the jobwright API", self.base);
        Ok(serde_json::from_slice(&bytes).with_context(text)?)
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Value, Failure> {
        self.ask(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(self.request(Method::POST, path).json(body)).await
    }

    /// Reads a list, page after page, up to a limit.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<Value>, Failure> {
        let (mut items, mut cursor, mut offset) = (Vec::new(), None::<String>, 0);
        while items.len() < limit {
            let size = (limit - items.len()).min(PAGE);
            let mut request = self.request(Method::GET, path).query(query);
            request = request.query(&[("limit", size)]);
            request = match &cursor {
                Some(cursor) => request.query(&[("cursor", cursor)]),
                None => request.query(&[("offset", offset)]),
            };
            let answer = self.send(request.timeout(ANSWER)).await?;
            cursor = answer.headers().get(LINK).and_then(|it| next(it.to_str().ok()?));
            let mut body: Value = answer.json().await.map_err(|error| self.unreachable(&error))?;
            let Value::Array(page) = body["data"].take() else { break };
            let count = page.len();
            items.extend(page);
            // Sorted by another member than the id, a list has no cursor.
            offset = items.len();
            if count < size || (cursor.is_none() && !query.iter().any(|it| it.0 == "sort")) {
                break;
            }
        }
        items.truncate(limit);
        Ok(items)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Failure::Unreachable { server: self.base.clone(), reason: cause.to_string() }
    }
}

/// Calls the router in this process.
async fn here(composed: &Composed, request: reqwest::Request) -> Result<Response, Failure> {
    let request = axum::http::Request::<reqwest::Body>::try_from(request)
        .context("the request cannot be made")?;
    let Ok(answer) = composed.router.clone().oneshot(request.map(axum::body::Body::new)).await;
    let wrap = |body: axum::body::Body| reqwest::Body::wrap_stream(body.into_data_stream());
    Ok(Response::from(answer.map(wrap)))
}

/// Opens the data directory and takes the token of whoever owns it.
#[expect(clippy::disallowed_methods, reason = "the command reads its own environment")]
async fn open_here(
    options: &Options,
    purpose: Purpose,
) -> Result<(Composed, SecretString), Failure> {
    let token = shown_token()?;
    let mut config = Config::load(options.config.as_deref()).map_err(anyhow::Error::from)?;
    if let Ok(url) = std::env::var(compose::ADDRESS) {
        config.store.url = Some(url);
    }
    let data = options.data.clone().unwrap_or_else(compose::default_data);
    let composed =
        compose::open(&config, &data, purpose).await.map_err(|error| held(error, &data))?;
    if let Some(token) = token {
        return Ok((composed, token));
    }
    let file = options.token_file.clone().unwrap_or_else(|| data.join("token"));
    let token = match composed.owner_token(&file).await {
        Ok(token) => token,
        Err(error) => {
            composed.close(GRACE).await?;
            return Err(error.into());
        }
    };
    Ok((composed, token))
}

/// Tells a data directory that somebody else uses from one that cannot be used.
fn held(error: anyhow::Error, data: &Path) -> Failure {
    let in_use = error.chain().any(|cause| {
        let cause = cause.downcast_ref::<jobwright_store::OpenError>();
        matches!(cause, Some(jobwright_store::OpenError::InUse { .. }))
    });
    if in_use {
        return Failure::Held(format!("the data directory `{}` is in use", data.display()));
    }
    error.into()
}

fn address(server: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::Usage(format!("`{server}` is no server's address: {why}, as in http://host:8080"))
    };
    let url = reqwest::Url::parse(server).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("it begins with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("no password stands in it"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The token for a server: in a file, or in the environment.
fn remote_token(options: &Options) -> Result<SecretString, Failure> {
    let Some(file) = &options.token_file else {
        let none = || Failure::NoToken("no access token to show to the server".to_owned());
        return shown_token()?.ok_or_else(none);
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read the token file `{}`", file.display()))?;
    let token = jobwright_http::Secret::parse(text.trim())
        .map_err(|error| Failure::NoToken(format!("the file `{}`: {error}", file.display())))?;
    Ok(token.reveal().to_owned().into())
}

/// The token in the environment.
fn shown_token() -> Result<Option<SecretString>, Failure> {
    #[expect(clippy::disallowed_methods, reason = "a secret is never an argument")]
    let Ok(token) = std::env::var("JOBWRIGHT_TOKEN") else { return Ok(None) };
    let token = token.trim();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::NoToken("JOBWRIGHT_TOKEN holds no access token".to_owned()));
    }
    Ok(Some(token.to_owned()).filter(|it| !it.is_empty()).map(SecretString::from))
}

/// The cursor of the next page in a `Link` header.
fn next(link: &str) -> Option<String> {
    let part = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, rest) = part.split_once("cursor=")?;
    Some(rest.split(['&', '>']).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_found_in_links() {
        let check = |link: &str, expect: Option<&str>| {
            assert_eq!(next(link).as_deref(), expect, "{link}");
        };
        check("</v4/deployments?limit=2&cursor=-3>; rel=\"next\"", Some("-3"));
        check("</v4/deployments?cursor=7&limit=2>; rel=\"next\"", Some("7"));
        check("</v4/deployments?cursor=7>; rel=\"prev\"", None);
    }

    #[test]
    fn addresses_are_checked() {
        let check = |given: &str, expect: Option<&str>| {
            assert_eq!(address(given).ok().as_deref(), expect, "{given}");
        };
        check("http://localhost:8080", Some("http://localhost:8080"));
        check("https://jobs.example.org/engine/", Some("https://jobs.example.org/engine"));
        check("localhost:8080", None);
        check("ftp://localhost", None);
        check("http://me:secret@localhost", None);
    }
}
