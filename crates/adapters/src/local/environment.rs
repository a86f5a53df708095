//! The environment of a process: nothing inherited but an allow-list, the executor's own
//! variables, and what the step adds.

use std::ffi::OsString;

use jobwright_core::parameter::{Resolved, Value};
use jobwright_core::secret::ExposeSecret;
use jobwright_core::{Attempt, Failure};
use thiserror::Error;

use super::folder::Places;
use super::identity::MARK;
use super::payload::{Payload, Setting};
use crate::spelling;

/// Why an environment cannot be made.
#[derive(Debug, Error)]
pub(crate) enum EnvironmentError {
    /// The payload names a secret that the attempt was not given.
    #[error("payload field `env.{variable}` names secret `{secret}`, which was not handed over")]
    Secret { variable: String, secret: String },
    /// A text holds a NUL.
    #[error("{what} holds a NUL character, which no process can be given")]
    Nul { what: String },
}

impl From<EnvironmentError> for Box<Failure> {
    fn from(error: EnvironmentError) -> Self {
        Box::new(Failure::permanent("payload", error.to_string()))
    }
}

/// Makes the variables of a process; later ones replace earlier ones of the same name.
pub(crate) fn environment(
    attempt: &Attempt,
    payload: &Payload,
    places: &Places,
    inherited: &[(OsString, OsString)],
    search: &OsString,
) -> Result<Vec<(OsString, OsString)>, EnvironmentError> {
    let context = &attempt.plan().run;
    let mut variables = inherited.to_vec();
    let mut set = |name: String, value: OsString| variables.push((name.into(), value));
    set("PATH".into(), search.clone());
    set("HOME".into(), places.work.as_os_str().into());
    set("JOBWRIGHT_RUN_ID".into(), context.run.to_string().into());
    set("JOBWRIGHT_JOB_GROUP_ID".into(), attempt.group().to_string().into());
    set("JOBWRIGHT_JOB_ID".into(), attempt.id().job.to_string().into());
    set("JOBWRIGHT_ATTEMPT".into(), attempt.id().to_string().into());
    set("TRACEPARENT".into(), attempt.trace().to_string().into());
    set("JOBWRIGHT_STEP".into(), attempt.job().step.as_str().into());
    set("JOBWRIGHT_PARAMETERS".into(), places.parameters.as_os_str().into());
    set("JOBWRIGHT_INPUT".into(), places.input.as_os_str().into());
    set(MARK.into(), places.output.as_os_str().into());
    for parameter in parameters(attempt) {
        if matches!(parameter.value, Value::Secret(_)) {
            continue;
        }
        let value = parameter.value.to_string();
        if value.contains('\0') {
            let what = format!("the value of parameter `{}`", parameter.name);
            return Err(EnvironmentError::Nul { what });
        }
        let name = spelling::variable(parameter.name.as_str());
        set(format!("JOBWRIGHT_PARAM_{name}"), value.into());
    }
    for (name, setting) in &payload.env {
        set(name.clone(), resolved(attempt, name, setting)?.into());
    }
    Ok(variables)
}

fn resolved(
    attempt: &Attempt,
    variable: &str,
    setting: &Setting,
) -> Result<String, EnvironmentError> {
    let secret = match setting {
        Setting::Text(text) => return Ok(text.clone()),
        Setting::Secret(secret) => secret,
    };
    let content = attempt.secrets().content(secret).ok_or_else(|| EnvironmentError::Secret {
        variable: variable.to_owned(),
        secret: secret.clone(),
    })?;
    let content = content.expose_secret();
    if content.contains('\0') {
        return Err(EnvironmentError::Nul { what: format!("secret `{secret}`") });
    }
    Ok(content.to_owned())
}

/// Goes through the parameters that the attempt's flow sees.
fn parameters(attempt: &Attempt) -> impl Iterator<Item = &Resolved> {
    let flow = &attempt.job().flow;
    let all = &attempt.plan().run.parameters.parameters;
    all.iter().filter(move |parameter| parameter.flow.as_ref().is_none_or(|of| of == flow))
}

/// Returns the content of the file of parameters.
pub(crate) fn parameters_document(attempt: &Attempt) -> Vec<u8> {
    let values: serde_json::Map<String, serde_json::Value> =
        parameters(attempt).map(|it| (it.name.as_str().to_owned(), it.value.to_json())).collect();
    serde_json::Value::from(values).to_string().into_bytes()
}

/// Returns the content of the file of inputs.
pub(crate) fn inputs_document(attempt: &Attempt) -> Vec<u8> {
    serde_json::to_vec(attempt.inputs()).expect("inputs have texts for keys, so they are JSON")
}
