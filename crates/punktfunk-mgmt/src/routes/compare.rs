//! Recordings held against each other, the baseline, and the check that says pass or fail.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_recordings::compare::{Comparison, ComparisonOutcome, FigureDifference, MAX_RUNS, compare};
use punktfunk_recordings::{Capture, GetError, RecordingId, Store};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, blocking};
use crate::extract::{Body, Id, Params};
use crate::state::App;

use super::download::{Range, range};

/// How much worse a figure may be if nothing is said, percent.
const DEFAULT_REGRESSION: f64 = 5.0;

/// Which recordings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CompareParams {
    /// Two to four ids, separated by commas; the first is the baseline.
    #[param(
        pattern = "^[A-Za-z0-9._-]{1,128}(,[A-Za-z0-9._-]{1,128}){1,3}$",
        example = "2026-06-26T20-14-03Z_1280x720,2026-06-27T20-14-03Z_1280x720"
    )]
    pub(super) ids: String,
    /// Of each recording, only windows that end later than this, ms since its start.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub(super) from_ms: Option<u64>,
    /// Only windows that end until then, ms since its start.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub(super) to_ms: Option<u64>,
}

impl CompareParams {
    /// The ids, and the range if one is asked for.
    pub(super) fn parse(&self) -> Result<(Vec<RecordingId>, Option<Range>), ApiError> {
        let refused = || {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                format!("`ids` names 2 to {MAX_RUNS} recordings, separated by commas"),
            )
        };
        let names: Vec<&str> = self.ids.split(',').collect();
        if !(2..=MAX_RUNS).contains(&names.len()) {
            return Err(refused());
        }
        let ids = names.into_iter().map(|name| name.parse().map_err(|_| ApiError::no_recording(name)));
        Ok((ids.collect::<Result<_, _>>()?, range(self.from_ms, self.to_ms)?))
    }
}

/// Reads recordings and compares them. They are in memory together.
pub(super) fn read_and_compare(
    store: &Store,
    ids: &[RecordingId],
    range: Option<Range>,
) -> Result<(Comparison, Vec<Capture>), GetError> {
    let mut runs = ids.iter().map(|id| Ok(store.get(id)?.capture)).collect::<Result<Vec<_>, GetError>>()?;
    Ok((compare(&mut runs, range), runs))
}

/// Compares recordings.
///
/// Each with the first, figure by figure, with what of the differences is more than noise, and whether the runs did the same
/// work. The same recording may be named twice.
#[utoipa::path(
    get, path = "/stats/compare", operation_id = "stats_compare", tag = "stats",
    params(CompareParams),
    responses(
        (status = 200, description = "What differs", body = Comparison),
        (status = 404, description = "There is no recording of one of the ids", body = crate::ErrorBody),
        (status = 422, description = "A file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_compare(
    State(app): State<App>,
    Params(params): Params<CompareParams>,
) -> Result<Json<Comparison>, ApiError> {
    let (ids, range) = params.parse()?;
    let store = app.captures.store().clone();
    Ok(Json(app.room().holding(ids.len(), move || Ok::<_, GetError>(read_and_compare(&store, &ids, range)?.0)).await?))
}

/// The recording that others are held against.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "id": "2026-06-26T20-14-03Z_1280x720" }))]
pub(crate) struct Baseline {
    /// Its id; `null` if none is pinned, or it was deleted.
    #[schema(value_type = Option<String>)]
    id: Option<RecordingId>,
}

/// Says which recording is the baseline.
#[utoipa::path(
    get, path = "/stats/baseline", operation_id = "stats_baseline_get", tag = "stats",
    responses((status = 200, description = "The baseline", body = Baseline))
)]
pub(super) async fn stats_baseline_get(State(app): State<App>) -> Result<Json<Baseline>, ApiError> {
    let store = app.captures.store().clone();
    let id = blocking(move || store.baseline().map_err(ApiError::internal)).await?;
    Ok(Json(Baseline { id }))
}

/// Which recording is to be the baseline.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "id": "2026-06-26T20-14-03Z_1280x720" }))]
pub(crate) struct NewBaseline {
    /// Its id.
    #[schema(max_length = 128)]
    id: String,
}

/// Pins a recording as the baseline.
///
/// In the place of the one before.
#[utoipa::path(
    put, path = "/stats/baseline", operation_id = "stats_baseline_set", tag = "stats",
    request_body = NewBaseline,
    responses(
        (status = 200, description = "The baseline", body = Baseline),
        (status = 404, description = "There is no such recording", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_baseline_set(
    State(app): State<App>,
    Body(wanted): Body<NewBaseline>,
) -> Result<Json<Baseline>, ApiError> {
    let id: RecordingId = wanted.id.parse().map_err(|_| ApiError::no_recording(&wanted.id))?;
    let store = app.captures.store().clone();
    let id = blocking(move || store.set_baseline(Some(&id)).map(|()| id)).await?;
    Ok(Json(Baseline { id: Some(id) }))
}

/// Takes the pin away.
#[utoipa::path(
    delete, path = "/stats/baseline", operation_id = "stats_baseline_delete", tag = "stats",
    responses((status = 204, description = "There is no baseline"))
)]
pub(super) async fn stats_baseline_delete(State(app): State<App>) -> Result<StatusCode, ApiError> {
    let store = app.captures.store().clone();
    blocking(move || store.set_baseline(None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Against what, and how strictly.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckParams {
    /// Id of the baseline; the pinned one if left out.
    #[param(max_length = 128, example = "2026-06-26T20-14-03Z_1280x720")]
    baseline: Option<String>,
    /// How much worse a figure may be, percent of the baseline's; of shares, percentage points.
    #[param(minimum = 0, maximum = 1000, default = 5)]
    max_regression_percent: Option<f64>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckOutcome {
    /// No figure is worse than allowed.
    Pass,
    /// At least one is.
    Fail,
    /// The runs did different work: see `warnings`.
    NotComparable,
    /// One of the runs is too short to tell.
    NotEnoughData,
}

/// A recording held against a baseline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// How it ended.
    outcome: CheckOutcome,
    /// Id of the baseline.
    #[schema(value_type = String)]
    baseline: RecordingId,
    /// Id of the recording.
    #[schema(value_type = String)]
    id: RecordingId,
    /// How much worse a figure may be, percent.
    max_regression_percent: f64,
    /// Figures that are worse than allowed, beyond what chance explains.
    regressions: Vec<FigureDifference>,
    /// What it stands on: the recording held against the baseline.
    comparison: Comparison,
}

/// Checks a recording against the baseline.
///
/// For people who test hosts: it fails if a figure is worse than allowed and chance does not explain it.
#[utoipa::path(
    get, path = "/stats/recordings/{id}/check", operation_id = "stats_recording_check", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720"), CheckParams),
    responses(
        (status = 200, description = "How it ended, also if it failed", body = Check),
        (status = 409, description = "No baseline is named or pinned", body = crate::ErrorBody),
        (status = 422, description = "A file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_check(
    Id(id): Id,
    State(app): State<App>,
    Params(params): Params<CheckParams>,
) -> Result<Json<Check>, ApiError> {
    let allowed = params.max_regression_percent.unwrap_or(DEFAULT_REGRESSION);
    if !(0.0..=1000.0).contains(&allowed) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "`max_regression_percent` is 0 to 1000"));
    }
    let named = params.baseline.as_ref().map(|name| name.parse().map_err(|_| ApiError::no_recording(name)));
    let named: Option<RecordingId> = named.transpose()?;
    let store = app.captures.store().clone();
    let check = app.room().holding(2, move || {
        let pinned = || store.baseline().map_err(ApiError::internal);
        let baseline = match named {
            Some(named) => named,
            None => pinned()?.ok_or_else(|| ApiError::new(StatusCode::CONFLICT, "no baseline is pinned: name one"))?,
        };
        let (comparison, _) = read_and_compare(&store, &[baseline.clone(), id.clone()], None)?;
        Ok::<_, ApiError>(check(comparison, baseline, id, allowed))
    });
    Ok(Json(check.await?))
}

fn check(comparison: Comparison, baseline: RecordingId, id: RecordingId, allowed: f64) -> Check {
    let short = comparison.differences.iter().any(|run| run.outcome == ComparisonOutcome::NotEnoughData);
    let figures = comparison.differences.iter().flat_map(|run| &run.figures);
    let too_much = |figure: &&FigureDifference| figure.regression().is_some_and(|by| by * 100.0 > allowed);
    let regressions: Vec<_> = figures.filter(too_much).cloned().collect();
    let outcome = match (comparison.comparable, short, regressions.is_empty()) {
        (false, ..) => CheckOutcome::NotComparable,
        (_, true, _) => CheckOutcome::NotEnoughData,
        (_, _, true) => CheckOutcome::Pass,
        _ => CheckOutcome::Fail,
    };
    Check { outcome, baseline, id, max_regression_percent: allowed, regressions, comparison }
}
