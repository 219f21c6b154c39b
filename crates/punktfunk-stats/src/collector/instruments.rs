//! The OpenTelemetry side of a capture: one provider, one cumulative reader, bound instruments for every session.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Gauge, Histogram, Meter, MeterProvider as _};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, ExponentialHistogramDataPoint, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};

use super::member::FrameFigures;
use crate::catalogue::{self, Kind, Metric, attribute};
use crate::counters::{Counter as Figure, DropReason};
use crate::report::{Buckets, SeriesTotal, WindowReport};
use crate::session::SessionSpec;
use crate::{MAX_STAGES, RecorderConfig};

/// Buckets between 1 µs and 1 s at [`MAX_SCALE`]: 20 octaves of 64. The histogram never has to coarsen.
const MAX_SIZE: u32 = 1280;

/// 64 buckets an octave: 1.1 % wide, so that the geometric middle is within 0.55 %.
const MAX_SCALE: i8 = 6;

/// What the histograms are given: outside of it only the true maximum, kept apart, says more.
const CLAMP_S: (f64, f64) = (1e-6, 1.0);

/// Series of one instrument that one session can have: stages, `queue`, `none`.
const SERIES_PER_SESSION: usize = MAX_STAGES + 2;

/// A reader that the provider can own while the collector keeps it.
#[derive(Debug, Clone)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }
    fn collect(&self, rm: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(rm)
    }
    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }
    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// Which series of a session a distribution belongs to: the metric and its one distinguishing attribute value.
type SeriesKey = (&'static str, String, Option<String>);

/// The instruments of one capture.
pub(super) struct Instruments {
    reader: SharedReader,
    meter: Meter,
    host_id: String,
    capture_id: String,
    seconds: HashMap<&'static str, Histogram<f64>>,
    counters: HashMap<&'static str, Counter<u64>>,
    gauges: HashMap<&'static str, Gauge<f64>>,
    /// Cumulative histograms at the end of the last window.
    previous: HashMap<SeriesKey, Buckets>,
    /// Dropped last: the reader collects from it.
    _provider: SdkMeterProvider,
}

impl Instruments {
    pub(super) fn new(config: &RecorderConfig, capture_id: &str, label: &str) -> Self {
        let reader = SharedReader(Arc::new(ManualReader::builder().with_temporality(Temporality::Cumulative).build()));
        let limit = config.max_sessions * SERIES_PER_SESSION;
        let view = move |instrument: &Instrument| {
            let stream = Stream::builder().with_cardinality_limit(limit);
            let stream = match instrument.kind() {
                InstrumentKind::Histogram => stream.with_aggregation(Aggregation::Base2ExponentialHistogram {
                    max_size: MAX_SIZE,
                    max_scale: MAX_SCALE,
                    record_min_max: true,
                }),
                _ => stream,
            };
            match stream.build() {
                Ok(stream) => Some(stream),
                Err(error) => {
                    tracing::error!(%error, instrument = instrument.name(), "the view of an instrument is invalid");
                    None
                }
            }
        };
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).with_view(view).build();
        let mut instruments = Self {
            reader,
            meter: provider.meter("punktfunk"),
            host_id: config.host_id.clone(),
            capture_id: capture_id.to_owned(),
            seconds: HashMap::new(),
            counters: HashMap::new(),
            gauges: HashMap::new(),
            previous: HashMap::new(),
            _provider: provider,
        };
        let attributes = [
            KeyValue::new(attribute::HOST_ID, instruments.host_id.clone()),
            KeyValue::new(attribute::CAPTURE_ID, instruments.capture_id.clone()),
            KeyValue::new("label", label.to_owned()),
            KeyValue::new(attribute::RUN_ID, config.run_id.clone()),
        ];
        instruments.gauge(&catalogue::CAPTURE_INFO).record(1.0, &known(attributes));
        instruments
    }

    /// Binds everything that a session can record. Every series starts at zero here. `target`: host duration above which a
    /// frame is late.
    pub(super) fn bind(&mut self, session_id: &str, spec: &SessionSpec, target: Duration) -> SessionInstruments {
        let base = vec![
            KeyValue::new(attribute::HOST_ID, self.host_id.clone()),
            KeyValue::new(attribute::CAPTURE_ID, self.capture_id.clone()),
            KeyValue::new(attribute::SESSION_ID, session_id.to_owned()),
            KeyValue::new(attribute::PROTOCOL, spec.protocol),
        ];
        let with = |key: &'static str, value: &'static str| {
            let mut attributes = base.clone();
            attributes.push(KeyValue::new(key, value));
            attributes
        };
        let names: Vec<&'static str> = spec.stages.as_slice().iter().map(|stage| stage.name).collect();
        let stage_duration = self.histogram(&catalogue::FRAME_STAGE_DURATION);
        let interval = self.histogram(&catalogue::FRAME_INTERVAL);
        let size = self.histogram(&catalogue::FRAME_SIZE);
        let sent = self.counter(&catalogue::FRAME_SENT);
        let late = self.counter(&catalogue::FRAME_LATE);
        let dropped = self.counter(&catalogue::FRAME_DROPPED);
        let io = self.counter(&catalogue::NETWORK_IO);
        let bind_known = |this: &mut Self, figure: Figure, metric: &Metric, attributes: &[KeyValue]| {
            spec.known.contains(&figure).then(|| this.counter(metric).bind(attributes))
        };
        let info = &spec.info;
        let description = known([
            KeyValue::new("mode", format!("{}x{}@{}", info.width, info.height, info.fps)),
            KeyValue::new("codec", info.codec.clone()),
            KeyValue::new("encoder", info.encoder.clone()),
            KeyValue::new("frame.source_kind", info.source_kind.clone()),
            KeyValue::new("client", info.client.clone()),
        ]);
        let description = [base.clone(), description].concat();
        self.gauge(&catalogue::SESSION_INFO).record(1.0, &description);
        self.gauge(&catalogue::SESSION_FRAME_BUDGET).record(1.0 / f64::from(info.fps), &base);
        self.gauge(&catalogue::SESSION_LATENCY_TARGET).record(target.as_secs_f64(), &base);
        let stage_budget = self.gauge(&catalogue::SESSION_STAGE_BUDGET);
        for stage in spec.stages.as_slice() {
            stage_budget.record(target.as_secs_f64() * stage.share, &with(attribute::STAGE, stage.name));
        }
        SessionInstruments {
            stages: names.iter().map(|&name| stage_duration.bind(&with(attribute::STAGE, name))).collect(),
            queue: stage_duration.bind(&with(attribute::STAGE, "queue")),
            host: self.histogram(&catalogue::FRAME_HOST_DURATION).bind(&base),
            captured_interval: interval.bind(&with(attribute::POINT, "captured")),
            sent_interval: interval.bind(&with(attribute::POINT, "sent")),
            size_idr: size.bind(&with(attribute::FRAME_TYPE, "idr")),
            size_p: size.bind(&with(attribute::FRAME_TYPE, "p")),
            sent_new: sent.bind(&with(attribute::FRAME_ORIGIN, "new")),
            sent_repeat: sent.bind(&with(attribute::FRAME_ORIGIN, "repeat")),
            late: names
                .iter()
                .chain(&["queue", "none"])
                .map(|&name| (name, late.bind(&with(attribute::STAGE, name))))
                .collect(),
            stutter: self.counter(&catalogue::FRAME_STUTTER).bind(&base),
            dropped: DropReason::ALL.map(|reason| dropped.bind(&with(attribute::REASON, reason.label()))),
            record_lost: dropped.bind(&with(attribute::REASON, "record_lost")),
            packets_sent: self.counter(&catalogue::PACKET_SENT).bind(&base),
            media: io.bind(&with(attribute::KIND, "media")),
            fec: io.bind(&with(attribute::KIND, "fec")),
            overhead: io.bind(&with(attribute::KIND, "overhead")),
            packets_lost: bind_known(self, Figure::PacketsLost, &catalogue::PACKET_LOST, &base),
            send_dropped: bind_known(self, Figure::SendDropped, &catalogue::PACKET_SEND_DROPPED, &base),
            fec_recovered: bind_known(self, Figure::FecRecovered, &catalogue::FEC_RECOVERED, &base),
            idr: bind_known(self, Figure::IdrRequests, &catalogue::RECOVERY_REQUESTED, &with(attribute::TYPE, "idr")),
            rfi: bind_known(self, Figure::RfiRequests, &catalogue::RECOVERY_REQUESTED, &with(attribute::TYPE, "rfi")),
            host_max: self.gauge(&catalogue::FRAME_HOST_DURATION_MAX),
            target_rate: self.gauge(&catalogue::ENCODER_TARGET_RATE),
            rtt: self.gauge(&catalogue::SESSION_RTT),
            base,
        }
    }

    /// Takes one cumulative snapshot, fills the windows' buckets with its difference to the last one, and gives it on.
    pub(super) fn collect(&mut self, windows: &mut [WindowReport]) -> ResourceMetrics {
        let mut snapshot = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut snapshot) {
            tracing::error!(%error, "the capture's metrics could not be collected");
        }
        let current: HashMap<SeriesKey, Buckets> =
            histograms(&snapshot).map(|(key, point)| (key, buckets(point))).collect();
        let take = |metric: &Metric, session: &str, key: Option<&str>| {
            let key: SeriesKey = (metric.name, session.to_owned(), key.map(str::to_owned));
            let now = current.get(&key)?;
            Some(match self.previous.get(&key) {
                Some(before) => difference(now, before),
                None => now.clone(),
            })
        };
        for window in windows {
            let id = window.session_id.as_str();
            let stages = window.stages.iter_mut().map(|(name, stats)| (*name, stats));
            for (name, stats) in stages.chain([("queue", &mut window.queue)]) {
                if let Some(stats) = stats {
                    stats.buckets = take(&catalogue::FRAME_STAGE_DURATION, id, Some(name)).unwrap_or_default();
                }
            }
            if let Some(stats) = &mut window.host {
                stats.buckets = take(&catalogue::FRAME_HOST_DURATION, id, None).unwrap_or_default();
            }
            if let Some(stats) = &mut window.sent_interval {
                stats.buckets = take(&catalogue::FRAME_INTERVAL, id, Some("sent")).unwrap_or_default();
            }
        }
        self.previous = current;
        snapshot
    }

    fn histogram(&mut self, metric: &Metric) -> Histogram<f64> {
        debug_assert_eq!(metric.kind, Kind::Histogram);
        let make = || {
            self.meter.f64_histogram(metric.name).with_unit(metric.unit).with_description(metric.description).build()
        };
        self.seconds.entry(metric.name).or_insert_with(make).clone()
    }

    fn counter(&mut self, metric: &Metric) -> Counter<u64> {
        debug_assert_eq!(metric.kind, Kind::Counter);
        let make =
            || self.meter.u64_counter(metric.name).with_unit(metric.unit).with_description(metric.description).build();
        self.counters.entry(metric.name).or_insert_with(make).clone()
    }

    fn gauge(&mut self, metric: &Metric) -> Gauge<f64> {
        debug_assert_eq!(metric.kind, Kind::Gauge);
        let make =
            || self.meter.f64_gauge(metric.name).with_unit(metric.unit).with_description(metric.description).build();
        self.gauges.entry(metric.name).or_insert_with(make).clone()
    }
}

/// One session's bound instruments; kept until the capture ends, so that its series stay.
pub(super) struct SessionInstruments {
    stages: Vec<BoundHistogram<f64>>,
    queue: BoundHistogram<f64>,
    host: BoundHistogram<f64>,
    captured_interval: BoundHistogram<f64>,
    sent_interval: BoundHistogram<f64>,
    size_idr: BoundHistogram<f64>,
    size_p: BoundHistogram<f64>,
    sent_new: BoundCounter<u64>,
    sent_repeat: BoundCounter<u64>,
    late: Vec<(&'static str, BoundCounter<u64>)>,
    stutter: BoundCounter<u64>,
    dropped: [BoundCounter<u64>; DropReason::ALL.len()],
    record_lost: BoundCounter<u64>,
    packets_sent: BoundCounter<u64>,
    media: BoundCounter<u64>,
    fec: BoundCounter<u64>,
    overhead: BoundCounter<u64>,
    packets_lost: Option<BoundCounter<u64>>,
    send_dropped: Option<BoundCounter<u64>>,
    fec_recovered: Option<BoundCounter<u64>>,
    idr: Option<BoundCounter<u64>>,
    rfi: Option<BoundCounter<u64>>,
    host_max: Gauge<f64>,
    target_rate: Gauge<f64>,
    rtt: Gauge<f64>,
    base: Vec<KeyValue>,
}

impl SessionInstruments {
    /// Records the distributions of one frame.
    pub(super) fn frame(&self, frame: &FrameFigures) {
        for (bound, ns) in self.stages.iter().zip(frame.kept.stage_ns) {
            if let Some(ns) = ns {
                bound.record(seconds(ns));
            }
        }
        self.queue.record(seconds(frame.queue_ns));
        self.host.record(seconds(frame.kept.host_ns));
        if let Some(ns) = frame.captured_interval_ns {
            self.captured_interval.record(seconds(ns));
        }
        if let Some(ns) = frame.kept.interval_ns {
            self.sent_interval.record(seconds(ns));
        }
        let size = if frame.kept.idr { &self.size_idr } else { &self.size_p };
        size.record(f64::from(frame.kept.media_bytes));
    }

    /// Adds what a window counted.
    pub(super) fn window(&self, window: &WindowReport) {
        self.sent_new.add(window.new_frames);
        self.sent_repeat.add(window.repeat_frames);
        for (name, count) in &window.late_by_stage {
            if let Some((_, bound)) = self.late.iter().find(|(late, _)| late == name) {
                bound.add(*count);
            }
        }
        self.stutter.add(window.stutters);
        for (reason, count) in &window.dropped {
            self.dropped[*reason as usize].add(*count);
        }
        self.record_lost.add(window.records_lost);
        self.packets_sent.add(window.packets_sent);
        self.media.add(window.media_bytes);
        self.fec.add(window.fec_bytes);
        self.overhead.add(window.overhead_bytes);
        let known = [
            (&self.packets_lost, window.packets_lost),
            (&self.send_dropped, window.send_dropped),
            (&self.fec_recovered, window.fec_recovered),
            (&self.idr, window.idr_requests),
            (&self.rfi, window.rfi_requests),
        ];
        for (bound, count) in known {
            if let (Some(bound), Some(count)) = (bound, count) {
                bound.add(count);
            }
        }
        if let Some(host) = &window.host {
            self.host_max.record(Duration::from_nanos(host.max_ns).as_secs_f64(), &self.base);
        }
        if let Some(bps) = window.target_rate_bps {
            self.target_rate.record(bps as f64 / 8.0, &self.base);
        }
        if let Some(rtt) = window.rtt {
            self.rtt.record(rtt.as_secs_f64(), &self.base);
        }
    }
}

/// Every histogram's cumulative total in a snapshot.
pub(super) fn totals(snapshot: &ResourceMetrics) -> Vec<SeriesTotal> {
    let mut totals: Vec<SeriesTotal> = histograms(snapshot)
        .map(|((metric, session_id, key), point)| SeriesTotal {
            metric,
            session_id,
            key,
            count: point.count() as u64,
            sum: point.sum(),
        })
        .collect();
    totals.sort_by(|a, b| (&a.session_id, a.metric, &a.key).cmp(&(&b.session_id, b.metric, &b.key)));
    totals
}

/// The points of every histogram of the catalogue in a snapshot.
fn histograms(
    snapshot: &ResourceMetrics,
) -> impl Iterator<Item = (SeriesKey, &ExponentialHistogramDataPoint<f64>)> + '_ {
    let metrics = snapshot.scope_metrics().flat_map(|scope| scope.metrics());
    let known = metrics.filter_map(|metric| {
        let AggregatedMetrics::F64(MetricData::ExponentialHistogram(histogram)) = metric.data() else { return None };
        let entry = catalogue::CATALOGUE.iter().find(|entry| entry.name == metric.name())?;
        Some((entry.name, histogram))
    });
    known.flat_map(|(name, histogram)| {
        histogram.data_points().map(move |point| {
            let mut session = String::new();
            let mut key = None;
            for pair in point.attributes() {
                match pair.key.as_str() {
                    attribute::SESSION_ID => session = text(&pair.value),
                    attribute::STAGE | attribute::POINT | attribute::FRAME_TYPE => key = Some(text(&pair.value)),
                    _ => {}
                }
            }
            ((name, session, key), point)
        })
    })
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64().clamp(CLAMP_S.0, CLAMP_S.1)
}

/// Those that have a value. An empty one says the same as none, and not every backend takes it.
fn known(attributes: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
    attributes.into_iter().filter(|attribute| !attribute.value.as_str().is_empty()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().into_owned()
}

fn buckets(point: &ExponentialHistogramDataPoint<f64>) -> Buckets {
    let positive = point.positive_bucket();
    Buckets { scale: point.scale(), offset: positive.offset(), counts: positive.counts().collect() }
}

/// `now - before` of one cumulative series. The scale never changes: the clamp keeps every value inside [`MAX_SIZE`]
/// buckets of [`MAX_SCALE`].
fn difference(now: &Buckets, before: &Buckets) -> Buckets {
    debug_assert_eq!(now.scale, before.scale);
    let mut counts = now.counts.clone();
    for (i, count) in before.counts.iter().enumerate() {
        let index = before.offset + i as i32 - now.offset;
        if let Some(slot) = usize::try_from(index).ok().and_then(|index| counts.get_mut(index)) {
            *slot = slot.saturating_sub(*count);
        }
    }
    let first = counts.iter().position(|&count| count > 0).unwrap_or(counts.len());
    let last = counts.iter().rposition(|&count| count > 0).map_or(first, |last| last + 1);
    Buckets { scale: now.scale, offset: now.offset + first as i32, counts: counts[first..last].to_vec() }
}
