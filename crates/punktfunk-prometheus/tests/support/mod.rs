//! Captures in virtual time, at any moment of the past: the real recorder and collector, frames from a seed.

// Each test crate uses a part of this.
#![allow(dead_code, reason = "shared by several test crates")]

use std::time::{Duration, Instant, SystemTime};

use punktfunk_captures::StartRequest;
use punktfunk_otlp::{Exporter, Health, Identity, Limits, OtlpConfig};
use punktfunk_recordings::{Capture, HostMeta, RecordingId};
use punktfunk_stats::{
    Anchor, ArmOptions, CaptureEvent, Counter, FrameGate, FrameInfo, FrameSink, MetricSnapshot, Recorder,
    RecorderConfig, SessionCounters, SessionInfo, SessionSpec, SnapshotSender, StageSet, StageSpec,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;

/// What one session does.
#[derive(Debug, Clone, Copy)]
pub struct Player {
    /// Frames a second.
    pub fps: u32,
    /// When it begins, after the start of the capture.
    pub joins: Duration,
    /// When it ends.
    pub leaves: Duration,
}

/// A capture that was played.
pub struct Played {
    /// As the capture service would save it.
    pub capture: Capture,
    /// What an exporter would have been given.
    pub snapshots: Vec<MetricSnapshot>,
}

const STAGES: [(&str, f64, bool); 4] =
    [("capture", 0.1, false), ("submit", 0.1, true), ("encode", 0.5, false), ("send", 0.3, true)];

const KNOWN: &[Counter] =
    &[Counter::PacketsLost, Counter::SendDropped, Counter::FecRecovered, Counter::IdrRequests, Counter::RfiRequests];

/// How long a stage takes; given its index.
pub type Times = fn(&mut Pcg32, usize) -> Duration;

/// Mostly short, now and then long, over three decades: as many buckets as there can be.
pub fn scattered(random: &mut Pcg32, _stage: usize) -> Duration {
    let exponent: f64 = random.random_range(1.0..3.7);
    Duration::from_nanos((10_f64.powf(exponent) * 1e3) as u64)
}

/// Like those of a stream of 720p: each stage about its own time, one frame in a hundred up to three times as long, one in
/// five thousand up to ten times.
pub fn steady(random: &mut Pcg32, stage: usize) -> Duration {
    let median_ns = [400_000.0, 200_000.0, 5_800_000.0, 2_200_000.0][stage];
    // Twelve uniform numbers sum to a normal one, closely.
    let normal: f64 = (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0;
    let slow = match random.random_range(0..5000) {
        0 => random.random_range(1.0..10.0),
        1..=50 => random.random_range(1.0..3.0),
        _ => 1.0,
    };
    Duration::from_nanos((median_ns * (0.12 * normal).exp() * slow) as u64)
}

/// Plays a capture of `length` that ended a moment ago, of scattered times.
pub fn play(id: &str, host_id: &str, length: Duration, players: &[Player], seed: u64) -> Played {
    play_with(id, host_id, length, players, seed, scattered)
}

/// Likewise, of any.
pub fn play_with(id: &str, host_id: &str, length: Duration, players: &[Player], seed: u64, times: Times) -> Played {
    let sender_room = usize::try_from(length.as_secs()).unwrap() + 10;
    let (snapshots, taken) = SnapshotSender::bounded(sender_room);
    let (recorder, mut collector) = Recorder::new(RecorderConfig {
        host_id: host_id.to_owned(),
        run_id: format!("run-of-{id}"),
        snapshots: Some(snapshots),
        ..RecorderConfig::default()
    });
    let start = Instant::now();
    let started = SystemTime::now() - length - Duration::from_secs(2);
    let mut random = Pcg32::seed_from_u64(seed);
    let mut sessions: Vec<Session> = players.iter().map(|player| Session::new(*player)).collect();
    let options = ArmOptions {
        capture_id: id.to_owned(),
        label: "played".to_owned(),
        anchor: Anchor { monotonic: start, wall: started },
        latency_target: None,
    };
    let events = recorder.arm(options).unwrap();
    collector.step(start);
    let mut heard: Vec<CaptureEvent> = Vec::new();
    let mut next_step = start;
    loop {
        // The next frame of all sessions, in order of time.
        let next = sessions.iter_mut().filter_map(|session| Some((session.next(start)?, session)));
        let Some((at, session)) = next.min_by_key(|(at, _)| *at).filter(|(at, _)| *at < start + length) else { break };
        while next_step <= at {
            collector.step(next_step);
            next_step += Duration::from_millis(50);
        }
        session.frame(at, &recorder, &mut random, times);
        for session in &mut sessions {
            session.leave_if_over(at, start);
        }
        heard.extend(events.try_iter());
    }
    while next_step <= start + length {
        collector.step(next_step);
        next_step += Duration::from_millis(50);
    }
    recorder.disarm_at(start + length);
    collector.step(start + length);
    heard.extend(events.try_iter());
    let host = HostMeta { id: host_id.to_owned(), ..HostMeta::default() };
    let id: RecordingId = id.parse().unwrap();
    let capture = punktfunk_captures::assemble(id, StartRequest::default(), host, None, heard).unwrap();
    Played { capture, snapshots: taken.try_iter().collect() }
}

struct Session {
    player: Player,
    number: u64,
    /// From its first frame to its last.
    streaming: Option<(FrameGate, FrameSink, SessionCounters)>,
    /// When the last packet of the frame before had left: one thread sends, one frame after the other.
    sent: Option<Instant>,
    over: bool,
}

impl Session {
    fn new(player: Player) -> Self {
        Self { player, number: 0, streaming: None, sent: None, over: false }
    }

    fn next(&self, start: Instant) -> Option<Instant> {
        let at = self.player.joins + Duration::from_secs(self.number) / self.player.fps;
        (!self.over).then(|| start + at)
    }

    fn frame(&mut self, due: Instant, recorder: &Recorder, random: &mut Pcg32, times: Times) {
        let fps = self.player.fps;
        let (gate, sink, counters) = self.streaming.get_or_insert_with(|| {
            let stage = |(name, share, queued)| StageSpec { name, share, queued };
            let info = SessionInfo { width: 1280, height: 720, fps, codec: "h264".into(), ..SessionInfo::default() };
            let stages = StageSet::new(&STAGES.map(stage)).unwrap();
            recorder.session(SessionSpec { protocol: "native", stages, info, known: KNOWN }).unwrap().split()
        });
        let mut trace = gate.begin_at(due);
        let mut at = due;
        for index in 0..STAGES.len() {
            at += Duration::from_micros(random.random_range(0..40));
            if index == STAGES.len() - 1 {
                at = self.sent.map_or(at, |sent| at.max(sent));
            }
            trace.enter_at(index, at);
            at += times(random, index);
            trace.leave_at(index, at);
        }
        self.sent = Some(at);
        self.number += 1;
        let bytes = random.random_range(2_000..40_000);
        let info = FrameInfo {
            number: self.number,
            media_bytes: bytes,
            fec_bytes: bytes / 10,
            overhead_bytes: 48 * (bytes / 1200 + 1),
            packets: bytes / 1200 + 2,
            idr: self.number == 1,
            repeat: random.random_range(0..20) == 0,
        };
        sink.record(&trace, info);
        if random.random_range(0..50) == 0 {
            counters.add(Counter::PacketsLost, 3);
            counters.add(Counter::FecRecovered, 2);
            counters.add(Counter::IdrRequests, 1);
        }
        counters.set_target_rate_bps(10_000_000);
        counters.set_rtt(Duration::from_micros(random.random_range(800..3000)));
    }

    fn leave_if_over(&mut self, now: Instant, start: Instant) {
        if !self.over && now >= start + self.player.leaves {
            self.over = true;
            self.streaming = None;
        }
    }
}

/// Sends a capture's snapshots by OTLP, all of them, and returns when they have been taken.
pub fn export(otlp_url: &str, instance: &str, snapshots: Vec<MetricSnapshot>) {
    let feed = Feed::start(otlp_url, instance, Limits::default());
    for snapshot in snapshots {
        feed.give(snapshot);
    }
    let (in_time, health) = feed.end();
    assert!(in_time, "{health:?}");
}

/// An exporter that is given snapshots one after the other.
pub struct Feed {
    snapshots: Option<crossbeam_channel::Sender<MetricSnapshot>>,
    exporter: Exporter,
}

impl Feed {
    /// To an endpoint over HTTP. The backlog is without a limit where the limits are the default ones: snapshots come all at
    /// once here, where a host sends one a second.
    pub fn start(otlp_url: &str, instance: &str, limits: Limits) -> Self {
        let config =
            OtlpConfig { endpoint: Some(otlp_url.to_owned()), timeout_ms: Some(2000), ..OtlpConfig::default() };
        let mut resolved = config.with_environment(|_| None).unwrap();
        resolved.limits = limits;
        if limits == Limits::default() {
            resolved.limits.backlog_bytes = 1 << 30;
        }
        let identity = Identity { host_id: instance.to_owned(), version: "0".to_owned() };
        let (snapshots, receiver) = crossbeam_channel::unbounded();
        let exporter = Exporter::start(&resolved, &identity, receiver).unwrap().unwrap();
        Self { snapshots: Some(snapshots), exporter }
    }

    pub fn give(&self, snapshot: MetricSnapshot) {
        self.snapshots.as_ref().unwrap().send(snapshot).unwrap();
    }

    /// Waits until the exporter's figures are as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Health) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !wanted(&self.exporter.health()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.exporter.health());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether everything was settled, and the figures then.
    pub fn end(mut self) -> (bool, Health) {
        self.snapshots = None;
        let in_time = self.exporter.shutdown(Duration::from_secs(60));
        (in_time, self.exporter.health())
    }
}
