//! What a test of an executor needs: attempts without an engine.

mod attempt;

pub use attempt::AttemptBuilder;
pub use attempt::attempt;
