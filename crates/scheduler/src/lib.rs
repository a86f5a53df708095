//! The jobwright engine: expansion of runs into job groups, the pure machine that decides, and the
//! driver that does.
//!
//! [`Engine`] is the handle that users hold. What it decides it decides in [`machine`], which knows
//! neither clock nor store nor executor; what it does it does in one loop around it.

mod clock;
mod driver;
mod engine;
mod expand;
mod hub;
pub mod machine;
mod statuses;
mod template;

pub use driver::ShutdownReport;
pub use engine::Actor;
pub use engine::AttemptView;
pub use engine::AuditCheck;
pub use engine::BackfillError;
pub use engine::BackfillRequest;
pub use engine::CancelError;
pub use engine::DeploymentChange;
pub use engine::DeploymentError;
pub use engine::Ended;
pub use engine::Engine;
pub use engine::EngineBuilder;
pub use engine::EnvironmentError;
pub use engine::Explanation;
pub use engine::FoundRelease;
pub use engine::Gauges;
pub use engine::GroupPreview;
pub use engine::GroupView;
pub use engine::HistoryEntry;
pub use engine::ImportError;
pub use engine::ImportPreview;
pub use engine::JobView;
pub use engine::LogKeeper;
pub use engine::NewDelivery;
pub use engine::NewSchedule;
pub use engine::PackageError;
pub use engine::Page;
pub use engine::PrepareError;
pub use engine::PreparedRun;
pub use engine::ReadError;
pub use engine::ReleaseError;
pub use engine::RerunError;
pub use engine::RerunRequest;
pub use engine::RunError;
pub use engine::RunHandle;
pub use engine::RunOutcome;
pub use engine::RunRequest;
pub use engine::ScheduleChange;
pub use engine::ScheduleError;
pub use engine::Settlement;
pub use engine::StartError;
pub use engine::TokenError;
pub use engine::WaitError;
pub use engine::WebhookError;
pub use expand::ExpandError;
pub use expand::Selection;
pub use hub::Notice;
pub use hub::Subscription;
pub use machine::WaitReason;
