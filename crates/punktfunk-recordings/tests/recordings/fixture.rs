//! Sessions and samples as a collector would hand them over, made from frame durations.

use punktfunk_recordings::verdict::{Evidence, MissingCount};
use punktfunk_recordings::{
    Capture, CaptureMeta, HostMeta, LateCount, Provenance, RecordingId, SessionMeta, Source, SparseHistogram,
    StageMeta, StageStats, StatsSample,
};

/// Stages of the native path: capture has a thread, submit and encode share one, send has one.
pub const STAGES: [&str; 4] = ["capture", "submit", "encode", "send"];

/// Two frame times at 60 fps, µs.
pub const TARGET_US: f64 = 33_333.0;

/// A stage set that has time to spare at 60 fps, µs.
pub const QUICK: [f64; 4] = [2_000.0, 1_000.0, 5_000.0, 1_000.0];

pub fn session(id: &str) -> SessionMeta {
    let stage = |name: &str, queued| StageMeta { name: name.to_owned(), budget_share: 0.24, queued };
    SessionMeta {
        id: id.to_owned(),
        protocol: "native".to_owned(),
        stages: STAGES.into_iter().zip([false, true, false, true]).map(|(name, queued)| stage(name, queued)).collect(),
        width: 1280,
        height: 720,
        fps: 60,
        codec: "h264".to_owned(),
        encoder: "openh264".to_owned(),
        client: "Living room".to_owned(),
        source_kind: "synthetic".to_owned(),
        audio: None,
        latency_target_us: TARGET_US,
        joined_ms: 0,
        left_ms: None,
        first_frame: Some(1),
        last_frame: Some(600),
        records: 600,
        gaps: 0,
        records_lost: 0,
        discarded_in_flight: 0,
    }
}

/// Exact order statistics of values, and their histogram.
pub fn stats(name: &str, values_us: &[f64]) -> StageStats {
    // Nanosecond precision, as on the wire.
    let rounded = |us: f64| (us * 1e3).round() / 1e3;
    let values_us: Vec<f64> = values_us.iter().map(|us| rounded(*us)).collect();
    let mut sorted = values_us.clone();
    sorted.sort_by(f64::total_cmp);
    let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
    let mut hist = SparseHistogram::default();
    for us in &values_us {
        let seconds = (us / 1e6).clamp(1e-6, 1.0);
        hist.merge(&SparseHistogram::from_dense(SparseHistogram::index_of(seconds), &[1]));
    }
    StageStats {
        name: name.to_owned(),
        p50_us: rank(50),
        p95_us: rank(95),
        p99_us: rank(99),
        max_us: rank(100),
        mean_us: rounded(values_us.iter().sum::<f64>() / values_us.len() as f64),
        count: values_us.len() as u64,
        hist: Some(hist),
    }
}

/// The window of one second that ends at `second`, with `frames` frames whose stages take about `stages_us`. Late frames
/// are charged to the longest stage.
pub fn sample(session: &str, second: u64, frames: usize, stages_us: [f64; 4]) -> StatsSample {
    let spread = |i: usize| 0.9 + 0.2 * ((i * 7919 + second as usize * 104_729) % 1000) as f64 / 1000.0;
    let values = |us: f64| (0..frames).map(|i| us * spread(i)).collect::<Vec<_>>();
    let host_us: Vec<_> = (0..frames).map(|i| 100.0 + stages_us.iter().sum::<f64>() * spread(i)).collect();
    let late = host_us.iter().filter(|us| **us > TARGET_US).count() as u64;
    let longest = (0..4).max_by(|a, b| stages_us[*a].total_cmp(&stages_us[*b])).unwrap();
    let mut sample = StatsSample {
        t_ms: second * 1000,
        window_ms: 1000.0,
        session_id: session.to_owned(),
        frames: frames as u64,
        fps: frames as f64,
        late,
        mbps: 10.0,
        packets_sent: frames as u64 * 20,
        packets_dropped: Some(0),
        ..StatsSample::default()
    };
    if frames > 0 {
        sample.stages = STAGES.into_iter().zip(stages_us).map(|(name, us)| stats(name, &values(us))).collect();
        sample.stages.push(stats("queue", &values(100.0)));
        sample.host = Some(stats("host", &host_us));
        sample.pace = Some(stats("pace", &values(500.0)));
        sample.interval = Some(stats("interval", &values(1e6 / frames as f64)));
    }
    if late > 0 {
        sample.late_by_stage = vec![LateCount { stage: STAGES[longest].to_owned(), count: late }];
    }
    sample
}

/// A run of `seconds` at 60 fps.
pub fn run(session: &str, seconds: u64, stages_us: impl Fn(u64) -> [f64; 4]) -> Vec<StatsSample> {
    (1..=seconds).map(|second| sample(session, second, 60, stages_us(second))).collect()
}

pub fn meta(id: &str) -> CaptureMeta {
    let (host_id, version, os) = ("a1b2c3".to_owned(), "0.1.0".to_owned(), "linux".to_owned());
    let host = HostMeta { id: host_id, version, os, ..HostMeta::default() };
    CaptureMeta {
        label: "evening".to_owned(),
        duration_ms: 10_000,
        sessions: vec![session("s1")],
        ..CaptureMeta::new(id.parse::<RecordingId>().unwrap(), 1_782_504_843_000, host)
    }
}

pub const LOCAL: Provenance =
    Provenance { source: Source::Local, verified: Some(true), counts: Vec::new(), backend: None, imported: None };

/// A recording of `seconds` quiet seconds.
pub fn capture(id: &str, seconds: u64) -> Capture {
    Capture::assemble(meta(id), run("s1", seconds, |_| QUICK), Vec::new(), LOCAL, Vec::new())
}

/// The evidence of ten quiet seconds.
pub fn quiet() -> Evidence {
    Evidence {
        frames: 600,
        target_us: Some(33_300.0),
        granted_frames: 600,
        granted_fps: Some(60.0),
        fps: 60.0,
        packets_sent: 12_000,
        packets_lost: Some(0),
        ..Evidence::default()
    }
}

/// Late frames by stage.
pub fn late(counts: &[(&str, u64)]) -> Vec<LateCount> {
    counts.iter().map(|(stage, count)| LateCount { stage: (*stage).to_owned(), count: *count }).collect()
}

/// Frames that one stage kept from being sent, or the source.
pub fn missing(stage: Option<&str>, frames: u64) -> Vec<MissingCount> {
    vec![MissingCount { stage: stage.map(str::to_owned), frames }]
}
