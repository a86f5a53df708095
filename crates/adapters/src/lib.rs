//! Executors for jobwright: [`LocalProcessExecutor`] for real work, [`FnExecutor`] for closures,
//! [`MockExecutor`] for tests, sources of secrets, and the conformance suite that every executor
//! can run over itself. None of it knows an engine or a store.

#[cfg(target_os = "linux")]
mod clock;
pub mod conformance;
#[cfg(target_os = "linux")]
mod forks;
mod function;
#[cfg(target_os = "linux")]
pub mod local;
#[cfg(target_os = "linux")]
pub mod log;
mod mask;
pub mod mock;
#[cfg(target_os = "linux")]
pub mod remote;
mod secrets;
mod spelling;

pub use function::FnExecutor;
#[cfg(target_os = "linux")]
pub use local::LocalProcessExecutor;
pub use mock::MockExecutor;
#[cfg(target_os = "linux")]
pub use remote::RemoteExecutor;
pub use secrets::ChainSecrets;
#[cfg(target_os = "linux")]
pub use secrets::CommandError;
#[cfg(target_os = "linux")]
pub use secrets::CommandSecrets;
pub use secrets::EnvSecrets;
#[cfg(target_os = "linux")]
pub use secrets::FileSecrets;
pub use secrets::StaticSecrets;
