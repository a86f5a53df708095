//! Webhooks. A key never stands on the wire: it is named, and even the name is not shown again.

use std::collections::BTreeMap;

use jobwright_core::webhook::{Answer, Call, Delivery, Method, Moment, Webhook, secret_name};
use jobwright_core::{DeploymentId, OutputName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Creator, Reference};
use crate::problem::Problem;
use crate::version::Version;

/// Somebody who is told that job groups of a deployment have ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookFlowTask)]
pub(crate) struct WebhookBody {
    /// Its id.
    id: i64,
    /// The id of its deployment, whose releases hold the flow.
    flow_id: i64,
    /// What it is for.
    name: String,
    /// Where it is sent.
    url: String,
    /// `post`, `get`, `put`, `patch` or `delete`.
    method: &'static str,
    /// `onJobSuccess`, `onJobFailure` or `onJobDone`.
    trigger_event: &'static str,
    /// `any`, or `some` where only some outputs are meant.
    trigger_object: &'static str,
    /// The outputs that are meant, by name.
    outputs: Vec<String>,
    /// What is sent, with variables.
    body: Option<String>,
    /// The headers; secrets by name.
    #[schema(value_type = Object)]
    headers: Value,
    /// Whether it is signed. The key, and its name, are not shown.
    signed: bool,
    /// Always true.
    ssl_verification: bool,
    /// Whether it is tried again.
    retry_on_failure: bool,
    /// When it was made.
    created_at: String,
    /// When it was last changed.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
}

impl WebhookBody {
    pub(crate) fn new(version: Version, it: &Webhook) -> Self {
        let call = &it.call;
        Self {
            id: it.id.get(),
            flow_id: it.deployment.get(),
            name: call.name.clone(),
            url: call.url.clone(),
            method: call.method.as_str(),
            trigger_event: call.trigger.as_str(),
            trigger_object: if call.outputs.is_empty() { "any" } else { "some" },
            outputs: call.outputs.iter().map(ToString::to_string).collect(),
            body: call.body.clone(),
            headers: super::json(&call.headers),
            signed: call.secret.is_some(),
            ssl_verification: true,
            retry_on_failure: call.retry,
            created_at: it.created_at.to_string(),
            updated_at: it.updated_at.to_string(),
            creator: Creator::new(version, it.created_by),
        }
    }
}

/// A webhook to be made, or to be tested.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreateWebhookFlowTask)]
pub(crate) struct CreateWebhook {
    /// The id of the deployment.
    #[schema(value_type = i64, minimum = 1, maximum = 9007199254740991_i64)]
    pub(crate) flow_id: DeploymentId,
    #[serde(flatten)]
    call: ChangeWebhook,
}

/// What a webhook sends where, and when; what is left out stays, or is the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangeWebhookFlowTask)]
pub(crate) struct ChangeWebhook {
    /// What it is for.
    name: Option<String>,
    /// Where it is sent: `http` or `https`.
    #[schema(max_length = 2048)]
    url: Option<String>,
    /// `post`, `get`, `put`, `patch` or `delete`.
    #[schema(value_type = Option<String>, pattern = "^(post|get|put|patch|delete)$")]
    method: Option<Method>,
    /// `onJobSuccess`, `onJobFailure` or `onJobDone`.
    #[schema(value_type = Option<String>, pattern = "^onJob(Success|Failure|Done)$")]
    trigger_event: Option<Moment>,
    /// `any`, or `some` with `outputs`.
    trigger_object: Option<String>,
    /// The outputs that are meant, by name.
    outputs: Option<Vec<String>>,
    /// What is sent; `$jobId`, `$jobStatus` and others are replaced.
    body: Option<String>,
    /// Headers; a value `secret:NAME` is fetched when it is sent.
    headers: Option<BTreeMap<String, String>>,
    /// The name of the secret that signs it: `secret:NAME`.
    secret_key: Option<String>,
    /// Only true is taken.
    ssl_verification: Option<bool>,
    /// Whether it is tried again.
    retry_on_failure: Option<bool>,
    /// Not taken: outputs have names here and no ids.
    #[schema(value_type = Option<Vec<i64>>)]
    flow_node_ids: Option<Vec<Value>>,
    /// What nobody knows, to be refused.
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: BTreeMap<String, Value>,
}

impl CreateWebhook {
    pub(crate) fn into_call(self) -> Result<Call, Problem> {
        let call = Call {
            name: String::new(),
            url: String::new(),
            method: Method::default(),
            trigger: Moment::default(),
            outputs: Vec::new(),
            body: None,
            headers: BTreeMap::new(),
            secret: None,
            retry: true,
        };
        self.call.on(call)
    }
}

impl ChangeWebhook {
    /// The call with what is given here.
    pub(crate) fn on(self, mut call: Call) -> Result<Call, Problem> {
        if let Some(name) = self.unknown.keys().next() {
            return Err(Problem::validation(format!("unknown field `{name}`")));
        }
        if self.ssl_verification == Some(false) {
            let detail = "certificates are always verified";
            return Err(Problem::at("#/sslVerification", detail));
        }
        if self.flow_node_ids.is_some_and(|ids| !ids.is_empty()) {
            let detail = "outputs have names here and no ids: give `outputs`";
            return Err(Problem::at("#/flowNodeIds", detail));
        }
        call.name = self.name.unwrap_or(call.name);
        call.url = self.url.unwrap_or(call.url);
        call.method = self.method.unwrap_or(call.method);
        call.trigger = self.trigger_event.unwrap_or(call.trigger);
        if let Some(names) = self.outputs {
            let names = names.iter().map(|name| OutputName::new(name));
            let names: Result<Vec<_>, _> = names.collect();
            call.outputs = names.map_err(|error| Problem::at("#/outputs", error.to_string()))?;
        }
        match self.trigger_object.as_deref() {
            Some("any") => call.outputs.clear(),
            Some("some") if call.outputs.is_empty() => {
                return Err(Problem::at("#/outputs", "`some` needs the outputs that are meant"));
            }
            None | Some("some") => {}
            Some(_) => return Err(Problem::at("#/triggerObject", "it is `any` or `some`")),
        }
        call.body = self.body.or(call.body);
        call.headers = self.headers.unwrap_or(call.headers);
        if let Some(key) = self.secret_key {
            // The words are never repeated: somebody may have sent a key.
            let wrong = "it is the name of a secret, `secret:NAME`: keys are not kept";
            let name = secret_name(&key).ok_or_else(|| Problem::at("#/secretKey", wrong))?;
            call.secret = Some(name.to_owned());
        }
        call.retry = self.retry_on_failure.unwrap_or(call.retry);
        Ok(call)
    }
}

/// What a test led to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTest)]
pub(crate) struct TestedBody {
    /// The status that came back; null where none did.
    status_code: Option<u16>,
    /// What went wrong; null where nothing did.
    error: Option<String>,
}

impl From<Answer> for TestedBody {
    fn from(answer: Answer) -> Self {
        Self { status_code: answer.status, error: answer.error }
    }
}

/// A message to a webhook that waits, or was given up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryBody {
    /// Its id.
    id: i64,
    /// What receivers know it by.
    key: String,
    /// Its webhook.
    webhook_flow_task: Reference,
    /// The job group that ended.
    job_group: Reference,
    /// `waiting` or `failed`.
    status: &'static str,
    /// How often it was tried.
    tries: u32,
    /// When it is tried next; null where it was given up.
    next_at: Option<String>,
    /// The status of the last answer.
    status_code: Option<u16>,
    /// What went wrong at the last try.
    error: Option<String>,
    /// When the job group ended.
    created_at: String,
}

impl DeliveryBody {
    pub(crate) fn new(it: &Delivery) -> Self {
        let last = it.last.clone().unwrap_or_default();
        Self {
            id: it.id.get(),
            key: it.key.clone(),
            webhook_flow_task: Reference { id: it.webhook.get() },
            job_group: Reference { id: it.group.get() },
            status: if it.failed { "failed" } else { "waiting" },
            tries: it.tries,
            next_at: (!it.failed).then(|| it.next_at.to_string()),
            status_code: last.status,
            error: last.error,
            created_at: it.created_at.to_string(),
        }
    }
}
