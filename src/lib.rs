//! Jobwright: a job orchestration engine that a Rust service embeds.
//!
//! A *deployment* holds *releases* of a package, one of them active. *Running* the deployment
//! resolves its parameters, expands the active release into *job groups* (DAGs of jobs), hands each
//! job to an [`Executor`](core::Executor), and keeps every fact of it in a
//! [`Store`](core::Store). Whatever happens to the process, what was acknowledged is there at the
//! next start, and what is unfinished goes on.
//!
//! ```
//! use jobwright::Engine;
//! use jobwright::adapters::MockExecutor;
//! use jobwright::core::Verdict;
//! use jobwright::store::MemoryStore;
//!
//! const PACKAGE: &str = "
//! jobwright: 1
//! name: hello
//! flows:
//!   main:
//!     executor: mock
//!     parameters:
//!       region: { type: string, default: all }
//!     steps:
//!       ingest: { kind: ingest, payload: { from: \"sales/${region}.csv\" } }
//!       wrangle: { needs: [ingest] }
//!     outputs:
//!       report: { steps: [wrangle] }
//! ";
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let engine = Engine::builder()
//!     .store(MemoryStore::new())
//!     .executor("mock", MockExecutor::new())
//!     .start()
//!     .await?;
//! let deployment = engine.create_deployment("hello").await?;
//! let bundle = jobwright::package::read(PACKAGE.as_bytes())?;
//! engine.import(deployment.id, &bundle, Default::default()).await?;
//!
//! let run = engine.run(deployment.id).parameter("region", "north").await?;
//! assert_eq!(run.wait().await?.verdict, Verdict::Succeeded);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | the root | [`Engine`] and what it gives and takes |
//! | [`core`] | the model and the ports, `Executor`, `Store` and `Observer` |
//! | [`package`] | readers of native and exported packages |
//! | [`adapters`] | mock, function and local-process executors, and their conformance suite |
//! | [`store`] | memory and SQLite stores, and their conformance suite |
//! | [`machine`] | the pure machine, for those who want to drive it themselves |

#[cfg(doctest)]
mod readme;

pub use jobwright_adapters as adapters;
pub use jobwright_core as core;
pub use jobwright_package as package;
pub use jobwright_scheduler::AttemptView;
pub use jobwright_scheduler::BackfillError;
pub use jobwright_scheduler::BackfillRequest;
pub use jobwright_scheduler::CancelError;
pub use jobwright_scheduler::DeploymentChange;
pub use jobwright_scheduler::DeploymentError;
pub use jobwright_scheduler::Ended;
pub use jobwright_scheduler::Engine;
pub use jobwright_scheduler::EngineBuilder;
pub use jobwright_scheduler::EnvironmentError;
pub use jobwright_scheduler::ExpandError;
pub use jobwright_scheduler::Explanation;
pub use jobwright_scheduler::Gauges;
pub use jobwright_scheduler::GroupPreview;
pub use jobwright_scheduler::GroupView;
pub use jobwright_scheduler::HistoryEntry;
pub use jobwright_scheduler::ImportError;
pub use jobwright_scheduler::ImportPreview;
pub use jobwright_scheduler::JobView;
pub use jobwright_scheduler::NewSchedule;
pub use jobwright_scheduler::Notice;
pub use jobwright_scheduler::PackageError;
pub use jobwright_scheduler::PrepareError;
pub use jobwright_scheduler::PreparedRun;
pub use jobwright_scheduler::ReadError;
pub use jobwright_scheduler::ReleaseError;
pub use jobwright_scheduler::RunError;
pub use jobwright_scheduler::RunHandle;
pub use jobwright_scheduler::RunOutcome;
pub use jobwright_scheduler::RunRequest;
pub use jobwright_scheduler::ScheduleChange;
pub use jobwright_scheduler::ScheduleError;
pub use jobwright_scheduler::Selection;
pub use jobwright_scheduler::ShutdownReport;
pub use jobwright_scheduler::StartError;
pub use jobwright_scheduler::Subscription;
pub use jobwright_scheduler::WaitError;
pub use jobwright_scheduler::WaitReason;
pub use jobwright_scheduler::machine;
pub use jobwright_store as store;
