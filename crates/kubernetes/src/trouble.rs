//! What an answer that is none means: for the request, and for the attempt.

use std::time::Duration;

use jobwright_adapters::remote::{Submitted, Trouble};
use jobwright_core::Failure;
use kube::Error;
use kube::core::Status;

/// Says why a request was not answered as it should be. `pause` is what the server last asked for
/// when it had too much to do.
pub(crate) fn trouble(error: &Error, pause: Option<Duration>) -> Trouble {
    match error {
        Error::Api(status) => refused(status, pause),
        Error::Auth(_) | Error::InferConfig(_) | Error::InferKubeconfig(_) => {
            Trouble::Denied(chain(error))
        }
        _ => Trouble::Unanswered(chain(error)),
    }
}

fn refused(status: &Status, pause: Option<Duration>) -> Trouble {
    let why = words(status);
    match status.code {
        429 => Trouble::Busy { why, after: after(status).or(pause) },
        401 | 403 | 404 | 405 => Trouble::Denied(why),
        _ => Trouble::Unanswered(why),
    }
}

/// Says what became of a Job that was not made.
///
/// # Errors
/// Nobody can tell, or nothing was done: see [`Trouble`].
pub(crate) fn submission(error: &Error, pause: Option<Duration>) -> Result<Submitted, Trouble> {
    let Error::Api(status) = error else { return Err(trouble(error, pause)) };
    let why = words(status);
    let refused = |failure| Ok(Submitted::Refused(failure));
    match status.code {
        409 if status.reason == "AlreadyExists" => Ok(Submitted::AlreadyThere),
        403 if why.contains("exceeded quota") => refused(Failure::rejected("quota", why)),
        // The account may not make Jobs at all: that is for a person, and not this attempt's fault.
        403 if why.contains("cannot create resource") => Err(trouble(error, pause)),
        400 | 403 | 413 | 422 => refused(Failure::permanent("refused", why)),
        _ => Err(trouble(error, pause)),
    }
}

fn after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn words(status: &Status) -> String {
    let text = if status.message.is_empty() { &status.reason } else { &status.message };
    text.trim().to_owned()
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}
