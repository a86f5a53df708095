//! `jobwright serve` as it is: the real program, started, asked, stopped, killed and started again.
//! Every wait is for something that the program says, with one deadline for all.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests")]

#[path = "serve/beside.rs"]
mod beside;
#[path = "../../postgres/tests/support/cluster.rs"]
#[expect(dead_code, reason = "the tests of the store use all of it")]
mod cluster;
#[path = "serve/configured.rs"]
mod configured;
#[path = "serve/ending.rs"]
mod ending;
#[path = "serve/jobs.rs"]
mod jobs;
#[path = "serve/secrets.rs"]
mod secrets;
#[path = "serve/server.rs"]
mod server;
#[path = "serve/start.rs"]
mod start;
#[path = "serve/telemetry.rs"]
mod telemetry;
