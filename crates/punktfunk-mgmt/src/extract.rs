//! Reading requests: every refusal leaves as an [`ApiError`], nothing of a request is trusted before it is parsed.

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use hyper::body::Body as _;
use punktfunk_recordings::RecordingId;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::error::ApiError;
use crate::state::App;

/// A JSON body that must be there. 400 if it is not JSON, 422 if it is JSON of another shape, 415 if it says it is
/// something else, 413 and 408 by the limits.
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON body that may be left out, or `null`.
pub(crate) struct OptionalBody<T>(pub(crate) T);

/// The query. Unknown and repeated parameters are refused.
pub(crate) struct Params<T>(pub(crate) T);

/// An id of a recording in the path. Anything that is none is not found.
pub(crate) struct Id(pub(crate) RecordingId);

/// Any other id in the path, as it was sent.
pub(crate) struct Name(pub(crate) String);

/// A body of protobuf, whatever it is compressed with. 415 if it says it is something else.
pub(crate) struct Protobuf(pub(crate) Bytes);

impl FromRequest<App> for Protobuf {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let is_protobuf = says(request.headers(), "application/x-protobuf");
        let bytes = read(request, app).await?;
        if !is_protobuf {
            let message = "the body must be `Content-Type: application/x-protobuf`";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        Ok(Self(bytes))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let is_json = says_json(request.headers());
        let bytes = read(request, app).await?;
        if !is_json {
            return Err(not_json());
        }
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let is_json = says_json(request.headers());
        let bytes = read(request, app).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(not_json());
        }
        if bytes.trim_ascii() == b"null" {
            return Ok(Self(T::default()));
        }
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(ApiError::new(StatusCode::BAD_REQUEST, rejection.body_text())),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Name(text) = Name::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|_| ApiError::no_recording(&text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(PathRejection::FailedToDeserializePathParams(error))
                if matches!(error.kind(), ErrorKind::InvalidUtf8InPathParam { .. }) =>
            {
                Err(ApiError::new(StatusCode::NOT_FOUND, "there is nothing of this id"))
            }
            Err(rejection) => Err(ApiError::internal(rejection)),
        }
    }
}

async fn read(request: Request, app: &App) -> Result<Bytes, ApiError> {
    let limits = &app.limits;
    let large =
        || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {} bytes", limits.body_bytes));
    // Its length was announced: nobody waits for a body that is not going to be read.
    if request.body().size_hint().lower() > limits.body_bytes as u64 {
        return Err(large());
    }
    let late = || ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive");
    let body =
        tokio::time::timeout(limits.body_timeout, Bytes::from_request(request, app)).await.map_err(|_| late())?;
    body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            large()
        } else {
            ApiError::new(StatusCode::BAD_REQUEST, "the body did not arrive whole")
        }
    })
}

/// Parses an object; every body of this API is one.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let refused = |error: serde_json::Error| {
        let status = match error.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            Category::Syntax | Category::Eof | Category::Io => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, format!("the body is not what is expected here: {error}"))
    };
    // A struct would also be read from an array of its fields.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(refused)?;
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the body is not what is expected here: an object",
        ));
    }
    serde_json::from_slice(bytes).map_err(refused)
}

pub(crate) fn says_json(headers: &HeaderMap) -> bool {
    says(headers, "application/json")
}

fn says(headers: &HeaderMap, expected: &str) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected)
}

pub(crate) fn not_json() -> ApiError {
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be `Content-Type: application/json`")
}

/// A text of at most `limit` characters.
pub(crate) fn check_length(name: &str, text: Option<&String>, limit: usize) -> Result<(), ApiError> {
    if text.is_some_and(|text| text.chars().count() > limit) {
        let message = format!("`{name}` has at most {limit} characters");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    Ok(())
}
