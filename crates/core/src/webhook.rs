//! Webhooks: who is told over HTTP that a job group has ended, what is still to be told, and the
//! port of whoever tells it. Nothing is sent from here.
//!
//! ```text
//! group ends ─► Announcement     in the commit of the group's end
//!                    │ one per webhook that it means, in one commit
//!                    ▼
//!                Delivery ─► gone when it was taken, kept when it failed for good
//! ```

mod body;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalog::Status;
use crate::id::{DeliveryId, DeploymentId, GroupId, ReleaseId, RunId, TokenId, WebhookId};
use crate::name::OutputName;
use crate::time::Timestamp;

pub use body::Body;
pub use body::BodyError;
pub use body::VARIABLES;

/// The most webhooks that a deployment may have.
pub const MAX_WEBHOOKS: u32 = 50;

/// How a text says that it is the name of a secret.
const SECRET: &str = "secret:";

/// The headers that hold credentials: their values are never kept, only named.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// The headers that belong to the request as such.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Somebody who is told over HTTP that job groups of a deployment have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Its deployment.
    pub deployment: DeploymentId,
    /// What is sent where, and when.
    #[serde(flatten)]
    pub call: Call,
    /// Whose token it was made with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a webhook sends where, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// What it is for, in the words of whoever made it: 1 to 255 bytes.
    pub name: String,
    /// Where it is sent: `http` or `https`, at most 2,048 bytes.
    pub url: String,
    /// How it is sent.
    #[serde(default)]
    pub method: Method,
    /// Which ends it is about.
    #[serde(default)]
    pub trigger: Moment,
    /// Only groups that produce one of these outputs; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputName>,
    /// The body, see [`Body`]; a JSON object that says it all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Headers. A value `secret:NAME` is fetched when it is sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The name of the secret that signs it; it is not signed where absent. The secret itself is
    /// fetched when it is sent, and kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// It is tried again when it was not taken.
    #[serde(default = "yes")]
    pub retry: bool,
}

fn yes() -> bool {
    true
}

/// How a webhook is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// `POST`.
    #[default]
    Post,
    /// `GET`, without a body.
    Get,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`, without a body.
    Delete,
}

/// Which ends of groups a webhook is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Moment {
    /// It succeeded.
    #[serde(rename = "onJobSuccess")]
    Success,
    /// It failed; a cancelled one did not.
    #[serde(rename = "onJobFailure")]
    Failure,
    /// However it ended.
    #[default]
    #[serde(rename = "onJobDone")]
    Done,
}

/// That a group has ended, for the webhooks of its deployment. Written with its last event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// The group.
    pub group: GroupId,
    /// Its run.
    pub run: RunId,
    /// The session of the run.
    pub session: uuid::Uuid,
    /// Its deployment.
    pub deployment: DeploymentId,
    /// Its release.
    pub release: ReleaseId,
    /// The outputs that it was to produce.
    pub outputs: Vec<OutputName>,
    /// How it ended.
    pub status: Status,
    /// When it ended.
    pub at: Timestamp,
}

/// One message to one webhook: pending until it is taken, or kept since it failed for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook: WebhookId,
    /// The group that ended.
    pub group: GroupId,
    /// What receivers know it by, the same at every try: `<session>.<group>.<webhook>`.
    pub key: String,
    /// The body; absent where the method has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether it was given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// How often it was tried, or is being tried.
    #[serde(default)]
    pub tries: u32,
    /// It is not tried before.
    pub next_at: Timestamp,
    /// How the last try ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Answer>,
    /// When the group ended.
    pub created_at: Timestamp,
}

/// How one try ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The status that came back, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, in words without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whoever sends webhooks. The catalog is not its matter: it only says what it would send, and
/// sends one for a test.
#[async_trait]
pub trait WebhookSender: Send + Sync + 'static {
    /// Tells whether it sends to this address at all. Nothing is resolved or contacted.
    ///
    /// # Errors
    /// Says why not.
    fn check(&self, url: &str) -> Result<(), UrlRefused>;

    /// Sends once what a webhook of this deployment would, about a group that does not exist, and
    /// waits for the answer. Cancel safe: it may or may not have been sent.
    async fn test(&self, deployment: DeploymentId, call: &Call) -> Answer;
}

/// An address to which nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("nothing is sent to this address: {reason}")]
pub struct UrlRefused {
    /// Why, without the address.
    pub reason: String,
}

/// What is wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallFault {
    /// The name is empty or too long.
    #[error("the name of a webhook has 1 to 255 bytes")]
    Name,
    /// The address is no address, or too long.
    #[error("the address is an absolute `http` or `https` URL of at most 2,048 visible characters")]
    Url,
    /// The body cannot be filled.
    #[error("the body cannot be filled: {0}")]
    Body(BodyError),
    /// There are too many headers, or one is impossible.
    #[error("header `{0}` cannot be sent: at most 32 headers, visible names, values of one line")]
    Header(String),
    /// The header is set by the sender.
    #[error("header `{0}` is set by the sender")]
    Reserved(String),
    /// The header holds a credential, which is not kept.
    #[error("header `{0}` holds a credential: name a secret, `secret:NAME`")]
    Credential(String),
    /// The key is given instead of its name.
    #[error("`secretKey` is the name of a secret, `secret:NAME`: keys are not kept")]
    Secret,
}

impl CallFault {
    /// Names the member that is wrong, as the wire calls it.
    #[must_use]
    pub fn member(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Url => "url",
            Self::Body(_) => "body",
            Self::Header(_) | Self::Reserved(_) | Self::Credential(_) => "headers",
            Self::Secret => "secretKey",
        }
    }
}

/// Returns the name of a secret from its reference `secret:NAME`, if it is one.
#[must_use]
pub fn secret_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix(SECRET)?;
    let is_name = (1..=255).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_graphic());
    is_name.then_some(name)
}

impl Call {
    /// Says everything that is wrong with it; nothing where it can be kept.
    #[must_use]
    pub fn faults(&self) -> Vec<CallFault> {
        let mut faults = Vec::new();
        if !(1..=255).contains(&self.name.len()) {
            faults.push(CallFault::Name);
        }
        let is_http = self.url.starts_with("http://") || self.url.starts_with("https://");
        if !is_http || self.url.len() > 2048 || !self.url.bytes().all(|it| it.is_ascii_graphic()) {
            faults.push(CallFault::Url);
        }
        if let Some(Err(error)) = self.body.as_deref().map(Body::parse) {
            faults.push(CallFault::Body(error));
        }
        for (at, (name, value)) in self.headers.iter().enumerate() {
            faults.extend(header_fault(at, name, value));
        }
        if self.secret.as_ref().is_some_and(|name| name.is_empty() || name.len() > 255) {
            faults.push(CallFault::Secret);
        }
        faults
    }
}

fn header_fault(at: usize, name: &str, value: &str) -> Option<CallFault> {
    let is_token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    let is_text = |it: u8| it == b' ' || it == b'\t' || it.is_ascii_graphic();
    let fits = (1..=128).contains(&name.len()) && name.bytes().all(is_token);
    let shown = || name.chars().take(64).collect::<String>();
    if at >= 32 || !fits || value.len() > 4096 || !value.bytes().all(is_text) {
        return Some(CallFault::Header(shown()));
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || lower.starts_with("x-jobwright-") {
        return Some(CallFault::Reserved(shown()));
    }
    let is_reference = secret_name(value).is_some();
    let is_credential = CREDENTIALS.contains(&lower.as_str()) || value.starts_with(SECRET);
    (is_credential && !is_reference).then(|| CallFault::Credential(shown()))
}

impl Moment {
    /// Tells whether it is about a group that ended so.
    #[must_use]
    pub fn means(self, status: Status) -> bool {
        match self {
            Self::Success => status == Status::Complete,
            Self::Failure => status == Status::Failed,
            Self::Done => status.is_terminal(),
        }
    }

    /// Returns the wire's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "onJobSuccess",
            Self::Failure => "onJobFailure",
            Self::Done => "onJobDone",
        }
    }
}

impl Method {
    /// Returns the wire's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Get => "get",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Tells whether it is sent with a body.
    #[must_use]
    pub fn has_body(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch => true,
            Self::Get | Self::Delete => false,
        }
    }
}

impl Webhook {
    /// Tells whether it is about this end of a group.
    #[must_use]
    pub fn means(&self, it: &Announcement) -> bool {
        let outputs = &self.call.outputs;
        let any = outputs.is_empty() || it.outputs.iter().any(|output| outputs.contains(output));
        self.deployment == it.deployment && self.call.trigger.means(it.status) && any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Call), expect: &[&str]) {
        let call = serde_json::json!({ "name": "n", "url": "https://example.org/hook" });
        let mut call: Call = serde_json::from_value(call).unwrap();
        change(&mut call);
        let found: Vec<_> = call.faults().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found}");
        }
    }

    #[test]
    fn calls_are_checked() {
        let header = |name: &'static str, value: &'static str| {
            move |call: &mut Call| {
                call.headers.insert(name.to_owned(), value.to_owned());
            }
        };
        check(|_| {}, &[]);
        check(|call| call.name.clear(), &["1 to 255 bytes"]);
        check(|call| call.url = "ftp://example.org".into(), &["`http` or `https`"]);
        check(|call| call.url = "https://example.org/a b".into(), &["visible characters"]);
        check(|call| call.url = format!("https://{}", "x".repeat(2048)), &["2,048"]);
        check(|call| call.body = Some("$jobid".into()), &["did you mean `jobId`?"]);
        check(|call| call.secret = Some(String::new()), &["the name of a secret"]);
        check(header("X-Team", "blue green"), &[]);
        check(header("X-Team", "a\r\nHost: b"), &["values of one line"]);
        check(header("x team", "a"), &["visible names"]);
        check(header("Host", "a"), &["set by the sender"]);
        check(header("X-Jobwright-Signature", "a"), &["set by the sender"]);
        check(header("Authorization", "Bearer abc"), &["holds a credential"]);
        check(header("Authorization", "secret:hook-token"), &[]);
        check(header("X-Key", "secret:"), &["holds a credential"]);
    }

    #[test]
    fn the_end_that_is_meant() {
        use Status as S;
        for (moment, expect) in [
            (Moment::Success, [true, false, false, false]),
            (Moment::Failure, [false, true, false, false]),
            (Moment::Done, [true, true, true, false]),
        ] {
            let all = [S::Complete, S::Failed, S::Canceled, S::InProgress];
            assert_eq!(all.map(|status| moment.means(status)), expect, "{moment:?}");
        }
    }
}
