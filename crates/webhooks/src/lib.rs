//! Tells others over HTTP that job groups have ended.
//!
//! A composition root needs two lines, and one to end:
//!
//! ```no_run
//! # use jobwright_scheduler::Engine;
//! # async fn serve(engine: Engine) -> Result<(), Box<dyn std::error::Error>> {
//! use jobwright_webhooks::{Options, Webhooks};
//!
//! let options = Options::default().allow("10.1.0.0/16".parse()?);
//! let webhooks = Webhooks::start(engine.clone(), options)?;
//! let sender = webhooks.sender(); // for the `webhooks` of the options of `jobwright-http`
//! # let _ = sender;
//! webhooks.shutdown().await; // before the engine
//! # Ok(())
//! # }
//! ```
//!
//! What a receiver gets, and how it checks a signature, stands in `docs/webhooks.md`.
//!
//! What is *absent*: a message that is only in memory (an announcement is written with the group's
//! end, and a message is removed after it was taken), a redirect that is followed, an address that
//! is resolved twice, a proxy of the environment, the body of an answer, a key that is kept.

mod guard;
mod options;
mod pauses;
mod sign;
mod words;

mod courier;
mod send;
mod sender;
mod webhooks;

pub use guard::Allowed;
pub use guard::AllowedError;
pub use options::Options;
pub use send::ClientError;
pub use webhooks::Webhooks;
