//! A package: an immutable bundle of flows, known by its digest.

mod check;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::flow::Flow;
use crate::name::{FlowName, PackageName};

pub use check::ArtifactError;
pub use check::MAX_ARTIFACT_PATH;
pub use check::MAX_FLOWS;
pub use check::MAX_PAYLOAD;
pub use check::MAX_PAYLOAD_DEPTH;
pub use check::MAX_STEPS;
pub use check::PackageFault;
pub use check::PackageFaults;
pub use check::PackageProblem;
pub use check::PolicyError;

/// An immutable bundle of flows. Its digest covers the artifacts too, which it names by theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name, for people.
    pub name: PackageName,
    /// Its version, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where an exported package comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The flows whose outputs a run selects; the others are reached from them by reference.
    pub primary: Vec<FlowName>,
    /// All flows.
    pub flows: Vec<Flow>,
    /// Files that travel with the package, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
}

impl Package {
    /// Finds a flow by its name.
    #[must_use]
    pub fn flow(&self, name: &FlowName) -> Option<&Flow> {
        self.flows.iter().find(|flow| flow.name == *name)
    }

    /// Returns the canonical form, over which the digest is taken and in which stores keep it:
    /// JSON without white space, fields in declared order, object keys sorted.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a package holds only what JSON can hold")
    }

    /// Returns the content address of the package.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }
}

/// Where an exported package comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The version of the exporting product.
    pub product: String,
    /// Its edition, if it says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub edition: String,
    /// When it was exported, as written there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub exported_at: String,
    /// The export's own id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// What the exporting person wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// A file of a package: a relative path of plain components, and the address of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Where it lies in the working directory of an attempt; `/` between components, no `..`.
    pub path: String,
    /// The address of its content.
    pub digest: Digest,
    /// The size of its content in bytes.
    pub size: u64,
    /// Whether it may be executed.
    #[serde(default)]
    pub executable: bool,
}

/// A package with the contents of its artifacts: what a reader of packages returns and an import
/// stores.
#[derive(Clone, PartialEq)]
pub struct Bundle {
    /// The package.
    pub package: Package,
    /// The content of each artifact, by digest.
    pub contents: BTreeMap<Digest, Arc<[u8]>>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: BTreeMap<_, _> = self.contents.iter().map(|(at, c)| (at, c.len())).collect();
        f.debug_struct("Bundle").field("package", &self.package).field("contents", &sizes).finish()
    }
}

impl From<Package> for Bundle {
    /// A package without artifacts.
    fn from(package: Package) -> Self {
        Self { package, contents: BTreeMap::new() }
    }
}
