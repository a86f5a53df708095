//! The payload field `kubernetes`: what a step asks of Kubernetes besides what it asks of any
//! machine.

use std::collections::BTreeMap;

use jobwright_core::Failure;
use k8s_openapi::api::core::v1::Toleration;
use serde::Deserialize;
use serde_json::Value;

use crate::settings::Settings;

/// The field.
pub(crate) const FIELD: &str = "kubernetes";

/// What a step asks for. What is absent is the installation's choice.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ask {
    pub(crate) image: Option<String>,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) service_account: Option<String>,
}

impl Ask {
    /// Reads the field and checks what only the installation may allow.
    pub(crate) fn parse(payload: &Value, settings: &Settings) -> Result<Self, Failure> {
        let refuse = |why: String| Failure::permanent("payload", why);
        let ask = match payload.get(FIELD) {
            None | Some(Value::Null) => Self::default(),
            Some(field) => Self::deserialize(field).map_err(|error| {
                refuse(format!("payload field `{FIELD}` cannot be read: {error}"))
            })?,
        };
        if let Some(account) = &ask.service_account
            && !settings.service_accounts.contains(account)
        {
            return Err(refuse(format!(
                "payload field `{FIELD}.service_account` asks for `{account}`, which the \
                 executor's `service-accounts` do not allow"
            )));
        }
        Ok(ask)
    }
}
