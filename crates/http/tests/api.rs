//! The API over a real socket: exact bodies, both versions, who may do what, what is heard.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "api/access.rs"]
mod access;
#[path = "api/document.rs"]
mod document;
#[path = "api/heart.rs"]
mod heart;
#[path = "api/lists.rs"]
mod lists;
#[path = "api/metrics.rs"]
mod metrics;
#[path = "api/outputs.rs"]
mod outputs;
#[path = "api/problems.rs"]
mod problems;
#[path = "api/releases.rs"]
mod releases;
#[path = "api/schedules.rs"]
mod schedules;
#[path = "api/server.rs"]
mod server;
#[path = "api/statuses.rs"]
mod statuses;
#[path = "api/streams.rs"]
mod streams;
#[path = "api/trace.rs"]
mod trace;
#[path = "api/transcript.rs"]
mod transcript;
#[path = "api/webhooks.rs"]
mod webhooks;
