//! What a stream's panels show, held against the recording of it: every point, reckoned here from the recording's samples.
//!
//! A point at a full second `t` shows what the steps that ended in the three seconds before it counted: `$__rate_interval` is
//! four seconds where the step is one, and of the four samples in it the first is what the others are held against. Points
//! near the ends, where samples are missing, are left out.

use std::collections::{BTreeMap, BTreeSet};

use punktfunk_recordings::{Capture, SparseHistogram, StageStats, StatsSample};
use serde_json::Value;

use crate::grafana::Seen;

/// In the order of the panels' targets.
const STAGES: [&str; 6] = ["capture", "submit", "encode", "packetize", "send", "queue"];

/// Steps that a rate spans.
const SPAN: u64 = 3;

/// How far a value may lie from the recording's: means there are whole nanoseconds, and rates have three decimals.
const TOLERANCE: f64 = 2e-3;

/// Where a quantile may lie beside the middle of its bucket, which is 1.09 % wide.
const BUCKET: f64 = 0.0056;

/// A recording of one session, by second.
pub struct Figures<'a> {
    by_second: BTreeMap<u64, &'a StatsSample>,
    /// Nothing at or after it is compared.
    until: f64,
}

/// Numbers between which a value has to lie.
type Bounds = Option<(f64, f64)>;

fn about(value: f64) -> Bounds {
    let room = TOLERANCE * value.abs() + 1e-9;
    Some((value - room, value + room))
}

impl<'a> Figures<'a> {
    /// `until`, seconds since 1970: before it, the backend had everything when it was asked.
    pub fn new(recording: &'a Capture, until: f64) -> Self {
        assert_eq!(recording.meta.sessions.len(), 1);
        let whole = recording.samples.iter().filter(|sample| sample.step_unix_ms % 1000 == 0);
        Self { by_second: whole.map(|sample| (sample.step_unix_ms / 1000, sample)).collect(), until }
    }

    /// The steps that a rate at this second spans; `None` near the ends.
    fn span(&self, second: u64) -> Option<Vec<&'a StatsSample>> {
        let complete = (second - SPAN..=second + 1).all(|second| self.by_second.contains_key(&second));
        let steps = || (second + 1 - SPAN..=second).filter_map(|second| self.by_second.get(&second).copied()).collect();
        complete.then(steps)
    }

    /// Holds the panels that a live session and a recording share; gives how many values were compared.
    pub fn hold(&self, seen: &Seen) -> usize {
        let mut compared = 0;
        let mut all = |name: String, expected: &dyn Fn(u64, &Value) -> Bounds| {
            compared += self.points(seen, &name, expected);
        };
        for (index, stage) in STAGES.into_iter().enumerate() {
            let reference = char::from(b'A' + u8::try_from(index).unwrap());
            let sum = |s: &StatsSample| of(s, stage).map_or(0.0, |stats| stats.mean_us * stats.count as f64 / 1e6);
            let frames = |s: &StatsSample| s.host.as_ref().map_or(0.0, |host| host.count as f64);
            let mean = |at, _: &Value| {
                let span = self.span(at)?;
                about(span.iter().map(|s| sum(s)).sum::<f64>() / span.iter().map(|s| frames(s)).sum::<f64>())
            };
            all(format!("1{reference}"), &mean);
            all(format!("3{reference}"), &|at, _| self.quantile(at, stage, 0.5));
            all(format!("4{reference}"), &|at, _| self.quantile(at, stage, 0.99));
        }
        all("2A".to_owned(), &|at, _| self.quantile(at, "host", 0.5));
        all("2B".to_owned(), &|at, _| self.quantile(at, "host", 0.99));
        all("2C".to_owned(), &|at, _| about(self.by_second.get(&at)?.host.as_ref()?.max_us / 1e6));
        let rate = |at, count: &dyn Fn(&StatsSample) -> Option<f64>| about(self.rate(at, count)?);
        let seconds = |s: &StatsSample| s.window_ms / 1e3;
        let repeated = |s: &StatsSample| (s.repeat_fps * seconds(s)).round();
        all("6A".to_owned(), &|at, _| rate(at, &|s| Some(s.frames as f64 - repeated(s))));
        all("6B".to_owned(), &|at, _| rate(at, &|s| Some(repeated(s))));
        all("7A".to_owned(), &|at, _| rate(at, &|s| Some(s.mbps * 1e6 * seconds(s))));
        all("7B".to_owned(), &|at, _| about(self.by_second.get(&at)?.bitrate_kbps? * 1e3));
        all("7C".to_owned(), &|at, _| rate(at, &|s| Some(s.fec_mbps * 1e6 * seconds(s))));
        all("8A".to_owned(), &|at, _| rate(at, &|s| s.packets_dropped.map(|count| count as f64)));
        all("8B".to_owned(), &|at, _| rate(at, &|s| s.fec_recovered.map(|count| count as f64)));
        all("8C".to_owned(), &|at, _| rate(at, &|s| s.send_dropped.map(|count| count as f64)));
        let dropped = |at, _: &Value| {
            let of = |s: &StatsSample, reason| {
                s.dropped_by_reason.iter().find(|d| d.reason == reason).map_or(0, |d| d.count)
            };
            let reasons: BTreeSet<&str> =
                self.by_second.values().flat_map(|s| s.dropped_by_reason.iter().map(|d| d.reason.as_str())).collect();
            let each = reasons.into_iter().map(|reason| self.rate(at, &|s| Some(of(s, reason) as f64)));
            about(each.chain([self.rate(at, &|s| Some(s.records_lost as f64))]).sum::<Option<f64>>()?)
        };
        all("8D".to_owned(), &dropped);
        all("9A".to_owned(), &|at, _| about(self.by_second.get(&at)?.rtt_us? / 1e6));
        let late = |at, labels: &Value| {
            let stage = labels["stage"].as_str()?;
            let count = |s: &StatsSample| s.late_by_stage.iter().find(|l| l.stage == stage).map_or(0, |l| l.count);
            rate(at, &|s| Some(count(s) as f64))
        };
        all("11A".to_owned(), &late);
        compared
    }

    /// What `rate` makes of one counter: it reckons with a second before the first sample, unless the counter began at
    /// nothing since then (`extrapolatedRate` in Prometheus' `promql/functions.go`).
    fn rate(&self, second: u64, count: &dyn Fn(&StatsSample) -> Option<f64>) -> Option<f64> {
        let added: f64 = self.span(second)?.into_iter().map(count).sum::<Option<f64>>()?;
        let first: f64 = self.by_second.range(..=second - SPAN).map(|(_, s)| count(s)).sum::<Option<f64>>()?;
        let span = SPAN as f64;
        let before = if added > 0.0 { (span * first / added).min(1.0) } else { 1.0 };
        Some(added * (span + before) / span / (span + 1.0))
    }

    /// Where the nearest rank lies, and the one above it: a rank that is whole is either.
    fn quantile(&self, second: u64, stage: &str, q: f64) -> Bounds {
        let mut merged = SparseHistogram::default();
        for sample in self.span(second)? {
            merged.merge(of(sample, stage)?.hist.as_ref()?);
        }
        let above = (q + 1.0 / merged.count() as f64).min(1.0);
        let seconds = |q| Some(merged.quantile_us(q)? / 1e6);
        Some((seconds(q)? * (1.0 - BUCKET), seconds(above)? * (1.0 + BUCKET)))
    }

    fn points(&self, seen: &Seen, name: &str, expected: &dyn Fn(u64, &Value) -> Bounds) -> usize {
        let mut compared = 0;
        for series in seen.answers[name]["data"]["result"].as_array().unwrap() {
            for point in series["values"].as_array().unwrap_or_else(|| panic!("{name} has no numbers")) {
                let at = point[0].as_f64().unwrap();
                if at.fract() != 0.0 || at >= self.until {
                    continue;
                }
                let Some((least, most)) = expected(at as u64, &series["metric"]) else { continue };
                let value: f64 = point[1].as_str().unwrap().parse().unwrap();
                assert!(
                    (least..=most).contains(&value),
                    "{name} {} at {at}: {value} is shown, the recording says {least} to {most}",
                    series["metric"]
                );
                compared += 1;
            }
        }
        compared
    }
}

/// A stage's figures, `host` among them.
fn of<'s>(sample: &'s StatsSample, stage: &str) -> Option<&'s StageStats> {
    sample.stages.iter().chain(&sample.host).find(|stats| stats.name == stage)
}
