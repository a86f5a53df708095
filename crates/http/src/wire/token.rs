//! Access tokens and audit records.

use jobwright_core::{Audit, AuditId, Role, Token};
use jobwright_scheduler::AuditCheck;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Creator;
use crate::secret::Secret;
use crate::version::Version;

/// An access token; its secret is shown once, when it is made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccessToken)]
pub(crate) struct TokenBody {
    /// Its id.
    token_id: i64,
    /// What it is for.
    description: String,
    /// `viewer`, `operator`, `deployer` or `admin`.
    role: &'static str,
    /// When it was made.
    created_time: String,
    /// From when on it is refused; null for never.
    expired_time: Option<String>,
    #[serde(flatten)]
    creator: Creator,
}

impl TokenBody {
    pub(crate) fn new(version: Version, token: &Token) -> Self {
        Self {
            token_id: token.id.get(),
            description: token.name.clone(),
            role: token.role.as_str(),
            created_time: token.created_at.to_string(),
            expired_time: token.expires_at.map(|at| at.to_string()),
            creator: Creator::new(version, token.created_by),
        }
    }
}

/// A token that was made, with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatedToken {
    /// The secret: shown now and never again.
    token_value: String,
    /// What is known of it.
    token_info: TokenBody,
}

impl CreatedToken {
    pub(crate) fn new(version: Version, token: &Token, secret: &Secret) -> Self {
        let token_value = secret.reveal().to_owned();
        Self { token_value, token_info: TokenBody::new(version, token) }
    }
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CreateToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) description: String,
    /// What its holder may do; `viewer` where nothing is said.
    #[serde(default = "viewer")]
    #[schema(value_type = String, pattern = "^(viewer|operator|deployer|admin)$")]
    pub(crate) role: Role,
    /// How many days it lives, -1 for ever; 90 where nothing is said.
    #[serde(default = "ninety_days")]
    #[schema(value_type = i64, minimum = -1, maximum = 36500)]
    pub(crate) lifetime_in_days: i64,
}

fn viewer() -> Role {
    Role::Viewer
}

fn ninety_days() -> i64 {
    90
}

/// A record of something that was done, or tried and denied.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditRecord)]
pub(crate) struct AuditBody {
    /// Its id.
    pub(crate) id: i64,
    /// When it happened.
    at: String,
    #[serde(flatten)]
    creator: Creator,
    /// The request that did it.
    request: String,
    /// What was done: `create`, `change`, `delete`, `cancel`, `denied` or `seal`, with which thing.
    #[schema(value_type = Vec<Object>)]
    deeds: Vec<Value>,
}

impl AuditBody {
    pub(crate) fn new(version: Version, audit: &Audit) -> Self {
        let deeds = audit.deeds.iter().map(
            |deed| json!({ "verb": deed.verb.as_str(), "kind": deed.kind.as_str(), "id": deed.id }),
        );
        Self {
            id: audit.id.get(),
            at: audit.at.to_string(),
            creator: Creator::new(version, audit.by),
            request: audit.request.clone(),
            deeds: deeds.collect(),
        }
    }
}

/// What a look at all audit records found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditCheck)]
pub(crate) struct AuditCheckBody {
    /// Whether all sealed records are as they were.
    intact: bool,
    /// How many records are sealed.
    sealed: u64,
    /// How many came after the last seal.
    unsealed: u64,
    /// The hash of the last seal: kept elsewhere, it tells whether seals were removed.
    last: Option<String>,
    /// The first record with a seal that does not fit; null where all do.
    broken: Option<i64>,
}

impl AuditCheckBody {
    pub(crate) fn new(check: &AuditCheck) -> Self {
        Self {
            intact: check.broken.is_none(),
            sealed: check.sealed,
            unsealed: check.unsealed,
            last: check.last.map(|digest| digest.to_string()),
            broken: check.broken.map(AuditId::get),
        }
    }
}
