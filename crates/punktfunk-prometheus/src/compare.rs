//! Figures on a grid of steps, from the collector's samples and from the backend's answers, and what differs between the
//! two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use punktfunk_recordings::{Capture, Difference, StageStats, StatsSample};
use punktfunk_stats::catalogue::{self, Metric, attribute};

use crate::client::{Answer, Series};
use crate::query::{METRIC, label};

/// One figure of a session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Frames that passed a stage, or its quantile.
    Stage(String),
    /// The same of the host duration.
    Host,
    /// The same of the interval between sent frames.
    Interval,
    /// What a counter gained, by the value of its distinguishing label.
    Counter(&'static str, String),
    /// A gauge.
    Gauge(&'static str),
}

impl Figure {
    pub(crate) fn counter(metric: &Metric, key: &str) -> Self {
        Self::Counter(metric.name, key.to_owned())
    }

    /// Which figure a series of a distribution is; `None` for those that a recording does not hold.
    fn of_distribution(series: &Series) -> Option<Self> {
        match (series.label(attribute::STAGE), series.label(attribute::POINT)) {
            ("", "") => Some(Self::Host),
            ("", "sent") => Some(Self::Interval),
            ("", _) => None,
            (stage, _) => Some(Self::Stage(stage.to_owned())),
        }
    }

    /// Which figure a series is that keeps its name in [`METRIC`].
    fn of_named(series: &Series) -> Option<Self> {
        let metric = catalogue::CATALOGUE.iter().find(|metric| metric.prometheus_name() == series.label(METRIC))?;
        if metric.kind == catalogue::Kind::Gauge {
            return Some(Self::Gauge(metric.name));
        }
        let key = metric.attributes.first().map_or("", |attribute| series.label(&label(attribute.name)));
        Some(Self::counter(metric, key))
    }
}

/// As PromQL would write the series.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = |name: &str| catalogue::CATALOGUE.iter().find(|metric| metric.name == name);
        match self {
            Self::Stage(stage) => {
                write!(f, "{}{{stage=\"{stage}\"}}", catalogue::FRAME_STAGE_DURATION.prometheus_name())
            }
            Self::Host => f.write_str(&catalogue::FRAME_HOST_DURATION.prometheus_name()),
            Self::Interval => write!(f, "{}{{point=\"sent\"}}", catalogue::FRAME_INTERVAL.prometheus_name()),
            Self::Counter(name, key) => {
                let Some(metric) = metric(name) else { return f.write_str(name) };
                f.write_str(&metric.prometheus_name())?;
                match metric.attributes.first() {
                    Some(attribute) => write!(f, "{{{}=\"{key}\"}}", label(attribute.name)),
                    None => Ok(()),
                }
            }
            Self::Gauge(name) => f.write_str(&metric(name).map_or((*name).to_owned(), Metric::prometheus_name)),
        }
    }
}

/// The steps of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    /// First step, ms since 1970.
    pub(crate) from_ms: u64,
    /// Last step.
    pub(crate) to_ms: u64,
    /// Distance between two.
    pub(crate) step_ms: u64,
}

impl Steps {
    /// The steps that a recording's samples lie in; `None` if they do not say, or lie on no grid.
    pub(crate) fn of(capture: &Capture) -> Option<Self> {
        let step_ms = capture.meta.step_ms;
        let ends = || capture.samples.iter().map(|sample| sample.step_unix_ms);
        let (from_ms, to_ms) = (ends().min()?, ends().max()?);
        let on_grid = step_ms > 0 && from_ms > 0 && ends().all(|end| (end - from_ms).is_multiple_of(step_ms));
        on_grid.then_some(Self { from_ms, to_ms, step_ms })
    }

    pub(crate) fn count(&self) -> usize {
        self.index(self.to_ms).map_or(0, |last| last + 1)
    }

    fn index(&self, time_ms: u64) -> Option<usize> {
        let distance = time_ms.checked_sub(self.from_ms)?;
        // A recording has at most some ten thousand steps.
        (time_ms <= self.to_ms && distance.is_multiple_of(self.step_ms)).then(|| (distance / self.step_ms) as usize)
    }
}

/// A value a step, of every figure of every session.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    steps: Steps,
    /// By session and figure; NaN where there is nothing.
    values: BTreeMap<(String, Figure), Vec<f64>>,
}

impl Grid {
    pub(crate) fn new(steps: Steps) -> Self {
        Self { steps, values: BTreeMap::new() }
    }

    /// The counts that a recording's samples hold.
    pub(crate) fn of_samples(steps: Steps, samples: &[StatsSample]) -> Self {
        let mut grid = Self::new(steps);
        for sample in samples {
            for (figure, value) in counts(sample) {
                grid.add(&sample.session_id, figure, sample.step_unix_ms, value as f64);
            }
        }
        grid
    }

    /// Takes the answer of a query of distributions: of each session and time that is wanted.
    pub(crate) fn take_distributions(&mut self, answer: &Answer, wanted: impl Fn(&Series, u64) -> bool) {
        for series in &answer.series {
            if let Some(figure) = Figure::of_distribution(series) {
                self.take(series, &figure, |time_ms| wanted(series, time_ms));
            }
        }
    }

    /// Takes the answer of a query of counters or gauges.
    pub(crate) fn take_named(&mut self, answer: &Answer) {
        for series in &answer.series {
            if let Some(figure) = Figure::of_named(series) {
                self.take(series, &figure, |_| true);
            }
        }
    }

    fn take(&mut self, series: &Series, figure: &Figure, wanted: impl Fn(u64) -> bool) {
        let session = session_of(series);
        for &(time_ms, value) in series.points.iter().filter(|(time_ms, _)| wanted(*time_ms)) {
            self.add(session, figure.clone(), time_ms, value);
        }
    }

    /// Makes of what was reached at each step what the step added: the difference to the step before, or everything where
    /// there was none.
    pub(crate) fn make_steps(&mut self) {
        for row in self.values.values_mut() {
            for index in (1..row.len()).rev() {
                if !row[index - 1].is_nan() {
                    row[index] -= row[index - 1];
                }
            }
        }
    }

    /// Adds to one value.
    pub(crate) fn add(&mut self, session: &str, figure: Figure, time_ms: u64, value: f64) {
        let Some(index) = self.steps.index(time_ms) else { return };
        let count = self.steps.count();
        let row = self.values.entry((session.to_owned(), figure)).or_insert_with(|| vec![f64::NAN; count]);
        row[index] = if row[index].is_nan() { value } else { row[index] + value };
    }

    /// The value of a figure at a step, if there is one.
    pub(crate) fn get(&self, session: &str, figure: Figure, time_ms: u64) -> Option<f64> {
        let row = self.values.get(&(session.to_owned(), figure))?;
        row.get(self.steps.index(time_ms)?).copied().filter(|value| !value.is_nan())
    }

    /// Everything in which the backend's counts differ from the collector's (`self`), and how many were compared. What only
    /// one side has must be 0 there. Bytes are left out: samples hold them as rates.
    pub(crate) fn differences(&self, backend: &Self) -> (u64, Vec<Difference>) {
        let bytes = |figure: &Figure| matches!(figure, Figure::Counter(name, _) if *name == catalogue::NETWORK_IO.name);
        let keys = self.values.keys().chain(backend.values.keys()).filter(|(_, figure)| !bytes(figure));
        let keys: BTreeSet<_> = keys.collect();
        let (mut compared, mut differences) = (0, Vec::new());
        let nothing = Vec::new();
        for key in keys {
            let row = |grid: &Self, index: usize| {
                let row = grid.values.get(key).unwrap_or(&nothing);
                row.get(index).copied().filter(|value| !value.is_nan())
            };
            for index in 0..self.steps.count() {
                let (here, there) = (row(self, index), row(backend, index));
                if here.is_none() && there.is_none() {
                    continue;
                }
                compared += 1;
                if here.unwrap_or(0.0) != there.unwrap_or(0.0) {
                    differences.push(Difference {
                        step_unix_ms: Some(self.steps.from_ms + index as u64 * self.steps.step_ms),
                        session_id: key.0.clone(),
                        series: key.1.to_string(),
                        local: here.unwrap_or(0.0),
                        backend: there,
                    });
                }
            }
        }
        differences.sort_by_key(|difference| difference.step_unix_ms);
        (compared, differences)
    }
}

/// The session that a series is of.
pub(crate) fn session_of(series: &Series) -> &str {
    series.label(&label(attribute::SESSION_ID))
}

/// The distributions of a sample that a backend holds too.
pub(crate) fn distributions(sample: &StatsSample) -> impl Iterator<Item = (Figure, &StageStats)> {
    let stages = sample.stages.iter().map(|stats| (Figure::Stage(stats.name.clone()), stats));
    let host = sample.host.iter().map(|stats| (Figure::Host, stats));
    let interval = sample.interval.iter().map(|stats| (Figure::Interval, stats));
    stages.chain(host).chain(interval)
}

/// Everything in a sample that is a count.
fn counts(sample: &StatsSample) -> Vec<(Figure, u64)> {
    let new = (sample.fps * sample.window_ms / 1e3).round() as u64;
    let mut counts: Vec<(Figure, u64)> = distributions(sample).map(|(figure, stats)| (figure, stats.count)).collect();
    // A window of no length has no rates to take the share of new pictures from; its total is in the host's count.
    if sample.window_ms > 0.0 {
        counts.push((Figure::counter(&catalogue::FRAME_SENT, "new"), new));
        counts.push((Figure::counter(&catalogue::FRAME_SENT, "repeat"), sample.frames.saturating_sub(new)));
    }
    for late in &sample.late_by_stage {
        counts.push((Figure::counter(&catalogue::FRAME_LATE, &late.stage), late.count));
    }
    counts.push((Figure::counter(&catalogue::FRAME_STUTTER, ""), sample.stutters));
    for dropped in &sample.dropped_by_reason {
        counts.push((Figure::counter(&catalogue::FRAME_DROPPED, &dropped.reason), dropped.count));
    }
    counts.push((Figure::counter(&catalogue::FRAME_DROPPED, "record_lost"), sample.records_lost));
    counts.push((Figure::counter(&catalogue::PACKET_SENT, ""), sample.packets_sent));
    let known = [
        (&catalogue::PACKET_LOST, "", sample.packets_dropped),
        (&catalogue::PACKET_SEND_DROPPED, "", sample.send_dropped),
        (&catalogue::FEC_RECOVERED, "", sample.fec_recovered),
        (&catalogue::RECOVERY_REQUESTED, "idr", sample.idr_requests),
        (&catalogue::RECOVERY_REQUESTED, "rfi", sample.rfi_requests),
    ];
    for (metric, key, count) in known {
        counts.extend(count.map(|count| (Figure::counter(metric, key), count)));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Steps = Steps { from_ms: 10_000, to_ms: 12_000, step_ms: 1000 };

    fn grid(values: &[(&str, u64, f64)]) -> Grid {
        let mut grid = Grid::new(STEPS);
        for &(stage, time, value) in values {
            grid.add("s1", Figure::Stage(stage.to_owned()), time, value);
        }
        grid
    }

    #[test]
    fn equal_grids_do_not_differ_and_nothing_equals_zero() {
        let local = grid(&[("encode", 10_000, 60.0), ("encode", 11_000, 0.0)]);
        let backend = grid(&[("encode", 10_000, 60.0), ("send", 12_000, 0.0)]);
        assert_eq!(local.differences(&backend), (3, vec![]));
    }

    #[test]
    fn a_difference_names_step_series_and_both_numbers() {
        let local = grid(&[("encode", 11_000, 60.0), ("send", 12_000, 60.0)]);
        let backend = grid(&[("encode", 11_000, 59.0)]);
        let (_, differences) = local.differences(&backend);
        let texts: Vec<String> = differences
            .iter()
            .map(|d| format!("{:?} {} {} {} {:?}", d.step_unix_ms, d.session_id, d.series, d.local, d.backend))
            .collect();
        assert_eq!(
            texts,
            [
                "Some(11000) s1 punktfunk_frame_stage_duration_seconds{stage=\"encode\"} 60 Some(59.0)",
                "Some(12000) s1 punktfunk_frame_stage_duration_seconds{stage=\"send\"} 60 None",
            ]
        );
    }

    #[test]
    fn what_was_reached_becomes_what_each_step_added() {
        let reached =
            [("encode", 10_000, 5.0), ("encode", 11_000, 7.0), ("encode", 12_000, 7.0), ("send", 12_000, 3.0)];
        let added = [("encode", 10_000, 5.0), ("encode", 11_000, 2.0), ("encode", 12_000, 0.0), ("send", 12_000, 3.0)];
        let steps = |values: &[(&str, u64, f64)]| {
            let mut grid = grid(values);
            grid.make_steps();
            grid
        };
        assert_eq!(grid(&added).differences(&steps(&reached)), (4, vec![]));
        // What is missing in between is no 0.
        let gap = [("encode", 10_000, 5.0), ("encode", 12_000, 7.0)];
        assert_eq!(grid(&gap).differences(&steps(&gap)), (2, vec![]));
    }

    #[test]
    fn times_off_the_grid_are_left_out() {
        let grid = grid(&[("encode", 10_500, 1.0), ("encode", 9000, 1.0), ("encode", 13_000, 1.0)]);
        assert_eq!(grid.differences(&Grid::new(STEPS)), (0, vec![]));
    }
}
