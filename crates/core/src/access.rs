//! Who may do what, and who did: tokens, their roles, and the records of changes.

use serde::{Deserialize, Serialize};

use crate::catalog::{Key, Kind};
use crate::digest::Digest;
use crate::id::{AuditId, TokenId};
use crate::time::Timestamp;

/// What the holder of a token may do. Each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read everything but tokens.
    Viewer,
    /// Run, cancel, pause and resume.
    Operator,
    /// Make, change and delete deployments and releases.
    Deployer,
    /// Change the environment; make and revoke tokens.
    Admin,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Role; 4] = [Self::Viewer, Self::Operator, Self::Deployer, Self::Admin];

    /// Returns the role's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// An access token. The secret itself is nowhere: who shows it is known by its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is for, in the words of whoever made it.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The BLAKE3 hash of the secret in hexadecimal digits, unique in the instance.
    pub hash: String,
    /// The token that made it; none for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Tells whether it is refused at a time.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }
}

/// A record of something that was done, or that somebody tried and was not allowed to do. Written
/// together with the change itself, and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub at: Timestamp,
    /// Whose token it was done with; none where no token was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<TokenId>,
    /// The request, as the door that took it names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// What was done or tried.
    pub deeds: Vec<Deed>,
    /// The seal over records before this one, where this record is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

/// A seal over audit records: whoever changes one of them, removes it or slips another one in has
/// to change the seal and all later ones too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The record with the seal before this one; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<AuditId>,
    /// The last id that is sealed: from the one after the last seal's on.
    pub through: i64,
    /// The ids among them, as first and last of each range, that had no record: it was on its way,
    /// or never comes. The next seal covers those that came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<(i64, i64)>,
    /// The chain: the digest of the last seal (that of nothing for the first), then for every
    /// record in the order of ids the BLAKE3 hash of what was so far and of the record's JSON.
    pub digest: Digest,
}

/// One thing that was done or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// What was done.
    pub verb: Verb,
    /// With what sort of thing.
    pub kind: Kind,
    /// With which one; 0 where there was none.
    pub id: i64,
}

impl Deed {
    /// Says that something was done with what is found there.
    #[must_use]
    pub fn new(verb: Verb, key: impl Into<Key>) -> Self {
        let Key { kind, id } = key.into();
        Self { verb, kind, id }
    }
}

/// What can be done with things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// It was made.
    Create,
    /// It was changed.
    Change,
    /// It was deleted.
    Delete,
    /// Its cancellation was asked for.
    Cancel,
    /// Somebody tried and was not allowed to.
    Denied,
    /// The audit records up to it were sealed.
    Seal,
}

impl Verb {
    /// Returns the verb's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::Cancel => "cancel",
            Self::Denied => "denied",
            Self::Seal => "seal",
        }
    }
}
