//! Runs attempts of jobwright as Spark applications: [`standalone`] hands them to the submission
//! server of a standalone master, [`SparkSubmitExecutor`] to `spark-submit` for other masters.
//!
//! A step's payload is that of local processes, and has a field of its own:
//!
//! ```yaml
//! payload:
//!   command: ["wrangle.py", "--day", "$day"]   # a Python program, any other, or a jar
//!   resources: { cpu: 4, memory: "2 GiB" }     # cores of the application, memory per executor
//!   spark:
//!     class: org.example.Main                  # where the command is a jar
//!     conf: { spark.sql.shuffle.partitions: 8 }
//! ```
//!
//! What is guaranteed, and what Spark cannot guarantee, is told in `docs/executors-spark.md`.

mod capacity;
mod claim;
mod master;
mod payload;
mod standalone;
mod state;
mod submit;

pub use payload::Properties;
pub use payload::PropertyError;
pub use standalone::SparkExecutor;
pub use standalone::Standalone;
pub use standalone::StandaloneError;
pub use standalone::StandaloneOptions;
pub use standalone::standalone;
pub use submit::SparkSubmitExecutor;
pub use submit::SubmitOptions;
