//! Jobwright's attempts as jobs of a Slurm cluster, handed over to `slurmrestd` as JSON.
//!
//! [`Slurm`] answers the questions of a [`Cluster`](jobwright_adapters::remote::Cluster);
//! [`executor`] makes an executor of it. The payload of a step is that of local processes, so that
//! a package runs here unchanged: the folder below which attempts get theirs is shared with the
//! cluster's nodes under the same path, and a program finds there its artifacts, parameters and
//! input, and leaves its result.
//!
//! What it must never do: let Slurm run a job twice (it forbids to requeue, and a job that comes
//! late finds its place taken), put a text of a step into the shell's grammar, or hold a token
//! where it can be shown.

mod api;
mod find;
mod order;
mod slurm;
mod token;
mod wire;

pub use api::ApiVersion;
pub use api::ApiVersionError;
pub use slurm::Site;
pub use slurm::SiteError;
pub use slurm::Slurm;
pub use slurm::SlurmExecutor;
pub use slurm::executor;
