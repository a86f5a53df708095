//! What a step asks of a cluster that runs programs: the payload of local processes, checked, in
//! words that do not depend on this machine.

use std::path::Path;

use jobwright_core::{Attempt, Failure};
use serde_json::Value;

use super::{Job, Resources};
use crate::local::environment::{environment, inputs_document, parameters_document};
use crate::local::folder::{Folder, Places};
use crate::local::payload::{Payload, Setting};
use crate::local::start::{chain, lay_out};

/// A checked payload of the form that local processes have: `command`, `env`, `stdin`,
/// `resources`. `limits` are for local processes, and left alone. No text in it holds a NUL, and
/// no argument is a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Work(Payload);

/// A variable of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The payload names a secret for it: its value may be nowhere but where the program runs.
    pub is_secret: bool,
}

impl Work {
    /// Reads a payload. Fields in `own` are the cluster's own, and left out.
    ///
    /// # Errors
    /// A permanent failure that names the field.
    pub fn parse(payload: &Value, own: &[&str]) -> Result<Self, Failure> {
        let parsed = match payload.as_object() {
            Some(fields) if own.iter().any(|field| fields.contains_key(*field)) => {
                let rest = fields.iter().filter(|(name, _)| !own.contains(&name.as_str()));
                Payload::parse(&rest.map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            Some(_) | None => Payload::parse(payload),
        };
        parsed.map(Self).map_err(|error| Failure::permanent("payload", chain(&error)))
    }

    /// Returns the program and its arguments: at least one.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.0.command
    }

    /// Returns what the program reads.
    #[must_use]
    pub fn stdin(&self) -> Option<&str> {
        self.0.stdin.as_deref()
    }

    /// Returns what it asks of a machine.
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.0.resources
    }

    /// Returns the variables of the program, those that local processes have: `PATH` as given,
    /// `HOME`, the `JOBWRIGHT_*`, `TRACEPARENT` and the payload's own. `places` are those of the
    /// machine on which it runs. Each name is there once.
    ///
    /// # Errors
    /// A permanent failure: a value holds a NUL, or a secret was not handed over.
    pub fn variables(
        &self,
        attempt: &Attempt,
        places: &Places,
        path: &str,
    ) -> Result<Vec<Variable>, Failure> {
        let found = environment(attempt, &self.0, places, &[], &path.into());
        let found = found.map_err(|error| *Box::<Failure>::from(error))?;
        let is_secret = |name: &str| {
            let set = self.0.env.iter().rev().find(|(known, _)| known == name);
            matches!(set, Some((_, Setting::Secret(_))))
        };
        let mut variables: Vec<Variable> = Vec::with_capacity(found.len());
        for (name, value) in found {
            let (name, value) = (name.to_string_lossy().into_owned(), value);
            let value = value.to_string_lossy().into_owned();
            let is_secret = is_secret(&name);
            variables.retain(|it| it.name != name);
            variables.push(Variable { name, value, is_secret });
        }
        Ok(variables)
    }

    /// Puts what the program finds on local processes into the attempt's folder: artifacts,
    /// parameters, input, and what it reads. For clusters that share the folder.
    ///
    /// # Errors
    /// As writing files has; a shortage counts for nothing.
    pub async fn lay_out(&self, job: &Job) -> Result<(), Failure> {
        let folder = Folder::open(job.root(), job.attempt());
        let missing = || Failure::retryable("io", "the folder of the attempt is gone");
        let folder = folder?.ok_or_else(missing)?;
        lay_out(folder, job.attempt(), self.stdin()).await.map(drop).map_err(|failure| *failure)
    }

    /// Returns the content of the file of parameters, for clusters that do not share a folder.
    #[must_use]
    pub fn parameters(attempt: &Attempt) -> Vec<u8> {
        parameters_document(attempt)
    }

    /// Returns the content of the file of inputs, for clusters that do not share a folder.
    #[must_use]
    pub fn inputs(attempt: &Attempt) -> Vec<u8> {
        inputs_document(attempt)
    }
}

impl Job {
    /// Returns where a program finds what it needs, on a cluster that shares the folder.
    #[must_use]
    pub fn places(&self) -> Places {
        Places::below(self.folder())
    }

    /// Returns the file from which a program reads on a cluster that shares the folder.
    #[must_use]
    pub fn stdin(&self) -> std::path::PathBuf {
        let folder: &Path = self.folder();
        folder.join(crate::local::folder::STDIN)
    }
}
