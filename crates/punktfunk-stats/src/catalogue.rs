//! Every metric of the project, in the one place where a name is written.
//!
//! `api/metrics.json` is generated from here; dashboards, rules and queries take their names from it. Names follow the
//! OpenTelemetry semantic conventions; [`Metric::prometheus_name`] is the translation that Prometheus' OTLP receiver makes.

use serde::Serialize;

/// How a metric is aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Base-2 exponential histogram, cumulative.
    Histogram,
    /// Monotonic sum, cumulative.
    Counter,
    /// Last value.
    Gauge,
}

/// Where a metric comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Exists only while a capture is armed, under that capture's provider.
    Capture,
    /// Always there, on `/metrics`.
    Always,
    /// Exists only in saved recordings, over remote read.
    Recording,
}

/// An attribute of a metric's data points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// OpenTelemetry name; `.` becomes `_` in Prometheus.
    pub name: &'static str,
    /// The closed set of values, where there is one.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub values: &'static [&'static str],
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// OpenTelemetry name.
    pub name: &'static str,
    /// Aggregation.
    pub kind: Kind,
    /// UCUM unit: `s`, `By`, `By/s`, `{frame}`, `1`.
    pub unit: &'static str,
    /// What is measured, and where its clock starts and stops.
    pub description: &'static str,
    /// When it exists.
    pub scope: Scope,
    /// Attributes beside those that every metric of its scope carries.
    pub attributes: &'static [Attribute],
}

impl Metric {
    /// The name after Prometheus' translation: dots to underscores, the unit and `_total` as suffixes.
    pub fn prometheus_name(&self) -> String {
        let mut name = self.name.replace('.', "_");
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            "By/s" => "_bytes_per_second",
            "1" if self.kind == Kind::Gauge => "_ratio",
            _ => "",
        };
        name.push_str(unit);
        if self.kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }
}

/// Attribute keys.
pub mod attribute {
    /// Stable id of the installation.
    pub const HOST_ID: &str = "host.id";
    /// Id of the capture, which is also its recording's id.
    pub const CAPTURE_ID: &str = "capture.id";
    /// Id of the session.
    pub const SESSION_ID: &str = "session.id";
    /// The path.
    pub const PROTOCOL: &str = "protocol";
    /// A stage of the path, or `queue`.
    pub const STAGE: &str = "stage";
    /// Where an interval is measured.
    pub const POINT: &str = "point";
    /// Whether a frame can be decoded on its own.
    pub const FRAME_TYPE: &str = "frame.type";
    /// Whether a frame shows a new picture.
    pub const FRAME_ORIGIN: &str = "frame.origin";
    /// Why a frame was dropped.
    pub const REASON: &str = "reason";
    /// What bytes were for.
    pub const KIND: &str = "kind";
    /// What was asked for.
    pub const TYPE: &str = "type";
    /// What became of something.
    pub const OUTCOME: &str = "outcome";
    /// Id of a saved recording: over remote read beside `source`, and on `/metrics`.
    pub const RECORDING: &str = "recording";
    /// Random for each start of the host.
    pub const RUN_ID: &str = "run.id";
}

/// Attributes that every metric of [`Scope::Capture`] carries, except that the `*.info` gauges of a capture have no
/// session.
pub const CAPTURE_ATTRIBUTES: [&str; 4] =
    [attribute::HOST_ID, attribute::CAPTURE_ID, attribute::SESSION_ID, attribute::PROTOCOL];

const fn open(name: &'static str) -> Attribute {
    Attribute { name, values: &[] }
}

const STAGE: Attribute = open(attribute::STAGE);
const POINT: Attribute = Attribute { name: attribute::POINT, values: &["captured", "sent"] };
const FRAME_TYPE: Attribute = Attribute { name: attribute::FRAME_TYPE, values: &["idr", "p"] };
const FRAME_ORIGIN: Attribute = Attribute { name: attribute::FRAME_ORIGIN, values: &["new", "repeat"] };
const REASON: Attribute = Attribute {
    name: attribute::REASON,
    values: &["replaced", "stale", "capture_failed", "encode_failed", "send_failed", "record_lost"],
};
const IO_KIND: Attribute = Attribute { name: attribute::KIND, values: &["media", "fec", "overhead"] };
const OUTCOME_EXPORT: Attribute =
    Attribute { name: attribute::OUTCOME, values: &["exported", "refused", "dropped", "lost"] };
const OUTCOME_SNAPSHOT: Attribute = Attribute { name: attribute::OUTCOME, values: &["verified", "kept"] };
const RECOVERY: Attribute = Attribute { name: attribute::TYPE, values: &["idr", "rfi"] };

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $id:ident = $name:literal, $kind:ident, $unit:literal, $scope:ident, [$($attr:expr),*];)*) => {
        $(
            #[doc = concat!("`", $name, "`:")]
            $(#[doc = $doc])+
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                description: concat!($($doc),+).trim_ascii(),
                scope: Scope::$scope,
                attributes: &[$($attr),*],
            };
        )*

        /// All of them, in the order in which they are documented.
        pub const CATALOGUE: &[Metric] = &[$($id),*];
    };
}

metrics! {
    /// Time that a frame spent in one stage, from entering it to leaving it; stage `queue` is the time that it waited
    /// between the stages. The stages and `queue` of a frame sum to its host duration.
    FRAME_STAGE_DURATION = "punktfunk.frame.stage.duration", Histogram, "s", Capture, [STAGE];
    /// Time from the moment when a frame was due to the moment when its last packet had left.
    FRAME_HOST_DURATION = "punktfunk.frame.host.duration", Histogram, "s", Capture, [];
    /// Time between two consecutive frames at one point: when their pixels were in hand (`captured`) or when their last
    /// packet had left (`sent`).
    FRAME_INTERVAL = "punktfunk.frame.interval", Histogram, "s", Capture, [POINT];
    /// Bytes of the encoded picture.
    FRAME_SIZE = "punktfunk.frame.size", Histogram, "By", Capture, [FRAME_TYPE];
    /// Frames whose last packet has left.
    FRAME_SENT = "punktfunk.frame.sent", Counter, "{frame}", Capture, [FRAME_ORIGIN];
    /// Frames whose host duration was over the latency target, by the stage at fault; `none` if no stage exceeded its
    /// baseline.
    FRAME_LATE = "punktfunk.frame.late", Counter, "{frame}", Capture, [STAGE];
    /// Intervals between sent frames over twice the running median.
    FRAME_STUTTER = "punktfunk.frame.stutter", Counter, "{event}", Capture, [];
    /// Largest host duration since the last collection.
    FRAME_HOST_DURATION_MAX = "punktfunk.frame.host.duration.max", Gauge, "s", Capture, [];
    /// Frames that were begun and never sent, by reason; `record_lost` frames were sent, but their record found the ring full.
    FRAME_DROPPED = "punktfunk.frame.dropped", Counter, "{frame}", Capture, [REASON];
    /// Packets handed to the kernel, parity included.
    PACKET_SENT = "punktfunk.packet.sent", Counter, "{packet}", Capture, [];
    /// Packets that the kernel did not take.
    PACKET_SEND_DROPPED = "punktfunk.packet.send_dropped", Counter, "{packet}", Capture, [];
    /// Packets that the client reported missing.
    PACKET_LOST = "punktfunk.packet.lost", Counter, "{packet}", Capture, [];
    /// Shards that the client rebuilt from parity.
    FEC_RECOVERED = "punktfunk.fec.recovered", Counter, "{shard}", Capture, [];
    /// Bytes sent, by what they were for. Only `media` is goodput.
    NETWORK_IO = "punktfunk.network.io", Counter, "By", Capture, [IO_KIND];
    /// Requests for a frame that can be decoded again.
    RECOVERY_REQUESTED = "punktfunk.recovery.requested", Counter, "{request}", Capture, [RECOVERY];
    /// Rate that the encoder was told to aim at.
    ENCODER_TARGET_RATE = "punktfunk.encoder.target_rate", Gauge, "By/s", Capture, [];
    /// Newest round-trip time to the client.
    SESSION_RTT = "punktfunk.session.rtt", Gauge, "s", Capture, [];
    /// Time between two frames at the frame rate that was granted to the session.
    SESSION_FRAME_BUDGET = "punktfunk.session.frame.budget", Gauge, "s", Capture, [];
    /// Host duration above which a frame of the session is late.
    SESSION_LATENCY_TARGET = "punktfunk.session.latency.target", Gauge, "s", Capture, [];
    /// Share of the latency target that a stage is meant to need, as a duration.
    SESSION_STAGE_BUDGET = "punktfunk.session.stage.budget", Gauge, "s", Capture, [STAGE];
    /// Always 1; says what a session is.
    SESSION_INFO = "punktfunk.session.info", Gauge, "", Capture,
        [open("mode"), open("codec"), open("encoder"), open("frame.source_kind"), open("client")];
    /// Always 1; says what a capture is.
    CAPTURE_INFO = "punktfunk.capture.info", Gauge, "", Capture, [open("label"), open(attribute::RUN_ID)];

    /// 1 while a capture is armed.
    CAPTURE_ACTIVE = "punktfunk.capture.active", Gauge, "", Always, [];
    /// Sessions streaming at this moment.
    SESSION_ACTIVE = "punktfunk.session.active", Gauge, "", Always, [open(attribute::PROTOCOL)];
    /// Saved recordings that can be read.
    RECORDINGS = "punktfunk.recordings", Gauge, "", Always, [];
    /// Size of all saved recordings on disk.
    RECORDINGS_SIZE = "punktfunk.recordings.size", Gauge, "By", Always, [];
    /// Size that all saved recordings may have before the oldest are deleted; absent without a quota.
    RECORDINGS_QUOTA = "punktfunk.recordings.quota", Gauge, "By", Always, [];
    /// Always 1; says what a saved recording is: for the newest ones.
    RECORDING_INFO = "punktfunk.recording.info", Gauge, "", Always,
        [open(attribute::RECORDING), open("label"), open(attribute::KIND), open("verdict"), open(attribute::STAGE)];
    /// When a saved recording was begun, seconds since 1970.
    RECORDING_START = "punktfunk.recording.start", Gauge, "s", Always, [open(attribute::RECORDING)];
    /// How long the gate of a saved recording was open.
    RECORDING_DURATION = "punktfunk.recording.duration", Gauge, "s", Always, [open(attribute::RECORDING)];
    /// 99th percentile of the host duration of a saved recording, over all its sessions.
    RECORDING_HOST_P99 = "punktfunk.recording.host.p99", Gauge, "s", Always, [open(attribute::RECORDING)];
    /// Share of the frames of a saved recording whose host duration was over the latency target.
    RECORDING_LATE = "punktfunk.recording.late", Gauge, "1", Always, [open(attribute::RECORDING)];
    /// When a marker of a saved recording was set, seconds since 1970; each is there for a minute.
    RECORDING_MARKER = "punktfunk.recording.marker.timestamp", Gauge, "s", Recording, [open(attribute::KIND), open("text")];
    /// Requests that the management API answered, by status class.
    API_REQUESTS = "punktfunk.api.requests", Counter, "{request}", Always, [open("status")];
    /// Requests to the OTLP backend by what became of them: `exported` whole, `refused` in whole or in part, `dropped`
    /// because the backlog was full; and snapshots `lost` before they were encoded.
    EXPORT_REQUESTS = "punktfunk.export.requests", Counter, "{request}", Always, [OUTCOME_EXPORT];
    /// Repetitions of requests that the OTLP backend could not take at the moment.
    EXPORT_RETRIES = "punktfunk.export.retries", Counter, "{request}", Always, [];
    /// Encoded requests that wait for the OTLP backend.
    EXPORT_BACKLOG = "punktfunk.export.backlog", Gauge, "By", Always, [];
    /// 1 if the OTLP backend answered the last request, 0 if not; absent before the first.
    EXPORT_UP = "punktfunk.export.up", Gauge, "", Always, [];
    /// Recordings that were held against the metrics backend: `verified`, or `kept` with the collector's figures.
    SNAPSHOTS = "punktfunk.recording.snapshots", Counter, "{recording}", Always, [OUTCOME_SNAPSHOT];
    /// Always 1; says which build runs, and by which `host_id` the captures of this host are found.
    BUILD_INFO = "punktfunk.build.info", Gauge, "", Always, [open("version"), open(attribute::HOST_ID)];
}

/// A metric as it stands in `api/metrics.json`.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// The metric.
    #[serde(flatten)]
    pub metric: Metric,
    /// Its name in Prometheus.
    pub prometheus_name: String,
}

/// The catalogue with its translated names, in documented order: the content of `api/metrics.json`.
pub fn entries() -> Vec<Entry> {
    CATALOGUE.iter().map(|&metric| Entry { metric, prometheus_name: metric.prometheus_name() }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_in_both_worlds() {
        let otel: BTreeSet<_> = CATALOGUE.iter().map(|m| m.name).collect();
        let prometheus: BTreeSet<_> = CATALOGUE.iter().map(Metric::prometheus_name).collect();
        assert_eq!((otel.len(), prometheus.len()), (CATALOGUE.len(), CATALOGUE.len()));
    }

    #[test]
    fn source_is_left_to_remote_read() {
        for metric in CATALOGUE {
            assert!(metric.attributes.iter().all(|a| a.name != "source"), "{}", metric.name);
        }
        assert!(!CAPTURE_ATTRIBUTES.contains(&"source"));
    }

    #[test]
    fn names_translate_as_prometheus_does() {
        assert_eq!(FRAME_STAGE_DURATION.prometheus_name(), "punktfunk_frame_stage_duration_seconds");
        assert_eq!(FRAME_SENT.prometheus_name(), "punktfunk_frame_sent_total");
        assert_eq!(NETWORK_IO.prometheus_name(), "punktfunk_network_io_bytes_total");
        assert_eq!(ENCODER_TARGET_RATE.prometheus_name(), "punktfunk_encoder_target_rate_bytes_per_second");
        assert_eq!(CAPTURE_INFO.prometheus_name(), "punktfunk_capture_info");
    }

    #[test]
    fn every_metric_is_described() {
        for metric in CATALOGUE {
            assert!(metric.description.len() > 20 && metric.description.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn closed_label_sets_follow_the_code() {
        let reasons: Vec<_> = crate::DropReason::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(REASON.values[..reasons.len()], reasons);
    }
}
