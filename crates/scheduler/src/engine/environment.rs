//! The environment: parameter values of the whole instance.

use jobwright_core::{
    Change, Document, EnvironmentId, EnvironmentParameter, Kind, NameError, ParameterName, Query,
    StoreError,
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
        let (name, value) = (ParameterName::new(name)?, value.into());
        if !name.is_environment() {
            return Err(EnvironmentError::Prefix(name));
        }
        if value.is_null() || value.is_array() || value.is_object() {
            return Err(EnvironmentError::Value(name));
        }
        let _alone = self.0.gates.change().await;
        for _ in 0..TRIES {
            let (id, change) = match self.environment_named(&name).await? {
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
                Ok(()) => return Ok(EnvironmentParameter { id, name, value }),
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
        let name = ParameterName::new(name)?;
        let _alone = self.0.gates.change().await;
        let found = self.environment_named(&name).await?;
        let Some((parameter, revision)) = found else {
            return Err(EnvironmentError::NotFound(name));
        };
        match self.write(vec![Change::remove(parameter.id.into(), revision)], Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Store(error)) => Err(error.into()),
            Err(WriteError::Changed | WriteError::Taken(_)) => Err(EnvironmentError::Changed(name)),
        }
    }

    async fn environment_named(
        &self,
        name: &ParameterName,
    ) -> Result<Option<(EnvironmentParameter, jobwright_core::Revision)>, StoreError> {
        let query = Query::all(Kind::Environment).parent(0).unique(name.as_str());
        match self.list::<EnvironmentParameter>(query).await?.pop() {
            Some(parameter) => self.find(parameter.id).await,
            None => Ok(None),
        }
    }
}
