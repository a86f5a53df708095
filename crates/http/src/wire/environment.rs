//! Parameters of the environment.

use jobwright_core::EnvironmentParameter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Object, Scalar};

/// A parameter of the environment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EnvironmentParameter)]
pub(crate) struct EnvironmentBody {
    /// Its id.
    pub(crate) id: i64,
    /// Its name; begins with `env.`.
    override_key: String,
    /// Its value.
    value: Value,
}

impl EnvironmentBody {
    pub(crate) fn new(parameter: &EnvironmentParameter) -> Self {
        Self {
            id: parameter.id.get(),
            override_key: parameter.name.to_string(),
            value: parameter.value.clone(),
        }
    }
}

/// A parameter to be set.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SetEnvironment {
    /// Its name; begins with `env.`.
    #[schema(
        max_length = 255,
        pattern = r"^env\.([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub(crate) override_key: String,
    /// Its value: text, a number or a truth value, or `{"variable": {"value": …}}`.
    #[schema(value_type = Scalar)]
    pub(crate) value: Value,
}

impl SetEnvironment {
    /// The value without the wrapping that some clients put around it.
    pub(crate) fn plain_value(&self) -> Value {
        let wrapped = self.value.get("variable").and_then(|it| it.get("value"));
        wrapped.unwrap_or(&self.value).clone()
    }
}

/// All parameters, to be carried to another instance.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EnvironmentPackage {
    /// The parameters.
    #[schema(value_type = Vec<SetEnvironment>)]
    pub(crate) environment_parameters: Vec<Object<SetEnvironment>>,
}
