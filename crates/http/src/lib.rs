//! The HTTP API of a jobwright engine, as an [`axum`] router that an embedder nests under any path.
//!
//! ```no_run
//! # async fn serve(engine: jobwright_scheduler::Engine) -> std::io::Result<()> {
//! let secret = jobwright_http::first_token(&engine).await.expect("the store writes");
//! if let Some(secret) = secret {
//!     // Shown to the operator once; only its hash is kept.
//!     let _ = secret.reveal();
//! }
//! let router = jobwright_http::router(engine, jobwright_http::Options::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! // Who shows wrong tokens is told apart by the peer's address.
//! let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! axum::serve(listener, service).await
//! # }
//! ```
//!
//! The paths and bodies of `/v3` and `/v4` are those of the product whose deployment API jobwright
//! speaks; what is added stands under `/v4` too. One registration makes a route and its place in
//! the OpenAPI document.
//!
//! ```text
//!   request ─▶ edge        request id, limits, one error body, counters
//!                │
//!                ▼
//!              Caller      a token that lives, and whose rate is not used up
//!                │
//!        ┌───────┴────────┐
//!        ▼                ▼
//!      View             Permit<Role>     the only ways to the engine: to read, and to change
//! ```
//!
//! What is *absent*: a handler that holds the engine itself. Changes are methods of a permit, which
//! only a caller with the role gets, and a denied attempt is recorded. The crate knows no store and
//! no executor, opens no socket and reads no clock.

#![expect(
    unused_qualifications,
    reason = "the registrations of routes are expanded with whole paths"
)]

mod options;
mod problem;
mod version;

mod app;
mod effect;
mod secret;
mod view;

mod auth;
mod body;
mod lease;
mod quota;
mod refusals;
mod revision;
mod wait;

mod along;
mod fault;
mod list;
mod shape;
mod wrangled;

mod wire;

mod deployments;
mod environment;
mod groups;
mod jobs;
mod logs;
mod overrides;
mod releases;
mod rules;
mod run;
mod runs;
mod schedules;
mod tokens;
mod webhooks;

mod events;
mod health;
mod metrics;

mod edge;
mod openapi;
mod router;
mod spelling;

pub use logs::LogLine;
pub use logs::LogSource;
pub use logs::LogSourceError;
pub use metrics::Meter;
pub use openapi::openapi;
pub use options::Options;
pub use router::router;
pub use secret::Secret;
pub use secret::SecretError;
pub use tokens::FirstTokenError;
pub use tokens::first_token;

pub use axum;
