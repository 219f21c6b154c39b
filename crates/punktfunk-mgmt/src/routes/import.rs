//! Taking in a recording from a file.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use punktfunk_recordings::{Capture, CaptureMeta, ImportError, SaveError};

use super::recordings::is_full;
use crate::error::{ApiError, blocking_under};
use crate::etag;
use crate::extract::{not_json, says_json};
use crate::state::App;

/// Takes in a recording from a file.
///
/// One that this or another host has exported as JSON. It keeps its id, or gets one with a suffix if that is taken: nothing
/// is overwritten. Summary and verdict are made anew from its samples; `provenance.imported` says whence it came. One at a
/// time.
#[utoipa::path(
    post, path = "/stats/recordings", operation_id = "stats_recording_import", tag = "stats",
    request_body(content = Capture),
    responses(
        (status = 201, description = "It is one of this host's recordings now", body = CaptureMeta,
            headers(("Location" = String, description = "Where it is"), ("ETag" = String, description = "Its revision"))),
        (status = 422, description = "It is no recording, one of a later version, or one that no host can have made; the \
            message says what is wrong", body = crate::ErrorBody),
        (status = 507, description = "The disk is full", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_import(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    if !says_json(request.headers()) {
        return Err(not_json());
    }
    let limit = app.limits.import_bytes;
    let large = || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a recording has at most {} MiB", limit >> 20));
    // Its length was announced: nobody waits for a body that is not going to be read.
    if request.body().size_hint().lower() > limit as u64 {
        return Err(large());
    }
    let busy = |_| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "another recording is being taken in: try again");
    let permit = app.imports().try_acquire_owned().map_err(busy)?;
    let late = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the recording took too long to arrive");
    // Ends as soon as it is over the limit.
    let body = axum::body::to_bytes(request.into_body(), limit);
    let bytes = tokio::time::timeout(app.limits.import_timeout, body).await.map_err(late)?.map_err(|error| {
        let over =
            std::error::Error::source(&error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if over { large() } else { ApiError::new(StatusCode::BAD_REQUEST, "the body did not arrive whole") }
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let store = app.captures.store().clone();
    let taken = blocking_under(permit, move || store.import(bytes, now)).await?;
    let location = format!("{}/stats/recordings/{}", super::PREFIX, taken.meta.id);
    let location = HeaderValue::try_from(location).expect("an id is printable ASCII");
    let tag = etag::of(&taken.revision);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], [(header::ETAG, tag)], Json(taken.meta)).into_response())
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        match &error {
            ImportError::Unreadable(_) | ImportError::Impossible(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            ImportError::Save(SaveError::TooLarge { .. }) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            ImportError::Save(SaveError::Io { source, .. }) if is_full(source) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string())
            }
            ImportError::Save(_) => Self::internal(error),
        }
    }
}
