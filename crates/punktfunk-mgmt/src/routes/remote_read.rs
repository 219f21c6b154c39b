//! `POST /api/v1/read`: saved recordings for Prometheus' remote read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use punktfunk_prometheus::remote_read::ReadError;

use crate::error::{ApiError, ErrorBody, blocking_under};
use crate::extract::Protobuf;
use crate::state::App;

/// What the protocol's bodies are.
const PROTOBUF: &str = "application/x-protobuf";

/// How long a recording stays open for further queries: those of one dashboard come together.
const KEPT_OPEN: Duration = Duration::from_secs(30);

/// Reads saved recordings as Prometheus does.
///
/// Prometheus' remote-read protocol 1.0: a `ReadRequest`, answered with a `ReadResponse` of samples, both compressed with
/// snappy. Series have the names and labels of the live metrics and `source="recording"`, `recording="<id>"`. The read-only
/// token opens it; the operator's does not, so that it is not left in Prometheus' configuration.
#[utoipa::path(
    post, path = "/read", operation_id = "remote_read", tag = "stats", security(("reader" = [])),
    request_body(content = Vec<u8>, content_type = "application/x-protobuf", description = "A `ReadRequest`"),
    responses(
        (status = 200, description = "A `ReadResponse`", body = Vec<u8>, content_type = "application/x-protobuf"),
        (status = 403, description = "The operator's token was sent: it is not for Prometheus", body = ErrorBody),
        (status = 415, description = "The body is not `application/x-protobuf`", body = ErrorBody),
        (status = 422, description = "The answer would be larger than it may be", body = ErrorBody),
    )
)]
pub(crate) async fn remote_read(
    State(app): State<App>,
    Protobuf(body): Protobuf,
) -> Result<impl IntoResponse, ApiError> {
    let reads = app.reads();
    let permit = reads.acquire_owned().await.map_err(ApiError::internal)?;
    let reader = Arc::clone(app.remote_read());
    let read = blocking_under(permit, move || reader.answer(&body).map_err(refused)).await;
    let reader = Arc::clone(app.remote_read());
    tokio::spawn(async move {
        tokio::time::sleep(KEPT_OPEN).await;
        reader.close_idle(KEPT_OPEN);
    });
    let headers: [(HeaderName, &str); 2] = [(header::CONTENT_TYPE, PROTOBUF), (header::CONTENT_ENCODING, "snappy")];
    Ok((headers, read?))
}

fn refused(error: ReadError) -> ApiError {
    match error {
        ReadError::List(error) => ApiError::internal(format!("{error}: {}", error.source)),
        ReadError::TooMuch { .. } | ReadError::TooLong { .. } => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        }
        error => ApiError::new(StatusCode::BAD_REQUEST, error.to_string()),
    }
}
