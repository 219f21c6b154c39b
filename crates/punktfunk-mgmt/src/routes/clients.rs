//! Paired clients and pairing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiError, blocking};
use crate::extract::{Body, Name, check_length};
use crate::pairing::{PairError, PairRequestInfo, PairedClientInfo, RevokeError};
use crate::state::App;

/// Lists clients that ask to be paired.
///
/// Compare the fingerprint with what the client shows before letting it in.
#[utoipa::path(
    get, path = "/pair", operation_id = "pair_requests_list", tag = "clients",
    responses((status = 200, description = "Requests, oldest first", body = Vec<PairRequestInfo>))
)]
pub(super) async fn pair_requests_list(State(app): State<App>) -> Result<Json<Vec<PairRequestInfo>>, ApiError> {
    let pairing = Arc::clone(&app.pairing);
    Ok(Json(blocking(move || Ok::<_, ApiError>(pairing.requests())).await?))
}

/// The answer to a pairing request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "request": "r1", "name": "Living room" }))]
pub(crate) struct PairAnswer {
    /// Id of the request.
    #[schema(max_length = 64)]
    request: String,
    /// PIN that the client shows; without one, the host makes one, to be typed at the client. A GameStream client always
    /// shows one, and it must be given.
    #[schema(pattern = "^[0-9]{4,16}$", example = "482913")]
    pin: Option<String>,
    /// What to call the client; what it calls itself without.
    #[schema(max_length = 100)]
    name: Option<String>,
}

/// The PIN that both sides have now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "pin": "482913" }))]
pub(crate) struct PinShown {
    /// To be typed at the client, if it did not show it itself.
    pin: String,
}

/// Lets a client in.
#[utoipa::path(
    post, path = "/pair", operation_id = "pair", tag = "clients",
    request_body = PairAnswer,
    responses(
        (status = 200, description = "Pairing goes on with this PIN", body = PinShown),
        (status = 404, description = "There is no such request, or it has expired", body = crate::ErrorBody),
        (status = 409, description = "The request is being answered already", body = crate::ErrorBody),
        (status = 422, description = "`pin` is none, or is missing where the client shows it (`gamestream`)", body = crate::ErrorBody),
        (status = 429, description = "Too many wrong PINs", body = crate::ErrorBody),
    )
)]
pub(super) async fn pair(State(app): State<App>, Body(answer): Body<PairAnswer>) -> Result<Json<PinShown>, ApiError> {
    check_length("request", Some(&answer.request), 64)?;
    let digits = |pin: &String| (4..=16).contains(&pin.len()) && pin.bytes().all(|byte| byte.is_ascii_digit());
    if answer.pin.as_ref().is_some_and(|pin| !digits(pin)) {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "`pin` has 4 to 16 digits"));
    }
    check_length("name", answer.name.as_ref(), 100)?;
    let pairing = Arc::clone(&app.pairing);
    let pin = blocking(move || pairing.approve(&answer.request, answer.pin.as_deref(), answer.name.as_deref())).await?;
    Ok(Json(PinShown { pin }))
}

/// Lists paired clients.
#[utoipa::path(
    get, path = "/clients", operation_id = "clients_list", tag = "clients",
    responses((status = 200, description = "Clients of all paths", body = Vec<PairedClientInfo>))
)]
pub(super) async fn clients_list(State(app): State<App>) -> Result<Json<Vec<PairedClientInfo>>, ApiError> {
    let pairing = Arc::clone(&app.pairing);
    Ok(Json(blocking(move || Ok::<_, ApiError>(pairing.clients())).await?))
}

/// Lets a client in no more.
///
/// Its sessions end.
#[utoipa::path(
    delete, path = "/clients/{id}", operation_id = "client_revoke", tag = "clients",
    params(("id" = String, Path, description = "Id of the client", example = "9f86d081884c7d65")),
    responses((status = 204, description = "It is let in no more"))
)]
pub(super) async fn client_revoke(State(app): State<App>, Name(id): Name) -> Result<StatusCode, ApiError> {
    let pairing = Arc::clone(&app.pairing);
    blocking(move || pairing.revoke(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<PairError> for ApiError {
    fn from(error: PairError) -> Self {
        let status = match &error {
            PairError::NotFound { .. } => StatusCode::NOT_FOUND,
            PairError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            PairError::Busy { .. } => StatusCode::CONFLICT,
            PairError::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            PairError::Store(_) => return Self::internal(error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        match &error {
            RevokeError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "there is no such client"),
            RevokeError::Store(_) => Self::internal(error),
        }
    }
}
