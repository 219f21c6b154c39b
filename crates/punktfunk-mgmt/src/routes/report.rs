//! What is made from recordings for other programs and other people: OpenMetrics, and reports as one HTML file.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use punktfunk_recordings::{GetError, report};

use super::compare::{CompareParams, read_and_compare};
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::openmetrics;
use crate::state::App;

/// A report may use its own styles, and nothing else; opened from here, it is nobody's origin.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// Gives a recording as OpenMetrics text.
///
/// One point a window, for `promtool tsdb create-blocks-from openmetrics`.
#[utoipa::path(
    get, path = "/stats/recordings/{id}/openmetrics", operation_id = "stats_recording_openmetrics", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720")),
    responses(
        (status = 200, description = "All series", body = String, content_type = "application/openmetrics-text"),
        (status = 422, description = "The file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_openmetrics(Id(id): Id, State(app): State<App>) -> Result<Response, ApiError> {
    let (store, name) = (app.captures.store().clone(), format!("{id}.om.txt"));
    let text = app.room().holding(1, move || Ok::<_, GetError>(openmetrics::render(&store.get(&id)?.capture))).await?;
    let fields = [
        (header::CONTENT_TYPE, openmetrics::CONTENT_TYPE.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((fields, text).into_response())
}

/// Gives the report of a recording.
///
/// One HTML file with graphs and tables, to be read offline.
#[utoipa::path(
    get, path = "/stats/recordings/{id}/report", operation_id = "stats_recording_report", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720")),
    responses(
        (status = 200, description = "The report", body = String, content_type = "text/html"),
        (status = 422, description = "The file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_report(Id(id): Id, State(app): State<App>) -> Result<Response, ApiError> {
    let (store, name) = (app.captures.store().clone(), format!("{id}.html"));
    let page = app.room().holding(1, move || Ok::<_, GetError>(report::recording(&store.get(&id)?.capture))).await?;
    Ok(html(page, &name))
}

/// Gives the report of a comparison.
///
/// One HTML file with graphs and tables, to be read offline.
#[utoipa::path(
    get, path = "/stats/compare/report", operation_id = "stats_compare_report", tag = "stats",
    params(CompareParams),
    responses(
        (status = 200, description = "The report", body = String, content_type = "text/html"),
        (status = 404, description = "There is no recording of one of the ids", body = crate::ErrorBody),
        (status = 422, description = "A file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_compare_report(
    State(app): State<App>,
    Params(params): Params<CompareParams>,
) -> Result<Response, ApiError> {
    let (ids, range) = params.parse()?;
    let store = app.captures.store().clone();
    let page = app.room().holding(ids.len(), move || {
        let (comparison, runs) = read_and_compare(&store, &ids, range)?;
        Ok::<_, GetError>(report::comparison(&comparison, &runs))
    });
    Ok(html(page.await?, "comparison.html"))
}

/// Shown in the browser, and saved under a name.
fn html(page: String, name: &str) -> Response {
    let fields = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"{name}\"")),
        (header::CONTENT_SECURITY_POLICY, REPORT_POLICY.to_owned()),
    ];
    (fields, page).into_response()
}
