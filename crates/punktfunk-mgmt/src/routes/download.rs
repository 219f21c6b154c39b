//! What is made from a recording: the summary of a range, CSV.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use punktfunk_recordings::{StageStats, StatsSample, Summary, export, summarize};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::ApiError;
use crate::extract::{Id, Params};
use crate::state::App;

/// Which part of a recording.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct RangeParams {
    /// Start, ms since the start of the capture: windows that end after it.
    #[param(default = 0, minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    from_ms: Option<u64>,
    /// End, ms: windows that end at it or before. The end of the recording if left out; not before `from_ms`. A range that
    /// holds no window has the verdict `not_enough_data`.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    to_ms: Option<u64>,
}

/// Largest time that is taken: the largest whole number that every JSON reader knows exactly (RFC 8259, section 6).
const MAX_MS: u64 = (1 << 53) - 1;

/// Windows that end in (from, to], ms since the start.
pub(super) type Range = (u64, u64);

/// The range of two parameters, if one of them is given.
pub(super) fn range(from_ms: Option<u64>, to_ms: Option<u64>) -> Result<Option<Range>, ApiError> {
    let refused = |message| Err(ApiError::new(StatusCode::BAD_REQUEST, message));
    if from_ms.max(to_ms).is_some_and(|ms| ms > MAX_MS) {
        return refused(format!("`from_ms` and `to_ms` are 0 to {MAX_MS}"));
    }
    let (from, to) = match (from_ms, to_ms) {
        (None, None) => return Ok(None),
        (from, to) => (from.unwrap_or(0), to.unwrap_or(MAX_MS)),
    };
    if from > to {
        return refused(format!("`from_ms` ({from}) lies behind `to_ms` ({to})"));
    }
    Ok(Some((from, to)))
}

/// Sums up a recording, or a part of it.
///
/// Figures per stage and session, and the verdict on that part.
#[utoipa::path(
    get, path = "/stats/recordings/{id}/summary", operation_id = "stats_recording_summary", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720"), RangeParams),
    responses(
        (status = 200, description = "Figures and verdict", body = Summary),
        (status = 422, description = "The file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_summary(
    Id(id): Id,
    State(app): State<App>,
    Params(params): Params<RangeParams>,
) -> Result<Json<Summary>, ApiError> {
    let range = range(params.from_ms, params.to_ms)?;
    let store = app.captures.store().clone();
    let summary = app.room().holding(1, move || {
        let capture = store.get(&id)?.capture;
        Ok::<_, ApiError>(match range {
            None => capture.summary,
            Some(_) => summarize(&capture.samples, &capture.meta.sessions, range),
        })
    });
    Ok(Json(summary.await?))
}

/// Which table.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Table {
    /// One line a sample.
    #[default]
    Samples,
    /// One line a frame that was kept whole.
    Frames,
}

/// Which table is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct CsvParams {
    /// Samples, which is the default, or the frames that were kept whole.
    #[param(inline)]
    of: Option<Table>,
}

/// Gives a recording as CSV.
///
/// RFC 4180, UTF-8, with a header line; a figure that was not measured is an empty cell.
#[utoipa::path(
    get, path = "/stats/recordings/{id}/csv", operation_id = "stats_recording_csv", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720"), CsvParams),
    responses(
        (status = 200, description = "The table", body = String, content_type = "text/csv",
            headers(("Content-Disposition" = String, description = "A file name")),
            example = "t_ms,window_ms,session_id\r\n1000,1000,s1\r\n"),
        (status = 422, description = "The file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_csv(
    Id(id): Id,
    State(app): State<App>,
    Params(params): Params<CsvParams>,
) -> Result<Response, ApiError> {
    let store = app.captures.store().clone();
    let table = params.of.unwrap_or_default();
    let suffix = if matches!(table, Table::Frames) { "-frames" } else { "" };
    // An id has no character that would have to be escaped.
    let disposition = format!("attachment; filename=\"{id}{suffix}.csv\"");
    let csv = app.room().holding(1, move || {
        let capture = store.get(&id)?.capture;
        let mut csv = Vec::new();
        match table {
            Table::Samples => export::samples_csv(&capture, &mut csv),
            Table::Frames => export::kept_frames_csv(&capture, &mut csv),
        }
        .map_err(ApiError::internal)?;
        Ok::<_, ApiError>(csv)
    });
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, csv.await?).into_response())
}

/// A copy without histograms, nine tenths of its size.
pub(super) fn without_distributions(sample: &StatsSample) -> StatsSample {
    let mut sample = sample.clone();
    strip(&mut sample);
    sample
}

/// Leaves the histograms out.
pub(super) fn strip(sample: &mut StatsSample) {
    let apart = [&mut sample.host, &mut sample.pace, &mut sample.interval].into_iter().flatten();
    for stage in sample.stages.iter_mut().chain(apart) {
        let StageStats { hist, .. } = stage;
        *hist = None;
    }
}
