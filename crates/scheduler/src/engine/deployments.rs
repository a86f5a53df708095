//! Deployments: named containers of releases.

use jobwright_core::parameter::Values;
use jobwright_core::rule::{ObjectRule, ValueRule};
use jobwright_core::{
    Change, Deployment, DeploymentId, DeploymentName, Document, Kind, NameError, ParameterName,
    Query, Release, Retention, Revision, RunPolicy, StoreError,
};
use thiserror::Error;

use super::Engine;
use super::catalog::WriteError;

/// How often a change is tried when other engines change the same documents.
pub(super) const TRIES: u32 = 16;

/// Why a deployment cannot be made, changed or deleted. Nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeploymentError {
    /// The name is impossible.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no such deployment.
    #[error("deployment {0} does not exist")]
    NotFound(DeploymentId),
    /// Another deployment has the name.
    #[error("deployment {existing} is already named `{name}`")]
    Taken {
        /// The name.
        name: DeploymentName,
        /// The deployment that has it.
        existing: i64,
    },
    /// The deployment has releases: delete them first.
    #[error("deployment {deployment} has {releases} releases: delete them first")]
    NotEmpty {
        /// The deployment.
        deployment: DeploymentId,
        /// How many releases it has.
        releases: usize,
    },
    /// A rule is wrong.
    #[error("the import rules are wrong")]
    Rules(#[source] jobwright_core::rule::RuleError),
    /// It has another revision than the change is meant for.
    #[error("deployment {deployment} is at revision {}, not {}: read it again", .found.0, .expected.0)]
    Stale {
        /// The deployment.
        deployment: DeploymentId,
        /// The revision expected.
        expected: Revision,
        /// The one it has.
        found: Revision,
    },
    /// Others change the deployment all the time.
    #[error("deployment {0} is being changed by others: try again")]
    Changed(DeploymentId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// What is to change of a deployment; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct DeploymentChange {
    /// Its name.
    pub name: Option<DeploymentName>,
    /// Its parameter values, all of them.
    pub values: Option<Values>,
    /// Its object rules, all of them.
    pub object_rules: Option<Vec<ObjectRule>>,
    /// Its value rules, all of them.
    pub value_rules: Option<Vec<ValueRule>>,
    /// What a run does when the deployment is already running.
    pub run_policy: Option<RunPolicy>,
    /// The most live attempts; `Some(None)` takes the limit away.
    pub limit: Option<Option<u32>>,
    /// How long its runs are kept when they are over; `Some(None)` for what the engine says.
    pub retention: Option<Option<Retention>>,
    /// Whether it is paused: then no run of it begins.
    pub paused: Option<bool>,
}

impl Engine {
    /// Makes a deployment without releases.
    ///
    /// # Errors
    /// The name is impossible or taken, or the store fails.
    pub async fn create_deployment(&self, name: &str) -> Result<Deployment, DeploymentError> {
        let name = DeploymentName::new(name)?;
        let id = self.0.ids.take(Kind::Deployment, 1).await?;
        let now = self.0.clock.now();
        let deployment = Deployment {
            id: super::submit::id(DeploymentId::new(id))?,
            name,
            active: None,
            values: Values::new(),
            object_rules: Vec::new(),
            value_rules: Vec::new(),
            run_policy: RunPolicy::Allow,
            limit: None,
            retention: None,
            paused: false,
            webhooks: 0,
            created_by: self.actor(),
            updated_by: self.actor(),
            created_at: now,
            updated_at: now,
        };
        let change = Change::insert(Document::Deployment(deployment.clone()));
        match self.write(vec![change], Vec::new()).await {
            Ok(()) => Ok(deployment),
            Err(WriteError::Taken(existing)) => {
                Err(DeploymentError::Taken { name: deployment.name, existing })
            }
            Err(WriteError::Changed) => Err(DeploymentError::Changed(deployment.id)),
            Err(WriteError::Store(error)) => Err(error.into()),
        }
    }

    /// Finds a deployment.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn deployment(&self, id: DeploymentId) -> Result<Deployment, DeploymentError> {
        let found = self.find::<Deployment>(id).await?;
        found.map(|(deployment, _)| deployment).ok_or(DeploymentError::NotFound(id))
    }

    /// Finds a deployment by its name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn deployment_named(&self, name: &str) -> Result<Option<Deployment>, StoreError> {
        let query = Query::all(Kind::Deployment).parent(0).unique(name);
        Ok(self.list(query).await?.pop())
    }

    /// Lists all deployments, in the order of their ids.
    ///
    /// # Errors
    /// The store failed.
    pub async fn deployments(&self) -> Result<Vec<Deployment>, StoreError> {
        self.list_all(Query::all(Kind::Deployment)).await
    }

    /// Changes a deployment. Runs that were accepted before are not affected.
    ///
    /// # Errors
    /// There is no such deployment, the name is taken, the rules are wrong, or the store fails.
    pub async fn change_deployment(
        &self,
        id: DeploymentId,
        change: DeploymentChange,
    ) -> Result<Deployment, DeploymentError> {
        self.change_deployment_at(id, None, change).await.map(|(deployment, _)| deployment)
    }

    /// Changes a deployment if it still has this revision, and returns it with the one it was
    /// changed from: the next is one more.
    ///
    /// # Errors
    /// As for [`Engine::change_deployment`], and if it has another revision.
    pub async fn change_deployment_at(
        &self,
        id: DeploymentId,
        expected: Option<Revision>,
        change: DeploymentChange,
    ) -> Result<(Deployment, Deployment), DeploymentError> {
        let objects = change.object_rules.as_deref().unwrap_or_default();
        let values = change.value_rules.as_deref().unwrap_or_default();
        jobwright_core::rule::check(objects, values).map_err(DeploymentError::Rules)?;
        self.update_deployment(id, expected, |deployment| {
            let change = change.clone();
            if let Some(name) = change.name {
                deployment.name = name;
            }
            if let Some(values) = change.values {
                deployment.values = values;
            }
            if let Some(rules) = change.object_rules {
                deployment.object_rules = rules;
            }
            if let Some(rules) = change.value_rules {
                deployment.value_rules = rules;
            }
            if let Some(policy) = change.run_policy {
                deployment.run_policy = policy;
            }
            if let Some(limit) = change.limit {
                deployment.limit = limit;
            }
            if let Some(retention) = change.retention {
                deployment.retention = retention;
            }
            if let Some(paused) = change.paused {
                deployment.paused = paused;
            }
        })
        .await
    }

    /// Gives a deployment a value for a parameter, or takes it away; its other values stay.
    ///
    /// # Errors
    /// There is no such deployment, or the store fails.
    pub async fn set_deployment_value(
        &self,
        id: DeploymentId,
        name: &ParameterName,
        value: Option<serde_json::Value>,
    ) -> Result<Deployment, DeploymentError> {
        let updated = self.update_deployment(id, None, |deployment| {
            match value.clone() {
                Some(value) => deployment.values.insert(name.clone(), value),
                None => deployment.values.remove(name),
            };
        });
        Ok(updated.await?.0)
    }

    /// Changes a deployment as it is now; where somebody else changes it meanwhile, as it is then.
    /// Returns it as it is and as it was.
    async fn update_deployment(
        &self,
        id: DeploymentId,
        expected: Option<Revision>,
        update: impl Fn(&mut Deployment),
    ) -> Result<(Deployment, Deployment), DeploymentError> {
        let _alone = self.0.gates.change().await;
        for _ in 0..TRIES {
            let found = self.find::<Deployment>(id).await?;
            let (before, revision) = found.ok_or(DeploymentError::NotFound(id))?;
            stale(id, expected, revision)?;
            let mut deployment = before.clone();
            update(&mut deployment);
            deployment.updated_at = self.0.clock.now();
            deployment.updated_by = self.actor();
            let change = Change::update(Document::Deployment(deployment.clone()), revision);
            match self.write(vec![change], Vec::new()).await {
                Ok(()) => {
                    // A schedule may have waited for the deployment to be resumed.
                    self.ring();
                    return Ok((deployment, before));
                }
                Err(WriteError::Changed) => {}
                Err(WriteError::Taken(existing)) => {
                    return Err(DeploymentError::Taken { name: deployment.name, existing });
                }
                Err(WriteError::Store(error)) => return Err(error.into()),
            }
        }
        Err(DeploymentError::Changed(id))
    }

    /// Deletes a deployment that has no releases, with its schedules. Its runs stay readable.
    ///
    /// # Errors
    /// There is no such deployment, it has releases, or the store fails.
    pub async fn delete_deployment(&self, id: DeploymentId) -> Result<(), DeploymentError> {
        self.delete_deployment_at(id, None).await
    }

    /// Deletes a deployment if it still has this revision.
    ///
    /// # Errors
    /// As for [`Engine::delete_deployment`], and if it has another revision.
    pub async fn delete_deployment_at(
        &self,
        id: DeploymentId,
        expected: Option<Revision>,
    ) -> Result<(), DeploymentError> {
        let _alone = self.0.gates.change().await;
        let found = self.find::<Deployment>(id).await?;
        let (_, revision) = found.ok_or(DeploymentError::NotFound(id))?;
        stale(id, expected, revision)?;
        let releases = self.list_all::<Release>(Query::all(Kind::Release).parent(id.get())).await?;
        if !releases.is_empty() {
            return Err(DeploymentError::NotEmpty { deployment: id, releases: releases.len() });
        }
        let mut changes = self.without_schedules(id).await?;
        changes.push(Change::remove(id.into(), revision));
        changes.extend(self.without_webhooks(id).await?);
        match self.write(changes, Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Store(error)) => Err(error.into()),
            Err(WriteError::Changed | WriteError::Taken(_)) => Err(DeploymentError::Changed(id)),
        }
    }
}

/// Refuses to go on where another revision is expected.
pub(super) fn stale(
    deployment: DeploymentId,
    expected: Option<Revision>,
    found: Revision,
) -> Result<(), DeploymentError> {
    match expected {
        Some(expected) if expected != found => {
            Err(DeploymentError::Stale { deployment, expected, found })
        }
        Some(_) | None => Ok(()),
    }
}
