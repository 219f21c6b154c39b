//! Two recordings held against each other: what differs, by how much, and whether that is more than noise.
//!
//! How noise is told from change. Seconds of one run resemble their neighbours, so a run is cut into blocks of time that are
//! long against that, and the scatter between blocks says where each of its figures may lie at 99.9 % (`blocks`). The
//! intervals of two runs are joined to one around their difference (Zou and Donner, Statistics in Medicine 27, 2008: it holds
//! for intervals that are not symmetric, as those of percentiles). A difference counts as change if it is
//!
//! - beyond chance: that interval does not hold 0, and
//! - large enough to matter: [`MIN_RELATIVE`] and, by its unit, `MIN_US`, `MIN_SHARE` or `MIN_RATE`.
//!
//! Everything else is noise, and a run too short to tell (`MIN_BLOCKS`) says so. Nothing is drawn at random: the same
//! recordings give the same answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::language::Language;
use crate::schema::{Capture, CaptureMeta};
use crate::summary::{Figures, rounded};

mod blocks;
mod configuration;
mod sentence;

use blocks::{Interval, MIN_BLOCKS, Spread};
pub(crate) use configuration::setting_name;
pub(crate) use sentence::{figure_name, series_name};

/// Two-sided 0.1 % of the normal distribution. A comparison looks at some thirty figures: at 0.1 % each, one in thirty pairs
/// of equal runs would show a false change without the second condition; at the usual 5 %, nearly all would.
const QUANTILE: f64 = 3.29;

/// Smaller differences of a duration, relative to the baseline, are not reported as change: the same build on the same
/// machine differs by about half of that from one start to the next (frequency scaling, memory layout).
pub const MIN_RELATIVE: f64 = 0.05;

/// Nor are durations that differ by less than a tenth of a millisecond: scheduling moves a stage by as much, and nobody can
/// feel it.
const MIN_US: f64 = 100.0;

/// Shares of frames or packets: half a percentage point, three frames in ten seconds at 60 a second.
const MIN_SHARE: f64 = 0.005;

/// Rates, relative: a hundredth.
const MIN_RATE: f64 = 0.01;

/// Recordings that are compared at once.
pub const MAX_RUNS: usize = 4;

/// Recordings held against the first of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Of each run, the windows that end after so many ms from its start were compared; `null` if all were.
    pub from_ms: Option<u64>,
    /// And those that end until then, ms; at most the longest run.
    pub to_ms: Option<u64>,
    /// The recordings, the baseline first. Times of all count from their own start.
    pub runs: Vec<ComparedRun>,
    /// Each of the others against the baseline, in the same order.
    pub differences: Vec<RunDifference>,
    /// What was set or built differently, one entry a setting that is not the same everywhere.
    pub configuration: Vec<ConfigurationDifference>,
    /// Whether the runs did the same work; otherwise differences say little about the host.
    pub comparable: bool,
    /// Why they did not, and what else to bear in mind.
    pub warnings: Vec<String>,
}

impl Comparison {
    /// `warnings` in a language.
    pub(crate) fn warnings(&self, language: Language) -> Vec<String> {
        configuration::warnings(self.runs.iter().map(|run| &run.meta), &self.configuration, language)
    }
}

/// One recording of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparedRun {
    /// What a listing shows.
    pub meta: CaptureMeta,
    /// What was compared of it, all sessions taken together.
    pub figures: Figures,
}

/// A setting that is not the same in all runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationDifference {
    /// `resolution`, `fps`, `codec`, `encoder`, `source`, `protocol`, `latency_target`, `sessions`, `client`, `host`,
    /// `host_version`, `os`, `cpu`, `cpus`.
    pub setting: String,
    /// Its value in each run, in the order of the runs; `null` if a run does not say.
    pub values: Vec<Option<String>>,
    /// Whether it decides how much work a frame is: such runs are not comparable.
    pub decides: bool,
}

/// One run against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDifference {
    /// The run.
    pub id: String,
    /// What it amounts to.
    pub outcome: ComparisonOutcome,
    /// The same in one sentence: the first four of `leading`, and how many more there are.
    pub text: String,
    /// What changed, as places in `figures`, what stands out most first. Of a series' durations only the highest percentile
    /// that changed: it tells most of what is felt.
    pub leading: Vec<usize>,
    /// Every figure that both runs have: durations of each stage and of host, then shares and rates.
    pub figures: Vec<FigureDifference>,
}

impl RunDifference {
    /// `text` in a language.
    pub(crate) fn sentence(&self, language: Language) -> String {
        sentence::write(self.outcome, &self.figures, &self.leading, language)
    }
}

/// What a comparison amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonOutcome {
    /// No figure changed.
    NoChange,
    /// Figures changed, all for the better.
    Better,
    /// Figures changed, all for the worse.
    Worse,
    /// Some changed for the better, some for the worse.
    Mixed,
    /// One of the runs is too short to tell.
    NotEnoughData,
}

/// What became of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureOutcome {
    /// It changed for the better.
    Better,
    /// It changed for the worse.
    Worse,
    /// Its difference is within chance, or too small to matter.
    Noise,
    /// It cannot be told: too few blocks, or no distributions.
    Unknown,
}

/// In what a figure is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureUnit {
    /// Microseconds; less is better.
    Us,
    /// A share, 0–1; less is better.
    Share,
    /// Pictures a second and session; more is better.
    PerSecond,
}

/// One figure of two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FigureDifference {
    /// A stage, `queue`, `host`; `frames` or `packets` for shares and rates.
    pub series: String,
    /// `p50`, `p95`, `p99`, `mean`; `late`, `stuttered`, `dropped`, `lost`; `fps`.
    pub figure: String,
    /// Its unit.
    pub unit: FigureUnit,
    /// In the baseline.
    pub baseline: f64,
    /// In this run.
    pub value: f64,
    /// `value` − `baseline`.
    pub difference: f64,
    /// The same relative to the baseline; `null` if that is 0.
    pub relative: Option<f64>,
    /// The interval around `difference` that chance leaves, at 99.9 %: its lower end; `null` if it is not known.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// What became of it.
    pub outcome: FigureOutcome,
}

impl FigureDifference {
    /// How much worse it is, relative to the baseline, if chance does not explain that and, of a duration, it is more than
    /// `MIN_US`; of shares the points themselves.
    pub fn regression(&self) -> Option<f64> {
        let more_is_better = self.unit == FigureUnit::PerSecond;
        let worse = if more_is_better { -self.difference } else { self.difference };
        let surely = if more_is_better { self.high.map(|high| -high) } else { self.low };
        let relative = match self.unit {
            FigureUnit::Share => worse,
            _ if self.baseline > 0.0 => worse / self.baseline,
            _ => f64::INFINITY,
        };
        let felt = self.unit != FigureUnit::Us || worse >= MIN_US;
        (felt && surely.is_some_and(|surely| surely > 0.0)).then_some(relative)
    }
}

/// Holds runs against the first of them: all of each or, with a range of ms since its start, the windows that end in it
/// ([`Capture::narrow`]).
pub fn compare(runs: &mut [Capture], range: Option<(u64, u64)>) -> Comparison {
    if let Some(range) = range {
        runs.iter_mut().for_each(|run| run.narrow(range));
    }
    let spreads: Vec<Spread> = runs.iter().map(Spread::of).collect();
    let compared = |capture: &Capture| ComparedRun { meta: capture.meta.clone(), figures: capture.summary.all.clone() };
    let mut differences = Vec::new();
    if let Some((baseline, others)) = runs.split_first() {
        for (other, spread) in others.iter().zip(&spreads[1..]) {
            differences.push(difference((baseline, &spreads[0]), (other, spread)));
        }
    }
    let longest = runs.iter().map(|run| run.meta.duration_ms).max().unwrap_or_default();
    let metas: Vec<&CaptureMeta> = runs.iter().map(|run| &run.meta).collect();
    let configuration = configuration::differences(&metas);
    let comparable = !configuration.iter().any(|difference| difference.decides);
    let warnings = configuration::warnings(metas, &configuration, Language::English);
    Comparison {
        from_ms: range.map(|(from, _)| from),
        to_ms: range.map(|(_, to)| to.min(longest)),
        runs: runs.iter().map(compared).collect(),
        differences,
        configuration,
        comparable,
        warnings,
    }
}

fn difference(a: (&Capture, &Spread), b: (&Capture, &Spread)) -> RunDifference {
    let (old, new) = (values(&a.0.summary.all), values(&b.0.summary.all));
    let mut figures = Vec::new();
    for (key, unit, baseline) in old {
        let Some(&(_, _, value)) = new.iter().find(|(other, ..)| *other == key) else { continue };
        let known = a.1.blocks().min(b.1.blocks()) >= MIN_BLOCKS;
        let intervals = a.1.interval(&key).zip(b.1.interval(&key)).filter(|_| known);
        figures.push(figure(key, unit, (baseline, value), intervals));
    }
    let any = |wanted| figures.iter().any(|figure: &FigureDifference| figure.outcome == wanted);
    let outcome = match (any(FigureOutcome::Better), any(FigureOutcome::Worse)) {
        (true, true) => ComparisonOutcome::Mixed,
        (true, false) => ComparisonOutcome::Better,
        (false, true) => ComparisonOutcome::Worse,
        (false, false) if any(FigureOutcome::Noise) => ComparisonOutcome::NoChange,
        (false, false) => ComparisonOutcome::NotEnoughData,
    };
    let leading = sentence::leading(&figures);
    let text = sentence::write(outcome, &figures, &leading, Language::English);
    RunDifference { id: b.0.meta.id.to_string(), outcome, text, leading, figures }
}

/// Series and name of a figure.
pub(crate) type Key = (String, &'static str);

/// The figures that are compared, in the order in which they are shown.
fn values(figures: &Figures) -> Vec<(Key, FigureUnit, f64)> {
    let mut values = Vec::new();
    let mut put = |series: &str, name, unit, value: Option<f64>| {
        values.extend(value.map(|value| ((series.to_owned(), name), unit, value)));
    };
    for stage in figures.stages.iter().chain(&figures.host) {
        for (name, value) in [
            ("p50", stage.p50_us),
            ("p95", stage.p95_us),
            ("p99", stage.p99_us),
            ("mean", (stage.count > 0).then_some(stage.mean_us)),
        ] {
            put(&stage.name, name, FigureUnit::Us, value);
        }
    }
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    put("frames", "late", FigureUnit::Share, share(figures.late, figures.frames));
    put("frames", "stuttered", FigureUnit::Share, share(figures.stutters, figures.frames));
    let all = figures.frames.saturating_add(figures.frames_dropped);
    put("frames", "dropped", FigureUnit::Share, share(figures.frames_dropped, all));
    put("packets", "lost", FigureUnit::Share, figures.packets_lost.and_then(|lost| share(lost, figures.packets_sent)));
    put("frames", "fps", FigureUnit::PerSecond, (figures.seconds > 0.0).then_some(figures.fps));
    values
}

fn figure(
    (series, name): Key,
    unit: FigureUnit,
    (baseline, value): (f64, f64),
    intervals: Option<(Interval, Interval)>,
) -> FigureDifference {
    let difference = value - baseline;
    let size = difference.abs();
    let interval = intervals.map(|(a, b)| (difference - b.below.hypot(a.above), difference + b.above.hypot(a.below)));
    let matters = match unit {
        FigureUnit::Us => size >= MIN_US && size >= MIN_RELATIVE * baseline,
        FigureUnit::Share => size >= MIN_SHARE,
        FigureUnit::PerSecond => size >= MIN_RATE * baseline,
    };
    let better = (difference < 0.0) == (unit != FigureUnit::PerSecond);
    let outcome = match interval {
        None => FigureOutcome::Unknown,
        Some((low, high)) if low <= 0.0 && high >= 0.0 || !matters => FigureOutcome::Noise,
        Some(_) if better => FigureOutcome::Better,
        Some(_) => FigureOutcome::Worse,
    };
    FigureDifference {
        series,
        figure: name.to_owned(),
        unit,
        baseline,
        value,
        difference: rounded(difference, 1e6),
        relative: (baseline > 0.0).then(|| rounded(difference / baseline, 1e6)),
        low: interval.map(|(low, _)| rounded(low, 1e6)),
        high: interval.map(|(_, high)| rounded(high, 1e6)),
        outcome,
    }
}
