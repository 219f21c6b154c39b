//! Whole captures in virtual time: the real recorder, the real collector, frames from a script.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use proptest::prelude::*;
use punktfunk_stats::{
    Anchor, ArmOptions, Buckets, CaptureEvent, CaptureReport, ClientFigures, Collector, Counter, DropReason, FrameGate,
    FrameInfo, FrameSink, FrameTrace, MetricSnapshot, Recorder, RecorderConfig, SessionCounters, SessionEvent,
    SessionInfo, SessionSpec, SnapshotSender, StageSet, StageSpec, WindowReport, catalogue,
};

const MS: Duration = Duration::from_millis(1);
const FRAME: Duration = Duration::from_millis(20);

fn spec(known: &'static [Counter]) -> SessionSpec {
    let stage = |name, share, queued| StageSpec { name, share, queued };
    SessionSpec {
        protocol: "native",
        stages: StageSet::new(&[stage("capture", 0.2, false), stage("encode", 0.4, true), stage("send", 0.3, true)])
            .unwrap(),
        info: SessionInfo { width: 640, height: 360, fps: 50, codec: "h264".into(), ..SessionInfo::default() },
        known,
    }
}

/// A recorder whose clock is ours, with everything that a capture told so far.
struct Lab {
    recorder: Recorder,
    collector: Collector,
    now: Instant,
    events: Vec<CaptureEvent>,
    receiver: Option<Receiver<CaptureEvent>>,
}

impl Lab {
    fn new(config: RecorderConfig) -> Self {
        let (recorder, collector) = Recorder::new(config);
        Self { recorder, collector, now: Instant::now(), events: Vec::new(), receiver: None }
    }

    fn session(&mut self, known: &'static [Counter]) -> Player {
        let session = self.recorder.session(spec(known)).unwrap();
        self.collector.step(self.now);
        let id = session.id().to_owned();
        let (gate, sink, counters) = session.split();
        Player { id, gate, sink, counters, number: 0 }
    }

    /// Arms at a wall time that is a quarter of a second past a full one.
    fn arm(&mut self) {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let options = ArmOptions {
            capture_id: "test".into(),
            label: String::new(),
            anchor: Anchor { monotonic: self.now, wall },
            latency_target: None,
        };
        self.receiver = Some(self.recorder.arm(options).unwrap());
        self.collector.step(self.now);
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.collector.step(self.now);
        self.events.extend(self.receiver.iter().flat_map(|receiver| receiver.try_iter()));
    }

    /// Stops and returns the report.
    fn stop(&mut self) -> CaptureReport {
        self.recorder.disarm_at(self.now);
        self.advance(Duration::ZERO);
        match self.events.pop() {
            Some(CaptureEvent::Finished(report)) => *report,
            other => panic!("a capture ends with its report, not with {other:?}"),
        }
    }

    fn windows(&self, session: &str) -> Vec<&WindowReport> {
        self.events
            .iter()
            .filter_map(|event| match event {
                CaptureEvent::Window(window) if window.session_id == session => Some(&**window),
                _ => None,
            })
            .collect()
    }
}

/// A stream loop reduced to its stamps.
struct Player {
    id: String,
    gate: FrameGate,
    sink: FrameSink,
    counters: SessionCounters,
    number: u64,
}

impl Player {
    /// One frame that begins at `start` and spends `encode` in its encoder; the other stages take 1 ms each.
    fn frame(&mut self, start: Instant, encode: Duration) {
        let trace = self.begin(start);
        self.send(trace, start, encode);
    }

    fn begin(&mut self, start: Instant) -> FrameTrace {
        self.gate.begin_at(start)
    }

    fn send(&mut self, mut trace: FrameTrace, start: Instant, encode: Duration) {
        trace.leave_at(0, start + MS);
        trace.enter_at(1, start + MS);
        trace.leave_at(1, start + MS + encode);
        trace.enter_at(2, start + MS + encode);
        trace.leave_at(2, start + 2 * MS + encode);
        self.number += 1;
        let info = FrameInfo {
            number: self.number,
            media_bytes: 1000,
            fec_bytes: 200,
            overhead_bytes: 48,
            packets: 2,
            ..FrameInfo::default()
        };
        self.sink.record(&trace, info);
    }
}

fn total(report: &CaptureReport, metric: &str, key: Option<&str>) -> u64 {
    report.totals.iter().filter(|t| t.metric == metric && t.key.as_deref() == key).map(|t| t.count).sum()
}

#[test]
fn only_frames_begun_while_armed_are_measured() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    let before = player.begin(lab.now);
    assert!(!before.is_measured());
    lab.arm();
    player.send(before, lab.now, 5 * MS);
    let straddling = player.begin(lab.now);
    player.frame(lab.now, 5 * MS);
    lab.advance(100 * MS);
    let report = lab.stop();
    player.send(straddling, lab.now, 5 * MS);
    assert_eq!((report.sessions[0].records, report.sessions[0].in_flight), (1, 1));

    // The straddling record is still in the ring when the next capture is armed; its generation keeps it out.
    lab.arm();
    player.frame(lab.now, 5 * MS);
    lab.advance(100 * MS);
    assert_eq!(lab.stop().sessions[0].records, 1);
}

#[test]
fn windows_end_on_full_seconds_and_lose_nothing() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    lab.arm();
    for _ in 0..150 {
        player.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    let report = lab.stop();
    let windows = lab.windows(&player.id);
    let ends: Vec<_> = windows.iter().map(|window| window.end.as_millis()).collect();
    assert_eq!(ends, [750, 1750, 2750, 3000]);
    let frames: Vec<_> = windows.iter().map(|window| window.new_frames).collect();
    assert_eq!(frames.iter().sum::<u64>(), 150);
    assert_eq!(frames[1], 50);
    assert_eq!(report.duration, Duration::from_secs(3));
    assert_eq!(report.sessions[0].frames, Some((1, 150)));
    for (metric, key) in [
        (catalogue::FRAME_STAGE_DURATION.name, Some("encode")),
        (catalogue::FRAME_STAGE_DURATION.name, Some("queue")),
        (catalogue::FRAME_HOST_DURATION.name, None),
    ] {
        assert_eq!(total(&report, metric, key), 150, "{metric} {key:?}");
    }
    for window in windows {
        let host = window.host.as_ref().unwrap();
        assert_eq!((host.count, host.buckets.total(), host.p50_ns), (window.new_frames, window.new_frames, 7_000_000));
    }
}

/// How many host durations a snapshot holds.
fn host_count(snapshot: &MetricSnapshot) -> u64 {
    let metrics = snapshot.metrics.scope_metrics().flat_map(|scope| scope.metrics());
    let host = metrics.filter(|metric| metric.name() == catalogue::FRAME_HOST_DURATION.name);
    host.map(|metric| match metric.data() {
        AggregatedMetrics::F64(MetricData::ExponentialHistogram(histogram)) => {
            histogram.data_points().map(|point| point.count() as u64).sum::<u64>()
        }
        other => panic!("{other:?}"),
    })
    .sum()
}

#[test]
fn every_snapshot_holds_just_the_windows_whose_steps_have_ended() {
    let (snapshots, taken) = SnapshotSender::bounded(16);
    let mut lab = Lab::new(RecorderConfig { snapshots: Some(snapshots), ..RecorderConfig::default() });
    let mut staying = lab.session(&[]);
    let mut leaving = lab.session(&[]);
    lab.arm();
    for _ in 0..60 {
        staying.frame(lab.now, 5 * MS);
        leaving.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    // It leaves inside the second step, whose snapshot holds its last, partial window.
    drop(leaving);
    for _ in 0..90 {
        staying.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    lab.stop();
    let base = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let snapshots: Vec<MetricSnapshot> = taken.try_iter().collect();
    let stamps: Vec<_> = snapshots.iter().map(|s| s.at.duration_since(base).unwrap().as_millis()).collect();
    assert_eq!(stamps, [1000, 2000, 3000, 3250]);
    assert_eq!(snapshots.iter().map(|s| s.last).collect::<Vec<_>>(), [false, false, false, true]);
    assert_eq!(snapshots[3].step_end, base + Duration::from_secs(4));
    let windows: Vec<&WindowReport> = ["s1", "s2"].into_iter().flat_map(|session| lab.windows(session)).collect();
    for snapshot in &snapshots {
        let ended = windows.iter().filter(|window| window.step_end <= snapshot.step_end);
        let frames: u64 = ended.map(|window| window.new_frames).sum();
        assert_eq!(host_count(snapshot), frames, "at {:?}", snapshot.at);
    }
    assert_eq!(host_count(&snapshots[3]), 210);
}

#[test]
fn what_is_not_known_of_a_session_or_capture_is_no_attribute() {
    let (snapshots, taken) = SnapshotSender::bounded(16);
    let mut lab = Lab::new(RecorderConfig { snapshots: Some(snapshots), ..RecorderConfig::default() });
    let mut player = lab.session(&[]);
    lab.arm();
    player.frame(lab.now, 5 * MS);
    lab.advance(20 * MS);
    lab.stop();
    let snapshot = taken.try_iter().last().unwrap();
    let metrics = snapshot.metrics.scope_metrics().flat_map(|scope| scope.metrics());
    let info = metrics.filter(|metric| metric.name() == catalogue::SESSION_INFO.name).map(|metric| metric.data());
    let keys: Vec<String> = info
        .flat_map(|data| match data {
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => gauge.data_points(),
            other => panic!("{other:?}"),
        })
        .flat_map(|point| point.attributes().map(|attribute| attribute.key.to_string()))
        .collect();
    // An empty value would stand for the same, and Thanos takes none.
    assert!(keys.iter().any(|key| key == "codec"), "{keys:?}");
    assert!(!keys.iter().any(|key| key == "client" || key == "encoder"), "{keys:?}");
}

#[test]
fn a_capture_stopped_as_a_window_closes_stamps_its_snapshots_apart() {
    let (snapshots, taken) = SnapshotSender::bounded(16);
    let mut lab = Lab::new(RecorderConfig { snapshots: Some(snapshots), ..RecorderConfig::default() });
    let mut player = lab.session(&[]);
    lab.arm();
    player.frame(lab.now, 5 * MS);
    lab.advance(750 * MS);
    player.frame(lab.now, 5 * MS);
    lab.stop();
    let stamps: Vec<_> = taken.try_iter().map(|s| (s.at, host_count(&s))).collect();
    assert_eq!(stamps.len(), 2);
    assert_eq!((stamps[1].0.duration_since(stamps[0].0).unwrap(), stamps[1].1), (MS, 2));
}

#[test]
fn stages_and_queue_sum_to_the_host_duration() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    lab.arm();
    let start = lab.now;
    let mut trace = player.begin(start);
    trace.leave_at(0, start + 2 * MS);
    trace.enter_at(1, start + 5 * MS);
    trace.leave_at(1, start + 11 * MS);
    trace.enter_at(2, start + 12 * MS);
    trace.leave_at(2, start + 15 * MS);
    trace.add_pace(2 * MS);
    player.sink.record(&trace, FrameInfo::default());
    lab.advance(FRAME);
    lab.stop();
    let window = lab.windows(&player.id)[0];
    let stages: u64 = window.stages.iter().map(|(_, stats)| stats.as_ref().unwrap().sum_ns).sum();
    let queue = window.queue.as_ref().unwrap().sum_ns;
    assert_eq!((stages, queue), (11_000_000, 4_000_000));
    assert_eq!(window.host.as_ref().unwrap().sum_ns, stages + queue);
    assert_eq!(window.pace.as_ref().unwrap().sum_ns, 2_000_000);
}

#[test]
fn a_stage_that_a_frame_did_not_pass_is_absent() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    lab.arm();
    let mut trace = player.begin(lab.now);
    trace.leave_at(0, lab.now + MS);
    trace.enter_at(2, lab.now + MS);
    trace.leave_at(2, lab.now + 2 * MS);
    player.sink.record(&trace, FrameInfo::default());
    lab.advance(FRAME);
    lab.stop();
    let window = lab.windows(&player.id)[0];
    assert!(window.stages[0].1.is_some() && window.stages[1].1.is_none() && window.stages[2].1.is_some());
}

#[test]
fn a_session_that_joins_just_before_the_stop_has_its_sample() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut first = lab.session(&[]);
    lab.arm();
    for _ in 0..100 {
        first.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    let mut late = lab.session(&[]);
    late.frame(lab.now, 5 * MS);
    lab.advance(100 * MS);
    let report = lab.stop();
    let windows = lab.windows(&late.id);
    assert_eq!((windows.len(), windows[0].new_frames, windows[0].length), (1, 1, 100 * MS));
    assert_eq!(report.sessions.len(), 2);
}

#[test]
fn a_session_that_ends_flushes_its_partial_window() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    let mut stays = lab.session(&[]);
    lab.arm();
    for _ in 0..45 {
        player.frame(lab.now, 5 * MS);
        stays.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    let id = player.id.clone();
    drop(player);
    for _ in 0..60 {
        stays.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    let report = lab.stop();
    let windows = lab.windows(&id);
    assert_eq!(windows.iter().map(|window| window.new_frames).sum::<u64>(), 45);
    assert_eq!(windows.last().unwrap().end, FRAME * 44 + 7 * MS);
    assert!(
        lab.events
            .iter()
            .any(|event| matches!(event, CaptureEvent::SessionLeft { session_id, .. } if *session_id == id))
    );
    assert_eq!(report.sessions.iter().map(|session| session.records).collect::<Vec<_>>(), [45, 105]);
    assert_eq!(lab.recorder.sessions().len(), 1);
}

#[test]
fn a_session_that_ends_without_a_last_frame_still_tells_what_it_dropped() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    lab.arm();
    player.frame(lab.now, 5 * MS);
    lab.advance(800 * MS);
    let trace = player.begin(lab.now);
    player.counters.drop_frame(&trace, DropReason::Stale);
    let id = player.id.clone();
    drop(player);
    lab.advance(100 * MS);
    let report = lab.stop();
    let dropped: u64 = lab.windows(&id).iter().flat_map(|window| &window.dropped).map(|(_, count)| count).sum();
    assert_eq!((dropped, report.sessions[0].records), (1, 1));
    assert!(lab.windows(&id).iter().map(|window| window.end).is_sorted());
}

#[test]
fn an_empty_window_is_reported_as_a_gap() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    lab.arm();
    player.frame(lab.now, 5 * MS);
    lab.advance(Duration::from_secs(3));
    lab.stop();
    let windows = lab.windows(&player.id);
    assert_eq!(windows.len(), 4);
    assert!(windows[1..].iter().all(|window| window.new_frames == 0 && window.host.is_none()));
}

#[test]
fn a_full_ring_is_counted_and_said() {
    let mut lab = Lab::new(RecorderConfig { ring_capacity: 8, ..RecorderConfig::default() });
    let mut player = lab.session(&[]);
    lab.arm();
    for n in 0..20 {
        player.frame(lab.now + n * MS, 5 * MS);
    }
    lab.advance(Duration::from_secs(1));
    let report = lab.stop();
    assert_eq!((report.sessions[0].records, report.sessions[0].records_lost), (8, 12));
    assert_eq!(lab.windows(&player.id)[0].records_lost, 12);
    assert_eq!(report.sessions[0].in_flight, 0);
}

#[test]
fn the_sample_limit_keeps_the_beginning_and_says_so() {
    let mut lab = Lab::new(RecorderConfig { max_samples: 3, ..RecorderConfig::default() });
    let mut player = lab.session(&[]);
    lab.arm();
    for _ in 0..300 {
        player.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    let report = lab.stop();
    let counted: u64 = lab.windows(&player.id).iter().map(|window| window.new_frames).sum();
    assert!(report.truncated);
    assert_eq!(lab.windows(&player.id).len(), 3);
    assert_eq!(
        (report.sessions[0].records, total(&report, catalogue::FRAME_HOST_DURATION.name, None)),
        (counted, counted)
    );
    assert!(!player.gate.is_measuring());
}

#[test]
fn the_session_limit_leaves_later_sessions_unmeasured() {
    let mut lab = Lab::new(RecorderConfig { max_sessions: 2, ..RecorderConfig::default() });
    let mut players: Vec<_> = (0..3).map(|_| lab.session(&[])).collect();
    lab.arm();
    for player in &mut players {
        player.frame(lab.now, 5 * MS);
    }
    lab.advance(FRAME);
    let report = lab.stop();
    assert!(report.truncated);
    assert_eq!(report.sessions.len(), 2);
}

#[test]
fn figures_that_a_path_does_not_know_are_absent() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[Counter::PacketsLost]);
    player.counters.add(Counter::PacketsLost, 7);
    lab.arm();
    player.counters.add(Counter::PacketsLost, 5);
    player.counters.add(Counter::FecRecovered, 5);
    player.frame(lab.now, 5 * MS);
    lab.advance(FRAME);
    lab.stop();
    let window = lab.windows(&player.id)[0];
    assert_eq!((window.packets_lost, window.fec_recovered, window.send_dropped), (Some(5), None, None));
    assert_eq!((window.rtt, window.target_rate_bps, window.client), (None, None, None));
}

#[test]
fn rare_figures_stand_in_the_window_in_which_they_came() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[Counter::IdrRequests]);
    lab.arm();
    player.frame(lab.now, 5 * MS);
    let dropped = player.begin(lab.now + FRAME);
    player.counters.drop_frame(&dropped, DropReason::Replaced);
    player.counters.set_target_rate_bps(8_000_000);
    player.counters.set_rtt(3 * MS);
    player.counters.set_client(ClientFigures { received: Some(9), ..ClientFigures::default() });
    player.counters.event(SessionEvent::IdrRequested);
    lab.advance(Duration::from_secs(1));
    lab.advance(Duration::from_secs(1));
    let report = lab.stop();
    let windows = lab.windows(&player.id);
    assert_eq!(windows[0].dropped, [(DropReason::Replaced, 1)]);
    assert_eq!(windows[0].client.unwrap().received, Some(9));
    assert_eq!((windows[1].client, windows[1].rtt), (None, Some(3 * MS)));
    assert!(
        lab.events.iter().any(|event| matches!(event, CaptureEvent::Event { event: SessionEvent::IdrRequested, .. }))
    );
    assert_eq!(report.sessions[0].in_flight, 0);
}

#[test]
fn numbers_without_a_record_are_gaps() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    lab.arm();
    for n in 0..10 {
        if n % 3 == 2 {
            player.number += 1;
        }
        player.frame(lab.now, 5 * MS);
        lab.advance(FRAME);
    }
    let report = lab.stop();
    assert_eq!(
        (report.sessions[0].frames, report.sessions[0].records, report.sessions[0].gaps),
        (Some((1, 13)), 10, 3)
    );
}

#[test]
fn a_stutter_is_counted_and_its_frames_are_kept() {
    let mut lab = Lab::new(RecorderConfig::default());
    let mut player = lab.session(&[]);
    lab.arm();
    for n in 0..1500 {
        let late = if n == 1000 { 70 * MS } else { Duration::ZERO };
        player.frame(lab.now + late, 5 * MS);
        lab.advance(FRAME + late);
    }
    let report = lab.stop();
    let session = &report.sessions[0];
    assert_eq!(lab.windows(&player.id).iter().map(|window| window.stutters).sum::<u64>(), 1);
    assert!(session.kept_frames.iter().any(|frame| frame.number == 1001));
    assert_eq!(session.kept_spans.len(), 2);
}

#[test]
fn a_second_capture_cannot_be_armed_and_the_next_can() {
    let mut lab = Lab::new(RecorderConfig::default());
    lab.arm();
    let options =
        ArmOptions { capture_id: "other".into(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    assert!(lab.recorder.arm(options).is_err());
    lab.stop();
    lab.arm();
    lab.stop();
}

/// Quantile as every consumer of the histogram estimates it: the geometric middle of the bucket that holds the rank.
fn estimate(buckets: &Buckets, percent: u64) -> f64 {
    let rank = (buckets.total() * percent).div_ceil(100).max(1);
    let mut seen = 0;
    for (i, count) in buckets.counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            let index = f64::from(buckets.offset + i as i32);
            return 2_f64.powf((index + 0.5) / f64::from(1_u32 << buckets.scale));
        }
    }
    unreachable!("the rank is within the total")
}

/// Shapes that break histograms: an outlier first, a point mass, two modes, a heavy tail, the full range.
fn shapes() -> impl Strategy<Value = Vec<u64>> {
    let us = |from: u64, to: u64| (from..to).prop_map(|us| us * 1000);
    prop_oneof![
        prop::collection::vec(us(1, 40_000), 1..400).prop_map(|mut v| {
            v.insert(0, 3_000_000_000);
            v
        }),
        (us(1, 900_000), 1_usize..400).prop_map(|(v, n)| vec![v; n]),
        prop::collection::vec(prop_oneof![us(900, 1_100), us(30_000, 34_000)], 2..400),
        prop::collection::vec((0.0_f64..1.0).prop_map(|u| (2_000_000.0 / (1.0 - u * 0.99)) as u64), 2..400),
        prop::collection::vec(1_000_u64..1_000_000_000, 2..400),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn histogram_percentiles_are_within_1_1_percent_of_the_exact_ones(durations in shapes()) {
        let mut lab = Lab::new(RecorderConfig::default());
        let mut player = lab.session(&[]);
        lab.arm();
        for &ns in &durations {
            player.frame(lab.now, Duration::from_nanos(ns));
        }
        lab.advance(Duration::from_secs(5));
        lab.stop();
        let windows = lab.windows(&player.id);
        let counted: u64 = windows.iter().map(|w| w.stages[1].1.as_ref().map_or(0, |s| s.buckets.total())).sum();
        prop_assert_eq!(counted, durations.len() as u64);
        for window in windows {
            let Some(encode) = &window.stages[1].1 else { continue };
            prop_assert_eq!((encode.count, encode.buckets.scale), (encode.buckets.total(), 6));
            for (percent, exact) in [(50, encode.p50_ns), (95, encode.p95_ns), (99, encode.p99_ns)] {
                let exact = (exact as f64 / 1e9).clamp(1e-6, 1.0);
                let error = (estimate(&encode.buckets, percent) / exact - 1.0).abs();
                prop_assert!(error < 0.011, "p{} {} off by {}", percent, exact, error);
            }
        }
    }
}
