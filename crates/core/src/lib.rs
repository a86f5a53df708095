//! The model of jobwright and its ports: what is, without any I/O, clock, randomness or
//! runtime.
//!
//! A [`Package`] declares [`Flow`]s; a [`Deployment`] holds [`Release`]s of packages; running it
//! makes [`Plan`]s, whose life is told in [`Event`]s. An [`Executor`] runs attempts, a [`Store`]
//! keeps what happened, and an [`Observer`] is told of it.
//!
//! ```text
//!  import     Package::check     is the package sound?          every fault, with its place
//!             rule::apply        which locations change?        a new package, the changes
//!  run        parameter::resolve which values does it see?      a Resolution, with its digest
//!             reference::fill    what is a job given?           a payload without references
//!             Plan::check        can the group be driven?
//!  machine    Event, Record      what happened                  kept by a Store, in order
//!  executor   Attempt → Outcome  what is done, and how it ended
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`codec`] | events and documents as the bytes that stores keep |
//! | [`parameter`] | declarations, layers, and how a run's values are resolved |
//! | [`mod@reference`] | `$name` and `${any name}` in payloads |
//! | [`rule`] | remaps of connections and locations at import |
//! | [`schedule`] | when deployments run by themselves, and what is made up for |
//! | [`secret`] | names of secrets, and where their contents come from |
//! | [`webhook`] | who is told that a job group has ended, and what is still to be told |
//!
//! Everything else stands at the root. What is *absent* here: the wall clock (time is an
//! argument), random ids (the engine's door draws them), files, sockets, environment variables,
//! and any knowledge of how a store or an executor does its work. Equal inputs give equal results,
//! down to the bytes of a [`Digest`].

mod bytes;
mod digest;
mod id;
mod inputs;
mod name;
mod time;

mod faults;
mod near;
pub mod parameter;
mod payload;
pub mod reference;

mod flow;
mod package;
mod policy;
mod retention;
pub mod rule;
pub mod schedule;

mod access;
mod catalog;
pub mod codec;
mod event;
mod nodes;
mod plan;
mod trace;

mod executor;
mod observer;
mod outcome;
pub mod secret;
mod store;
pub mod webhook;

pub use name::DeploymentName;
pub use name::ExecutorName;
pub use name::FlowName;
pub use name::MAX_NAME;
pub use name::NameError;
pub use name::OutputName;
pub use name::PackageName;
pub use name::ParameterName;
pub use name::PoolName;
pub use name::ScheduleName;
pub use name::StepName;

pub use id::AttemptId;
pub use id::AuditId;
pub use id::BackfillId;
pub use id::DeliveryId;
pub use id::DeploymentId;
pub use id::EnvironmentId;
pub use id::Epoch;
pub use id::GroupId;
pub use id::ID_LIMIT;
pub use id::IdError;
pub use id::JobId;
pub use id::JobIndex;
pub use id::LogOrderId;
pub use id::PresenceId;
pub use id::ReleaseId;
pub use id::RunId;
pub use id::RunOrderId;
pub use id::ScheduleId;
pub use id::Seq;
pub use id::TokenId;
pub use id::WebhookId;

pub use bytes::parse_bytes;

pub use digest::Digest;
pub use digest::DigestError;

pub use time::DurationError;
pub use time::Timestamp;
pub use time::TimestampError;
pub use time::duration;
pub use time::parse_duration;
pub use time::spelled;

pub use flow::Flow;
pub use flow::JobKind;
pub use flow::JobKindError;
pub use flow::Need;
pub use flow::Output;
pub use flow::OutputTrigger;
pub use flow::Step;
pub use flow::StepRef;
pub use flow::Trigger;

pub use policy::Backoff;
pub use policy::CrashLimit;
pub use policy::FailurePolicy;
pub use policy::Grace;
pub use policy::OnLost;
pub use policy::Policy;
pub use policy::PoolShare;
pub use policy::Priority;
pub use policy::Retry;
pub use policy::RetryOn;
pub use policy::RunPolicy;
pub use policy::Timeouts;

pub use retention::Retention;
pub use retention::RetentionError;

pub use package::Artifact;
pub use package::ArtifactError;
pub use package::Bundle;
pub use package::MAX_ARTIFACT_PATH;
pub use package::MAX_FLOWS;
pub use package::MAX_PAYLOAD;
pub use package::MAX_PAYLOAD_DEPTH;
pub use package::MAX_STEPS;
pub use package::Origin;
pub use package::Package;
pub use package::PackageFault;
pub use package::PackageFaults;
pub use package::PackageProblem;
pub use package::PolicyError;

pub use access::Audit;
pub use access::Deed;
pub use access::Role;
pub use access::Seal;
pub use access::Token;
pub use access::Verb;

pub use catalog::Deployment;
pub use catalog::Document;
pub use catalog::EnvironmentParameter;
pub use catalog::GroupSummary;
pub use catalog::JobBlock;
pub use catalog::Key;
pub use catalog::Kind;
pub use catalog::Release;
pub use catalog::Run;
pub use catalog::RunGroup;
pub use catalog::Status;

pub use plan::CarriedJob;
pub use plan::MAX_JOBS;
pub use plan::Plan;
pub use plan::PlanError;
pub use plan::PlannedJob;
pub use plan::PlannedNeed;
pub use plan::PlannedStep;
pub use plan::RunContext;

pub use event::CancelReason;
pub use event::Cause;
pub use event::Event;
pub use event::Events;
pub use event::Next;
pub use event::Record;
pub use event::StopReason;
pub use event::Timeout;
pub use event::Verdict;

pub use trace::TraceParent;
pub use trace::TraceParentError;

pub use outcome::Failure;
pub use outcome::FailureClass;
pub use outcome::Handle;
pub use outcome::Outcome;
pub use outcome::Success;

pub use executor::ArtifactFile;
pub use executor::Artifacts;
pub use executor::Attempt;
pub use executor::AttemptParts;
pub use executor::Cancellation;
pub use executor::Executor;
pub use executor::ExecutorTraits;
pub use executor::Reattached;
pub use executor::Reporter;
pub use executor::Stop;
pub use executor::Unheard;
pub use inputs::Inputs;
pub use inputs::JobInput;
pub use inputs::Left;

pub use nodes::Allotment;
pub use nodes::Allotments;
pub use nodes::CancelOrder;
pub use nodes::First;
pub use nodes::Helm;
pub use nodes::LogOrder;
pub use nodes::LogRow;
pub use nodes::Presence;
pub use nodes::RunAnswer;
pub use nodes::RunOrder;
pub use observer::EngineProfile;
pub use observer::Fact;
pub use observer::Happened;
pub use observer::JobCounts;
pub use observer::Observer;
pub use observer::Slots;
pub use observer::TurnReport;

pub use store::Append;
pub use store::Change;
pub use store::Commit;
pub use store::CommitError;
pub use store::Cursor;
pub use store::Durability;
pub use store::Feed;
pub use store::Lease;
pub use store::NodeId;
pub use store::Pruned;
pub use store::Query;
pub use store::Refusal;
pub use store::Revision;
pub use store::Store;
pub use store::StoreError;
pub use store::Stored;
