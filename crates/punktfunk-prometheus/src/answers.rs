//! What a backend answered about a window, and a sample with its figures.

use std::collections::{BTreeMap, BTreeSet};

use punktfunk_recordings::{Difference, StatsSample};
use punktfunk_stats::catalogue;

use crate::client::{Answer, Series};
use crate::compare::{Figure, Grid, Steps, distributions, session_of};
use crate::query::{Of, QUANTILES};

/// What the histograms hold faithfully, µs: outside of it the recorder clamps, and a percentile stays the collector's.
const FAITHFUL_US: std::ops::RangeInclusive<f64> = 1.0..=1e6;

/// How far a quantile may lie from the exact one: a bucket of scale 6 is 1.09 % wide.
const QUANTILE_TOLERANCE: f64 = 0.011;

/// How far a rate may lie from the collector's, relative or absolute: both are rounded to three decimals.
const RATE_TOLERANCE: f64 = 0.002;

/// Fields whose figures come from the backend.
pub(crate) const FIELDS: [&str; 20] = [
    "stages.count",
    "stages.p50_us",
    "stages.p95_us",
    "stages.p99_us",
    "host",
    "interval",
    "frames",
    "late",
    "late_by_stage",
    "stutters",
    "fps",
    "repeat_fps",
    "mbps",
    "fec_mbps",
    "overhead_mbps",
    "bitrate_kbps",
    "frames_dropped",
    "dropped_by_reason",
    "packets_sent",
    "rtt_us",
];

/// What a range query is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Counts,
    /// One of [`QUANTILES`].
    Quantile(usize, Of),
    AllQuantiles(Of),
    Counters,
    Gauges,
}

impl Part {
    /// Whether it is asked at the first steps of sessions only.
    pub(crate) fn of_first_steps(self) -> bool {
        matches!(self, Self::Quantile(_, Of::FirstStep) | Self::AllQuantiles(Of::FirstStep))
    }
}

/// Everything that the backend answered.
pub(crate) struct Answers {
    /// What was reached at each step; what each step added, once all has been answered.
    counts: Grid,
    quantiles: [Grid; QUANTILES.len()],
    gauges: Grid,
    /// The first step of each session, ms since 1970.
    first_steps: BTreeMap<String, u64>,
}

impl Answers {
    /// None yet, of a recording's samples.
    pub(crate) fn new(steps: Steps, samples: &[StatsSample]) -> Self {
        let mut first_steps = BTreeMap::new();
        for sample in samples {
            let first = first_steps.entry(sample.session_id.clone()).or_insert(sample.step_unix_ms);
            *first = sample.step_unix_ms.min(*first);
        }
        let grid = || Grid::new(steps);
        Self { counts: grid(), quantiles: [grid(), grid(), grid()], gauges: grid(), first_steps }
    }

    /// The steps in which sessions begin.
    pub(crate) fn first_steps(&self) -> BTreeSet<u64> {
        self.first_steps.values().copied().collect()
    }

    /// What each step added, once [`Answers::finish`] was called.
    pub(crate) fn counts(&self) -> &Grid {
        &self.counts
    }

    pub(crate) fn take(&mut self, part: Part, answer: &Answer) {
        // A session's first step is asked for apart.
        let first_steps = &self.first_steps;
        let belongs =
            |series: &Series, at: u64| (first_steps.get(session_of(series)) == Some(&at)) == part.of_first_steps();
        match part {
            Part::Counts => self.counts.take_distributions(answer, |_, _| true),
            Part::Quantile(i, _) => self.quantiles[i].take_distributions(answer, belongs),
            Part::AllQuantiles(_) => {
                for (grid, q) in self.quantiles.iter_mut().zip(QUANTILES) {
                    let q = q.to_string();
                    grid.take_distributions(answer, |series, at| series.label("q") == q && belongs(series, at));
                }
            }
            Part::Counters => self.counts.take_named(answer),
            Part::Gauges => self.gauges.take_named(answer),
        }
    }

    /// All has been answered: what was reached at each step becomes what each step added.
    pub(crate) fn finish(&mut self) {
        self.counts.make_steps();
    }

    /// Puts the backend's figures into a sample. Returns the quantiles that lie further off than a bucket is wide.
    pub(crate) fn put_into(&self, sample: &mut StatsSample) -> Vec<Difference> {
        let session = sample.session_id.clone();
        let at = sample.step_unix_ms;
        let mut differences = Vec::new();
        let mut differ = |series, local, backend| {
            differences.push(Difference {
                step_unix_ms: Some(at),
                session_id: session.clone(),
                series,
                local,
                backend,
            });
        };
        let figures: Vec<Figure> = distributions(sample).map(|(figure, _)| figure).collect();
        let stats = sample.stages.iter_mut().chain(&mut sample.host).chain(&mut sample.interval);
        for (figure, stats) in figures.into_iter().zip(stats) {
            let shown = [&mut stats.p50_us, &mut stats.p95_us, &mut stats.p99_us];
            for ((grid, q), local) in self.quantiles.iter().zip(QUANTILES).zip(shown) {
                if !FAITHFUL_US.contains(local) {
                    continue;
                }
                let backend = grid.get(&session, figure.clone(), at).map(|seconds| round3(seconds * 1e6));
                match backend {
                    Some(us) if (us / *local - 1.0).abs() <= QUANTILE_TOLERANCE => *local = us,
                    _ => differ(format!("{figure}, quantile {q:.2}, µs"), *local, backend),
                }
            }
        }
        let seconds = sample.window_ms / 1e3;
        if seconds > 0.0 {
            let rates = [
                (&mut sample.fps, &catalogue::FRAME_SENT, "new", 1.0),
                (&mut sample.repeat_fps, &catalogue::FRAME_SENT, "repeat", 1.0),
                (&mut sample.mbps, &catalogue::NETWORK_IO, "media", 8e-6),
                (&mut sample.fec_mbps, &catalogue::NETWORK_IO, "fec", 8e-6),
                (&mut sample.overhead_mbps, &catalogue::NETWORK_IO, "overhead", 8e-6),
            ];
            for (shown, metric, key, factor) in rates {
                let figure = Figure::counter(metric, key);
                let backend =
                    self.counts.get(&session, figure.clone(), at).map(|count| round3(count * factor / seconds));
                match backend {
                    Some(rate) if (rate - *shown).abs() <= RATE_TOLERANCE * shown.max(1.0) => *shown = rate,
                    None if *shown == 0.0 => {}
                    _ => differ(format!("{figure}, a second"), *shown, backend),
                }
            }
        }
        let gauge = |metric: &catalogue::Metric| self.gauges.get(&session, Figure::Gauge(metric.name), at);
        if let Some(rate) = gauge(&catalogue::ENCODER_TARGET_RATE) {
            sample.bitrate_kbps = Some(round3(rate * 8.0 / 1e3));
        }
        if let Some(rtt) = gauge(&catalogue::SESSION_RTT) {
            sample.rtt_us = Some(round3(rtt * 1e6));
        }
        differences
    }
}

fn round3(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
