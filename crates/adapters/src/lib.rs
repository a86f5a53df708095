//! Executors for jobwright: [`MockExecutor`] for tests, [`FnExecutor`] for closures, and the
//! conformance suite that every executor can run over itself.

pub mod conformance;
mod function;
pub mod mock;

pub use function::FnExecutor;
pub use mock::MockExecutor;
