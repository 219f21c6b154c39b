//! The points of a recording's series, as the live export would have left them in Prometheus.
//!
//! A window's figures stand at the end of its step, those of the last window at the end of the capture, where the export
//! stamps them. Cumulative series begin with the window in which their session joined, go on level after it left, and end,
//! like all others, with a stale marker one step after the last
//! (<https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness>).

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use punktfunk_recordings::SparseHistogram;

use super::labels::Content;
use super::recording::{Recording, Stats, Window};
use super::wire::{BucketSpan, Count, Histogram, Sample};

/// The bit pattern by which Prometheus knows a stale marker (`model/value/value.go`).
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Schema of the distributions: 2^6 buckets an octave, as in a recording.
const SCHEMA: i32 = 6;

/// What Prometheus' OTLP receiver writes for histograms that name no zero threshold.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Empty buckets that are cheaper to write than a new span.
const MAX_GAP: usize = 2;

/// Distance between two steps where a recording does not say, ms.
const DEFAULT_STEP_MS: u64 = 1000;

/// Points of one series, in order of time.
#[derive(Debug)]
pub(super) enum Points {
    Floats(Vec<Sample>),
    /// Encoded, each with its moment and whether it is the end.
    Histograms(Vec<Encoded>),
}

/// A histogram as it goes out.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    timestamp_ms: i64,
    stale: bool,
    pub(super) bytes: Bytes,
}

/// What of a series is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// From, to, both included; ms since 1970.
    pub(super) range: (i64, i64),
    /// Of all that lie in the range, only the last that is a value.
    pub(super) last: bool,
}

impl Points {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Floats(points) => points.len(),
            Self::Histograms(points) => points.len(),
        }
    }

    /// Those that are asked for.
    pub(super) fn only(&self, wanted: Wanted) -> Self {
        match self {
            Self::Floats(points) => {
                Self::Floats(choose(points, wanted, |p| (p.timestamp_ms, p.value.to_bits() == STALE.to_bits())))
            }
            Self::Histograms(points) => Self::Histograms(choose(points, wanted, |p| (p.timestamp_ms, p.stale))),
        }
    }
}

/// Points of an ordered list; `place` gives the moment, and whether it is an end.
fn choose<P: Clone>(points: &[P], wanted: Wanted, place: impl Fn(&P) -> (i64, bool)) -> Vec<P> {
    let from = points.partition_point(|point| place(point).0 < wanted.range.0);
    let to = points.partition_point(|point| place(point).0 <= wanted.range.1);
    let inside = points.get(from..to).unwrap_or_default();
    if wanted.last {
        inside.iter().rfind(|point| !place(point).1).cloned().into_iter().collect()
    } else {
        inside.to_vec()
    }
}

/// When the export would have stamped each window, and in which order.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    /// All stamps, ms since 1970, ascending.
    stamps: Vec<i64>,
    /// Of each session, in the order of the metadata: its windows by index of their stamp.
    windows: Vec<Vec<(usize, &'a Window<'a>)>>,
    /// Where series end.
    stale_at: i64,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(recording: &'a Recording<'a>) -> Self {
        let meta = &recording.meta;
        let end = meta.started_unix_ms.saturating_add(meta.duration_ms);
        let stamp = |sample: &Window<'_>| match sample.step_unix_ms {
            // Recordings of before this field.
            0 => meta.started_unix_ms.saturating_add(sample.t_ms),
            step => step.min(end.max(meta.started_unix_ms.saturating_add(sample.t_ms))),
        };
        let mut stamps: Vec<i64> = recording.samples.iter().map(|sample| ms(stamp(sample))).collect();
        stamps.sort_unstable();
        stamps.dedup();
        let mut windows = vec![Vec::new(); meta.sessions.len()];
        for sample in &recording.samples {
            let Some(session) = meta.sessions.iter().position(|session| session.id == sample.session_id) else {
                continue;
            };
            if let Ok(at) = stamps.binary_search(&ms(stamp(sample))) {
                windows[session].push((at, sample));
            }
        }
        windows.iter_mut().for_each(|windows| windows.sort_by_key(|(at, _)| *at));
        let step = if meta.step_ms == 0 { DEFAULT_STEP_MS } else { meta.step_ms };
        let last = recording.samples.iter().map(|sample| sample.step_unix_ms.max(stamp(sample))).max();
        let stale_at = ms(last.unwrap_or(end).saturating_add(step));
        Self { stamps, windows, stale_at }
    }

    /// The points of one series; `None` if nothing was measured.
    pub(super) fn points(&self, content: &Content, session: Option<usize>) -> Option<Points> {
        let Some(session) = session else { return self.always() };
        let windows = self.windows.get(session)?;
        match content {
            Content::Stage(name) => self.distribution(windows, |sample| sample.stages.iter().find(|s| s.name == *name)),
            Content::Host => self.distribution(windows, |sample| sample.host.as_ref()),
            Content::Interval => self.distribution(windows, |sample| sample.interval.as_ref()),
            Content::HostMax => self.gauge(windows, |sample| Some(sample.host.as_ref()?.max_us / 1e6)),
            Content::TargetRate => self.gauge(windows, |sample| Some(sample.bitrate_kbps? * 1e3 / 8.0)),
            Content::Rtt => self.gauge(windows, |sample| Some(sample.rtt_us? / 1e6)),
            Content::Constant(value) => self.gauge(windows, |_| Some(*value)),
            Content::SessionInfo => self.gauge(windows, |_| Some(1.0)),
            Content::CaptureInfo => None,
            counter => self.counter(windows, |sample| added(counter, sample)),
        }
    }

    /// Points at these moments, then the end.
    fn floats(&self, points: impl Iterator<Item = Sample>) -> Option<Points> {
        let mut points = points.peekable();
        points.peek()?;
        Some(Points::Floats(points.chain([stale(self.stale_at)]).collect()))
    }

    /// 1 from the first stamp to the last.
    fn always(&self) -> Option<Points> {
        self.floats(self.stamps.iter().map(|&timestamp_ms| Sample { value: 1.0, timestamp_ms }))
    }

    /// The newest value at each stamp, from the first on.
    fn gauge(&self, windows: &[(usize, &Window<'_>)], value: impl Fn(&Window<'_>) -> Option<f64>) -> Option<Points> {
        self.fold(windows, |_, sample| value(sample))
    }

    /// The sum so far at each stamp.
    fn counter(&self, windows: &[(usize, &Window<'_>)], added: impl Fn(&Window<'_>) -> Option<f64>) -> Option<Points> {
        self.fold(windows, |sum, sample| Some(sum.unwrap_or(0.0) + added(sample)?))
    }

    fn fold(
        &self,
        windows: &[(usize, &Window<'_>)],
        next: impl Fn(Option<f64>, &Window<'_>) -> Option<f64>,
    ) -> Option<Points> {
        let mut windows = windows.iter().peekable();
        let mut state = None;
        self.floats(self.stamps.iter().enumerate().filter_map(move |(at, &timestamp_ms)| {
            while let Some((_, sample)) = windows.next_if(|(window, _)| *window <= at) {
                state = next(state, sample).or(state);
            }
            state.map(|value| Sample { value, timestamp_ms })
        }))
    }

    /// Cumulative native histograms. The series ends where a window counted frames and kept no distribution: what would follow
    /// could not be right.
    fn distribution(
        &self,
        windows: &[(usize, &Window<'_>)],
        of: impl for<'w> Fn(&'w Window<'_>) -> Option<&'w Stats<'w>>,
    ) -> Option<Points> {
        // Each is parsed once.
        let hists: Vec<Option<SparseHistogram>> = windows.iter().map(|(_, window)| of(window)?.hist()).collect();
        let mut total = Cumulative::over(hists.iter().flatten())?;
        let mut windows = windows.iter().zip(hists).peekable();
        let mut points = Vec::new();
        // One allocation for all.
        let mut buffer = BytesMut::new();
        let mut push = |histogram: Histogram, stale: bool| {
            // A buffer grows to what is written.
            histogram.encode(&mut buffer).ok();
            points.push(Encoded { timestamp_ms: histogram.timestamp_ms, stale, bytes: buffer.split().freeze() });
        };
        let mut stale_at = self.stale_at;
        for (at, &timestamp_ms) in self.stamps.iter().enumerate() {
            while let Some(((_, sample), hist)) = windows.next_if(|((window, _), _)| *window <= at) {
                let Some(stats) = of(sample) else {
                    total.begun = true;
                    continue;
                };
                match hist {
                    Some(hist) => total.add(hist.iter(), stats.mean_us / 1e6 * stats.count as f64),
                    None if stats.count > 0 => total.broken = true,
                    None => {}
                }
            }
            if total.broken {
                stale_at = timestamp_ms;
                break;
            }
            if total.begun {
                push(total.at(timestamp_ms), false);
            }
        }
        let end = Histogram { count: Some(Count::Integer(0)), sum: STALE, schema: SCHEMA, ..Histogram::default() };
        push(Histogram { timestamp_ms: stale_at, ..end }, true);
        Some(Points::Histograms(points))
    }
}

/// What a window added to a counter.
fn added(counter: &Content, sample: &Window<'_>) -> Option<f64> {
    let count = |count: u64| Some(count as f64);
    let seconds = sample.window_ms / 1e3;
    // The rates have three decimals: exact for frames, within 63 bytes a second for bytes.
    let repeated = (sample.repeat_fps * seconds).round().min(sample.frames as f64);
    let bytes = |mbps: f64| Some((mbps * 1e6 / 8.0 * seconds).round());
    match counter {
        Content::NewFrames => Some(sample.frames as f64 - repeated),
        Content::RepeatFrames => Some(repeated),
        Content::Late(stage) => count(sample.late_by_stage.iter().find(|l| l.stage == *stage).map_or(0, |l| l.count)),
        Content::Stutters => count(sample.stutters),
        Content::Dropped("record_lost") => count(sample.records_lost),
        Content::Dropped(reason) => {
            count(sample.dropped_by_reason.iter().find(|dropped| dropped.reason == *reason).map_or(0, |d| d.count))
        }
        Content::PacketsSent => count(sample.packets_sent),
        Content::SendDropped => sample.send_dropped.and_then(count),
        Content::PacketsLost => sample.packets_dropped.and_then(count),
        Content::FecRecovered => sample.fec_recovered.and_then(count),
        Content::Idr => sample.idr_requests.and_then(count),
        Content::Rfi => sample.rfi_requests.and_then(count),
        Content::Media => bytes(sample.mbps),
        Content::Fec => bytes(sample.fec_mbps),
        Content::Overhead => bytes(sample.overhead_mbps),
        _ => None,
    }
}

/// A histogram that grows.
struct Cumulative {
    /// Index of the first of `counts`, as a recording counts them.
    first: i32,
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    begun: bool,
    broken: bool,
}

/// Widest distribution that is summed up, buckets: twice the range of what the recorder clamps to.
const MAX_WIDTH: i32 = 4096;

impl Cumulative {
    /// Room for all that these hold; `None` without any, or if they spread further than any that the recorder writes.
    fn over<'h>(all: impl Iterator<Item = &'h SparseHistogram>) -> Option<Self> {
        let ends = all.filter_map(|hist| Some((hist.iter().next()?.0, hist.iter().next_back()?.0)));
        let (first, last) = ends.reduce(|(a, b), (first, last)| (a.min(first), b.max(last)))?;
        let width = last.checked_sub(first).filter(|width| *width < MAX_WIDTH)?;
        let counts = vec![0; usize::try_from(width).ok()? + 1];
        Some(Self { first, counts, count: 0, sum: 0.0, begun: false, broken: false })
    }

    fn add(&mut self, counts: impl Iterator<Item = (i32, u64)>, sum: f64) {
        for (index, count) in counts {
            if let Some(slot) = usize::try_from(index - self.first).ok().and_then(|at| self.counts.get_mut(at)) {
                *slot = slot.saturating_add(count);
                self.count = self.count.saturating_add(count);
            }
        }
        self.sum += sum;
        self.begun = true;
    }

    /// As Prometheus writes it. Its bucket `i` ends at 2^(i/64), a recording's begins there.
    fn at(&self, timestamp_ms: i64) -> Histogram {
        let mut spans: Vec<BucketSpan> = Vec::new();
        let mut deltas = Vec::new();
        let mut before = 0;
        // Index after the last bucket that was written.
        let mut written = 0;
        for (at, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let gap = at - written;
            match spans.last_mut() {
                Some(span) if gap <= MAX_GAP => {
                    for _ in 0..gap {
                        deltas.push(-before);
                        before = 0;
                    }
                    span.length += gap as u32 + 1;
                }
                Some(_) => spans.push(BucketSpan { offset: gap as i32, length: 1 }),
                None => spans.push(BucketSpan { offset: self.first + at as i32 + 1, length: 1 }),
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            deltas.push(count - before);
            before = count;
            written = at + 1;
        }
        Histogram {
            count: Some(Count::Integer(self.count)),
            sum: self.sum,
            schema: SCHEMA,
            zero_threshold: ZERO_THRESHOLD,
            positive_spans: spans,
            positive_deltas: deltas,
            timestamp_ms,
        }
    }
}

/// The end of a series of numbers.
pub(super) fn stale(timestamp_ms: i64) -> Sample {
    Sample { value: STALE, timestamp_ms }
}

/// Milliseconds as the protocol has them.
pub(super) fn ms(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}
