//! Saved recordings: list, read, edit, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use punktfunk_captures::{SnapshotError, SnapshotStatus};
use punktfunk_recordings::{
    Capture, CaptureMeta, DeleteError, GetError, ListError, ListQuery, Listed, MetaPatch, Revision, UpdateError,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, blocking};
use crate::etag::{self, Condition};
use crate::extract::{Body, Id, Params, check_length};
use crate::state::App;

/// Entries of a page, if nothing is asked for.
const DEFAULT_LIMIT: u16 = 100;

/// Most entries of a page.
const MAX_LIMIT: u16 = 1000;

/// Which page of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Entries at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// Where to go on: `next` of the page before.
    #[param(pattern = "^([0-9a-f]{2}){1,255}$", example = "323032362d30362d32365432302d31342d30335a2e6a736f6e")]
    cursor: Option<String>,
}

/// A page of the list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingList {
    /// The page.
    recordings: Vec<RecordingEntry>,
    /// `cursor` of the next page; `null` on the last one.
    next: Option<String>,
    /// Entries on all pages.
    total: usize,
    /// Recordings that the quota takes when the next one, of the usual size, is saved; empty without a quota. Pin what is
    /// to stay.
    next_evicted: Vec<String>,
}

/// One file of the recordings' directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingEntry {
    /// Its id, by which it can be read or deleted; `null` for a file that is not named like a recording.
    id: Option<String>,
    /// Name of the file.
    name: String,
    /// What is known of it without its samples; `null` if it cannot be read.
    #[schema(value_type = Option<CaptureMeta>)]
    meta: Option<Arc<CaptureMeta>>,
    /// Its entity tag without the quotes, for `If-Match`; `null` if it cannot be read.
    revision: Option<String>,
    /// Why it cannot be read; `null` if it can.
    reason: Option<String>,
    /// Size of the file, bytes.
    bytes: u64,
}

impl From<Listed> for RecordingEntry {
    fn from(listed: Listed) -> Self {
        let bytes = listed.bytes();
        match listed {
            Listed::Readable { meta, revision } => Self {
                id: Some(meta.id.to_string()),
                name: format!("{}.json", meta.id),
                meta: Some(meta),
                revision: Some(revision.to_string()),
                reason: None,
                bytes,
            },
            Listed::Unreadable { name, id, reason, .. } => Self {
                id: id.map(|id| id.to_string()),
                name,
                meta: None,
                revision: None,
                reason: Some(reason.to_string()),
                bytes,
            },
        }
    }
}

/// Lists recordings, newest first.
///
/// Files that cannot be read are listed with their reason.
#[utoipa::path(
    get, path = "/stats/recordings", operation_id = "stats_recordings_list", tag = "stats",
    params(ListParams),
    responses((status = 200, description = "A page", body = RecordingList))
)]
pub(super) async fn stats_recordings_list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
) -> Result<Json<RecordingList>, ApiError> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, format!("`limit` is 1 to {MAX_LIMIT}")));
    }
    let no_cursor = || ApiError::new(StatusCode::BAD_REQUEST, "`cursor` is not the `next` of a page");
    let after = params.cursor.map(|cursor| cursor_name(&cursor).ok_or_else(no_cursor)).transpose()?;
    let store = app.captures.store().clone();
    let list = blocking(move || {
        let listing = store.list(&ListQuery { limit: Some(limit.into()), after })?;
        let usage = store.usage()?;
        let evicted = store.would_evict(usage.bytes / usage.recordings.max(1))?;
        Ok::<_, ListError>(RecordingList {
            recordings: listing.entries.into_iter().map(RecordingEntry::from).collect(),
            next: listing.next.map(|name| name_cursor(&name)),
            total: listing.total,
            next_evicted: evicted.into_iter().map(|meta| meta.id.to_string()).collect(),
        })
    });
    Ok(Json(list.await?))
}

/// How much of a recording.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct GetParams {
    /// Whether samples carry their distributions (`hist`), nine tenths of the size.
    #[param(default = true)]
    distributions: Option<bool>,
}

/// Reads a recording.
#[utoipa::path(
    get, path = "/stats/recordings/{id}", operation_id = "stats_recording_get", tag = "stats",
    params(
        ("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720"),
        GetParams,
        ("If-None-Match" = Option<String>, Header, description = "Entity tags of copies that the caller has"),
    ),
    responses(
        (status = 200, description = "The recording", body = Capture,
            headers(("ETag" = String, description = "Changes with every edit of the recording; weak if the answer is compressed"))),
        (status = 304, description = "The caller's copy is current"),
        (status = 422, description = "The file is no recording that this version can read", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_get(
    Id(id): Id,
    State(app): State<App>,
    Params(params): Params<GetParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let store = app.captures.store().clone();
    let known = etag::none_match(&headers);
    // Private to whoever has a token, and asked about every time.
    let tagged = |revision| {
        [(header::ETAG, tag(revision)), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))]
    };
    if !known.is_empty() {
        // Its state is cheap to know, and needs no room.
        let (store, id) = (store.clone(), id.clone());
        let revision = blocking(move || store.revision(&id)).await?;
        if known.contains(&revision) {
            return Ok((StatusCode::NOT_MODIFIED, tagged(&revision)).into_response());
        }
    }
    let answer = app.room().holding(1, move || {
        let mut stored = store.get(&id)?;
        if params.distributions == Some(false) {
            stored.capture.samples.iter_mut().for_each(super::download::strip);
        }
        let body = serde_json::to_vec(&stored.capture).map_err(ApiError::internal)?;
        Ok::<_, ApiError>((stored.revision, body))
    });
    let (revision, body) = answer.await?;
    Ok((tagged(&revision), [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// What may be changed about a recording. What is left out, or `null`, stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "label": "evening run", "pinned": true }))]
pub(crate) struct RecordingPatch {
    /// What to call it.
    #[schema(max_length = 200)]
    label: Option<String>,
    /// Anything worth remembering.
    #[schema(max_length = 10_000)]
    note: Option<String>,
    /// Whether it is kept when the quota makes room.
    pinned: Option<bool>,
}

/// Changes the label, the note, or whether the quota may take it.
///
/// With `If-Match`, only if nobody has changed it since.
#[utoipa::path(
    patch, path = "/stats/recordings/{id}", operation_id = "stats_recording_update", tag = "stats",
    params(
        ("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720"),
        ("If-Match" = Option<String>, Header, description = "Entity tag of the state that is to be changed, strong or weak"),
    ),
    request_body = RecordingPatch,
    responses(
        (status = 200, description = "The metadata as it is now", body = CaptureMeta,
            headers(("ETag" = String, description = "Changes with every edit of the recording"))),
        (status = 412, description = "It was changed meanwhile", body = crate::ErrorBody,
            headers(("ETag" = String, description = "Tag of its present state"))),
        (status = 507, description = "The disk is full; nothing was changed", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_update(
    Id(id): Id,
    State(app): State<App>,
    headers: HeaderMap,
    Body(patch): Body<RecordingPatch>,
) -> Result<Response, ApiError> {
    check_length("label", patch.label.as_ref(), 200)?;
    check_length("note", patch.note.as_ref(), 10_000)?;
    let condition = etag::if_match(&headers)?;
    let store = app.captures.store().clone();
    let patch = MetaPatch { label: patch.label, note: patch.note, pinned: patch.pinned };
    let updated = blocking(move || {
        let expected = expected(&condition, || store.revision(&id))?;
        store.update(&id, expected.as_ref(), patch).map_err(ApiError::from)
    });
    let updated = updated.await?;
    Ok(([(header::ETAG, tag(&updated.revision))], Json(updated.meta)).into_response())
}

/// Deletes a recording.
///
/// With `If-Match`, only if nobody has changed it since. A file that cannot be read is deleted by its id as well.
#[utoipa::path(
    delete, path = "/stats/recordings/{id}", operation_id = "stats_recording_delete", tag = "stats",
    params(
        ("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720"),
        ("If-Match" = Option<String>, Header, description = "Entity tag of the state that is to be deleted, strong or weak"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 412, description = "It was changed meanwhile", body = crate::ErrorBody,
            headers(("ETag" = String, description = "Tag of its present state"))),
    )
)]
pub(super) async fn stats_recording_delete(
    Id(id): Id,
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let condition = etag::if_match(&headers)?;
    let store = app.captures.store().clone();
    let deleted = blocking(move || {
        let expected = expected(&condition, || store.revision(&id))?;
        store.delete(&id, expected.as_ref()).map_err(ApiError::from)
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a snapshot of a recording from the metrics backend.
///
/// It is taken behind this answer; the capture's status shows how far it is. The recording changes only if the backend holds
/// the same counts at every step; its provenance says how it went either way.
#[utoipa::path(
    post, path = "/stats/recordings/{id}/snapshot", operation_id = "stats_recording_snapshot", tag = "stats",
    params(("id" = String, Path, description = "Id of the recording", example = "2026-06-26T20-14-03Z_1280x720")),
    responses(
        (status = 202, description = "It is taken, or waits for its turn", body = SnapshotStatus),
        (status = 409, description = "No backend is configured, or the recording is verified already", body = crate::ErrorBody),
        (status = 422, description = "The file is no recording that this version can read", body = crate::ErrorBody),
        (status = 503, description = "The host is shutting down", body = crate::ErrorBody),
    )
)]
pub(super) async fn stats_recording_snapshot(
    Id(id): Id,
    State(app): State<App>,
) -> Result<(StatusCode, Json<SnapshotStatus>), ApiError> {
    let captures = app.captures.clone();
    let status = blocking(move || captures.take_snapshot(&id).map_err(ApiError::from)).await?;
    Ok((StatusCode::ACCEPTED, Json(status)))
}

/// The revision that a change is bound to; `None` for any.
fn expected(
    condition: &Condition,
    current: impl FnOnce() -> Result<Revision, GetError>,
) -> Result<Option<Revision>, ApiError> {
    match condition {
        Condition::Any => Ok(None),
        Condition::OneOf(tags) => {
            let current = current()?;
            if tags.contains(&current) { Ok(Some(current)) } else { Err(changed(&current)) }
        }
    }
}

fn changed(current: &Revision) -> ApiError {
    let message = "the recording was changed meanwhile: read it again, then repeat the change";
    ApiError::new(StatusCode::PRECONDITION_FAILED, message).with_header(header::ETAG, tag(current))
}

fn tag(revision: &Revision) -> HeaderValue {
    HeaderValue::try_from(etag::of(revision)).expect("a revision is digits, letters and `-`")
}

/// A place in the list as text without a meaning: the hex digits of a file's name.
fn name_cursor(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn cursor_name(cursor: &str) -> Option<String> {
    let digits = cursor.as_bytes();
    if digits.is_empty() || digits.len() > 510 || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    // Two hex digits are a byte.
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect();
    // Names are compared, not opened: whatever else it is stands somewhere in their order.
    Some(String::from_utf8_lossy(&bytes?).into_owned())
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        Self::internal(format!("{error}: {}", error.source))
    }
}

impl From<GetError> for ApiError {
    fn from(error: GetError) -> Self {
        match &error {
            GetError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            GetError::Unreadable { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            GetError::Io { .. } => Self::internal(error),
        }
    }
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Conflict { current } => changed(&current),
            UpdateError::Get(error) => error.into(),
            UpdateError::Io { ref source, .. } if is_full(source) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string())
            }
            UpdateError::Io { .. } => Self::internal(error),
            UpdateError::TooLarge { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        }
    }
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Get(error) => error.into(),
            SnapshotError::NoBackend | SnapshotError::Verified => Self::new(StatusCode::CONFLICT, error.to_string()),
            SnapshotError::ShuttingDown => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> Self {
        match &error {
            DeleteError::Conflict { current } => changed(current),
            DeleteError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            DeleteError::Io { .. } => Self::internal(error),
        }
    }
}

/// Whether there is no room.
pub(super) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_name(name in "\\PC{1,60}") {
            prop_assert_eq!(cursor_name(&name_cursor(&name)), Some(name));
        }

        #[test]
        fn any_text_is_a_cursor_or_is_refused(text in "\\PC*") {
            let digits = text.len() % 2 == 0 && (2..=510).contains(&text.len());
            let hex = digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            prop_assert_eq!(cursor_name(&text).is_some(), hex);
        }
    }
}
