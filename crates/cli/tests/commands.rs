//! The commands as a user meets them: the real program, on a data directory of its own and against
//! a real server. What it prints is compared as a whole, how it ends too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "commands/shell.rs"]
mod shell;

#[path = "commands/exits.rs"]
mod exits;
#[path = "commands/help.rs"]
mod help;
#[path = "commands/output.rs"]
mod output;
#[path = "commands/stranger.rs"]
mod stranger;
#[path = "commands/tour.rs"]
mod tour;
