//! The engine as its users see it, over the memory store and scripted executors, in paused time.
#![expect(clippy::unwrap_used, reason = "what the tests share is part of the tests")]

mod deployments;
mod driving;
mod joint;
mod listening;
mod moody;
mod nodes;
mod observing;
mod releases;
mod reruns;
mod restart;
mod retention;
mod runs;
mod schedules;
mod secrets;

mod shutdown;
mod stage;
mod trouble;
