//! Import rules: ordered remaps that are applied to a package when it is imported into a
//! deployment, and never again.
//!
//! Rules look at the payloads of steps only, where an importer puts connections and locations.
//! They see plain text: a `${name}` in a payload or in a rule is not resolved. What lies under a
//! key that holds SQL or a script is never touched ([`apply`] lists the keys).

mod apply;
mod check;
mod location;

use serde::{Deserialize, Serialize};

pub use apply::MAX_RULES;
pub use apply::RuleError;
pub use apply::RuleFault;
pub use apply::apply;
pub use apply::check;
pub use check::ObjectRuleError;
pub use check::ValueRuleError;
pub use location::MAX_LOCATION;

/// Replaces one object by another. Only connections are supported: objects under the key
/// `connection`, matched by the literal value of all the fields named. An `id` may be written as a
/// number or as its digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectRule {
    /// The table of the object: `connections`.
    pub table_name: String,
    /// The fields that the object must have.
    pub on_condition: serde_json::Map<String, serde_json::Value>,
    /// The fields that it gets, over those that it has; the others stay.
    pub with_condition: serde_json::Map<String, serde_json::Value>,
}

/// Replaces values of one type in locations.
///
/// | type | looks at texts under the keys | a literal `on` is |
/// |---|---|---|
/// | `s3Bucket` | `bucket`, `dynamicBucket` | the whole value |
/// | `fileLocation` | `path`, `uri`, `dynamicPath` | a run of whole components of the path |
/// | `tableName` | `tableName`, `table` | the whole value |
/// | `databaseName`, `relationalPath` | `database`, `relationalPath` and what is listed there | the whole value |
/// | `host` | `host`, `dynamicHost` | the whole value |
///
/// An `on` between slashes is a regular expression, and every match anywhere in the value is
/// replaced: `/^dev-/` is the expression `^dev-`, and `//dev//` is `/dev/`. `with` is always
/// literal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRule {
    /// What sort of value.
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
    /// What was there: a text, or the fields of an object that the rule names.
    pub before: serde_json::Value,
    /// What is there now, in the same form.
    pub after: serde_json::Value,
}
