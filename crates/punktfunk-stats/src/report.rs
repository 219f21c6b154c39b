//! What the collector tells the capture's owner. Times are nanoseconds as integers; a figure that is not known is `None`.

use std::time::{Duration, SystemTime};

use crate::counters::{ClientFigures, DropReason, SessionEvent};
use crate::session::SessionSpec;

/// What happens during a capture, in order. A capture ends with exactly one [`Finished`](Self::Finished).
#[derive(Debug)]
pub enum CaptureEvent {
    /// The gate is open; the capture's clock starts.
    Armed {
        /// Wall time of the start.
        started: SystemTime,
        /// Distance between the ends of two windows.
        step: Duration,
    },
    /// A session sent its first measured frame.
    SessionJoined {
        /// Its id.
        session_id: String,
        /// What it declared.
        spec: SessionSpec,
        /// When its first frame began, since the start.
        at: Duration,
    },
    /// A window closed for one session.
    Window(Box<WindowReport>),
    /// Something worth a marker.
    Event {
        /// The session.
        session_id: String,
        /// When, since the start.
        at: Duration,
        /// What.
        event: SessionEvent,
    },
    /// A session ended; its last, partial window came before.
    SessionLeft {
        /// Its id.
        session_id: String,
        /// When, since the start: when its last frame had left.
        at: Duration,
    },
    /// The gate is closed, the rings are drained, everything measured has been handed over.
    Finished(Box<CaptureReport>),
}

/// Exact order statistics of one window, and its histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Smallest value not exceeded by half of them (nearest rank).
    pub p50_ns: u64,
    /// Nearest-rank 95th percentile.
    pub p95_ns: u64,
    /// Nearest-rank 99th percentile.
    pub p99_ns: u64,
    /// Largest value, unclamped.
    pub max_ns: u64,
    /// Sum of all values: means and shares come from it exactly.
    pub sum_ns: u64,
    /// The same values as the OpenTelemetry histogram counted them, read back from its snapshot.
    pub buckets: Buckets,
}

/// Part of a base-2 exponential histogram: bucket `i` counts values in (base^i, base^(i+1)] seconds,
/// base = 2^(2^-scale).
/// See the OpenTelemetry metrics data model, "ExponentialHistogram".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Scale of the histogram.
    pub scale: i8,
    /// Index of the first entry of `counts`.
    pub offset: i32,
    /// Counts of consecutive buckets.
    pub counts: Vec<u64>,
}

impl Buckets {
    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// One session's window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowReport {
    /// The session.
    pub session_id: String,
    /// End of the window, since the start of the capture.
    pub end: Duration,
    /// End of the step that it lies in, on the capture's own clock: the multiple of the sample interval at or after `end`.
    /// A metrics backend holds its figures from then on.
    pub step_end: SystemTime,
    /// Length of the window; shorter than the sample interval at the start, the end, and for sessions that come or go.
    pub length: Duration,
    /// The path's stages in order, by name; `None` where no frame of the window passed the stage.
    pub stages: Vec<(&'static str, Option<Distribution>)>,
    /// Waiting between the stages.
    pub queue: Option<Distribution>,
    /// From due to last packet.
    pub host: Option<Distribution>,
    /// Waiting on purpose, inside the last stage.
    pub pace: Option<Distribution>,
    /// Between the last packets of consecutive frames.
    pub sent_interval: Option<Distribution>,
    /// Frames with a new picture whose last packet left in the window.
    pub new_frames: u64,
    /// Frames that repeated a picture.
    pub repeat_frames: u64,
    /// Frames over the latency target.
    pub late: u64,
    /// The same by stage at fault: the path's stages, then `queue`, then `none`. Only those that are not zero.
    pub late_by_stage: Vec<(&'static str, u64)>,
    /// Intervals over twice the running median.
    pub stutters: u64,
    /// Bytes of encoded pictures.
    pub media_bytes: u64,
    /// Bytes of parity.
    pub fec_bytes: u64,
    /// Bytes of headers and tags.
    pub overhead_bytes: u64,
    /// Packets handed to the kernel.
    pub packets_sent: u64,
    /// Frames dropped on the host, by reason; only reasons that occurred.
    pub dropped: Vec<(DropReason, u64)>,
    /// Records that found the ring full: frames that were sent but not measured.
    pub records_lost: u64,
    /// Packets reported missing, if the path can know.
    pub packets_lost: Option<u64>,
    /// Packets that the kernel did not take, if the path can know.
    pub send_dropped: Option<u64>,
    /// Shards rebuilt, if the path can know.
    pub fec_recovered: Option<u64>,
    /// Requests for an IDR, if the path can know.
    pub idr_requests: Option<u64>,
    /// Reference frames reported invalid, if the path can know.
    pub rfi_requests: Option<u64>,
    /// What the encoder aims at, if the path said.
    pub target_rate_bps: Option<u64>,
    /// Newest round-trip time, if the path said.
    pub rtt: Option<Duration>,
    /// The client's report, if one came in this window.
    pub client: Option<ClientFigures>,
}

/// The end of a capture.
#[derive(Debug)]
pub struct CaptureReport {
    /// Time during which the gate was open.
    pub duration: Duration,
    /// Whether a limit cut something off: samples of a session, or sessions.
    pub truncated: bool,
    /// Every session that sent a measured frame, in order of its first.
    pub sessions: Vec<SessionReport>,
    /// The last cumulative value of every histogram, as OpenTelemetry holds it.
    pub totals: Vec<SeriesTotal>,
}

/// What one session left behind in a capture.
#[derive(Debug)]
pub struct SessionReport {
    /// Its id.
    pub session_id: String,
    /// Number of the first and the last frame recorded.
    pub frames: Option<(u64, u64)>,
    /// Frames recorded.
    pub records: u64,
    /// Numbers between the first and the last that have no record: dropped after encoding, or lost from the ring.
    pub gaps: u64,
    /// Records that found the ring full.
    pub records_lost: u64,
    /// Frames that were begun and had not left when the capture stopped.
    pub in_flight: u64,
    /// Events beyond what a window keeps.
    pub events_lost: u64,
    /// Frames kept whole, in order, each once.
    pub kept_frames: Vec<KeptFrame>,
    /// Why and for which spans.
    pub kept_spans: Vec<KeptSpan>,
}

/// A histogram's total at the end of a capture.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesTotal {
    /// Metric name, from the catalogue.
    pub metric: &'static str,
    /// The session.
    pub session_id: String,
    /// `stage`, `point` or `frame.type` of the series, where it has one.
    pub key: Option<String>,
    /// Values counted.
    pub count: u64,
    /// Their sum, in the metric's unit.
    pub sum: f64,
}

/// Why frames were kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptReason {
    /// The ten seconds with the most time over the target.
    WorstTenSeconds,
    /// One second on each side of one of the longest intervals.
    Stutter,
}

/// A span of time whose frames were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptSpan {
    /// Why.
    pub reason: KeptReason,
    /// Start, since the start of the capture.
    pub from: Duration,
    /// End.
    pub to: Duration,
}

/// One frame, kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFrame {
    /// Its number.
    pub number: u64,
    /// When its last packet had left, ns since the start of the capture.
    pub end_ns: u64,
    /// From due to last packet.
    pub host_ns: u64,
    /// Time in each of the path's stages; `None` where it did not pass one.
    pub stage_ns: [Option<u64>; crate::MAX_STAGES],
    /// Time that it waited before each of them.
    pub wait_ns: [u64; crate::MAX_STAGES],
    /// Waiting on purpose, inside the last stage.
    pub pace_ns: u64,
    /// Since the last packet of the frame before; `None` for a session's first.
    pub interval_ns: Option<u64>,
    /// Bytes of the encoded picture.
    pub media_bytes: u32,
    /// Whether it can be decoded on its own.
    pub idr: bool,
    /// Whether it repeated a picture.
    pub repeat: bool,
    /// Stage at fault if it was late: a stage's name, `queue` or `none`.
    pub late_stage: Option<&'static str>,
}

/// A session that streams at this moment, measured or not.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSession {
    /// Its id.
    pub session_id: String,
    /// What it declared.
    pub spec: SessionSpec,
    /// What the encoder aims at, if the path said.
    pub target_rate_bps: Option<u64>,
    /// Newest round-trip time, if the path said.
    pub rtt: Option<Duration>,
}
