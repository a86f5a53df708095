//! The environment: parameter values of the whole instance.

use jobwright_core::{
    Change, Document, EnvironmentId, EnvironmentParameter, Kind, NameError, ParameterName, Query,
    Revision, StoreError,
};
use thiserror::Error;

use super::Engine;
use super::catalog::WriteError;
use super::deployments::TRIES;

/// Why a parameter of the environment cannot be set or removed. Nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The name is impossible.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name does not begin with `env.`.
    #[error("the name of an environment parameter begins with `env.`, `{0}` does not")]
    Prefix(ParameterName),
    /// The value is neither text, number nor truth value.
    #[error("environment parameter `{0}` takes text, a number, or true or false")]
    Value(ParameterName),
    /// There is no such parameter.
    #[error("environment parameter `{0}` does not exist")]
    NotFound(ParameterName),
    /// It is at another revision than expected.
    #[error("environment parameter `{name}` is at revision {}, not {}: read it again", .found.0, .expected.0)]
    Stale {
        /// The parameter.
        name: ParameterName,
        /// The revision expected.
        expected: Revision,
        /// The one it has, 0 where it does not exist.
        found: Revision,
    },
    /// Others change it all the time.
    #[error("environment parameter `{0}` is being changed by others: try again")]
    Changed(ParameterName),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Lists the parameters of the environment, in the order of their making.
    ///
    /// # Errors
    /// The store failed.
    pub async fn environment(&self) -> Result<Vec<EnvironmentParameter>, StoreError> {
        self.list_all(Query::all(Kind::Environment)).await
    }

    /// Sets a parameter of the environment; all later runs see it at once.
    ///
    /// # Errors
    /// The name or value is impossible, or the store fails.
    pub async fn set_environment(
        &self,
        name: &str,
        value: impl Into<serde_json::Value>,
    ) -> Result<EnvironmentParameter, EnvironmentError> {
        Ok(self.set_environment_at(name, value, None).await?.0)
    }

    /// Sets a parameter of the environment if it is at the expected revision, where one is given.
    /// Returns its revision along with it.
    ///
    /// # Errors
    /// As for [`Engine::set_environment`]; [`EnvironmentError::Stale`] at another revision.
    pub async fn set_environment_at(
        &self,
        name: &str,
        value: impl Into<serde_json::Value>,
        expected: Option<Revision>,
    ) -> Result<(EnvironmentParameter, Revision), EnvironmentError> {
        let (name, value) = (ParameterName::new(name)?, value.into());
        if !name.is_environment() {
            return Err(EnvironmentError::Prefix(name));
        }
        if value.is_null() || value.is_array() || value.is_object() {
            return Err(EnvironmentError::Value(name));
        }
        let _alone = self.0.gates.change().await;
        for _ in 0..TRIES {
            let found = self.environment_named(&name).await?;
            let revision = found.as_ref().map_or(Revision(0), |(_, revision)| *revision);
            expect(&name, revision, expected)?;
            let (id, change) = match found {
                Some((known, revision)) => {
                    let parameter = EnvironmentParameter { value: value.clone(), ..known };
                    (parameter.id, Change::update(Document::Environment(parameter), revision))
                }
                None => {
                    let id = self.0.ids.take(Kind::Environment, 1).await?;
                    let id = super::submit::id(EnvironmentId::new(id))?;
                    let (name, value) = (name.clone(), value.clone());
                    let parameter = EnvironmentParameter { id, name, value };
                    (id, Change::insert(Document::Environment(parameter)))
                }
            };
            match self.write(vec![change], Vec::new()).await {
                Ok(()) => {
                    let parameter = EnvironmentParameter { id, name, value };
                    return Ok((parameter, Revision(revision.0 + 1)));
                }
                Err(WriteError::Changed | WriteError::Taken(_)) => {}
                Err(WriteError::Store(error)) => return Err(error.into()),
            }
        }
        Err(EnvironmentError::Changed(name))
    }

    /// Removes a parameter of the environment.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn remove_environment(&self, name: &str) -> Result<(), EnvironmentError> {
        self.remove_environment_at(name, None).await
    }

    /// Removes a parameter of the environment if it is at the expected revision, where one is
    /// given.
    ///
    /// # Errors
    /// There is none, it is at another revision, or the store fails.
    pub async fn remove_environment_at(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<(), EnvironmentError> {
        let name = ParameterName::new(name)?;
        let _alone = self.0.gates.change().await;
        let found = self.environment_named(&name).await?;
        let Some((parameter, revision)) = found else {
            return Err(EnvironmentError::NotFound(name));
        };
        expect(&name, revision, expected)?;
        match self.write(vec![Change::remove(parameter.id.into(), revision)], Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Store(error)) => Err(error.into()),
            Err(WriteError::Changed | WriteError::Taken(_)) => Err(EnvironmentError::Changed(name)),
        }
    }

    async fn environment_named(
        &self,
        name: &ParameterName,
    ) -> Result<Option<(EnvironmentParameter, Revision)>, StoreError> {
        let query = Query::all(Kind::Environment).parent(0).unique(name.as_str());
        match self.list::<EnvironmentParameter>(query).await?.pop() {
            Some(parameter) => self.find(parameter.id).await,
            None => Ok(None),
        }
    }
}

/// Refuses what is at another revision than expected, where one is.
fn expect(
    name: &ParameterName,
    found: Revision,
    expected: Option<Revision>,
) -> Result<(), EnvironmentError> {
    match expected {
        Some(expected) if expected != found => {
            Err(EnvironmentError::Stale { name: name.clone(), expected, found })
        }
        Some(_) | None => Ok(()),
    }
}
