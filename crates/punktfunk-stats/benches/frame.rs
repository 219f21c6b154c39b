//! What recording one frame costs the stream loop: this recorder and the usual ones, doing the same work, handles resolved
//! beforehand. The work of a frame is nine distributions (four stages, queue, host, two intervals, size) and six counters.
#![allow(missing_docs, reason = "the macros of criterion have no documentation")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up has no figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, ManualReader, SdkMeterProvider, Stream};
use punktfunk_stats::{
    Anchor, ArmOptions, FrameGate, FrameInfo, FrameSink, Recorder, RecorderConfig, SessionInfo, SessionSpec, StageSet,
    StageSpec,
};

const DISTRIBUTIONS: usize = 9;
const COUNTERS: usize = 6;
const NAMES: [&str; DISTRIBUTIONS] =
    ["capture", "submit", "encode", "send", "queue", "host", "interval_captured", "interval_sent", "size"];

/// Durations that move as real ones do, so that no recorder meets one bucket only.
struct Values(u64);

impl Values {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        1e-4 + (self.0 >> 40) as f64 * 1e-9
    }
}

fn session(recorder: &Recorder) -> (FrameGate, FrameSink) {
    let stage = |name, queued| StageSpec { name, share: 0.25, queued };
    let stages =
        StageSet::new(&[stage("capture", false), stage("submit", true), stage("encode", false), stage("send", true)]);
    let info = SessionInfo { fps: 240, ..SessionInfo::default() };
    let spec = SessionSpec { protocol: "native", stages: stages.unwrap(), info, known: &[] };
    let (gate, sink, _) = recorder.session(spec).unwrap().split();
    (gate, sink)
}

fn frame_at(gate: &mut FrameGate, sink: &mut FrameSink, now: Instant, number: u64) {
    let mut trace = gate.begin_at(now);
    for stage in 0..4 {
        trace.enter_at(stage, now);
        trace.leave_at(stage, now);
    }
    sink.record(&trace, FrameInfo { number, media_bytes: 20_000, packets: 20, ..FrameInfo::default() });
}

fn frame(gate: &mut FrameGate, sink: &mut FrameSink, number: u64) {
    let mut trace = gate.begin();
    trace.advance(0);
    trace.advance(1);
    trace.advance(2);
    trace.leave(3);
    sink.record(&trace, FrameInfo { number, media_bytes: 20_000, packets: 20, ..FrameInfo::default() });
}

fn ours(c: &mut Criterion) {
    let mut group = c.benchmark_group("punktfunk");
    group.bench_function("clock_read", |b| b.iter(Instant::now));

    let (recorder, mut collector) =
        Recorder::new(RecorderConfig { ring_capacity: 1 << 14, ..RecorderConfig::default() });
    let (mut gate, mut sink) = session(&recorder);
    collector.step(Instant::now());
    group.bench_function("disarmed", |b| b.iter(|| frame(&mut gate, &mut sink, black_box(1))));

    let options =
        ArmOptions { capture_id: "bench".into(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    let events = recorder.arm(options).unwrap();
    // The collector drains between the timed stretches, so that the ring never runs full and only the loop is timed.
    let mut batch = |frames: u64, run: &mut dyn FnMut(u64)| {
        let mut spent = Duration::ZERO;
        let mut left = frames;
        while left > 0 {
            collector.step(Instant::now());
            events.try_iter().for_each(drop);
            let count = left.min(10_000);
            let start = Instant::now();
            (0..count).for_each(&mut *run);
            spent += start.elapsed();
            left -= count;
        }
        spent
    };
    group.bench_function("armed_with_5_clock_reads", |b| {
        b.iter_custom(|frames| batch(frames, &mut |number| frame(&mut gate, &mut sink, number)));
    });
    let now = Instant::now();
    group.bench_function("armed_without_clock_reads", |b| {
        b.iter_custom(|frames| batch(frames, &mut |number| frame_at(&mut gate, &mut sink, now, number)));
    });
    group.finish();
}

fn opentelemetry_provider() -> SdkMeterProvider {
    let view = |instrument: &Instrument| {
        (instrument.kind() == InstrumentKind::Histogram).then(|| {
            let aggregation =
                Aggregation::Base2ExponentialHistogram { max_size: 1280, max_scale: 6, record_min_max: true };
            Stream::builder().with_aggregation(aggregation).build().ok()
        })?
    };
    SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).with_view(view).build()
}

fn peers(c: &mut Criterion) {
    let mut group = c.benchmark_group("peers");
    let mut values = Values(1);

    let provider = opentelemetry_provider();
    let meter = provider.meter("bench");
    let attributes = |name: &'static str| [KeyValue::new("stage", name), KeyValue::new("session.id", "s1")];
    let histogram = meter.f64_histogram("frame").build();
    let counter = meter.u64_counter("events").build();
    let bound: Vec<_> = NAMES.iter().map(|name| histogram.bind(&attributes(name))).collect();
    let bound_counters: Vec<_> = NAMES[..COUNTERS].iter().map(|name| counter.bind(&attributes(name))).collect();
    group.bench_function("opentelemetry_bound", |b| {
        b.iter(|| {
            bound.iter().for_each(|histogram| histogram.record(values.next()));
            bound_counters.iter().for_each(|counter| counter.add(1));
        });
    });
    let labels: Vec<_> = NAMES.iter().map(|name| attributes(name)).collect();
    group.bench_function("opentelemetry_unbound", |b| {
        b.iter(|| {
            labels.iter().for_each(|labels| histogram.record(values.next(), labels));
            labels[..COUNTERS].iter().for_each(|labels| counter.add(1, labels));
        });
    });

    let registry = metrics_util::registry::Registry::<metrics::Key, _>::new(metrics_util::registry::AtomicStorage);
    let key = |name: &'static str| metrics::Key::from_parts("frame", vec![metrics::Label::new("stage", name)]);
    let histograms: Vec<metrics::Histogram> =
        NAMES.iter().map(|name| registry.get_or_create_histogram(&key(name), |h| h.clone().into())).collect();
    let counters: Vec<metrics::Counter> =
        NAMES[..COUNTERS].iter().map(|name| registry.get_or_create_counter(&key(name), |c| c.clone().into())).collect();
    group.bench_function("metrics", |b| {
        b.iter_custom(|frames| {
            let mut spent = Duration::ZERO;
            let mut left = frames;
            while left > 0 {
                // Its buckets keep every value until they are drained, as its exporter would.
                registry.visit_histograms(|_, bucket| bucket.clear());
                let count = left.min(10_000);
                let start = Instant::now();
                for _ in 0..count {
                    histograms.iter().for_each(|histogram| histogram.record(values.next()));
                    counters.iter().for_each(|counter| counter.increment(1));
                }
                spent += start.elapsed();
                left -= count;
            }
            spent
        });
    });

    let bounds = prometheus::exponential_buckets(1e-4, 1.4, 24).unwrap();
    let vector = prometheus::HistogramVec::new(
        prometheus::HistogramOpts::new("frame", "frame").buckets(bounds.clone()),
        &["stage"],
    )
    .unwrap();
    let events = prometheus::IntCounterVec::new(prometheus::Opts::new("events", "events"), &["stage"]).unwrap();
    let histograms: Vec<_> = NAMES.iter().map(|name| vector.with_label_values(&[name])).collect();
    let counters: Vec<_> = NAMES[..COUNTERS].iter().map(|name| events.with_label_values(&[name])).collect();
    group.bench_function("prometheus", |b| {
        b.iter(|| {
            histograms.iter().for_each(|histogram| histogram.observe(values.next()));
            counters.iter().for_each(|counter| counter.inc());
        });
    });

    let histograms: Vec<_> =
        NAMES.iter().map(|_| prometheus_client::metrics::histogram::Histogram::new(bounds.iter().copied())).collect();
    let counters: Vec<prometheus_client::metrics::counter::Counter> =
        (0..COUNTERS).map(|_| Default::default()).collect();
    group.bench_function("prometheus_client", |b| {
        b.iter(|| {
            histograms.iter().for_each(|histogram| histogram.observe(values.next()));
            counters.iter().for_each(|counter| {
                counter.inc();
            });
        });
    });

    let make = || Arc::new(Mutex::new(hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1_000_000, 3).unwrap()));
    let histograms: Vec<_> = (0..DISTRIBUTIONS).map(|_| make()).collect();
    let counters: Vec<_> = (0..COUNTERS).map(|_| Arc::new(Mutex::new(0_u64))).collect();
    group.bench_function("hdrhistogram_behind_mutexes", |b| {
        b.iter(|| {
            for histogram in &histograms {
                histogram.lock().unwrap().saturating_record((values.next() * 1e6) as u64);
            }
            counters.iter().for_each(|counter| *counter.lock().unwrap() += 1);
        });
    });
    group.finish();
}

/// The collector's side: eight sessions at 240 frames a second, one second of it. Its share of a core is this time over
/// one second.
fn collector(c: &mut Criterion) {
    c.bench_function("collector/one_second_of_8_sessions_at_240_fps", |b| {
        let (recorder, mut collector) = Recorder::new(RecorderConfig::default());
        let mut sessions: Vec<_> = (0..8).map(|_| session(&recorder)).collect();
        let mut now = Instant::now();
        collector.step(now);
        let anchor = Anchor { monotonic: now, ..Anchor::now() };
        let options = ArmOptions { capture_id: "bench".into(), label: String::new(), anchor, latency_target: None };
        let events = recorder.arm(options).unwrap();
        let mut values = Values(7);
        let mut number = 0;
        b.iter_custom(|seconds| {
            let mut spent = Duration::ZERO;
            for _ in 0..seconds {
                for _tenth in 0..10 {
                    for _ in 0..24 {
                        number += 1;
                        now += Duration::from_nanos(1_000_000_000 / 240);
                        for (gate, sink) in &mut sessions {
                            let mut trace = gate.begin_at(now);
                            let mut at = now;
                            for stage in 0..4 {
                                trace.enter_at(stage, at);
                                at += Duration::from_secs_f64(values.next() / 10.0);
                                trace.leave_at(stage, at);
                            }
                            sink.record(
                                &trace,
                                FrameInfo { number, media_bytes: 20_000, packets: 20, ..FrameInfo::default() },
                            );
                        }
                    }
                    let start = Instant::now();
                    collector.step(now);
                    spent += start.elapsed();
                    events.try_iter().for_each(drop);
                }
            }
            spent
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    targets = ours, peers, collector
}
criterion_main!(benches);
