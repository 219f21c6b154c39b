//! Who asks: a bearer token, checked before anything else of a request is looked at.
//!
//! `GET /api/v1/health` is the one route without a token, so that a supervisor needs no secret to see that the host is up;
//! it tells nothing else. The read-only token opens `/metrics` and remote read; everything else, unknown routes too, needs the
//! operator's. Remote read takes the read-only token alone: Prometheus' configuration is no place for the operator's.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::state::App;
use crate::tokens::Role;

/// The one path that answers without a token.
const PUBLIC: &str = "/api/v1/health";

/// What the read-only token opens.
const READABLE: &str = "/metrics";

/// What only the read-only token opens, by POST.
const REMOTE_READ: &str = "/api/v1/read";

/// Lets requests pass whose token opens what they ask for.
pub(crate) async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    if reads && path == PUBLIC {
        return next.run(request).await;
    }
    match bearer(request.headers()).and_then(|token| app.tokens.role(token)) {
        Some(Role::Operator) if path == REMOTE_READ && *request.method() == Method::POST => ApiError::new(
            StatusCode::FORBIDDEN,
            "remote read is opened by the token in `read-token`, not by the operator's",
        )
        .into_response(),
        Some(Role::Operator) => next.run(request).await,
        Some(Role::Reader) if reads && path == READABLE => next.run(request).await,
        Some(Role::Reader) if path == REMOTE_READ => next.run(request).await,
        Some(Role::Reader) => {
            let message = "the read-only token opens `/metrics` and remote read: use the operator's";
            ApiError::new(StatusCode::FORBIDDEN, message).into_response()
        }
        None => unauthorized().into_response(),
    }
}

/// The same words for a missing, malformed or wrong token.
fn unauthorized() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "a valid token is needed: `Authorization: Bearer <token>`")
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
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
