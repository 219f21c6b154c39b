//! Frames kept whole: those of the worst ten seconds and around the worst stutters, bounded whatever happens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::report::{KeptFrame, KeptReason, KeptSpan};

/// Windows that make up the worst stretch: ten seconds at the default interval.
const WORST_WINDOWS: usize = 10;

/// Stutters whose surroundings are kept.
const STUTTERS: usize = 20;

/// Time kept on each side of a stutter.
const AROUND: Duration = Duration::from_secs(1);

/// Frames kept of one window: above 2000 a second, the rest of a second is left out.
const FRAMES_PER_WINDOW: usize = 2048;

/// The frames of one closed window.
struct Chunk {
    from: Duration,
    to: Duration,
    /// Time over the latency target, summed over the frames; the longest frame breaks ties.
    badness: (u64, u64),
    frames: Vec<KeptFrame>,
}

/// Consecutive windows and their badness in all.
struct Stretch {
    badness: (u64, u64),
    chunks: Vec<Arc<Chunk>>,
}

struct Stutter {
    interval_ns: u64,
    at: Duration,
    chunks: Vec<Arc<Chunk>>,
}

/// Holds on to the chunks that may still be wanted.
#[derive(Default)]
pub(super) struct Keeper {
    open: Vec<KeptFrame>,
    open_badness: (u64, u64),
    recent: VecDeque<Arc<Chunk>>,
    worst: Option<Stretch>,
    stutters: Vec<Stutter>,
}

impl Keeper {
    /// Adds a frame to the open window. `over_ns`: its time over the target. `stutter`: whether its interval is one.
    pub(super) fn frame(&mut self, frame: KeptFrame, over_ns: u64, stutter: bool) {
        self.open_badness = (self.open_badness.0.saturating_add(over_ns), self.open_badness.1.max(frame.host_ns));
        if stutter && let Some(interval_ns) = frame.interval_ns {
            self.note_stutter(interval_ns, Duration::from_nanos(frame.end_ns));
        }
        if self.open.len() < FRAMES_PER_WINDOW {
            self.open.push(frame);
        }
    }

    fn note_stutter(&mut self, interval_ns: u64, at: Duration) {
        if self.stutters.len() == STUTTERS {
            let Some(least) = (0..STUTTERS).min_by_key(|&i| self.stutters[i].interval_ns) else { return };
            if self.stutters[least].interval_ns >= interval_ns {
                return;
            }
            self.stutters.swap_remove(least);
        }
        // The frame before the stutter left up to the interval and the margin earlier.
        let from = at.saturating_sub(AROUND);
        let chunks = self.recent.iter().filter(|chunk| chunk.to >= from).cloned().collect();
        self.stutters.push(Stutter { interval_ns, at, chunks });
    }

    /// Closes the open window.
    pub(super) fn close_window(&mut self, from: Duration, to: Duration) {
        let chunk = Arc::new(Chunk {
            from,
            to,
            badness: std::mem::take(&mut self.open_badness),
            frames: std::mem::take(&mut self.open),
        });
        for stutter in self.stutters.iter_mut().filter(|stutter| stutter.at + AROUND >= from) {
            stutter.chunks.push(Arc::clone(&chunk));
        }
        if self.recent.len() == WORST_WINDOWS {
            self.recent.pop_front();
        }
        self.recent.push_back(chunk);
        let badness = self
            .recent
            .iter()
            .fold((0_u64, 0), |sum, chunk| (sum.0.saturating_add(chunk.badness.0), sum.1.max(chunk.badness.1)));
        // A longer stretch of the same badness is the better picture of it.
        let worse =
            |worst: &Stretch| badness > worst.badness || badness == worst.badness && worst.chunks.len() < WORST_WINDOWS;
        if self.worst.as_ref().is_none_or(worse) {
            self.worst = Some(Stretch { badness, chunks: self.recent.iter().cloned().collect() });
        }
    }

    /// Everything kept: the frames in order, each once, and the spans that they stand for.
    pub(super) fn finish(self) -> (Vec<KeptFrame>, Vec<KeptSpan>) {
        let mut frames = BTreeMap::new();
        let mut spans = Vec::new();
        let mut keep = |reason, from: Duration, to: Duration, chunks: &[Arc<Chunk>]| {
            spans.push(KeptSpan { reason, from, to });
            for frame in chunks.iter().flat_map(|chunk| &chunk.frames) {
                let end = Duration::from_nanos(frame.end_ns);
                if end >= from && end <= to {
                    frames.insert((frame.end_ns, frame.number), *frame);
                }
            }
        };
        if let Some(Stretch { chunks, .. }) = &self.worst
            && let (Some(first), Some(last)) = (chunks.first(), chunks.last())
            && chunks.iter().any(|chunk| !chunk.frames.is_empty())
        {
            keep(KeptReason::WorstTenSeconds, first.from, last.to, chunks);
        }
        let mut stutters = self.stutters;
        stutters.sort_by_key(|stutter| stutter.at);
        for stutter in &stutters {
            keep(KeptReason::Stutter, stutter.at.saturating_sub(AROUND), stutter.at + AROUND, &stutter.chunks);
        }
        (frames.into_values().collect(), spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn frame(n: u64, host_ns: u64, interval_ns: u64) -> KeptFrame {
        KeptFrame {
            number: n,
            end_ns: (FRAME * n as u32).as_nanos() as u64,
            host_ns,
            stage_ns: [None; crate::MAX_STAGES],
            wait_ns: [0; crate::MAX_STAGES],
            pace_ns: 0,
            interval_ns: Some(interval_ns),
            media_bytes: 1,
            idr: false,
            repeat: false,
            late_stage: None,
        }
    }

    /// An hour at 50 frames a second; `stutters(n)` says whether frame `n` is one.
    fn run(seconds: u64, over: impl Fn(u64) -> u64, stutters: impl Fn(u64) -> bool) -> (Vec<KeptFrame>, Vec<KeptSpan>) {
        let mut keeper = Keeper::default();
        for second in 0..seconds {
            for n in second * 50..(second + 1) * 50 {
                let stutter = stutters(n);
                keeper.frame(frame(n, 10 + over(n), if stutter { 1_000 + n } else { 20 }), over(n), stutter);
            }
            keeper.close_window(Duration::from_secs(second), Duration::from_secs(second + 1));
        }
        keeper.finish()
    }

    #[test]
    fn the_worst_ten_seconds_are_kept_whole() {
        let (frames, spans) = run(600, |n| if (15_000..15_500).contains(&n) { 100 } else { 0 }, |_| false);
        assert_eq!(
            spans,
            [KeptSpan {
                reason: KeptReason::WorstTenSeconds,
                from: Duration::from_secs(300),
                to: Duration::from_secs(310)
            }]
        );
        assert_eq!((frames.len(), frames[0].number, frames[499].number), (500, 15_000, 15_499));
    }

    #[test]
    fn a_second_on_each_side_of_a_stutter_is_kept() {
        let (frames, spans) = run(600, |n| u64::from(n < 500) * 5, |n| n == 20_010);
        assert_eq!(spans.len(), 2);
        let around: Vec<_> = frames.iter().filter(|f| f.number > 500).map(|f| f.number).collect();
        assert_eq!(around, (19_960..=20_060).collect::<Vec<_>>());
    }

    #[test]
    fn an_hour_of_stutters_keeps_the_twenty_longest_and_stays_small() {
        let (frames, spans) = run(3600, |_| 0, |n| n % 7 == 0);
        assert_eq!(spans.iter().filter(|s| s.reason == KeptReason::Stutter).count(), STUTTERS);
        assert!(frames.len() <= (STUTTERS * 2 + WORST_WINDOWS) * 50 + STUTTERS, "{}", frames.len());
        assert!(frames.windows(2).all(|pair| pair[0].end_ns < pair[1].end_ns));
    }

    #[test]
    fn a_loop_that_spins_cannot_fill_the_memory() {
        let mut keeper = Keeper::default();
        for n in 0..100_000 {
            keeper.frame(frame(n, 1, 1), 0, false);
        }
        assert_eq!(keeper.open.len(), FRAMES_PER_WINDOW);
    }
}
