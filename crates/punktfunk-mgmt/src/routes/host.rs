//! The host itself: is it up, which one is it, who streams, this document.

use std::sync::OnceLock;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use punktfunk_captures::LiveSession;
use serde::Serialize;
use utoipa::ToSchema;

use crate::export::ExportFigures;
use crate::state::App;

/// Lists the sessions that stream now, measured or not.
#[utoipa::path(
    get, path = "/sessions", operation_id = "sessions_list", tag = "host",
    responses((status = 200, description = "Sessions in order of their start", body = Vec<LiveSession>))
)]
pub(super) async fn sessions_list(State(app): State<App>) -> Json<Vec<LiveSession>> {
    Json(app.captures.sessions())
}

/// That the host is up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "status": "ok" }))]
pub(crate) struct Health {
    /// Always `ok`: a host that is not does not answer.
    status: &'static str,
}

/// Answers if the host is up.
///
/// The one route that needs no token.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "host", security(()),
    responses((status = 200, description = "It is up", body = Health))
)]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// How the export of metrics goes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportStatus {
    /// Whether metrics are exported at all.
    configured: bool,
    /// The exporter's figures; `null` if none is configured.
    figures: Option<ExportFigures>,
}

/// Says how the export of metrics goes.
#[utoipa::path(
    get, path = "/export", operation_id = "export_status", tag = "host",
    responses((status = 200, description = "The exporter at this moment", body = ExportStatus))
)]
pub(super) async fn export_status(State(app): State<App>) -> Json<ExportStatus> {
    let figures = app.export.as_ref().map(|export| export());
    Json(ExportStatus { configured: figures.is_some(), figures })
}

/// Which host this is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "version": "0.1.0", "api": "v1", "recording_schema": 1 }))]
pub(crate) struct Version {
    /// Version of the host.
    version: String,
    /// Version of this API.
    api: &'static str,
    /// Newest version of recordings that it reads, and the one that it writes.
    recording_schema: u32,
}

/// Says which version this is.
#[utoipa::path(
    get, path = "/version", operation_id = "version", tag = "host",
    responses((status = 200, description = "Versions", body = Version))
)]
pub(super) async fn version(State(app): State<App>) -> Json<Version> {
    Json(Version { version: app.version.clone(), api: "v1", recording_schema: punktfunk_recordings::SCHEMA_VERSION })
}

/// Gives this document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "host",
    responses((status = 200, description = "This API as OpenAPI 3.1", body = serde_json::Value))
)]
pub(super) async fn openapi_document() -> impl IntoResponse {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let document = DOCUMENT
        .get_or_init(|| crate::openapi().to_json().expect("a document of plain data with string keys has a JSON form"));
    ([(header::CONTENT_TYPE, "application/json")], document.as_str())
}
