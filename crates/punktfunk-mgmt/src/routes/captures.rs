//! Arming, stopping and watching the capture.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use punktfunk_captures::{LiveCapture, MarkerError, StartError, StartRequest, StatsStatus, StopError};
use punktfunk_recordings::{CaptureMeta, Marker, SaveError};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, blocking};
use crate::extract::{Body, OptionalBody, Params};
use crate::state::App;

/// Starts a capture.
///
/// From now on (or after `delay_s`) the frames of every session are measured. If a capture runs already, nothing changes and
/// its status is the answer. The body may be left out.
#[utoipa::path(
    post, path = "/stats/capture/start", operation_id = "stats_capture_start", tag = "stats",
    request_body(content = Option<StartRequest>, example = json!({ "label": "evening run", "max_duration_s": 600 })),
    responses(
        (status = 200, description = "The capture that runs now", body = StatsStatus),
        (status = 409, description = "The last capture is not saved yet", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_capture_start(
    State(app): State<App>,
    OptionalBody(request): OptionalBody<StartRequest>,
) -> Result<Json<StatsStatus>, ApiError> {
    let captures = app.captures.clone();
    let started = blocking(move || captures.start(request)).await?;
    Ok(Json(started.status))
}

/// Stops the capture and saves it.
///
/// Answers when the recording is durable. If it cannot be written, it stays in memory and this can be repeated.
#[utoipa::path(
    post, path = "/stats/capture/stop", operation_id = "stats_capture_stop", tag = "stats",
    responses(
        (status = 200, description = "The recording", body = CaptureMeta),
        (status = 204, description = "Nothing ran"),
        (status = 507, description = "The disk is full; the run stays in memory, repeat the stop", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_capture_stop(State(app): State<App>) -> Result<Response, ApiError> {
    let captures = app.captures.clone();
    Ok(match blocking(move || captures.stop()).await? {
        Some(meta) => Json(meta).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Says whether a capture runs.
#[utoipa::path(
    get, path = "/stats/capture/status", operation_id = "stats_capture_status", tag = "stats",
    responses((status = 200, description = "The state of the capture service", body = StatsStatus))
)]
pub(super) async fn stats_capture_status(State(app): State<App>) -> Json<StatsStatus> {
    Json(app.captures.status())
}

/// What a look at the running capture asks for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct LiveParams {
    /// Only this session's samples.
    #[param(max_length = 64, example = "s1")]
    session: Option<String>,
    /// Whether samples carry their distributions (`hist`).
    #[param(default = false)]
    distributions: Option<bool>,
}

/// Shows the running capture so far.
///
/// The newest samples (at most 600) and all markers; both are empty when nothing runs.
#[utoipa::path(
    get, path = "/stats/capture/live", operation_id = "stats_capture_live", tag = "stats",
    params(LiveParams),
    responses((status = 200, description = "The running capture", body = LiveCapture))
)]
pub(super) async fn stats_capture_live(
    State(app): State<App>,
    Params(params): Params<LiveParams>,
) -> Result<Json<LiveCapture>, ApiError> {
    if params.session.as_ref().is_some_and(|session| session.chars().count() > 64) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "`session` has at most 64 characters"));
    }
    let mut live = app.captures.live(params.session.as_deref());
    if params.distributions != Some(true) {
        for sample in &mut live.samples {
            *sample = std::sync::Arc::new(super::download::without_distributions(sample));
        }
    }
    Ok(Json(live))
}

/// A marker to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "boss fight" }))]
pub(crate) struct NewMarker {
    /// In words; may be empty.
    #[serde(default)]
    #[schema(max_length = 200)]
    text: String,
}

/// Sets a marker at this moment of the running capture.
#[utoipa::path(
    post, path = "/stats/capture/markers", operation_id = "stats_capture_marker_add", tag = "stats",
    request_body = NewMarker,
    responses(
        (status = 201, description = "The marker", body = Marker),
        (status = 409, description = "No capture is armed, or it has as many markers as it takes", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_capture_marker_add(
    State(app): State<App>,
    Body(marker): Body<NewMarker>,
) -> Result<(StatusCode, Json<Marker>), ApiError> {
    Ok((StatusCode::CREATED, Json(app.captures.add_marker(&marker.text)?)))
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        let status = match &error {
            StartError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StartError::Unsaved { .. } | StartError::Saving { .. } => StatusCode::CONFLICT,
            StartError::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            StartError::Thread(_) => return Self::internal(error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<StopError> for ApiError {
    fn from(error: StopError) -> Self {
        let status = match &error {
            // The service has logged it already.
            StopError::Unsaved { cause, .. } if is_full(cause) => StatusCode::INSUFFICIENT_STORAGE,
            StopError::Unsaved { .. } | StopError::RecorderGone => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<MarkerError> for ApiError {
    fn from(error: MarkerError) -> Self {
        let status = match error {
            MarkerError::NotArmed | MarkerError::TooMany => StatusCode::CONFLICT,
            MarkerError::TooLong => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error.to_string())
    }
}

/// Whether there is no room.
fn is_full(error: &SaveError) -> bool {
    use std::io::ErrorKind;
    matches!(error, SaveError::Io { source, .. }
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}
