//! What is made from recordings for other programs and other people: OpenMetrics, and reports as one HTML file.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use punktfunk_recordings::{GetError, Language, report};
use serde::Deserialize;
use utoipa::IntoParams;

use super::compare::{CompareParams, read_and_compare};
use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::openmetrics;
use crate::state::App;

/// A report may use its own styles, and nothing else; opened from here, it is nobody's origin.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// How a report is written.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportParams {
    /// Its language; English if nothing is said.
    #[serde(default)]
    #[param(inline)]
    language: Language,
}

/// What is compared, and how the report is written.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CompareReportParams {
    /// Two to four ids, separated by commas; the first is the baseline.
    #[param(
        pattern = "^[A-Za-z0-9._-]{1,128}(,[A-Za-z0-9._-]{1,128}){1,3}$",
        example = "2026-06-26T20-14-03Z_1280x720,2026-06-27T20-14-03Z_1280x720"
    )]
    ids: String,
    /// Of each recording, only windows that end later than this, ms since its start.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    from_ms: Option<u64>,
    /// Only windows that end until then, ms since its start.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    to_ms: Option<u64>,
    /// Its language; English if nothing is said.
    #[serde(default)]
    #[param(inline)]
    language: Language,
}

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
    let load = move || Ok::<_, GetError>(store.get(&id)?.capture);
    let text = app.room().written(load, openmetrics::write).await?;
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
    params(
        ("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720"),
        ReportParams,
    ),
    responses(
        (status = 200, description = "The report", body = String, content_type = "text/html"),
        (status = 422, description = "The file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_report(
    Id(id): Id,
    State(app): State<App>,
    Params(ReportParams { language }): Params<ReportParams>,
) -> Result<Response, ApiError> {
    let (store, name) = (app.captures.store().clone(), format!("{id}.html"));
    let write = move || Ok::<_, GetError>(report::recording(&store.get(&id)?.capture, language));
    Ok(html(app.room().holding(1, write).await?, &name))
}

/// Gives the report of a comparison.
///
/// One HTML file with graphs and tables, to be read offline.
#[utoipa::path(
    get, path = "/stats/compare/report", operation_id = "stats_compare_report", tag = "stats",
    params(CompareReportParams),
    responses(
        (status = 200, description = "The report", body = String, content_type = "text/html"),
        (status = 404, description = "There is no recording of one of the ids", body = crate::ErrorBody),
        (status = 422, description = "A file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_compare_report(
    State(app): State<App>,
    Params(CompareReportParams { ids, from_ms, to_ms, language }): Params<CompareReportParams>,
) -> Result<Response, ApiError> {
    let (ids, range) = CompareParams { ids, from_ms, to_ms }.parse()?;
    let store = app.captures.store().clone();
    let page = app.room().holding(ids.len(), move || {
        let (comparison, runs) = read_and_compare(&store, &ids, range)?;
        Ok::<_, GetError>(report::comparison(&comparison, &runs, language))
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
