//! From the recorder's reports to the schema of recordings. Units change here and nowhere else.

use std::time::{Duration, SystemTime};

use punktfunk_recordings::{
    ClientSample, CountCheck, DropCount, KeptFrame, KeptFrames, KeptReason, KeptSpan, LateCount, Marker, MarkerKind,
    Provenance, SessionMeta, Source, SparseHistogram, StageMeta, StageStats, StatsSample, micros,
};
use punktfunk_stats::{
    self as stats, CaptureReport, Distribution, SessionEvent, SessionReport, SessionSpec, WindowReport,
};

use crate::status::LiveSession;

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms(wall: SystemTime) -> u64 {
    millis(wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn stage_stats(name: &str, stats: &Distribution) -> StageStats {
    let buckets = &stats.buckets;
    StageStats {
        name: name.to_owned(),
        p50_us: micros(stats.p50_ns),
        p95_us: micros(stats.p95_ns),
        p99_us: micros(stats.p99_ns),
        max_us: micros(stats.max_ns),
        mean_us: (stats.sum_ns as f64 / stats.count as f64).round() / 1e3,
        count: stats.count,
        hist: (buckets.total() > 0).then(|| SparseHistogram::from_dense(buckets.offset, &buckets.counts)),
    }
}

/// A window as a sample.
pub(crate) fn sample(window: &WindowReport) -> StatsSample {
    let seconds = window.length.as_secs_f64();
    // A window of no length has counts, but no rates.
    let per_second = |amount: f64| if seconds > 0.0 { round3(amount / seconds) } else { 0.0 };
    let rate = |count: u64| per_second(count as f64);
    let mbps = |bytes: u64| per_second(bytes as f64 * 8.0 / 1e6);
    let named = |name: &str, stats: &Option<Distribution>| stats.as_ref().map(|stats| stage_stats(name, stats));
    let stages = window.stages.iter().map(|(name, stats)| named(name, stats));
    StatsSample {
        t_ms: millis(window.end),
        step_unix_ms: unix_ms(window.step_end),
        window_ms: round3(seconds * 1e3),
        session_id: window.session_id.clone(),
        stages: stages.chain([named("queue", &window.queue)]).flatten().collect(),
        host: named("host", &window.host),
        pace: named("pace", &window.pace),
        interval: named("interval", &window.sent_interval),
        frames: window.new_frames + window.repeat_frames,
        late: window.late,
        late_by_stage: window
            .late_by_stage
            .iter()
            .map(|&(stage, count)| LateCount { stage: stage.to_owned(), count })
            .collect(),
        stutters: window.stutters,
        fps: rate(window.new_frames),
        repeat_fps: rate(window.repeat_frames),
        mbps: mbps(window.media_bytes),
        fec_mbps: mbps(window.fec_bytes),
        overhead_mbps: mbps(window.overhead_bytes),
        bitrate_kbps: window.target_rate_bps.map(|bps| bps as f64 / 1e3),
        frames_dropped: window.dropped.iter().map(|(_, count)| count).sum(),
        dropped_by_reason: window
            .dropped
            .iter()
            .map(|&(reason, count)| DropCount { reason: reason.label().to_owned(), count })
            .collect(),
        records_lost: window.records_lost,
        packets_sent: window.packets_sent,
        packets_dropped: window.packets_lost,
        send_dropped: window.send_dropped,
        fec_recovered: window.fec_recovered,
        idr_requests: window.idr_requests,
        rfi_requests: window.rfi_requests,
        rtt_us: window.rtt.map(|rtt| round3(rtt.as_secs_f64() * 1e6)),
        client: window.client.map(|client| ClientSample {
            received: client.received,
            lost: client.lost,
            recovered: client.recovered,
            one_way_us: client.one_way_us,
            decode_p50_us: client.decode_p50_us,
            decode_p99_us: client.decode_p99_us,
        }),
    }
}

/// A session's metadata as it is known when it joins.
pub(crate) fn session_meta(id: &str, spec: &SessionSpec, joined: Duration, target: Duration) -> SessionMeta {
    let info = &spec.info;
    SessionMeta {
        id: id.to_owned(),
        protocol: spec.protocol.to_owned(),
        stages: spec
            .stages
            .as_slice()
            .iter()
            .map(|stage| StageMeta { name: stage.name.to_owned(), budget_share: stage.share, queued: stage.queued })
            .collect(),
        width: info.width,
        height: info.height,
        fps: info.fps,
        codec: info.codec.clone(),
        encoder: info.encoder.clone(),
        client: info.client.clone(),
        source_kind: info.source_kind.clone(),
        audio: info.audio.clone(),
        latency_target_us: round3(target.as_secs_f64() * 1e6),
        joined_ms: millis(joined),
        left_ms: None,
        first_frame: None,
        last_frame: None,
        records: 0,
        gaps: 0,
        records_lost: 0,
        discarded_in_flight: 0,
    }
}

/// Adds what is known when the capture has ended.
pub(crate) fn complete_session(meta: &mut SessionMeta, report: &SessionReport) {
    meta.first_frame = report.frames.map(|(first, _)| first);
    meta.last_frame = report.frames.map(|(_, last)| last);
    meta.records = report.records;
    meta.gaps = report.gaps;
    meta.records_lost = report.records_lost;
    meta.discarded_in_flight = report.in_flight;
}

/// The frames that were kept whole, with the session's stages as their columns.
pub(crate) fn kept_frames(meta: &SessionMeta, report: &SessionReport) -> KeptFrames {
    let stages: Vec<String> = meta.stages.iter().map(|stage| stage.name.clone()).collect();
    let columns = stages.len();
    let frame = |frame: &stats::KeptFrame| KeptFrame {
        n: frame.number,
        t_ms: round3(frame.end_ns as f64 / 1e6),
        host_us: micros(frame.host_ns),
        stages_us: frame.stage_ns[..columns].iter().map(|ns| ns.map(micros)).collect(),
        waits_us: frame.wait_ns[..columns].iter().copied().map(micros).collect(),
        pace_us: micros(frame.pace_ns),
        interval_us: frame.interval_ns.map(micros),
        bytes: frame.media_bytes,
        idr: frame.idr,
        repeat: frame.repeat,
        late: frame.late_stage.map(str::to_owned),
    };
    let span = |span: &stats::KeptSpan| KeptSpan {
        reason: match span.reason {
            stats::KeptReason::WorstTenSeconds => KeptReason::WorstTenSeconds,
            stats::KeptReason::Stutter => KeptReason::Stutter,
        },
        from_ms: millis(span.from),
        to_ms: millis(span.to),
    };
    KeptFrames {
        session_id: meta.id.clone(),
        spans: report.kept_spans.iter().map(span).collect(),
        frames: report.kept_frames.iter().map(frame).collect(),
        stages,
    }
}

/// Holds the samples' counts against the last cumulative histograms.
pub(crate) fn provenance<'a>(
    samples: impl Iterator<Item = &'a StatsSample> + Clone,
    report: &CaptureReport,
) -> Provenance {
    let metrics = [stats::catalogue::FRAME_STAGE_DURATION.name, stats::catalogue::FRAME_HOST_DURATION.name];
    let counts: Vec<CountCheck> = report
        .totals
        .iter()
        .filter(|total| metrics.contains(&total.metric))
        .map(|total| {
            let stage = total.key.clone().unwrap_or_else(|| "host".to_owned());
            let own = samples.clone().filter(|sample| sample.session_id == total.session_id);
            let counted = own.flat_map(|sample| sample.stages.iter().chain(&sample.host)).filter(|s| s.name == stage);
            CountCheck {
                samples: counted.map(|stats| stats.count).sum(),
                histogram: total.count,
                session_id: total.session_id.clone(),
                stage,
            }
        })
        .collect();
    let verified = counts.iter().all(|check| check.samples == check.histogram);
    Provenance { source: Source::Local, verified: Some(verified), counts, backend: None, imported: None }
}

/// A session's event as a marker.
pub(crate) fn marker(session_id: &str, at: Duration, event: SessionEvent) -> Marker {
    let (kind, text) = match event {
        SessionEvent::IdrRequested => (MarkerKind::Idr, "IDR requested".to_owned()),
        SessionEvent::BitrateChanged { from_bps, to_bps } => {
            (MarkerKind::Bitrate, format!("{} → {} kb/s", from_bps / 1000, to_bps / 1000))
        }
        SessionEvent::LossBurst { packets } => (MarkerKind::LossBurst, format!("{packets} packets lost")),
    };
    Marker { t_ms: millis(at), session_id: Some(session_id.to_owned()), kind, text }
}

/// A streaming session for a list; `target`: host duration above which its frames are late.
pub(crate) fn live_session(session: stats::LiveSession, target: Option<Duration>) -> LiveSession {
    let SessionSpec { protocol, stages, info, .. } = session.spec;
    LiveSession {
        id: session.session_id,
        protocol: protocol.to_owned(),
        stages: stages.as_slice().iter().map(|stage| stage.name.to_owned()).collect(),
        width: info.width,
        height: info.height,
        latency_target_us: round3(target.unwrap_or(two_frames(info.fps)).as_secs_f64() * 1e6),
        fps: info.fps,
        codec: info.codec,
        encoder: info.encoder,
        client: info.client,
        source_kind: info.source_kind,
        bitrate_kbps: session.target_rate_bps.map(|bps| bps as f64 / 1e3),
        rtt_us: session.rtt.map(|rtt| round3(rtt.as_secs_f64() * 1e6)),
    }
}

/// What `host` may take where nobody has set anything else.
pub(crate) fn two_frames(fps: u32) -> Duration {
    Duration::from_secs(2) / fps.max(1)
}

/// Three decimals: what the wire carries.
fn round3(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
