//! Access tokens: made, found by the hash of their secret, revoked. The secret never comes here.

use std::time::Duration;

use jobwright_core::{
    Change, Digest, Document, First, Key, Kind, Query, Role, StoreError, Timestamp, Token, TokenId,
};
use thiserror::Error;

use super::Engine;
use super::catalog::WriteError;

/// The longest name of a token, in bytes.
const MAX_NAME: usize = 255;

/// Why a token cannot be made or revoked. Nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The name is empty or too long.
    #[error("the name of an access token has 1 to {MAX_NAME} bytes, this one has {0}")]
    Name(usize),
    /// There is no such token.
    #[error("access token {0} does not exist")]
    NotFound(TokenId),
    /// A token has the same hash: the secret was not random.
    #[error("a token with this secret exists already: draw another one")]
    Taken,
    /// It is the last token that may make others.
    #[error(
        "access token {0} is the last one with the role `admin` that does not end: make another one first"
    )]
    LastAdmin(TokenId),
    /// Somebody else revoked it meanwhile.
    #[error("access token {0} is being changed by others: try again")]
    Changed(TokenId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Makes a token for whoever knows the secret that has this hash. It ends after `lifetime`,
    /// never where there is none.
    ///
    /// # Errors
    /// The name is impossible, the hash is known, or the store fails.
    pub async fn create_token(
        &self,
        name: &str,
        role: Role,
        hash: Digest,
        lifetime: Option<Duration>,
    ) -> Result<Token, TokenError> {
        let token = self.new_token(name, role, hash, lifetime).await?;
        self.insert_token(token.clone(), Vec::new()).await?;
        Ok(token)
    }

    /// Makes the first token of the instance: an admin's that never ends. Of engines on one store
    /// that do so at once one makes it. None where there was one before.
    ///
    /// # Errors
    /// The name is impossible, the hash is known, or the store fails.
    pub async fn create_first_token(
        &self,
        name: &str,
        hash: Digest,
    ) -> Result<Option<Token>, TokenError> {
        // An instance that is older than its record of the first token has others.
        let was_there = self.0.store.find(Key::FIRST).await?.is_some();
        if was_there || !self.tokens().await?.is_empty() {
            return Ok(None);
        }
        let token = self.new_token(name, Role::Admin, hash, None).await?;
        let first = First { token: token.id, at: token.created_at };
        let first = Change::insert(Document::First(first));
        match self.insert_token(token.clone(), vec![first]).await {
            Ok(()) => Ok(Some(token)),
            Err(TokenError::Changed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn new_token(
        &self,
        name: &str,
        role: Role,
        hash: Digest,
        lifetime: Option<Duration>,
    ) -> Result<Token, TokenError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(TokenError::Name(name.len()));
        }
        let id = super::submit::id(TokenId::new(self.0.ids.take(Kind::Token, 1).await?))?;
        let now = self.0.clock.now();
        Ok(Token {
            id,
            name: name.to_owned(),
            role,
            hash: hash.to_string(),
            created_by: self.actor(),
            created_at: now,
            expires_at: lifetime.map(|lifetime| now + lifetime),
        })
    }

    async fn insert_token(&self, token: Token, mut with: Vec<Change>) -> Result<(), TokenError> {
        let id = token.id;
        with.insert(0, Change::insert(Document::Token(token)));
        match self.write(with, Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Taken(_)) => Err(TokenError::Taken),
            Err(WriteError::Changed) => Err(TokenError::Changed(id)),
            Err(WriteError::Store(error)) => Err(error.into()),
        }
    }

    /// Finds the token whose secret has this hash, ended or not.
    ///
    /// # Errors
    /// The store failed.
    pub async fn token_of(&self, hash: Digest) -> Result<Option<Token>, StoreError> {
        let query = Query::all(Kind::Token).parent(0).unique(&hash.to_string());
        Ok(self.list(query).await?.pop())
    }

    /// Finds a token.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn token(&self, id: TokenId) -> Result<Token, TokenError> {
        let found = self.find::<Token>(id).await?;
        found.map(|(token, _)| token).ok_or(TokenError::NotFound(id))
    }

    /// Lists all tokens, in the order of their making.
    ///
    /// # Errors
    /// The store failed.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.list_all(Query::all(Kind::Token)).await
    }

    /// Revokes a token: it is refused from now on.
    ///
    /// # Errors
    /// There is none, it is the last admin's, or the store fails.
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), TokenError> {
        let _alone = self.0.gates.change().await;
        let found = self.find::<Token>(id).await?;
        let (token, revision) = found.ok_or(TokenError::NotFound(id))?;
        if lasts(&token, self.0.clock.now()) {
            let all = self.tokens().await?;
            let now = self.0.clock.now();
            if !all.iter().any(|other| other.id != id && lasts(other, now)) {
                return Err(TokenError::LastAdmin(id));
            }
        }
        match self.write(vec![Change::remove(id.into(), revision)], Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Store(error)) => Err(error.into()),
            Err(WriteError::Changed | WriteError::Taken(_)) => Err(TokenError::Changed(id)),
        }
    }
}

/// Tells whether the instance can rest on this token: an admin's that never ends.
fn lasts(token: &Token, now: Timestamp) -> bool {
    token.role == Role::Admin && token.expires_at.is_none() && !token.has_expired(now)
}
