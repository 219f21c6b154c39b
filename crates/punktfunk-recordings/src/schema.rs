//! The shape of a saved capture, on disk and on the wire.
//!
//! Fields may be added, never renamed or removed. Durations are microseconds with nanosecond precision (three decimals); a
//! figure that a path cannot measure is `null`, never 0. The order of [`Capture`]'s fields matters: `meta` comes first, so
//! that a listing reads only the head of a file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::histogram::SparseHistogram;
use crate::id::RecordingId;
use crate::summary::Summary;

/// Version that this build writes. A reader refuses a higher one.
pub const SCHEMA_VERSION: u32 = 1;

/// A whole recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Capture {
    /// Version of this shape, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What a listing shows.
    pub meta: CaptureMeta,
    /// Windows of all sessions, in order of their end.
    pub samples: Vec<StatsSample>,
    /// The whole run: figures per stage and session, and the verdict.
    pub summary: Summary,
    /// Moments worth a line on the graphs, in order.
    pub markers: Vec<Marker>,
    /// Where the figures come from, and the proof of their counts.
    pub provenance: Provenance,
    /// Single frames of the worst moments, kept whole, one entry a session.
    #[serde(default)]
    pub kept_frames: Vec<KeptFrames>,
}

/// Which paths a capture measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureKind {
    /// Only `punktfunk/1` sessions.
    Native,
    /// Only GameStream (Moonlight) sessions.
    Gamestream,
    /// Both.
    Mixed,
}

impl CaptureKind {
    /// The kind of a capture whose sessions have these protocols; `None` without any.
    pub fn of<'a>(protocols: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        protocols.into_iter().fold(None, |kind, protocol| {
            let this = if protocol == "gamestream" { Self::Gamestream } else { Self::Native };
            Some(kind.map_or(this, |kind| if kind == this { kind } else { Self::Mixed }))
        })
    }
}

/// What is known of a recording without reading its samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CaptureMeta {
    /// Id, and stem of the file's name.
    #[schema(value_type = String, example = "2026-06-26T20-14-03Z_1280x720")]
    pub id: RecordingId,
    /// What the operator called it; may be empty.
    #[serde(default)]
    pub label: String,
    /// What the operator noted; may be empty.
    #[serde(default)]
    pub note: String,
    /// Start, wall time, ms since 1970.
    pub started_unix_ms: u64,
    /// Time during which the gate was open, ms.
    pub duration_ms: u64,
    /// Distance between the ends of two windows, ms; 0 if not known.
    #[serde(default)]
    pub step_ms: u64,
    /// Which paths were measured; `null` if no session was.
    pub kind: Option<CaptureKind>,
    /// Width of the first session's picture, pixels.
    pub width: Option<u32>,
    /// Height of the first session's picture, pixels.
    pub height: Option<u32>,
    /// Frame rate granted to the first session.
    pub fps: Option<u32>,
    /// Codec of the first session.
    pub codec: Option<String>,
    /// Client of the first session, as named at pairing.
    pub client: Option<String>,
    /// How many samples follow.
    pub sample_count: usize,
    /// A limit cut something off: the samples of a session, or whole sessions.
    pub truncated: bool,
    /// The host ended before the capture was stopped; this was recovered from its journal.
    #[serde(default)]
    pub interrupted: bool,
    /// Kept when the quota makes room.
    #[serde(default)]
    pub pinned: bool,
    /// What became of the snapshot from the metrics backend; `null` if none was asked for. [`Provenance::backend`] says
    /// more.
    #[serde(default)]
    pub snapshot: Option<SnapshotState>,
    /// Frames that were sent but not measured because a ring was full.
    #[serde(default)]
    pub records_lost: u64,
    /// The verdict, for listings.
    #[serde(default)]
    pub verdict: Option<VerdictBrief>,
    /// 99th percentile of host, µs, over all sessions, for listings.
    #[serde(default)]
    pub host_p99_us: Option<f64>,
    /// Share of late frames, 0–1, over all sessions, for listings.
    #[serde(default)]
    pub late_share: Option<f64>,
    /// The sessions, in order of their first frame.
    pub sessions: Vec<SessionMeta>,
    /// The host that measured.
    pub host: HostMeta,
}

/// What became of the snapshot of a recording from the metrics backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// Still to be taken: until then the figures are the collector's own.
    Pending,
    /// The backend holds the same counts at every step; figures come from it.
    Verified,
    /// The figures are the collector's own, and stay.
    Kept,
}

/// The verdict as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictBrief {
    /// Outcome.
    pub kind: crate::verdict::VerdictKind,
    /// Stage at fault, if the outcome is one.
    pub stage: Option<String>,
    /// One sentence.
    pub text: String,
}

/// The host that measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostMeta {
    /// Stable id of the installation.
    pub id: String,
    /// Version of the host.
    pub version: String,
    /// Operating system.
    pub os: String,
    /// Model of the processor, if the system says.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Logical processors.
    pub cpus: Option<u32>,
}

/// One session of a capture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionMeta {
    /// Id: `s1`, `s2`, … counted from the start of the host.
    pub id: String,
    /// The path: `native`, `gamestream`.
    pub protocol: String,
    /// The path's stages, in critical-path order.
    pub stages: Vec<StageMeta>,
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
    /// Where the pictures came from.
    pub source_kind: String,
    /// What was sent as sound: `silent` where the client expected sound and got none; `null` if the path knows no sound.
    #[serde(default)]
    pub audio: Option<String>,
    /// Host duration above which a frame counts as late, µs.
    pub latency_target_us: f64,
    /// When its first frame began, ms since the start.
    pub joined_ms: u64,
    /// When it ended, ms since the start; `null` if it outlived the capture.
    pub left_ms: Option<u64>,
    /// Number of the first recorded frame.
    pub first_frame: Option<u64>,
    /// Number of the last recorded frame.
    pub last_frame: Option<u64>,
    /// Frames recorded.
    #[serde(default)]
    pub records: u64,
    /// Numbers between the first and the last without a record: dropped after encoding, or lost from the ring.
    #[serde(default)]
    pub gaps: u64,
    /// Frames that were sent but not measured because the ring was full.
    #[serde(default)]
    pub records_lost: u64,
    /// Frames that had begun and not left when the capture stopped: discarded.
    #[serde(default)]
    pub discarded_in_flight: u64,
}

/// One stage of a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageMeta {
    /// Name, as in the samples.
    pub name: String,
    /// Share of the latency target that it is meant to need, 0–1.
    pub budget_share: f64,
    /// Whether it has a thread of its own, fed by a queue; otherwise it shares the thread of the stage before.
    pub queued: bool,
}

/// One session's window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsSample {
    /// End of the window, ms since the start.
    pub t_ms: u64,
    /// End of the step that the window lies in, wall time on the capture's own clock, ms since 1970: a multiple of
    /// [`CaptureMeta::step_ms`]. A metrics backend holds the window's figures from then on.
    #[serde(default)]
    pub step_unix_ms: u64,
    /// Length of the window, ms; shorter at the start, the end, and for sessions that come or go.
    pub window_ms: f64,
    /// The session.
    pub session_id: String,
    /// The path's stages in order, then `queue`; a stage that no frame passed is left out.
    pub stages: Vec<StageStats>,
    /// From due to last packet; `null` if no frame left in the window.
    pub host: Option<StageStats>,
    /// Waiting on purpose, inside the last stage.
    #[serde(default)]
    pub pace: Option<StageStats>,
    /// Between the last packets of consecutive frames.
    #[serde(default)]
    pub interval: Option<StageStats>,
    /// Frames sent, new and repeated.
    pub frames: u64,
    /// Frames over the latency target.
    pub late: u64,
    /// The same by stage at fault: a stage, `queue`, or `none` if no stage was over its baseline.
    #[serde(default)]
    pub late_by_stage: Vec<LateCount>,
    /// Intervals over twice the running median.
    pub stutters: u64,
    /// New pictures a second.
    pub fps: f64,
    /// Repeated pictures a second.
    pub repeat_fps: f64,
    /// Goodput: encoded pictures, megabits a second, without parity and headers.
    pub mbps: f64,
    /// Parity, megabits a second.
    #[serde(default)]
    pub fec_mbps: f64,
    /// Headers and tags, megabits a second.
    #[serde(default)]
    pub overhead_mbps: f64,
    /// What the encoder aims at.
    pub bitrate_kbps: Option<f64>,
    /// Frames dropped on the host.
    pub frames_dropped: u64,
    /// The same by reason.
    #[serde(default)]
    pub dropped_by_reason: Vec<DropCount>,
    /// Frames that were sent but not measured because the ring was full.
    #[serde(default)]
    pub records_lost: u64,
    /// Packets handed to the kernel.
    pub packets_sent: u64,
    /// Packets that the client reported missing.
    pub packets_dropped: Option<u64>,
    /// Packets that the kernel did not take.
    pub send_dropped: Option<u64>,
    /// Shards that the client rebuilt.
    pub fec_recovered: Option<u64>,
    /// Requests for an IDR.
    #[serde(default)]
    pub idr_requests: Option<u64>,
    /// Reference frames reported invalid.
    #[serde(default)]
    pub rfi_requests: Option<u64>,
    /// Newest round-trip time, µs.
    pub rtt_us: Option<f64>,
    /// The client's own figures, if a report came in this window.
    #[serde(default)]
    pub client: Option<ClientSample>,
}

/// Exact statistics of one stage in one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageStats {
    /// Stage, or `queue`, `host`, `pace`, `interval`.
    pub name: String,
    /// Median, µs (nearest rank).
    pub p50_us: f64,
    /// 95th percentile, µs.
    pub p95_us: f64,
    /// 99th percentile, µs.
    pub p99_us: f64,
    /// Largest, µs.
    pub max_us: f64,
    /// Mean, µs.
    pub mean_us: f64,
    /// How many frames.
    pub count: u64,
    /// The distribution; left out on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<i64>>)]
    pub hist: Option<SparseHistogram>,
}

/// Late frames of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LateCount {
    /// Stage at fault, `queue` or `none`.
    pub stage: String,
    /// How many.
    pub count: u64,
}

/// Dropped frames of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DropCount {
    /// `replaced`, `stale`, `capture_failed`, `encode_failed`, `send_failed`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// What the client said about its own side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientSample {
    /// Packets received.
    pub received: Option<u64>,
    /// Packets missing.
    pub lost: Option<u64>,
    /// Shards rebuilt.
    pub recovered: Option<u64>,
    /// One-way delay above the smallest one seen, µs.
    pub one_way_us: Option<f64>,
    /// Median time to decode a frame, µs.
    pub decode_p50_us: Option<f64>,
    /// 99th percentile of the time to decode a frame, µs.
    pub decode_p99_us: Option<f64>,
}

/// What a marker stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MarkerKind {
    /// The client asked for an IDR.
    Idr,
    /// The encoder's target changed.
    Bitrate,
    /// A session sent its first measured frame.
    Join,
    /// A session ended.
    Leave,
    /// Many packets were lost at once.
    LossBurst,
    /// Set by the operator.
    Operator,
}

/// A moment worth a line on the graphs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Marker {
    /// When, ms since the start.
    pub t_ms: u64,
    /// Which session; `null` for all.
    pub session_id: Option<String>,
    /// What it stands for.
    pub kind: MarkerKind,
    /// In words.
    pub text: String,
}

/// Where the figures of a recording come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The collector's own windows.
    Local,
    /// Range queries to Prometheus, with counts proven equal.
    Prometheus,
}

/// Where the figures come from, and the proof of their counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provenance {
    /// Source of counts, percentiles and rates.
    pub source: Source,
    /// Whether every stage's count in the samples equals the count in OpenTelemetry's histogram. `null` if it could not be
    /// compared: an interrupted capture has no histograms.
    pub verified: Option<bool>,
    /// Both counts, per session and stage.
    #[serde(default)]
    pub counts: Vec<CountCheck>,
    /// How the recording was held against the metrics backend; `null` if it was not.
    #[serde(default)]
    pub backend: Option<BackendCheck>,
    /// Whence it came, if another host made it or it was exported and taken in again; `null` for this host's own. Summary
    /// and verdict were made anew from the samples then.
    #[serde(default)]
    pub imported: Option<Import>,
}

/// That a recording was taken in from a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// When, ms since 1970.
    pub at_unix_ms: u64,
    /// The id that it had there.
    #[schema(value_type = String, example = "2026-06-26T20-14-03Z_1280x720")]
    pub id: RecordingId,
}

/// How a comparison with the metrics backend ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackendOutcome {
    /// Every count agreed at every step.
    Verified,
    /// Counts differ: the collector's figures stay.
    Differs,
    /// The backend did not hold all counts in time.
    Incomplete,
    /// The backend could not be asked, or refused.
    Unavailable,
    /// The recording has nothing that a backend could be held against.
    NotComparable,
}

/// How a recording was held against the metrics backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackendCheck {
    /// How it ended.
    pub outcome: BackendOutcome,
    /// In words, with the numbers.
    pub reason: String,
    /// Version of the backend, if it said.
    pub server: Option<String>,
    /// Distance between two steps, ms.
    pub step_ms: u64,
    /// First step, ms since 1970.
    pub from_unix_ms: u64,
    /// Last step, ms since 1970.
    pub to_unix_ms: u64,
    /// The range queries, as they were sent.
    pub queries: Vec<String>,
    /// Fields of [`StatsSample`] whose figures come from the backend; all others are the collector's.
    pub fields: Vec<String>,
    /// How many counts were compared, one a step and series.
    pub compared: u64,
    /// How many of them differ.
    pub differing: u64,
    /// The first of those.
    pub differences: Vec<Difference>,
    /// What the backend remarked.
    pub warnings: Vec<String>,
    /// Time until the backend held every count, ms.
    pub waited_ms: u64,
    /// Time that the queries and the comparison took, ms.
    pub took_ms: u64,
}

/// A figure that differs between collector and backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The step, ms since 1970; `null` for the whole run.
    pub step_unix_ms: Option<u64>,
    /// The session.
    pub session_id: String,
    /// The series, and what of it was compared.
    pub series: String,
    /// What the collector counted.
    pub local: f64,
    /// What the backend holds; `null` if it has nothing.
    pub backend: Option<f64>,
}

/// Two counts of the same frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountCheck {
    /// The session.
    pub session_id: String,
    /// The stage, `queue` or `host`.
    pub stage: String,
    /// Sum of the samples' counts.
    pub samples: u64,
    /// Last cumulative count of the OpenTelemetry histogram.
    pub histogram: u64,
}

/// Why frames were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeptReason {
    /// The ten seconds with the most time over the target.
    WorstTenSeconds,
    /// One second on each side of one of the longest intervals.
    Stutter,
}

/// A span whose frames were kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptSpan {
    /// Why.
    pub reason: KeptReason,
    /// Start, ms since the start of the capture.
    pub from_ms: u64,
    /// End, ms.
    pub to_ms: u64,
}

/// Frames of one session that were kept whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeptFrames {
    /// The session.
    pub session_id: String,
    /// Names of the entries of [`KeptFrame::stages_us`] and [`KeptFrame::waits_us`], in order.
    pub stages: Vec<String>,
    /// Why they were kept.
    pub spans: Vec<KeptSpan>,
    /// The frames in order, each once.
    pub frames: Vec<KeptFrame>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeptFrame {
    /// Frame number.
    pub n: u64,
    /// When its last packet had left, ms since the start.
    pub t_ms: f64,
    /// From due to last packet, µs.
    pub host_us: f64,
    /// Time in each stage, µs; `null` where it did not pass one.
    pub stages_us: Vec<Option<f64>>,
    /// Time that it waited before each stage, µs.
    pub waits_us: Vec<f64>,
    /// Waiting on purpose, µs.
    pub pace_us: f64,
    /// Since the last packet of the frame before, µs.
    pub interval_us: Option<f64>,
    /// Size of the encoded picture, bytes.
    pub bytes: u32,
    /// Whether it can be decoded on its own.
    #[serde(default)]
    pub idr: bool,
    /// Whether it repeated a picture.
    #[serde(default)]
    pub repeat: bool,
    /// Stage at fault if it was late.
    #[serde(default)]
    pub late: Option<String>,
}

/// Microseconds as they stand on the wire: nanosecond precision.
pub fn micros(ns: u64) -> f64 {
    // Three decimals by construction; exact below 2^53 ns (104 days).
    ns as f64 / 1e3
}
