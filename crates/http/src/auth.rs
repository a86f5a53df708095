//! Who asks: the holder of an access token, shown as a bearer token or as the password of HTTP
//! basic authentication. What the caller may do is asked where it is done, see
//! [`Permit`](crate::effect::Permit).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jobwright_core::{Digest, Key, Role, Timestamp, Token, TokenId};

use crate::app::App;
use crate::effect::{Level, Permit};
use crate::problem::{Problem, Sort};
use crate::refusals::Place;
use crate::secret::{Secret, SecretError};
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
    method: Method,
    uri: Uri,
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
    pub(crate) fn request(&self) -> String {
        let path = self.uri.path().chars().take(200);
        format!("{} {}", self.method, path.collect::<String>())
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
        let now = app.now();
        let token = match shown(&parts.headers).map_err(|refusal| counted(None, refusal))? {
            Some(text) => {
                let hash = Digest::of(text.as_bytes());
                let token = match remembered(app, &hash, now) {
                    Some(token) => alive(token, now),
                    None => {
                        // Who remembers a token knows that its form is right.
                        let form = Secret::parse(&text).map(drop);
                        let refuse =
                            |error: SecretError| Problem::unauthenticated(&error.to_string());
                        form.map_err(|error| counted(None, refuse(error)))?;
                        found(app, hash, now).await
                    }
                };
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
        let quota = app.0.quotas.take(id, now, app.options().requests_per_minute)?;
        if let Some(seat) = parts.extensions.get::<crate::quota::Seat>() {
            seat.set(quota);
        }
        let (method, uri) = (parts.method.clone(), asked(&parts.extensions, &parts.uri));
        Ok(Self { token, role, method, uri, app: app.clone() })
    }
}

/// The URI that was asked for, whatever the router is nested under.
pub(crate) fn asked(extensions: &Extensions, uri: &Uri) -> Uri {
    extensions.get::<OriginalUri>().map_or(uri, |it| &it.0).clone()
}

/// The text that the request shows as its secret, if any.
fn shown(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Problem> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let refuse = |detail: &str| Err(Problem::unauthenticated(detail));
    let Ok(text) = header.to_str() else { return refuse("the authorization is not ASCII") };
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        Cow::Borrowed(rest.trim())
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = STANDARD.decode(rest.trim()).ok().and_then(|it| String::from_utf8(it).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((_, password)) => Cow::Owned(password.to_owned()),
            None => return refuse("the basic authorization is not `user:token` in base64"),
        }
    } else {
        return refuse("the authorization is neither `Bearer` nor `Basic`");
    };
    Ok(Some(secret))
}

/// A token that was found a moment ago.
fn remembered(app: &App, hash: &Digest, now: Timestamp) -> Option<Arc<Token>> {
    let known = app.0.known.get(hash)?;
    let (token, seen) = known.value();
    (now.since(*seen) < REMEMBERED).then(|| Arc::clone(token))
}

/// Looks a token up.
async fn found(app: &App, hash: Digest, now: Timestamp) -> Result<Arc<Token>, Problem> {
    let known = &app.0.known;
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
    alive(token, now)
}

fn alive(token: Arc<Token>, now: Timestamp) -> Result<Arc<Token>, Problem> {
    if token.has_expired(now) {
        return Err(Problem::unauthenticated("the access token has expired"));
    }
    Ok(token)
}
