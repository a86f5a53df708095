//! The tables `[executors.NAME]`: what runs the steps that name it. Which keys a table may have
//! depends on its `kind`, so they are read one by one, each fault with its place.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use jobwright_core::ExecutorName;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::kubernetes::Kubernetes;
use super::place::{ConfigError, Document};
use super::quantity::{Bytes, Period};
use super::slurm::Slurm;
use super::spark::{Spark, SparkSubmit};

/// The kinds that there are.
const KINDS: [&str; 6] = ["kubernetes", "local", "mock", "slurm", "spark", "spark-submit"];

/// What runs steps.
#[derive(Debug, Clone)]
pub(crate) enum Executor {
    /// Processes of this machine.
    Local(Local),
    /// Jobs of a Kubernetes cluster.
    Kubernetes(Box<Kubernetes>),
    /// Jobs of a Slurm cluster.
    Slurm(Box<Slurm>),
    /// Nothing: steps end as they are told to, so that a package can be tried.
    Mock(Mock),
    /// Drivers on a standalone master of Spark.
    Spark(Box<Spark>),
    /// Processes of `spark-submit` on this machine.
    SparkSubmit(Box<SparkSubmit>),
}

/// How local processes run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Local {
    /// How many attempts run at a time; absent: twice the number of cores.
    pub(crate) slots: Option<NonZeroU32>,
    /// How many run at a time on all servers that share the store; absent: no more than each may.
    pub(crate) total_slots: Option<NonZeroU32>,
    /// Where attempts have their folders, relative to the data folder; absent: `jobs`.
    pub(crate) folder: Option<PathBuf>,
    /// Where programs without a `/` are looked up; absent: the usual three folders.
    pub(crate) search_path: Option<Vec<PathBuf>>,
    /// Variables of the server that programs inherit, besides `LANG`, `LC_ALL` and `TZ`.
    pub(crate) inherit: Vec<Spanned<String>>,
    /// The most bytes that are kept of each stream of an attempt.
    pub(crate) log_limit: Option<Bytes>,
    pub(crate) keep: Keep,
    pub(crate) limits: Limits,
}

/// Which folders of ended attempts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Keep {
    /// All of them.
    #[default]
    All,
    /// Those of attempts that did not succeed.
    Failed,
}

/// What a process may use; absent: as much as it likes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Limits {
    /// Processor time, rounded up to whole seconds.
    pub(crate) cpu: Option<Period>,
    /// Address space.
    pub(crate) memory: Option<Bytes>,
    pub(crate) open_files: Option<u64>,
    /// The size of a file that it writes.
    pub(crate) file_size: Option<Bytes>,
}

/// How steps are pretended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Mock {
    /// How many attempts run at a time; absent: as many as there are.
    pub(crate) slots: Option<NonZeroU32>,
    /// How many run at a time on all servers that share the store; absent: no more than each may.
    pub(crate) total_slots: Option<NonZeroU32>,
    pub(crate) outcome: Outcome,
    /// How long an attempt takes.
    pub(crate) latency: Period,
    /// The share of attempts that fail, retryable, whatever the outcome is.
    pub(crate) failure_rate: Share,
    /// Which ones these are.
    pub(crate) seed: u64,
}

/// How pretended attempts end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// They succeed and leave nothing.
    #[default]
    Success,
    /// They fail for good.
    Failure,
    /// They never end by themselves.
    Hang,
}

/// A share of a whole, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Share(pub(crate) u16);

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("expected a share from 0.0 to 1.0, found {share}"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 1,000"
        )]
        Ok(Self((share * 1_000.0).round() as u16))
    }
}

/// Reads all tables of executors.
pub(super) fn read(
    tables: &Spanned<DeValue<'_>>,
    document: &Document<'_>,
) -> Result<BTreeMap<String, Executor>, ConfigError> {
    let Some(tables) = tables.get_ref().as_table() else {
        return Err(document.wrong(Some(tables.span()), "expected tables `[executors.NAME]`"));
    };
    let mut executors = BTreeMap::new();
    for (name, table) in tables {
        if let Err(error) = ExecutorName::new(name.get_ref()) {
            return Err(document.wrong(Some(name.span()), &error.to_string()));
        }
        let executor = match table.get_ref().as_table() {
            Some(keys) => one(name, keys, table, document)?,
            None => {
                let message = format!("expected a table `[executors.{}]`", name.get_ref());
                return Err(document.wrong(Some(table.span()), &message));
            }
        };
        executors.insert(name.get_ref().to_string(), executor);
    }
    Ok(executors)
}

fn one(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    keys: &DeTable<'_>,
    table: &Spanned<DeValue<'_>>,
    document: &Document<'_>,
) -> Result<Executor, ConfigError> {
    let Some(kind) = keys.get("kind") else {
        let message = format!(
            "executor `{}` has no `kind`: write `kind = \"local\"` to run processes, `kind = \"slurm\"` or `kind = \"kubernetes\"` to run jobs of a cluster, or `kind = \"mock\"` to pretend",
            name.get_ref(),
        );
        return Err(document.wrong(Some(name.span()), &message));
    };
    let mut rest = keys.clone();
    rest.remove("kind");
    let rest = ValueDeserializer::from(Spanned::new(table.span(), DeValue::Table(rest)));
    let refuse = |error| document.refuse(&error);
    let executor = match kind.get_ref().as_str() {
        Some("local") => Executor::Local(Local::deserialize(rest).map_err(refuse)?),
        Some("kubernetes") => {
            Executor::Kubernetes(Box::new(Kubernetes::deserialize(rest).map_err(refuse)?))
        }
        Some("slurm") => Executor::Slurm(Box::new(Slurm::deserialize(rest).map_err(refuse)?)),
        Some("mock") => Executor::Mock(Mock::deserialize(rest).map_err(refuse)?),
        Some("spark") => Executor::Spark(Box::new(Spark::deserialize(rest).map_err(refuse)?)),
        Some("spark-submit") => {
            Executor::SparkSubmit(Box::new(SparkSubmit::deserialize(rest).map_err(refuse)?))
        }
        Some(other) => {
            return Err(document.wrong(Some(kind.span()), &unknown_kind(other)));
        }
        None => {
            let found = kind.get_ref().type_str();
            let message = format!("expected `kind` to be {}, found {found}", listed("or"));
            return Err(document.wrong(Some(kind.span()), &message));
        }
    };
    match &executor {
        Executor::Local(local) => check_inherited(&local.inherit, document)?,
        Executor::SparkSubmit(submit) => check_inherited(&submit.inherit, document)?,
        Executor::Kubernetes(_) | Executor::Mock(_) | Executor::Slurm(_) | Executor::Spark(_) => {}
    }
    Ok(executor)
}

/// What the server keeps to itself: its own settings and secrets, and what changes how programs
/// are loaded.
fn check_inherited(
    inherit: &[Spanned<String>],
    document: &Document<'_>,
) -> Result<(), ConfigError> {
    for variable in inherit {
        let name = variable.get_ref();
        let why = if name.is_empty() || name.contains(['=', '\0']) {
            "is no name of a variable"
        } else if name.starts_with("JOBWRIGHT_") {
            "belongs to jobwright, programs get their own variables of that kind"
        } else if name.starts_with("LD_") {
            "changes how programs are loaded"
        } else {
            continue;
        };
        let message = format!("`{name}` cannot be inherited: it {why}");
        return Err(document.wrong(Some(variable.span()), &message));
    }
    Ok(())
}

/// The kinds that there are, in words.
fn listed(and: &str) -> String {
    let quoted = KINDS.map(|kind| format!("`{kind}`"));
    let [all @ .., last] = &quoted;
    format!("{} {and} {last}", all.join(", "))
}

fn unknown_kind(found: &str) -> String {
    let lower = found.to_lowercase();
    let meant = match lower.as_str() {
        "process" | "processes" | "shell" | "exec" | "command" => Some("local"),
        "hpc" | "sbatch" | "batch" => Some("slurm"),
        "k8s" | "kube" | "pod" | "job" => Some("kubernetes"),
        "fake" | "dummy" | "test" | "none" => Some("mock"),
        other => KINDS
            .into_iter()
            .map(|kind| (strsim::osa_distance(kind, other), kind))
            .filter(|(distance, _)| *distance <= 2)
            .min()
            .map(|(_, kind)| kind),
    };
    let meant = meant.map(|kind| format!(", did you mean `{kind}`?")).unwrap_or_default();
    format!("unknown kind of executor `{found}`, there are {}{meant}", listed("and"))
}
