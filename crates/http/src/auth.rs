//! Who asks: the holder of an access token, shown as a bearer token or as the password of HTTP
//! basic authentication. What the caller may do is asked where it is done, see
//! [`Permit`](crate::effect::Permit).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jobwright_core::{Digest, Key, Role, Token, TokenId};

use crate::app::App;
use crate::effect::{Level, Permit};
use crate::problem::{Problem, Sort};
use crate::refusals::Place;
use crate::secret::Secret;
use crate::view::View;

/// How long a token that was found is not looked up again: a revocation by another engine on the
/// same store is seen after this.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(5);

/// How many tokens are remembered.
const MOST_REMEMBERED: usize = 4096;

/// Somebody with a token that lives, or anybody where the embedder allows that.
pub(crate) struct Caller {
    token: Option<Arc<Token>>,
    role: Role,
    request: String,
    app: App,
}

impl Caller {
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The caller's token.
    pub(crate) fn token(&self) -> Option<TokenId> {
        self.token.as_ref().map(|token| token.id)
    }

    /// The caller's token with all that is known of it.
    pub(crate) fn whole_token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// The request in a few words, for audit records.
    pub(crate) fn request(&self) -> &str {
        &self.request
    }

    /// The engine, to read from: whoever has a token may.
    pub(crate) fn view(&self) -> View {
        View::new(&self.app.0.engine)
    }

    /// The permit to do something, if the caller has the role.
    pub(crate) async fn permit<L: Level>(&self, on: impl Into<Key>) -> Result<Permit<L>, Problem> {
        Permit::ask(&self.app, self, on.into()).await
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip());
        let counted = |hash: Option<&Digest>, refusal: Problem| {
            let (place, limit) = (Place::of(peer, hash), app.options().failures_per_minute);
            match refusal.sort {
                Sort::Unauthenticated => app.0.refusals.count(place, app.now(), limit, refusal),
                _ => refusal,
            }
        };
        let token = match shown(&parts.headers).map_err(|refusal| counted(None, refusal))? {
            Some(secret) => {
                let hash = secret.hash();
                let token = alive(app, hash).await;
                Some(token.map_err(|refusal| counted(Some(&hash), refusal))?)
            }
            None => None,
        };
        let role = match (&token, app.options().anonymous) {
            (Some(token), _) => token.role,
            (None, Some(role)) => role,
            (None, None) => {
                let detail = "show an access token: `Authorization: Bearer <token>`";
                return Err(Problem::unauthenticated(detail));
            }
        };
        let id = token.as_ref().map(|token| token.id);
        let quota = app.0.quotas.take(id, app.now(), app.options().requests_per_minute)?;
        parts.extensions.get_or_insert_with(crate::quota::Seat::default).set(quota);
        let path = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0).path();
        let request = request(&parts.method, path);
        Ok(Self { token, role, request, app: app.clone() })
    }
}

/// The method and the path, cut to what an audit record needs.
fn request(method: &Method, path: &str) -> String {
    format!("{method} {}", path.chars().take(200).collect::<String>())
}

/// The secret that the request shows, if any.
fn shown(headers: &HeaderMap) -> Result<Option<Secret>, Problem> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let refuse = |detail: &str| Err(Problem::unauthenticated(detail));
    let Ok(text) = header.to_str() else { return refuse("the authorization is not ASCII") };
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = STANDARD.decode(rest.trim()).ok().and_then(|it| String::from_utf8(it).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((_, password)) => password.to_owned(),
            None => return refuse("the basic authorization is not `user:token` in base64"),
        }
    } else {
        return refuse("the authorization is neither `Bearer` nor `Basic`");
    };
    match Secret::parse(&secret) {
        Ok(secret) => Ok(Some(secret)),
        Err(error) => refuse(&error.to_string()),
    }
}

async fn alive(app: &App, hash: Digest) -> Result<Arc<Token>, Problem> {
    let now = app.now();
    let known = &app.0.known;
    let remembered = known.get(&hash).map(|it| it.clone());
    let token = match remembered {
        Some((token, seen)) if now.since(seen) < REMEMBERED => token,
        Some(_) | None => {
            let unknown = || Problem::unauthenticated("the access token is unknown or revoked");
            if app.0.refusals.knows(&hash, now) {
                return Err(unknown());
            }
            let Some(token) = app.0.engine.token_of(hash).await? else {
                known.remove(&hash);
                app.0.refusals.remember(hash, now);
                return Err(unknown());
            };
            if known.len() >= MOST_REMEMBERED {
                known.clear();
            }
            let token = Arc::new(token);
            known.insert(hash, (Arc::clone(&token), now));
            token
        }
    };
    if token.has_expired(now) {
        return Err(Problem::unauthenticated("the access token has expired"));
    }
    Ok(token)
}
