//! Requests to slurmrestd, and what its answers mean. Nothing is followed, nothing repeated.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jobwright_adapters::remote::Trouble;
use jobwright_core::secret::ExposeSecret;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, redirect};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::slurm::{Site, SiteError};
use crate::token::Token;
use crate::wire::{Fault, Plain};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// The versions whose words are known; of these the newest that the cluster has is spoken.
const KNOWN: std::ops::RangeInclusive<u32> = 36..=44;

/// Numbers of Slurm's own errors that tell that it has decided: it did nothing.
const DECIDED: std::ops::RangeInclusive<i64> = 2000..=3999;
const PARSED: std::ops::RangeInclusive<i64> = 9000..=9999;

/// Slurm's `SLURM_PROTOCOL_AUTHENTICATION_ERROR`.
const AUTHENTICATION: i64 = 1007;

/// Those that ask for patience: it has as many jobs as it may (`EAGAIN`), it stands by for another
/// controller, it takes no jobs for now.
const BUSY: [i64; 4] = [11, 2027, 2105, 2131];

/// A version of slurmrestd's API, such as `v0.0.38`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(u32);

/// A text that is no version of the API.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no version of slurmrestd's API: write one such as `v0.0.38`")]
pub struct ApiVersionError(String);

impl ApiVersion {
    /// From here on the environment is a list, and requeueing is forbidden by its own field.
    pub(crate) fn has_lists(self) -> bool {
        self.0 >= 39
    }

    /// From here on the script is a field of the job, and a signal has flags.
    pub(crate) fn has_flags(self) -> bool {
        self.0 >= 40
    }
}

impl FromStr for ApiVersion {
    type Err = ApiVersionError;
    fn from_str(text: &str) -> Result<Self, ApiVersionError> {
        let number = text.strip_prefix("v0.0.").and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| ApiVersionError(text.to_owned()))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v0.0.{}", self.0)
    }
}

/// Why a request did not bring what was asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The cluster has decided against it, and done nothing.
    Decided { number: i64, words: String },
    /// Anything else.
    Trouble(Trouble),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Decided { words, .. } => Self::Denied(words),
            Refusal::Trouble(trouble) => trouble,
        }
    }
}

/// The way to one slurmrestd.
pub(crate) struct Api {
    client: Client,
    base: String,
    user: HeaderValue,
    token: Token,
    wanted: Option<ApiVersion>,
    spoken: Mutex<Option<ApiVersion>>,
    asked: AtomicU64,
}

impl Api {
    pub(crate) fn new(site: &Site, token: Token) -> Result<Self, SiteError> {
        // A program that has chosen its cryptography already keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT)
            .build()
            .map_err(SiteError::Client)?;
        let user = HeaderValue::from_str(&site.user)
            .map_err(|_| SiteError::User { user: site.user.clone() })?;
        let url: reqwest::Url =
            site.url.parse().map_err(|_| SiteError::Url { url: site.url.clone() })?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
            return Err(SiteError::Url { url: site.url.clone() });
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            base,
            user,
            token,
            wanted: site.api,
            spoken: Mutex::new(None),
            asked: AtomicU64::new(0),
        })
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Returns the version that is spoken: the configured one, else the newest that both know.
    pub(crate) async fn version(&self) -> Result<ApiVersion, Trouble> {
        let known = *self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = self.wanted.or(known) {
            return Ok(version);
        }
        let url = format!("{}/openapi/v3", self.base);
        let document: serde_json::Value =
            self.ask(Method::GET, &url, None).await.map_err(Trouble::from)?;
        let version = offered(&document).ok_or_else(|| {
            let (first, last) = (ApiVersion(*KNOWN.start()), ApiVersion(*KNOWN.end()));
            Trouble::Denied(format!("it has no version of its API from {first} to {last}"))
        })?;
        tracing::info!(%version, "a version of slurmrestd's API is agreed on");
        *self.spoken.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Ok(version)
    }

    /// Asks for something below `/slurm/<version>/`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, Refusal> {
        let version = self.version().await?;
        let url = format!("{}/slurm/{version}/{path}", self.base);
        let answer = self.ask(method, &url, body).await;
        if let Err(Refusal::Trouble(trouble)) = &answer {
            self.token.doubt();
            if matches!(trouble, Trouble::Denied(_)) {
                // It may have been replaced by a newer one.
                *self.spoken.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        answer
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, Refusal> {
        let token = self.token.get().await?;
        let mut token = HeaderValue::from_str(token.expose_secret())
            .map_err(|_| Trouble::Denied("the token cannot stand in a header".to_owned()))?;
        token.set_sensitive(true);
        let mut request = self
            .client
            .request(method, url)
            .header("x-slurm-user-name", self.user.clone())
            .header("x-slurm-user-token", token);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = request.send().await.map_err(unsent)?;
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER);
        let after = after.and_then(|it| it.to_str().ok()?.trim().parse().ok());
        let content = answer.bytes().await.map_err(unanswered)?;
        let faults = || serde_json::from_slice::<Plain>(&content).unwrap_or_default().errors;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Trouble::Denied(format!("HTTP {status}: is the token still good?")).into())
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let (why, after) = (format!("HTTP {status}"), after.map(Duration::from_secs));
                Err(Trouble::Busy { why, after }.into())
            }
            _ => match faults().into_iter().next() {
                Some(fault) => Err(refusal(&fault)),
                None if status.is_success() => {
                    let read = serde_json::from_slice(&content);
                    read.map_err(|error| Trouble::Unanswered(error.to_string()).into())
                }
                None if status == StatusCode::NOT_FOUND => {
                    Err(Trouble::Denied(format!("HTTP {status}: it does not know this API")).into())
                }
                None => Err(Trouble::Unanswered(format!("HTTP {status}")).into()),
            },
        }
    }
}

/// Finds the newest version that both know in the document that describes the API.
fn offered(document: &serde_json::Value) -> Option<ApiVersion> {
    let paths = document.get("paths")?.as_object()?.keys();
    let versions = paths.filter_map(|path| {
        let path = path.trim_end_matches('/');
        let version = path.strip_prefix("/slurm/")?.strip_suffix("/jobs")?;
        let version = version.parse::<ApiVersion>().ok()?;
        KNOWN.contains(&version.0).then_some(version)
    });
    versions.max()
}

/// Tells what a fault means. Most that slurmrestd of old versions tells are -1: the controller is
/// away, or the token is not valid, which nobody can tell apart.
fn refusal(fault: &Fault) -> Refusal {
    let (number, words) = (fault.number(), fault.words());
    if BUSY.contains(&number) {
        return Trouble::Busy { why: words, after: None }.into();
    }
    if DECIDED.contains(&number) || PARSED.contains(&number) {
        return Refusal::Decided { number, words };
    }
    if number == AUTHENTICATION {
        return Trouble::Denied(words).into();
    }
    let hint = "the controller is away, or the token is not valid";
    Trouble::Unanswered(format!("{words} ({number}): {hint}")).into()
}

fn unsent(error: reqwest::Error) -> Trouble {
    if error.is_connect() { Trouble::Unsent(told(error)) } else { unanswered(error) }
}

fn unanswered(error: reqwest::Error) -> Trouble {
    Trouble::Unanswered(told(error))
}

/// The deepest cause of an error, without the address.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut deepest: &dyn Error = &error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        let check = |paths: &[&str], expect: Option<&str>| {
            let paths: serde_json::Map<_, _> =
                paths.iter().map(|path| ((*path).to_owned(), json!({}))).collect();
            let found = offered(&json!({ "paths": paths })).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expect);
        };
        check(&["/slurm/v0.0.36/jobs", "/slurm/v0.0.38/jobs", "/x"], Some("v0.0.38"));
        check(&["/slurm/v0.0.41/jobs/", "/slurm/v0.0.99/jobs"], Some("v0.0.41"));
        check(&["/slurmdb/v0.0.38/jobs", "/slurm/v0.0.38/job/submit"], None);
        assert!("v0.0.38".parse::<ApiVersion>().is_ok());
        assert!("0.0.38".parse::<ApiVersion>().is_err());
    }

    #[test]
    fn a_fault_is_a_decision_or_a_trouble() {
        let check = |number: i64, expect: &str| {
            let fault = json!({ "error_number": number, "error": "words" });
            let told = format!("{:?}", refusal(&serde_json::from_value(fault).unwrap()));
            assert!(told.contains(expect), "{number}: {told}");
        };
        check(2000, "Decided");
        check(9001, "Decided");
        check(1007, "Denied");
        check(11, "Busy");
        check(2105, "Busy");
        check(-1, "Unanswered");
        check(5005, "Unanswered");
    }
}
