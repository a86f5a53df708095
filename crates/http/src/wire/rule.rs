//! Import rules.

use jobwright_core::rule::{ObjectRule, ValueRule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Replaces one object by another at import.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ObjectImportRule)]
pub(crate) struct ObjectRuleBody {
    /// The table of the object: `connections`.
    #[schema(pattern = "^connections$")]
    table_name: String,
    /// The fields that the object must have.
    #[schema(value_type = Object)]
    on_condition: Map<String, Value>,
    /// The fields that it gets.
    #[schema(value_type = Object)]
    with_condition: Map<String, Value>,
}

/// Replaces values of one type at import.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ValueImportRule)]
pub(crate) struct ValueRuleBody {
    /// What sort of value.
    #[serde(rename = "type")]
    #[schema(pattern = "^(s3Bucket|fileLocation|tableName|databaseName|relationalPath|host)$")]
    kind: String,
    /// What is replaced: a literal, or a regular expression between slashes that does not match
    /// the empty text.
    #[schema(min_length = 1, max_length = 1000)]
    on: String,
    /// What it is replaced by.
    #[schema(max_length = 4096, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    with: String,
}

impl From<ObjectRuleBody> for ObjectRule {
    fn from(body: ObjectRuleBody) -> Self {
        let ObjectRuleBody { table_name, on_condition, with_condition } = body;
        Self { table_name, on_condition, with_condition }
    }
}

impl From<&ObjectRule> for ObjectRuleBody {
    fn from(rule: &ObjectRule) -> Self {
        let ObjectRule { table_name, on_condition, with_condition } = rule.clone();
        Self { table_name, on_condition, with_condition }
    }
}

impl From<ValueRuleBody> for ValueRule {
    fn from(body: ValueRuleBody) -> Self {
        let ValueRuleBody { kind, on, with } = body;
        Self { kind, on, with }
    }
}

impl From<&ValueRule> for ValueRuleBody {
    fn from(rule: &ValueRule) -> Self {
        let ValueRule { kind, on, with } = rule.clone();
        Self { kind, on, with }
    }
}
