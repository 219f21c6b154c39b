//! Eight sessions at 240 frames a second through two minutes (`SOAK_SECONDS`) in which the backend is silent, refuses, goes
//! away and comes back: memory and backlog stay where they are, no frame goes unrecorded, and the backend ends up with every
//! count.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "a soak shows its course")]

#[path = "support/load.rs"]
mod load;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use punktfunk_otlp::{Exporter, Health, Identity, OtlpConfig};
use punktfunk_stats::{Anchor, ArmOptions, CaptureEvent, CaptureReport, Recorder, RecorderConfig, SnapshotSender};
use testkit::{
    Behaviour, CountingAllocator, Misbehaving, Prometheus, PrometheusOptions, ToolSet, live_bytes, memory_kb, tools,
};

use load::{Load, Stamps};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SESSIONS: usize = 8;
const FPS: u32 = 240;
/// Small enough to be full before the first fault is over.
const BACKLOG_BYTES: usize = 96 << 10;
/// What the heap may grow by once the backlog is full: requests on their way through the server in between.
const GROWTH_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    WarmUp,
    Silent,
    Refusing,
    Away,
    Back,
}

impl Phase {
    /// What it is after so much of the whole time.
    fn at(share: f64) -> Self {
        match share {
            ..0.1 => Self::WarmUp,
            ..0.4 => Self::Silent,
            ..0.6 => Self::Refusing,
            ..0.8 => Self::Away,
            _ => Self::Back,
        }
    }
}

fn enter(phase: Phase, server: &Misbehaving, prometheus: &Prometheus) {
    match phase {
        Phase::WarmUp => {}
        Phase::Silent => server.set(Behaviour::Silence),
        Phase::Refusing => server.set(Behaviour::status(503, "no room")),
        Phase::Away => {
            prometheus.kill();
            server.set(Behaviour::pass_through(prometheus.url()));
        }
        Phase::Back => prometheus.restart(),
    }
}

/// What a phase was like.
struct Seen {
    /// Most bytes on the heap, and in memory (kB; with what the allocator keeps for later).
    heap: usize,
    resident_kb: u64,
    /// At its end.
    health: Health,
}

/// The highest memory of each phase, and the last figures before it ended. What the capture tells is dropped, as it comes.
fn course(
    length: Duration,
    exporter: &Exporter,
    server: &Misbehaving,
    prometheus: &Prometheus,
) -> BTreeMap<Phase, Seen> {
    let (start, mut phase) = (Instant::now(), Phase::WarmUp);
    let mut seen: BTreeMap<Phase, Seen> = BTreeMap::new();
    while start.elapsed() < length {
        let now = Phase::at(start.elapsed().as_secs_f64() / length.as_secs_f64());
        if now != phase {
            phase = now;
            enter(phase, server, prometheus);
        }
        std::thread::sleep(Duration::from_millis(500));
        // The server keeps what it was sent.
        server.take_requests();
        let health = exporter.health();
        assert!(health.backlog_bytes <= BACKLOG_BYTES as u64, "{health:?}");
        let (heap, resident_kb) = seen.get(&phase).map_or((0, 0), |before| (before.heap, before.resident_kb));
        let seen_now = Seen { heap: heap.max(live_bytes()), resident_kb: resident_kb.max(memory_kb("VmRSS")), health };
        seen.insert(phase, seen_now);
    }
    seen
}

fn count_in(prometheus: &Prometheus, id: &str, session: &str) -> u64 {
    let promql = format!(
        "histogram_count(last_over_time(punktfunk_frame_host_duration_seconds{{capture_id=\"{id}\",session_id=\"{session}\"}}[5m]))"
    );
    let answer = prometheus.query(&promql, None);
    answer["data"]["result"][0]["value"][1].as_str().map_or(0, |count| count.parse().unwrap())
}

#[test]
fn memory_and_backlog_stay_where_they_are_while_the_backend_is_silent_refuses_and_is_away() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let length = std::env::var("SOAK_SECONDS").map_or(120, |seconds| seconds.parse().unwrap());
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let server = Misbehaving::start(Behaviour::pass_through(prometheus.url()));

    let endpoint = prometheus.otlp_url().replace(prometheus.url(), &server.url());
    let config = OtlpConfig { endpoint: Some(endpoint), timeout_ms: Some(1000), ..OtlpConfig::default() };
    let mut resolved = config.with_environment(|_| None).unwrap();
    resolved.limits.backlog_bytes = BACKLOG_BYTES;
    let (snapshots, received) = SnapshotSender::bounded(8);
    let identity = Identity { host_id: "soak".into(), version: "0".into() };
    let exporter = Exporter::start(&resolved, &identity, received).unwrap().unwrap();
    let config =
        RecorderConfig { snapshots: Some(snapshots.clone()), host_id: "soak".into(), ..RecorderConfig::default() };
    let recorder = Recorder::spawn(config).unwrap();
    let load = Load::start(&recorder, SESSIONS, FPS, Stamps::Due);
    let options =
        ArmOptions { capture_id: "soak".into(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    let events = recorder.arm(options).unwrap();
    let listener = std::thread::spawn(move || {
        events.into_iter().find_map(|event| match event {
            CaptureEvent::Finished(report) => Some(report),
            _ => None,
        })
    });

    let seen = course(Duration::from_secs(length), &exporter, &server, &prometheus);
    recorder.disarm();
    let report: Box<CaptureReport> = listener.join().unwrap().unwrap();
    load.end();
    assert!(exporter.shutdown(Duration::from_secs(20)), "{:?}", exporter.health());

    for (phase, seen) in &seen {
        println!("{phase:?}: heap {} kB, resident {} kB, {:?}", seen.heap >> 10, seen.resident_kb, seen.health);
    }
    let (full, after) = (&seen[&Phase::Silent], &seen[&Phase::Back]);
    assert!(full.health.dropped_backlog > 0, "the backlog was to be full: {:?}", full.health);
    let highest = seen.values().map(|seen| seen.heap).max().unwrap();
    assert!(highest <= full.heap + GROWTH_BYTES, "the heap grew from {} to {highest} bytes", full.heap);
    assert_eq!(after.health.up, Some(true));
    assert_eq!(snapshots.lost(), 0, "the export thread takes what it is given, whatever the backend does");
    assert_eq!(report.sessions.len(), SESSIONS);
    for session in &report.sessions {
        assert_eq!((session.records_lost, session.gaps), (0, 0), "{}", session.session_id);
        assert_eq!(count_in(&prometheus, "soak", &session.session_id), session.records, "{}", session.session_id);
    }
}
