//! Which series a recording holds, and how they are labelled: all of it follows from its head, without its samples.

use punktfunk_recordings::{CaptureMeta, Marker, MarkerKind, SessionMeta};
use punktfunk_stats::catalogue::{self, Metric, attribute};

use super::matcher::Matcher;
use super::wire::Label;
use crate::query::label;

/// What tells a saved series from a live one.
const SOURCE: (&str, &str) = ("source", "recording");

/// What a series shows of the samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// The distribution of a stage, or of `queue`.
    Stage(String),
    Host,
    /// Between the last packets of consecutive frames.
    Interval,
    HostMax,
    NewFrames,
    RepeatFrames,
    /// Late frames of a stage at fault.
    Late(String),
    Stutters,
    /// Dropped frames of a reason.
    Dropped(&'static str),
    PacketsSent,
    SendDropped,
    PacketsLost,
    FecRecovered,
    Media,
    Fec,
    Overhead,
    Idr,
    Rfi,
    TargetRate,
    Rtt,
    /// The same at every step.
    Constant(f64),
    /// Always 1.
    SessionInfo,
    /// Always 1, of the whole capture.
    CaptureInfo,
}

/// A metric, the labels that it adds, and what it shows.
type Plan<'a> = (&'a Metric, &'a [(&'a str, &'a str)], Content);

/// One series to be.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) labels: Vec<Label>,
    pub(super) content: Content,
    /// Index of the session; none for the capture's own.
    pub(super) session: Option<usize>,
}

impl Spec {
    /// Whether all conditions hold.
    pub(super) fn matches(&self, matchers: &[Matcher]) -> bool {
        matches(&self.labels, matchers)
    }
}

pub(super) fn matches(labels: &[Label], matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| {
        let value = labels.iter().find(|label| label.name == matcher.name()).map_or("", |label| &label.value);
        matcher.matches(value)
    })
}

/// Whether the labels that every series of this recording carries can meet the conditions.
pub(super) fn can_match(meta: &CaptureMeta, matchers: &[Matcher]) -> bool {
    let common = common(meta);
    matchers.iter().all(|matcher| {
        let known = common.iter().find(|(name, _)| name == matcher.name());
        known.is_none_or(|(_, value)| matcher.matches(value))
    })
}

/// Every series of a recording but its markers.
pub(super) fn series(meta: &CaptureMeta) -> Vec<Spec> {
    let mut specs = Vec::new();
    let info = [("label", meta.label.as_str())];
    specs.push(Spec {
        labels: labels(meta, None, &catalogue::CAPTURE_INFO, &info),
        content: Content::CaptureInfo,
        session: None,
    });
    for (index, session) in meta.sessions.iter().enumerate() {
        of_session(meta, index, session, &mut specs);
    }
    specs
}

fn of_session(meta: &CaptureMeta, index: usize, session: &SessionMeta, specs: &mut Vec<Spec>) {
    let mut push = |metric: &Metric, own: &[(&str, &str)], content: Content| {
        specs.push(Spec { labels: labels(meta, Some(session), metric, own), content, session: Some(index) });
    };
    let stages = || session.stages.iter().map(|stage| stage.name.as_str()).chain(["queue"]);
    for stage in stages() {
        push(&catalogue::FRAME_STAGE_DURATION, &[(attribute::STAGE, stage)], Content::Stage(stage.to_owned()));
    }
    for stage in stages().chain(["none"]) {
        push(&catalogue::FRAME_LATE, &[(attribute::STAGE, stage)], Content::Late(stage.to_owned()));
    }
    for &reason in catalogue::FRAME_DROPPED.attributes.iter().flat_map(|attribute| attribute.values) {
        push(&catalogue::FRAME_DROPPED, &[(attribute::REASON, reason)], Content::Dropped(reason));
    }
    let mode = format!("{}x{}@{}", session.width, session.height, session.fps);
    let info = [
        ("mode", mode.as_str()),
        ("codec", &session.codec),
        ("encoder", &session.encoder),
        ("frame.source_kind", &session.source_kind),
        ("client", &session.client),
    ];
    push(&catalogue::SESSION_INFO, &info, Content::SessionInfo);
    let target = session.latency_target_us / 1e6;
    for stage in &session.stages {
        let budget = Content::Constant(target * stage.budget_share);
        push(&catalogue::SESSION_STAGE_BUDGET, &[(attribute::STAGE, &stage.name)], budget);
    }
    if session.fps > 0 {
        push(&catalogue::SESSION_FRAME_BUDGET, &[], Content::Constant(1.0 / f64::from(session.fps)));
    }
    let others: [Plan<'_>; 18] = [
        (&catalogue::SESSION_LATENCY_TARGET, &[], Content::Constant(target)),
        (&catalogue::FRAME_HOST_DURATION, &[], Content::Host),
        (&catalogue::FRAME_INTERVAL, &[(attribute::POINT, "sent")], Content::Interval),
        (&catalogue::FRAME_HOST_DURATION_MAX, &[], Content::HostMax),
        (&catalogue::FRAME_SENT, &[(attribute::FRAME_ORIGIN, "new")], Content::NewFrames),
        (&catalogue::FRAME_SENT, &[(attribute::FRAME_ORIGIN, "repeat")], Content::RepeatFrames),
        (&catalogue::FRAME_STUTTER, &[], Content::Stutters),
        (&catalogue::PACKET_SENT, &[], Content::PacketsSent),
        (&catalogue::PACKET_SEND_DROPPED, &[], Content::SendDropped),
        (&catalogue::PACKET_LOST, &[], Content::PacketsLost),
        (&catalogue::FEC_RECOVERED, &[], Content::FecRecovered),
        (&catalogue::NETWORK_IO, &[(attribute::KIND, "media")], Content::Media),
        (&catalogue::NETWORK_IO, &[(attribute::KIND, "fec")], Content::Fec),
        (&catalogue::NETWORK_IO, &[(attribute::KIND, "overhead")], Content::Overhead),
        (&catalogue::RECOVERY_REQUESTED, &[(attribute::TYPE, "idr")], Content::Idr),
        (&catalogue::RECOVERY_REQUESTED, &[(attribute::TYPE, "rfi")], Content::Rfi),
        (&catalogue::ENCODER_TARGET_RATE, &[], Content::TargetRate),
        (&catalogue::SESSION_RTT, &[], Content::Rtt),
    ];
    for (metric, own, content) in others {
        push(metric, own, content);
    }
}

/// When a recording began and how long it was: one point at the end of whatever range is asked for, so that a dashboard finds
/// every recording from any moment.
pub(super) fn timeless(meta: &CaptureMeta) -> [(Vec<Label>, f64); 2] {
    let of = |metric: &Metric, ms: u64| (labels(meta, None, metric, &[]), ms as f64 / 1e3);
    [of(&catalogue::RECORDING_START, meta.started_unix_ms), of(&catalogue::RECORDING_DURATION, meta.duration_ms)]
}

/// The labels of a marker's series; markers of one kind and text share one.
pub(super) fn marker(meta: &CaptureMeta, marker: &Marker) -> Vec<Label> {
    let kind = match marker.kind {
        MarkerKind::Idr => "idr",
        MarkerKind::Bitrate => "bitrate",
        MarkerKind::Join => "join",
        MarkerKind::Leave => "leave",
        MarkerKind::LossBurst => "loss_burst",
        MarkerKind::Operator => "operator",
    };
    let session = meta.sessions.iter().find(|session| Some(&session.id) == marker.session_id.as_ref());
    labels(meta, session, &catalogue::RECORDING_MARKER, &[(attribute::KIND, kind), ("text", &marker.text)])
}

/// The name and what the live series carry, then where it comes from; in order of their names, without empty ones.
fn labels(meta: &CaptureMeta, session: Option<&SessionMeta>, metric: &Metric, own: &[(&str, &str)]) -> Vec<Label> {
    let of_session = session.map(|s| [(attribute::SESSION_ID, s.id.as_str()), (attribute::PROTOCOL, &s.protocol)]);
    let of_session = of_session.into_iter().flatten().chain(own.iter().copied());
    let of_session = of_session.map(|(name, value)| (label(name), value.to_owned()));
    let all = common(meta).into_iter().chain(of_session).chain([("__name__".to_owned(), metric.prometheus_name())]);
    let mut labels: Vec<Label> =
        all.filter(|(_, value)| !value.is_empty()).map(|(name, value)| Label { name, value }).collect();
    labels.sort_unstable();
    labels
}

fn common(meta: &CaptureMeta) -> [(String, String); 4] {
    [
        (SOURCE.0.to_owned(), SOURCE.1.to_owned()),
        (label(attribute::RECORDING), meta.id.to_string()),
        (label(attribute::CAPTURE_ID), meta.id.to_string()),
        (label(attribute::HOST_ID), meta.host.id.clone()),
    ]
}
