//! Adding up windows.

use super::{StageSummary, quantile, rounded};
use crate::histogram::SparseHistogram;
use crate::schema::{DropCount, LateCount, StageStats};

/// One stage's windows, added up.
pub(super) struct Merged {
    name: String,
    count: u64,
    sum_us: f64,
    max_us: f64,
    /// Counts by bucket: merging an hour of windows into one map is what a summary's time goes into.
    hist: SparseHistogram,
}

impl Merged {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), count: 0, sum_us: 0.0, max_us: 0.0, hist: SparseHistogram::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn add(&mut self, stats: &StageStats) {
        self.count = self.count.saturating_add(stats.count);
        self.sum_us += stats.mean_us * stats.count as f64;
        self.max_us = self.max_us.max(stats.max_us);
        if let Some(hist) = &stats.hist {
            self.hist.merge(hist);
        }
    }

    /// `None` if nothing was counted.
    pub(super) fn summary(&self) -> Option<StageSummary> {
        if self.count == 0 {
            return None;
        }
        // Windows without a distribution would shift every percentile without a trace.
        let whole = self.hist.count() == self.count;
        let percentile = |q| quantile(&self.hist, q, self.max_us).filter(|_| whole);
        Some(StageSummary {
            name: self.name.clone(),
            count: self.count,
            p50_us: percentile(0.5),
            p95_us: percentile(0.95),
            p99_us: percentile(0.99),
            p999_us: percentile(0.999),
            max_us: self.max_us,
            mean_us: rounded(self.sum_us / self.count as f64, 1e3),
            busy_share: None,
        })
    }

    /// 1 / mean of the longest 1 % of intervals, at least one. The longest counts with its exact length, because a
    /// distribution ends at a second.
    pub(super) fn low_1_percent_fps(&self) -> Option<f64> {
        if self.count == 0 || self.hist.count() != self.count {
            return None;
        }
        let n = self.count.div_ceil(100);
        let (top, _) = self.hist.iter().next_back()?;
        let sum_us = self.hist.sum_of_largest_us(n)? - SparseHistogram::middle_us(top) + self.max_us;
        (sum_us > 0.0).then(|| rounded(n as f64 * 1e6 / sum_us, 1e3))
    }
}

pub(super) fn add_late(sum: &mut Vec<LateCount>, counts: &[LateCount]) {
    for LateCount { stage, count } in counts {
        match sum.iter_mut().find(|entry| entry.stage == *stage) {
            Some(entry) => entry.count = entry.count.saturating_add(*count),
            None => sum.push(LateCount { stage: stage.clone(), count: *count }),
        }
    }
}

pub(super) fn add_drops(sum: &mut Vec<DropCount>, counts: &[DropCount]) {
    for DropCount { reason, count } in counts {
        match sum.iter_mut().find(|entry| entry.reason == *reason) {
            Some(entry) => entry.count = entry.count.saturating_add(*count),
            None => sum.push(DropCount { reason: reason.clone(), count: *count }),
        }
    }
}

/// A sum is known once one of its parts is.
pub(super) fn add_known(sum: &mut Option<u64>, part: Option<u64>) {
    if let Some(part) = part {
        *sum = Some(sum.unwrap_or(0).saturating_add(part));
    }
}
