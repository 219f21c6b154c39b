//! What a refused request hears: a status and `{"error": "<message>"}`, the same everywhere.
//!
//! The message is for whoever sent the request and says what to do. A private cause goes to the log, once, where the error
//! becomes a response; tokens are in neither.

use std::borrow::Cow;
use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({ "error": "there is no recording 2026-06-26T20-14-03Z_1280x720" }))]
pub struct ErrorBody {
    /// What is wrong, and what can be done about it.
    pub error: String,
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    message: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// A refusal whose reason the caller may know.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), header: None }
    }

    /// 500. The cause is logged here and not told.
    pub fn internal(cause: impl Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the host failed to answer; its log says why")
    }

    /// 404 for anything that is no id of ours, told apart from nothing.
    pub fn no_recording(id: &str) -> Self {
        // What was asked for is echoed shortened: it may be any text of any length.
        let shown: String = id.chars().filter(|c| !c.is_control()).take(64).collect();
        Self::new(StatusCode::NOT_FOUND, format!("there is no recording {shown}"))
    }

    /// The same refusal with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.message.into_owned() })).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Runs something that blocks on the disk away from the threads that serve.
pub(crate) async fn blocking<T, E, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.map_err(ApiError::internal)?.map_err(Into::into)
}

/// The same under a permit, which is given back when the work has ended: also if nobody waits for its answer any more.
pub(crate) async fn blocking_under<T, E, F>(permit: OwnedSemaphorePermit, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    let under = move || {
        let answer = work();
        drop(permit);
        answer
    };
    blocking(under).await
}
