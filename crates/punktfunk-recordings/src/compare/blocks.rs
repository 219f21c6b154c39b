//! How surely the figures of one run are known: intervals from the scatter between blocks of its time.
//!
//! Means, shares and rates are ratios of sums over blocks; their variance is that of the blocks around the ratio (the
//! linearised estimator of cluster sampling: Cochran, Sampling Techniques, 1977, section 11.8). A quantile's interval is found
//! where the share of frames below it may lie (Woodruff, Journal of the American Statistical Association 47, 1952): it holds
//! where a few slow frames more or less move a percentile by a lot, and needs no shape of the distribution.

use std::collections::BTreeMap;

use super::{Key, QUANTILE};
use crate::histogram::SparseHistogram;
use crate::schema::{Capture, StageStats, StatsSample};
use crate::summary::StageSummary;

/// Fewest blocks of a run that is judged: with fewer, their scatter itself is a guess.
pub(super) const MIN_BLOCKS: usize = 8;

/// Most blocks: beyond it, more of them cost time and tell nothing new.
const MAX_BLOCKS: usize = 120;

/// A bucket of the distributions is 1.1 % wide: no percentile from them is surer than half of that.
const BUCKET_ERROR: f64 = 0.0055;

/// Quantiles that are compared.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)];

/// Where each figure of a run may lie.
pub(super) struct Spread {
    blocks: usize,
    intervals: BTreeMap<Key, Interval>,
}

/// How far a figure may lie below and above its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) below: f64,
    pub(super) above: f64,
}

/// What one block of time holds.
#[derive(Default)]
struct Block {
    series: BTreeMap<String, Series>,
    seconds: f64,
    new_frames: f64,
    frames: u64,
    late: u64,
    stutters: u64,
    dropped: u64,
    packets: u64,
    lost: Option<u64>,
}

#[derive(Default)]
struct Series {
    count: u64,
    sum_us: f64,
    hist: SparseHistogram,
    /// Some window had no distribution.
    incomplete: bool,
}

impl Spread {
    /// Cuts a run into blocks and looks how they scatter.
    pub(super) fn of(capture: &Capture) -> Self {
        let (blocks, hidden) = cut(capture);
        let mut intervals = BTreeMap::new();
        if blocks.len() >= MIN_BLOCKS {
            let quantile = student(blocks.len() - 1) * hidden;
            for stage in capture.summary.all.stages.iter().chain(&capture.summary.all.host) {
                durations(stage, &blocks, quantile, &mut intervals);
            }
            rates(&blocks, quantile, &mut intervals);
        }
        Self { blocks: blocks.len(), intervals }
    }

    /// How many blocks the run has.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Where a figure may lie, in its unit.
    pub(super) fn interval(&self, key: &Key) -> Option<Interval> {
        self.intervals.get(key).copied()
    }
}

/// Cuts a run into blocks of equal time; by how much their scatter understates the error, as a factor. Blocks without a frame are left out: nothing is known of them.
fn cut(capture: &Capture) -> (Vec<Block>, f64) {
    let step = if capture.meta.step_ms == 0 { 1000 } else { capture.meta.step_ms };
    let window = |sample: &StatsSample| sample.t_ms.saturating_sub(1) / step;
    let first = capture.samples.iter().map(window).min().unwrap_or_default();
    let last = capture.samples.iter().map(window).max().unwrap_or_default();
    let windows = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    // As long as seconds resemble each other for, by the usual rule; longer if there would be more blocks than needed, shorter
    // if there would be too few.
    let wanted = (windows as f64).cbrt().ceil() as usize;
    let length = wanted.max(windows.div_ceil(MAX_BLOCKS)).min(windows / MIN_BLOCKS).max(1);
    // What shorter blocks hide: at worst, all that should have been one block is one value.
    let hidden = (wanted as f64 / length as f64).max(1.0).sqrt();
    let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
    for sample in &capture.samples {
        blocks.entry((window(sample) - first) / length as u64).or_default().add(sample);
    }
    // What is left over at the end is no whole block and would weigh as one.
    if blocks.len() > MIN_BLOCKS && windows % length != 0 {
        blocks.pop_last();
    }
    (blocks.into_values().filter(|block| block.frames > 0).collect(), hidden)
}

impl Block {
    fn add(&mut self, sample: &StatsSample) {
        let seconds = sample.window_ms / 1e3;
        self.seconds += seconds;
        self.new_frames += sample.fps * seconds;
        self.frames = self.frames.saturating_add(sample.frames);
        self.late = self.late.saturating_add(sample.late);
        self.stutters = self.stutters.saturating_add(sample.stutters);
        self.dropped = self.dropped.saturating_add(sample.frames_dropped);
        self.packets = self.packets.saturating_add(sample.packets_sent);
        if let Some(lost) = sample.packets_dropped {
            self.lost = Some(self.lost.unwrap_or_default().saturating_add(lost));
        }
        for stats in sample.stages.iter().chain(&sample.host) {
            // Looked up by a borrowed name first: this runs for every stage of every sample.
            match self.series.get_mut(&stats.name) {
                Some(series) => series.add(stats),
                None => self.series.entry(stats.name.clone()).or_default().add(stats),
            }
        }
    }
}

impl Series {
    fn add(&mut self, stats: &StageStats) {
        self.count = self.count.saturating_add(stats.count);
        self.sum_us += stats.mean_us * stats.count as f64;
        match &stats.hist {
            Some(hist) => self.hist.merge(hist),
            None => self.incomplete |= stats.count > 0,
        }
    }
}

/// Intervals of a series' quantiles and mean.
fn durations(stage: &StageSummary, blocks: &[Block], quantile: f64, intervals: &mut BTreeMap<Key, Interval>) {
    let parts: Vec<&Series> = blocks.iter().filter_map(|block| block.series.get(&stage.name)).collect();
    if parts.iter().all(|series| !series.incomplete) {
        let mut merged = SparseHistogram::default();
        parts.iter().for_each(|series| merged.merge(&series.hist));
        for (figure, q) in QUANTILES {
            let Some(value) = merged.quantile_us(q) else { continue };
            let index = SparseHistogram::index_of(value / 1e6);
            let below =
                |series: &Series| series.hist.iter().take_while(|(at, _)| *at <= index).map(|(_, n)| n).sum::<u64>();
            let pairs: Vec<(f64, f64)> = parts.iter().map(|one| (below(one) as f64, one.count as f64)).collect();
            // Blocks that scatter less than frames drawn one by one would do so by chance.
            let alone = (q * (1.0 - q) / merged.count() as f64).sqrt();
            let reach = quantile * ratio_error(&pairs).max(alone);
            let low = merged.quantile_us((q - reach).max(0.0)).unwrap_or(value);
            // Beyond the last frame nothing is known but that none was slower.
            let high = if q + reach >= 1.0 { stage.max_us } else { merged.quantile_us(q + reach).unwrap_or(value) };
            let least = BUCKET_ERROR * value;
            let interval = Interval { below: (value - low).max(least), above: (high - value).max(least) };
            intervals.insert((stage.name.clone(), figure), interval);
        }
    }
    let pairs: Vec<(f64, f64)> = parts.iter().map(|series| (series.sum_us, series.count as f64)).collect();
    let reach = quantile * ratio_error(&pairs);
    intervals.insert((stage.name.clone(), "mean"), Interval { below: reach, above: reach });
}

/// Intervals of shares and rates.
fn rates(blocks: &[Block], quantile: f64, intervals: &mut BTreeMap<Key, Interval>) {
    type Part = fn(&Block) -> f64;
    let ratios: [(&str, &'static str, Part, Part); 5] = [
        ("frames", "late", |block| block.late as f64, |block| block.frames as f64),
        ("frames", "stuttered", |block| block.stutters as f64, |block| block.frames as f64),
        ("frames", "dropped", |block| block.dropped as f64, |block| block.frames.saturating_add(block.dropped) as f64),
        ("packets", "lost", |block| block.lost.unwrap_or_default() as f64, |block| block.packets as f64),
        ("frames", "fps", |block| block.new_frames, |block| block.seconds),
    ];
    for (series, figure, part, whole) in ratios {
        let pairs: Vec<(f64, f64)> = blocks.iter().map(|block| (part(block), whole(block))).collect();
        let reach = quantile * ratio_error(&pairs);
        intervals.insert((series.to_owned(), figure), Interval { below: reach, above: reach });
    }
}

/// Standard error of Σa / Σb over blocks of (a, b).
fn ratio_error(blocks: &[(f64, f64)]) -> f64 {
    let (part, whole) = blocks.iter().fold((0.0, 0.0), |(a, b), one| (a + one.0, b + one.1));
    if whole <= 0.0 || blocks.len() < 2 {
        return 0.0;
    }
    let ratio = part / whole;
    let squares: f64 = blocks.iter().map(|(a, b)| (a - ratio * b).powi(2)).sum();
    let n = blocks.len() as f64;
    (n / (n - 1.0) * squares).sqrt() / whole
}

/// [`QUANTILE`] for an error that was itself estimated with so many degrees of freedom (Cornish and Fisher's expansion;
/// Abramowitz and Stegun 26.7.5).
fn student(freedom: usize) -> f64 {
    let (z, n) = (QUANTILE, freedom.max(1) as f64);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / n + second / n.powi(2) + third / n.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_s_quantiles_are_those_of_the_tables() {
        for (freedom, table) in [(7, 5.408), (10, 4.587), (30, 3.646), (120, 3.373)] {
            assert!((student(freedom) - table).abs() < 0.05, "{freedom}: {}", student(freedom));
        }
    }

    #[test]
    fn the_error_of_a_share_is_that_of_its_blocks() {
        // Ten blocks of 100, half of them with 10 and half with 20: 0.15 ± 0.05 / √9.
        let blocks: Vec<(f64, f64)> = (0..10).map(|n| (if n < 5 { 10.0 } else { 20.0 }, 100.0)).collect();
        assert!((ratio_error(&blocks) - 0.05 / 3.0).abs() < 1e-9);
        assert_eq!(ratio_error(&[(1.0, 2.0); 10]), 0.0);
    }
}
