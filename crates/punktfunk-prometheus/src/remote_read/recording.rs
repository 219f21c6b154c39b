//! A recording as far as its series need it. The distributions, which are most of a file, stay text until a series asks for
//! one; everything that no series shows is passed over.

use punktfunk_recordings::{CaptureMeta, DropCount, LateCount, Marker, RecordingId, SCHEMA_VERSION, SparseHistogram};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is read of [`punktfunk_recordings::Capture`].
#[derive(Debug, Deserialize)]
pub(super) struct Recording<'a> {
    schema_version: u32,
    pub(super) meta: CaptureMeta,
    #[serde(borrow)]
    pub(super) samples: Vec<Window<'a>>,
    #[serde(default)]
    pub(super) markers: Vec<Marker>,
}

/// What is read of [`punktfunk_recordings::StatsSample`]; each field as there.
#[derive(Debug, Deserialize)]
pub(super) struct Window<'a> {
    pub(super) t_ms: u64,
    #[serde(default)]
    pub(super) step_unix_ms: u64,
    pub(super) window_ms: f64,
    pub(super) session_id: String,
    #[serde(borrow)]
    pub(super) stages: Vec<Stats<'a>>,
    #[serde(borrow)]
    pub(super) host: Option<Stats<'a>>,
    #[serde(borrow, default)]
    pub(super) interval: Option<Stats<'a>>,
    pub(super) frames: u64,
    #[serde(default)]
    pub(super) late_by_stage: Vec<LateCount>,
    pub(super) stutters: u64,
    pub(super) repeat_fps: f64,
    pub(super) mbps: f64,
    #[serde(default)]
    pub(super) fec_mbps: f64,
    #[serde(default)]
    pub(super) overhead_mbps: f64,
    pub(super) bitrate_kbps: Option<f64>,
    #[serde(default)]
    pub(super) dropped_by_reason: Vec<DropCount>,
    #[serde(default)]
    pub(super) records_lost: u64,
    pub(super) packets_sent: u64,
    pub(super) packets_dropped: Option<u64>,
    pub(super) send_dropped: Option<u64>,
    pub(super) fec_recovered: Option<u64>,
    #[serde(default)]
    pub(super) idr_requests: Option<u64>,
    #[serde(default)]
    pub(super) rfi_requests: Option<u64>,
    pub(super) rtt_us: Option<f64>,
}

/// What is read of [`punktfunk_recordings::StageStats`].
#[derive(Debug, Deserialize)]
pub(super) struct Stats<'a> {
    pub(super) name: String,
    pub(super) max_us: f64,
    pub(super) mean_us: f64,
    pub(super) count: u64,
    #[serde(borrow, default)]
    hist: Option<&'a RawValue>,
}

impl Stats<'_> {
    /// The distribution; `None` if there is none that can be read.
    pub(super) fn hist(&self) -> Option<SparseHistogram> {
        serde_json::from_str(self.hist?.get()).ok()
    }
}

/// Reads a file's content.
///
/// # Errors
/// In words, for the log: it is no recording, one of a later version, or another one.
pub(super) fn parse<'a>(bytes: &'a [u8], id: &RecordingId) -> Result<Recording<'a>, String> {
    let recording: Recording<'a> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if recording.schema_version > SCHEMA_VERSION {
        return Err(format!("it has schema version {}", recording.schema_version));
    }
    if recording.meta.id != *id {
        return Err(format!("it holds the recording {}", recording.meta.id));
    }
    Ok(recording)
}
