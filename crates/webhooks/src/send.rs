//! One try: the address is checked, its host is resolved once, and what was checked is what is
//! connected to. Nothing is followed, nothing of the answer but its status and `Retry-After` is
//! looked at, and no proxy of the environment comes between.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::secret::{ExposeSecret, SecretString};
use jobwright_core::webhook::{self, Answer, Call, Method};
use jobwright_scheduler::Engine;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, RequestBuilder, redirect};
use thiserror::Error;

use crate::guard::Guard;
use crate::options::Options;
use crate::sign::{SIGNATURE, signature};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// Sends messages, one at a call.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) engine: Engine,
    pub(crate) options: Arc<Options>,
    client: Client,
}

/// Why webhooks cannot be sent at all.
#[derive(Debug, Error)]
#[error("the http client cannot be made")]
pub struct ClientError(#[source] reqwest::Error);

/// A message as it is sent.
pub(crate) struct Message<'m> {
    pub(crate) call: &'m Call,
    /// What receivers know it by.
    pub(crate) key: &'m str,
    pub(crate) body: Option<&'m str>,
    pub(crate) number: u32,
}

/// How a try ended, and when the receiver wants the next one.
pub(crate) struct Tried {
    pub(crate) answer: Answer,
    pub(crate) after: Option<Duration>,
}

impl Tried {
    pub(crate) fn was_taken(&self) -> bool {
        self.answer.status.is_some_and(|status| (200..300).contains(&status))
    }

    fn failed(error: impl Into<String>) -> Self {
        Self { answer: Answer { status: None, error: Some(error.into()) }, after: None }
    }
}

impl Sender {
    pub(crate) fn new(engine: Engine, options: Options) -> Result<Self, ClientError> {
        // A program that has chosen its cryptography already keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(options.try_time)
            .dns_resolver(Arc::new(Checked(options.guard.clone())))
            .build()
            .map_err(ClientError)?;
        Ok(Self { engine, options: Arc::new(options), client })
    }

    /// Sends a message once. Takes no longer than a try may.
    pub(crate) async fn send(&self, message: &Message<'_>) -> Tried {
        let request = match tokio::time::timeout(self.options.try_time, self.request(message)).await
        {
            Ok(Ok(request)) => request,
            Ok(Err(reason)) => return Tried::failed(reason),
            Err(_) => return Tried::failed("the source of secrets did not answer in time"),
        };
        match request.send().await {
            Ok(response) => {
                let after = response.headers().get(RETRY_AFTER);
                let after = after.and_then(|it| it.to_str().ok()?.trim().parse().ok());
                let status = Some(response.status().as_u16());
                // Dropped with its connection: the body is nobody's.
                let answer = Answer { status, error: None };
                Tried { answer, after: after.map(Duration::from_secs) }
            }
            Err(error) => Tried::failed(told(error)),
        }
    }

    async fn request(&self, message: &Message<'_>) -> Result<RequestBuilder, String> {
        let call = message.call;
        let url = self.options.guard.url(&call.url).map_err(|it| it.to_string())?;
        let method = match call.method {
            Method::Post => reqwest::Method::POST,
            Method::Get => reqwest::Method::GET,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = self.client.request(method, url);
        let mut is_typed = false;
        for (name, value) in &call.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("no header is `{name}`"))?;
            is_typed |= name == CONTENT_TYPE;
            let value = match webhook::secret_name(value) {
                Some(secret) => {
                    let content = self.secret(secret).await?;
                    let mut value = HeaderValue::from_str(content.expose_secret())
                        .map_err(|_| format!("secret `{secret}` cannot stand in a header"))?;
                    value.set_sensitive(true);
                    value
                }
                None => HeaderValue::from_str(value)
                    .map_err(|_| format!("the value of header `{name}` cannot be sent"))?,
            };
            request = request.header(name, value);
        }
        request = request
            .header(USER_AGENT, concat!("jobwright/", env!("CARGO_PKG_VERSION")))
            .header("x-jobwright-delivery", message.key)
            .header("x-jobwright-event", call.trigger.as_str())
            .header("x-jobwright-try", message.number);
        let body = message.body.unwrap_or_default();
        if let Some(name) = &call.secret {
            let key = self.secret(name).await?;
            let signature = signature(&key, self.engine.now(), message.key, body);
            request = request.header(SIGNATURE, signature);
        }
        if message.body.is_some() {
            if !is_typed {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            request = request.body(body.to_owned());
        }
        Ok(request)
    }

    async fn secret(&self, name: &str) -> Result<SecretString, String> {
        let source = self.options.secrets.as_ref();
        let source = source.ok_or_else(|| format!("there is no source for secret `{name}`"))?;
        source.fetch(name).await.map_err(|error| error.to_string())
    }
}

/// An error with its causes, without the address: that may hold what is not for everybody.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "there was no answer in time".to_owned();
    }
    let mut deepest: &dyn Error = &error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

/// Resolves hosts, and gives only those addresses away that are checked.
struct Checked(Guard);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (host, guard) = (name.as_str().to_owned(), self.0.clone());
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
            guard.resolved(&host, &addresses)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
