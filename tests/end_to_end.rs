//! Whole runs through the façade: real processes, and a store on disk.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests")]

#[path = "end_to_end/bench.rs"]
mod bench;
#[path = "end_to_end/faults.rs"]
mod faults;
#[path = "end_to_end/resume.rs"]
mod resume;
#[path = "end_to_end/secrets.rs"]
mod secrets;
