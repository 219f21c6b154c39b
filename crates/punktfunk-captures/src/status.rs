//! What the fronts say to the service and hear from it.

use std::sync::Arc;

use punktfunk_recordings::store::SaveError;
use punktfunk_recordings::{CaptureKind, Marker, RecordingId, StatsSample};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::snapshots::SnapshotStatus;

/// Longest delay and longest limit that can be asked for: a day.
pub(crate) const MAX_SECONDS: u32 = 86_400;

/// Longest label, characters.
pub(crate) const MAX_LABEL: usize = 200;

/// Longest note, characters.
pub(crate) const MAX_NOTE: usize = 10_000;

/// How a capture is to be started. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartRequest {
    /// What to call it.
    #[schema(max_length = 200)]
    pub label: Option<String>,
    /// Anything worth remembering.
    #[schema(max_length = 10_000)]
    pub note: Option<String>,
    /// Wait this long before measuring, seconds.
    #[schema(minimum = 0, maximum = 86_400)]
    #[serde(deserialize_with = "whole")]
    pub delay_s: Option<u32>,
    /// Stop by itself after this long, seconds.
    #[schema(minimum = 1, maximum = 86_400)]
    #[serde(deserialize_with = "whole")]
    pub max_duration_s: Option<u32>,
    /// Stop when the last measured session has ended.
    pub stop_with_session: Option<bool>,
}

/// A whole number as JSON Schema understands it: `60.0` is one.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    use serde::de::Error as _;
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
        // Exact: it is whole and within range.
        Ok(Some(number as u32))
    } else {
        Err(D::Error::custom(format!("{number} is not a whole number of seconds")))
    }
}

impl StartRequest {
    /// Checks the limits that the schema declares.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let long = |text: &Option<String>, limit| text.as_ref().is_some_and(|text| text.chars().count() > limit);
        if long(&self.label, MAX_LABEL) {
            return Err(StartError::Invalid(format!("`label` has at most {MAX_LABEL} characters")));
        }
        if long(&self.note, MAX_NOTE) {
            return Err(StartError::Invalid(format!("`note` has at most {MAX_NOTE} characters")));
        }
        if self.delay_s.is_some_and(|s| s > MAX_SECONDS) {
            return Err(StartError::Invalid(format!("`delay_s` is 0 to {MAX_SECONDS}")));
        }
        if self.max_duration_s.is_some_and(|s| s == 0 || s > MAX_SECONDS) {
            return Err(StartError::Invalid(format!("`max_duration_s` is 1 to {MAX_SECONDS}")));
        }
        Ok(())
    }
}

/// What a start did.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The capture that runs now.
    pub status: StatsStatus,
    /// It ran already: nothing was changed.
    pub already_running: bool,
}

/// Why no capture was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value is out of its limits.
    #[error("{0}")]
    Invalid(String),
    /// The last capture has not been written yet; a new one would have to throw it away.
    #[error("the last capture ({id}) is not saved yet: stop again to repeat the write, then start")]
    Unsaved {
        /// Its id.
        id: RecordingId,
    },
    /// The last capture is being written.
    #[error("the last capture ({id}) is being saved: start again in a moment")]
    Saving {
        /// Its id.
        id: RecordingId,
    },
    /// The recorder has been shut down.
    #[error("the host is shutting down")]
    ShuttingDown,
    /// The system has no thread left for the capture.
    #[error("the system refuses a thread for the capture: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a capture could not be stopped and saved.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The run is complete, but could not be written. It stays in memory and in its journal.
    #[error("the capture is stopped but not saved, and nothing is lost: {cause}. Mend that and stop again")]
    Unsaved {
        /// The capture.
        id: RecordingId,
        /// Why the write failed, with its path.
        cause: Arc<SaveError>,
    },
    /// The collector ended without a report.
    #[error("the recorder ended before it reported; what was journalled is offered at the next start")]
    RecorderGone,
}

/// Why a marker was not set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MarkerError {
    /// Markers belong to a running capture.
    #[error("no capture is armed: start one, then set markers")]
    NotArmed,
    /// The text is too long.
    #[error("`text` has at most 200 characters")]
    TooLong,
    /// A capture keeps a bounded number of markers.
    #[error("this capture has as many markers as it takes (10000)")]
    TooMany,
}

/// The states of the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureState {
    /// Nothing runs.
    #[default]
    Idle,
    /// A start waits for its delay to pass.
    Scheduled,
    /// Frames are measured.
    Armed,
    /// The run is complete and being written.
    Saving,
    /// The run is complete and could not be written.
    Unsaved,
}

/// What the service does at this moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsStatus {
    /// State of the service.
    pub state: CaptureState,
    /// Whether frames are measured.
    pub armed: bool,
    /// Id of the capture that runs, is saved, or could not be saved; also of its recording.
    #[schema(value_type = Option<String>)]
    pub id: Option<RecordingId>,
    /// What it is called.
    pub label: Option<String>,
    /// Samples so far, of all sessions.
    pub sample_count: usize,
    /// Sessions that have sent a measured frame.
    pub session_count: usize,
    /// Sessions that stream now, measured or not.
    pub live_sessions: usize,
    /// Start, wall time, ms since 1970.
    pub started_unix_ms: Option<u64>,
    /// Time since the start, ms.
    pub elapsed_ms: Option<u64>,
    /// Time until a delayed start, ms.
    pub starts_in_ms: Option<u64>,
    /// When it stops by itself, seconds after the start.
    pub max_duration_s: Option<u32>,
    /// Whether it stops when the last measured session has ended.
    pub stop_with_session: bool,
    /// Which paths are measured; `null` while no session has joined.
    pub kind: Option<CaptureKind>,
    /// Frames that were sent but not measured because a ring was full.
    pub records_lost: u64,
    /// Why the last run could not be written.
    pub unsaved_reason: Option<String>,
    /// The snapshot from the metrics backend that is being taken or waits; `null` if none is.
    pub snapshot: Option<SnapshotStatus>,
    /// The recording that was saved last since the host started.
    #[schema(value_type = Option<String>)]
    pub last_recording: Option<RecordingId>,
}

/// The running capture as it can be seen so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct LiveCapture {
    /// What the service does.
    pub status: StatsStatus,
    /// The newest samples, oldest first; bounded.
    #[schema(value_type = Vec<StatsSample>)]
    pub samples: Vec<Arc<StatsSample>>,
    /// The markers so far.
    pub markers: Vec<Marker>,
}

/// One thing that happened in the running capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LiveEvent {
    /// A window closed.
    Sample(Arc<StatsSample>),
    /// A marker was set.
    Marker(Marker),
}

/// A session that streams now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LiveSession {
    /// Id: `s1`, `s2`, … counted from the start of the host.
    pub id: String,
    /// The path.
    pub protocol: String,
    /// The path's stages, in order.
    pub stages: Vec<String>,
    /// Width of the picture, pixels.
    pub width: u32,
    /// Height of the picture, pixels.
    pub height: u32,
    /// Frame rate granted.
    pub fps: u32,
    /// Codec.
    pub codec: String,
    /// Encoder.
    pub encoder: String,
    /// Client as named at pairing.
    pub client: String,
    /// Where the pictures come from.
    pub source_kind: String,
    /// Host duration above which a frame counts as late in a capture that is started now, µs.
    pub latency_target_us: f64,
    /// What the encoder aims at; `null` if the path does not say.
    pub bitrate_kbps: Option<f64>,
    /// Newest round-trip time, µs; `null` if the path does not say.
    pub rtt_us: Option<f64>,
}
