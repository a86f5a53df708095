//! Access tokens and audit records.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jobwright_core::{AuditId, Key, Kind, StoreError, TokenId};
use jobwright_scheduler::{Engine, TokenError};
use serde::Deserialize;
use thiserror::Error;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Json, Query};
use crate::effect::Admin;
use crate::problem::{Problem, Sort};
use crate::router::Routes;
use crate::secret::{Secret, SecretError};
use crate::version::Version;
use crate::wire::{AuditBody, AuditCheckBody, CreateToken, CreatedToken, Data, TokenBody};

/// The longest life of a token, in days; some are for ever.
const MOST_DAYS: i64 = 36_500;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(read, remove))
        .routes(routes!(audit))
        .routes(routes!(check_audit))
        .routes(routes!(seal_audit))
}

/// Why there is no first token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FirstTokenError {
    /// No secret can be drawn.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Makes the first token of an instance: an admin's that never ends. Its secret is returned once;
/// none where the instance has tokens already.
///
/// # Errors
/// The operating system gives no randomness, or the store fails.
pub async fn first_token(engine: &Engine) -> Result<Option<Secret>, FirstTokenError> {
    if !engine.tokens().await?.is_empty() {
        return Ok(None);
    }
    let secret = Secret::draw()?;
    let made = engine.create_first_token("the first token", secret.hash()).await?;
    Ok(made.map(|_| secret))
}

/// The key of things that do not exist yet, for audit records.
const NEW: Key = Key { kind: Kind::Token, id: 0 };

/// Lists the access tokens.
#[utoipa::path(
    get, path = "/apiAccessTokens", tag = "apiAccessTokens", operation_id = "listApiAccessTokens",
    responses((status = 200, description = "The tokens", body = Data<TokenBody>)),
)]
async fn list(version: Version, caller: Caller) -> Result<Response, Problem> {
    caller.permit::<Admin>(NEW).await?;
    let tokens = caller.view().tokens().await?;
    let data = tokens.iter().map(|token| TokenBody::new(version, token)).collect();
    Ok(axum::Json(Data { data }).into_response())
}

/// Makes an access token. The response is the only place that shows its secret.
#[utoipa::path(
    post, path = "/apiAccessTokens", tag = "apiAccessTokens", operation_id = "createApiAccessToken",
    request_body = CreateToken,
    responses((status = 201, description = "The token with its secret", body = CreatedToken)),
)]
async fn create(
    version: Version,
    caller: Caller,
    Json(body): Json<CreateToken>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Admin>(NEW).await?;
    let lifetime = match body.lifetime_in_days {
        -1 => None,
        days @ 1..=MOST_DAYS => {
            Some(Duration::from_secs(days.unsigned_abs().saturating_mul(86_400)))
        }
        days => {
            let detail = format!("a token lives 1 to {MOST_DAYS} days, or -1 for ever, not {days}");
            return Err(Problem::at("#/lifetimeInDays", detail));
        }
    };
    let secret = Secret::draw().map_err(|error| {
        tracing::error!(%error, "no access token can be made");
        Problem::new(Sort::Internal, "no secret can be drawn: see the server's log")
    })?;
    let token = permit.create_token(&body.description, body.role, secret.hash(), lifetime).await?;
    let body = CreatedToken::new(version, &token, &secret);
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

/// Reads an access token; its secret is not shown again.
#[utoipa::path(
    get, path = "/apiAccessTokens/{id}", tag = "apiAccessTokens", operation_id = "getApiAccessToken",
    responses((status = 200, description = "The token", body = TokenBody)),
)]
async fn read(version: Version, caller: Caller, Id(id): Id<TokenId>) -> Result<Response, Problem> {
    caller.permit::<Admin>(id).await?;
    let tokens = caller.view().tokens().await?;
    let token = tokens.iter().find(|token| token.id == id);
    let token = token.ok_or_else(|| Problem::not_found("access token", id))?;
    Ok(axum::Json(TokenBody::new(version, token)).into_response())
}

/// Revokes an access token.
#[utoipa::path(
    delete, path = "/apiAccessTokens/{id}", tag = "apiAccessTokens",
    operation_id = "deleteApiAccessToken",
    responses((status = 204, description = "It is revoked")),
)]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<TokenId>,
) -> Result<StatusCode, Problem> {
    let permit = caller.permit::<Admin>(id).await?;
    permit.revoke(&app, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which audit records are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those before this one.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    before: Option<String>,
}

/// Lists audit records, the newest first, 200 at a time.
#[utoipa::path(
    get, path = "/auditRecords", tag = "auditRecords", operation_id = "listAuditRecords",
    params(Which),
    responses((status = 200, description = "The records", body = Data<AuditBody>)),
)]
async fn audit(
    version: Version,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    caller.permit::<Admin>(Key { kind: Kind::Audit, id: 0 }).await?;
    let before = which.before.as_deref().map(str::parse::<AuditId>).transpose();
    let before = before.map_err(|error| Problem::validation(error.to_string()))?;
    let records = caller.view().audit(before, 200).await?;
    let data = records.iter().map(|record| AuditBody::new(version, record)).collect();
    Ok(axum::Json(Data { data }).into_response())
}

/// Seals the audit records that came since the last seal: a change of one of them is found from
/// now on.
#[utoipa::path(
    post, path = "/auditRecords/seal", tag = "auditRecords", operation_id = "sealAuditRecords",
    responses((status = 200, description = "What is sealed now", body = AuditCheckBody)),
)]
async fn seal_audit(caller: Caller) -> Result<Response, Problem> {
    let permit = caller.permit::<Admin>(Key { kind: Kind::Audit, id: 0 }).await?;
    permit.seal_audit().await?;
    let check = caller.view().check_audit().await?;
    Ok(axum::Json(AuditCheckBody::new(&check)).into_response())
}

/// Looks whether the audit records are as they were when they were sealed.
#[utoipa::path(
    get, path = "/auditRecords/check", tag = "auditRecords", operation_id = "checkAuditRecords",
    responses((status = 200, description = "What was found", body = AuditCheckBody)),
)]
async fn check_audit(caller: Caller) -> Result<Response, Problem> {
    caller.permit::<Admin>(Key { kind: Kind::Audit, id: 0 }).await?;
    let check = caller.view().check_audit().await?;
    Ok(axum::Json(AuditCheckBody::new(&check)).into_response())
}
