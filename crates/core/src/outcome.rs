//! How an attempt ends, and the names that executors give to it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The executor's own durable name for an attempt: a pid record, a cluster job id. At most
/// [`Handle::MAX`] bytes; opaque to the engine, which keeps it and hands it back on reattachment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(Arc<str>);

impl Handle {
    /// The most bytes that a handle keeps; what is longer is cut.
    pub const MAX: usize = 1024;

    /// Takes a text as a handle.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let ends = (0..=text.len().min(Self::MAX)).rev();
        let end = ends.into_iter().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        Self(Arc::from(&text[..end]))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did its work.
    Succeeded(Success),
    /// It did not.
    Failed(Box<Failure>),
}

/// What a successful attempt leaves for the jobs that need it: a JSON document, or nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Success(Option<Arc<serde_json::Value>>);

impl Success {
    /// A success that leaves nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self(None)
    }

    /// A success that leaves a document; null counts as nothing.
    #[must_use]
    pub fn with(result: serde_json::Value) -> Self {
        Self((!result.is_null()).then(|| Arc::new(result)))
    }

    /// Returns the document.
    #[must_use]
    pub fn result(&self) -> Option<&Arc<serde_json::Value>> {
        self.0.as_ref()
    }
}

impl From<Option<Arc<serde_json::Value>>> for Success {
    /// Takes what another success left.
    fn from(result: Option<Arc<serde_json::Value>>) -> Self {
        Self(result.filter(|result| !result.is_null()))
    }
}

/// Why an attempt did not do its work.
///
/// `?` turns any error into a retryable failure, so `Failure` is not itself an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What it means for the job.
    pub class: FailureClass,
    /// A stable word for programs, such as `exit` or `out_of_memory`.
    pub code: Cow<'static, str>,
    /// A sentence for people; no secrets.
    pub message: String,
    /// What else is known, such as the exit code or signal.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
}

/// What a failure means for the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Another attempt may succeed.
    Retryable,
    /// No attempt will succeed.
    Permanent,
    /// It was asked to stop, and did.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// Nobody knows how it ended.
    Lost,
    /// It was not started; counts for nothing and is tried again after a pause.
    Rejected,
}

impl FailureClass {
    /// Returns the class as the word of events and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "retryable",
            Self::Permanent => "permanent",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::Rejected => "rejected",
        }
    }
}

impl Failure {
    /// Makes a failure of a class, with a stable code and a sentence.
    #[must_use]
    pub fn new(class: FailureClass, code: &'static str, message: impl Into<String>) -> Self {
        let (code, message) = (Cow::Borrowed(code), message.into());
        Self { class, code, message, details: serde_json::Value::Null }
    }

    /// Another attempt may succeed.
    #[must_use]
    pub fn retryable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, code, message)
    }

    /// No attempt will succeed.
    #[must_use]
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, code, message)
    }

    /// It was asked to stop, and did.
    #[must_use]
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Cancelled, "cancelled", message)
    }

    /// Nobody knows how it ended.
    #[must_use]
    pub fn lost(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Lost, "lost", message)
    }

    /// It was not started.
    #[must_use]
    pub fn rejected(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Rejected, code, message)
    }

    /// Adds what else is known.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = details;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    /// Retryable, with the whole chain of sources in the message.
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::retryable("error", message)
    }
}
