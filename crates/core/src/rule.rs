//! Import rules: ordered remaps that are applied to a package when it is imported into a
//! deployment, and never again.

use serde::{Deserialize, Serialize};

/// Replaces one object by another. Only connections are supported, matched by the literal value
/// of any of their fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectRule {
    /// The table of the object: `connections`.
    pub table_name: String,
    /// The fields that the object must have.
    pub on_condition: serde_json::Map<String, serde_json::Value>,
    /// The fields that it gets.
    pub with_condition: serde_json::Map<String, serde_json::Value>,
}

/// Replaces values of one type in locations. `on` is a literal, or a literal between slashes that
/// is replaced wherever it occurs (`//dev//` matches `/dev/` inside a path).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRule {
    /// What sort of value: `s3Bucket`, `fileLocation`, `tableName`, `databaseName`…
    #[serde(rename = "type")]
    pub kind: String,
    /// What is replaced.
    pub on: String,
    /// What it is replaced by.
    pub with: String,
}

/// What rules changed, or would change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleChanges {
    /// By object rules.
    pub object: Vec<RuleChange>,
    /// By value rules.
    pub value: Vec<RuleChange>,
}

/// One change by one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleChange {
    /// The position of the rule in its list, from 0.
    pub rule: usize,
    /// Where: flow, step, and the JSON pointer into its payload.
    pub place: String,
    /// What was there.
    pub before: serde_json::Value,
    /// What is there now.
    pub after: serde_json::Value,
}
