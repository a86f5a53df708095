//! The local-process executor with real processes.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests")]

#[path = "local/bench.rs"]
mod bench;
#[path = "local/crash.rs"]
mod crash;
#[path = "local/output.rs"]
mod output;
#[path = "local/start.rs"]
mod start;
#[path = "local/stop.rs"]
mod stop;
