//! Who asks: a bearer token or a browser's session, checked before anything else of a request is looked at.
//!
//! A token stands above a cookie: whoever sends one is judged by it alone. A cookie counts only where the browser says that
//! our own page asks ([`origin`]), and lets nothing be changed without the session's CSRF token: event streams and downloads
//! carry no header of ours, so reading asks for none.
//!
//! `GET /api/v1/health` needs neither, so that a supervisor needs no secret to see that the host is up; it tells nothing
//! else; nor does the console itself, which is the same for everybody. `POST /api/v1/auth/session` is where a one-time link is
//! used up. The read-only token opens `/metrics` and remote read, and may ask who it is; everything else, unknown routes too,
//! needs the operator's. Remote read takes the read-only token alone: Prometheus' configuration is no place for the operator's.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq as _;

pub(crate) mod cookie;
pub(crate) mod origin;
pub(crate) mod sign_in;

use self::sign_in::SignedIn;
use crate::console;
use crate::error::ApiError;
use crate::served::Served;
use crate::state::App;
use crate::tokens::Role;

/// The one path that answers whoever asks.
const PUBLIC: &str = "/api/v1/health";

/// What the read-only token opens.
const READABLE: &str = "/metrics";

/// What only the read-only token opens, by POST.
const REMOTE_READ: &str = "/api/v1/read";

/// Signing in, out, and asking who one is.
const SESSION: &str = "/api/v1/auth/session";

/// Carries the session's CSRF token.
const CSRF_HEADER: &str = "x-csrf-token";

/// Who was let in; an extension of each request that was not public.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What it may.
    pub(crate) role: Role,
    /// Its session, unless it sent a token.
    pub(crate) session: Option<SignedIn>,
}

/// Lets requests pass that may have what they ask for.
pub(crate) async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    let signs_in = path == SESSION && request.method() == Method::POST;
    // A route of ours is never the console's, whatever it is called.
    let console = request.extensions().get::<MatchedPath>().is_none() && console::is_console(path);
    if reads && (path == PUBLIC || console) {
        return next.run(request).await;
    }
    let caller = if request.headers().contains_key(header::AUTHORIZATION) {
        bearer(request.headers()).and_then(|token| app.tokens.role(token)).map(|role| Caller { role, session: None })
    } else if signs_in {
        // A link is used up there; another page must not do it, whatever it has found.
        return match origin::is_ours(request.uri(), request.headers(), false) {
            true => next.run(request).await,
            false => from_elsewhere().into_response(),
        };
    } else {
        match by_cookie(&app, &request, reads) {
            Ok(caller) => caller,
            Err(error) => return error.into_response(),
        }
    };
    let Some(caller) = caller else { return unauthorized().into_response() };
    let remote_read = path == REMOTE_READ;
    let refused = match caller.role {
        Role::Operator if remote_read && request.method() == Method::POST => {
            Some("remote read is opened by the token in `read-token`, not by the operator's")
        }
        Role::Reader if !(path == SESSION || remote_read || reads && path == READABLE) => {
            Some("the read-only token opens `/metrics` and remote read: use the operator's")
        }
        _ => None,
    };
    if let Some(message) = refused {
        return ApiError::new(StatusCode::FORBIDDEN, message).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The session of the request's cookie, if it has one that lives.
fn by_cookie(app: &App, request: &Request, reads: bool) -> Result<Option<Caller>, ApiError> {
    let served = request.extensions().get::<Served>().copied();
    let Some((_, session)) = session(app, request.headers(), served) else { return Ok(None) };
    if !origin::is_ours(request.uri(), request.headers(), reads) {
        return Err(from_elsewhere());
    }
    let given = request.headers().get(CSRF_HEADER).map_or(&[][..], HeaderValue::as_bytes);
    if !reads && !bool::from(given.ct_eq(session.csrf_token.as_bytes())) {
        let message = "a change needs the session's CSRF token: `X-CSRF-Token`, as `GET /api/v1/auth/session` tells it";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message));
    }
    Ok(Some(Caller { role: session.role, session: Some(session) }))
}

/// The secret of the request's session, and the session.
pub(crate) fn session(app: &App, headers: &HeaderMap, served: Option<Served>) -> Option<(Vec<u8>, SignedIn)> {
    let name = cookie::name(served);
    let now = Instant::now();
    cookie::values(headers, &name).find_map(|secret| Some((secret.to_vec(), app.sign_in.find(secret, now)?)))
}

/// The same words for a missing, malformed or wrong token, and a session that is over.
pub(crate) fn unauthorized() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "a valid token is needed: `Authorization: Bearer <token>`, or a session")
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn from_elsewhere() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "a page of another origin asks: only the console's own page may use its session",
    )
}

/// The token of the only `Authorization` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_well_formed_header_carries_a_token() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(of(&["Bearer abc"]), Some(b"abc".to_vec()));
        assert_eq!(of(&["bEARER  abc "]), Some(b"abc".to_vec()));
        for refused in [&[][..], &["Bearer"], &["abc"], &["Basic YWJj"], &["Bearer abc", "Bearer abc"]] {
            assert_eq!(of(refused), None, "{refused:?}");
        }
    }
}
