//! What became of every frame number, as runs: a test compares it with what the host recorded and dropped.

use std::ops::RangeInclusive;

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It arrived whole, and so did everything that it refers to.
    Complete,
    /// It arrived whole, but after one that it refers to was lost.
    Undecodable,
    /// It did not arrive whole.
    Lost,
}

/// A run of frames with one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    /// Number of the first frame.
    pub first: u64,
    /// Number of the last frame.
    pub last: u64,
    /// What became of them.
    pub outcome: Outcome,
}

/// Runs that are kept. Ten minutes of a stream that loses every other frame.
const MAX_RUNS: usize = 1 << 16;

/// The log: runs in the order of frame numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct OutcomeLog {
    runs: Vec<Run>,
    /// Whether the log ran full and later frames are missing.
    truncated: bool,
}

impl OutcomeLog {
    /// Adds `count` frames from `first` on. Numbers only rise.
    pub fn add(&mut self, first: u64, count: u64, outcome: Outcome) {
        if count == 0 {
            return;
        }
        let last = first.saturating_add(count - 1);
        let full = self.runs.len() >= MAX_RUNS;
        match self.runs.last_mut() {
            Some(run) if run.outcome == outcome && run.last + 1 == first && !self.truncated => run.last = last,
            _ if full => self.truncated = true,
            _ => self.runs.push(Run { first, last, outcome }),
        }
    }

    /// The runs.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Whether later frames are missing from the log.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Frames with `outcome` whose number lies in `range`.
    pub fn count(&self, outcome: Outcome, range: RangeInclusive<u64>) -> u64 {
        let inside = |run: &Run| {
            let (first, last) = (run.first.max(*range.start()), run.last.min(*range.end()));
            if first > last { 0 } else { last - first + 1 }
        };
        self.runs.iter().filter(|run| run.outcome == outcome).map(inside).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_with_one_outcome_are_one_run_and_ranges_are_counted_exactly() {
        let mut log = OutcomeLog::default();
        for number in 1..=10 {
            log.add(number, 1, Outcome::Complete);
        }
        log.add(11, 3, Outcome::Lost);
        log.add(14, 0, Outcome::Lost);
        log.add(14, 1, Outcome::Undecodable);
        log.add(15, 6, Outcome::Complete);
        assert_eq!(log.runs().len(), 4);
        assert_eq!(log.count(Outcome::Complete, 1..=20), 16);
        assert_eq!(log.count(Outcome::Complete, 10..=15), 2);
        assert_eq!(log.count(Outcome::Lost, 12..=100), 2);
        assert!(!log.is_truncated());
    }

    #[test]
    fn a_full_log_says_so_and_keeps_the_beginning() {
        let mut log = OutcomeLog::default();
        for i in 0..MAX_RUNS as u64 + 5 {
            log.add(i * 2, 1, Outcome::Lost);
        }
        assert!(log.is_truncated());
        assert_eq!(log.runs().len(), MAX_RUNS);
    }
}
