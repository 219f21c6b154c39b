//! Which stage a late frame is charged to.
//!
//! Every frame's time is split into costs: a stage's own time without pacing, plus the part of other waits that it caused.
//! While a frame waits for a thread, that thread is either busy with an earlier frame (the wait is charged to the stage
//! that the earlier frame is in), held back by an earlier frame that waits further down (charged to whatever that wait was
//! charged to), or idle: then nobody but the hand-over is to blame and the wait is charged to `queue`.
//!
//! A late frame is charged to the cost with the largest excess over the smaller of its running median and its share of the
//! latency target. The median finds bursts; the share finds a stage that is always slow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::MAX_STAGES;
use crate::session::StageSet;
use crate::trace::Stamps;

/// Costs of a frame: the path's stages, then `queue` at [`QUEUE`].
pub(super) type Costs = [u64; MAX_STAGES + 1];

/// Index of `queue` in [`Costs`] and in a charge.
pub(super) const QUEUE: usize = MAX_STAGES;

/// Share of the target that waiting may take before it counts as an excess, where the path's shares leave less: a hand-over
/// between threads takes tens of microseconds, and a frame that comes up to a tenth of the target late waits for its own
/// turn.
const QUEUE_SHARE: f64 = 0.05;

/// A wait below this part of the target is not worth looking for a cause.
const SHORT_WAIT_DIVISOR: u64 = 128;

/// Earlier frames that can still be in the pipeline: bounded queues of a few frames each.
const HISTORY: usize = 16;

/// An earlier frame's way through the pipeline.
struct Passage {
    stamps: Stamps,
    /// What the wait before each stage was mostly charged to.
    blamed: [u8; MAX_STAGES],
}

/// Per-session state: earlier frames and the running medians of the costs.
pub(super) struct Attribution {
    stages: StageSet,
    target_ns: u64,
    baselines: [u64; MAX_STAGES + 1],
    history: VecDeque<Passage>,
    medians: [RunningMedian; MAX_STAGES + 1],
}

impl Attribution {
    pub(super) fn new(stages: &StageSet, target: Duration) -> Self {
        let target_ns = nanos(target);
        let mut baselines = [0; MAX_STAGES + 1];
        let mut left = 1.0;
        for (baseline, stage) in baselines.iter_mut().zip(stages.as_slice()) {
            *baseline = share_of(target_ns, stage.share);
            left -= stage.share;
        }
        baselines[QUEUE] = share_of(target_ns, f64::max(left, QUEUE_SHARE));
        Self {
            stages: stages.clone(),
            target_ns,
            baselines,
            history: VecDeque::with_capacity(HISTORY),
            medians: std::array::from_fn(|_| RunningMedian::new()),
        }
    }

    /// Takes the next frame in order of its last packet. Returns the charge if it is late: an index into the costs, or
    /// `Some(None)` if no cost is over its baseline.
    pub(super) fn frame(&mut self, stamps: &Stamps, host_ns: u64) -> Option<Option<usize>> {
        let (costs, blamed) = self.costs(stamps);
        let charge = (host_ns > self.target_ns).then(|| self.charge(&costs));
        for (median, &cost) in self.medians.iter_mut().zip(&costs) {
            median.push(cost);
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Passage { stamps: *stamps, blamed });
        charge
    }

    fn charge(&mut self, costs: &Costs) -> Option<usize> {
        let mut worst = None;
        let mut worst_excess = 0;
        for (i, &cost) in costs.iter().enumerate() {
            let excess = cost.saturating_sub(self.baselines[i].min(self.medians[i].get()));
            if excess > worst_excess {
                worst_excess = excess;
                worst = Some(i);
            }
        }
        worst
    }

    fn costs(&self, stamps: &Stamps) -> (Costs, [u8; MAX_STAGES]) {
        let mut costs = [0; MAX_STAGES + 1];
        let mut blamed = [QUEUE as u8; MAX_STAGES];
        let mut previous_left = stamps.start;
        let mut last = 0;
        for i in 0..self.stages.as_slice().len() {
            if stamps.seen & 1 << i == 0 {
                continue;
            }
            let entered = stamps.entered[i];
            costs[i] += nanos(stamps.left[i].saturating_duration_since(entered));
            blamed[i] = self.charge_wait(i, previous_left, entered, &mut costs) as u8;
            previous_left = stamps.left[i];
            last = i;
        }
        costs[last] = costs[last].saturating_sub(nanos(stamps.pace));
        (costs, blamed)
    }

    /// Charges the wait before stage `i` and says what most of it was charged to.
    fn charge_wait(&self, i: usize, from: Instant, to: Instant, costs: &mut Costs) -> usize {
        let wait = nanos(to.saturating_duration_since(from));
        if wait <= self.target_ns / SHORT_WAIT_DIVISOR {
            costs[QUEUE] += wait;
            return QUEUE;
        }
        let mut charges = [0; MAX_STAGES + 1];
        let mut unexplained = wait;
        let mut take = |charge: usize, ns: u64| {
            let ns = ns.min(unexplained);
            charges[charge] += ns;
            unexplained -= ns;
        };
        let thread = self.stages.thread_from(i);
        for passage in self.history.iter().rev() {
            for stage in thread.clone().filter(|&stage| passage.stamps.seen & 1 << stage != 0) {
                take(stage, overlap(from, to, passage.stamps.entered[stage], passage.stamps.left[stage]));
            }
        }
        for passage in self.history.iter().rev() {
            for below in thread.end..self.stages.as_slice().len() {
                if passage.stamps.seen & 1 << below != 0 {
                    let held = overlap(from, to, passage.stamps.left[below - 1], passage.stamps.entered[below]);
                    take(usize::from(passage.blamed[below]), held);
                }
            }
        }
        charges[QUEUE] += unexplained;
        let mut most = QUEUE;
        for (charge, &ns) in charges.iter().enumerate() {
            costs[charge] += ns;
            if ns > charges[most] {
                most = charge;
            }
        }
        most
    }
}

/// Time that both intervals cover.
fn overlap(a_from: Instant, a_to: Instant, b_from: Instant, b_to: Instant) -> u64 {
    nanos(a_to.min(b_to).saturating_duration_since(a_from.max(b_from)))
}

/// Whole nanoseconds, saturating after 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn share_of(target_ns: u64, share: f64) -> u64 {
    // Exact enough: a target is far below 2^53 ns (104 days).
    (target_ns as f64 * share.clamp(0.0, 1.0)) as u64
}

/// Median of the last values, looked at again every few values: a late frame must not cost a sort.
pub(super) struct RunningMedian {
    values: Box<[u64; Self::LEN]>,
    filled: usize,
    next: usize,
    median: u64,
    stale: usize,
}

impl RunningMedian {
    /// About a second at 240 frames a second, four at 60.
    const LEN: usize = 256;
    const REFRESH: usize = 32;

    pub(super) fn new() -> Self {
        Self { values: Box::new([0; Self::LEN]), filled: 0, next: 0, median: 0, stale: 0 }
    }

    pub(super) fn push(&mut self, value: u64) {
        self.values[self.next] = value;
        self.next = (self.next + 1) % Self::LEN;
        self.filled = (self.filled + 1).min(Self::LEN);
        // The median of a small set moves fast: until there are enough, it is taken anew each time.
        self.stale = if self.filled < Self::REFRESH { 0 } else { self.stale.saturating_sub(1) };
    }

    /// The median of what was pushed last; 0 before anything was.
    pub(super) fn get(&mut self) -> u64 {
        if self.stale == 0 && self.filled > 0 {
            let mut sorted = *self.values;
            let middle = self.filled / 2;
            self.median = *sorted[..self.filled].select_nth_unstable(middle).1;
            self.stale = Self::REFRESH;
        }
        self.median
    }

    /// How many values it stands on, at most [`Self::LEN`].
    pub(super) fn len(&self) -> usize {
        self.filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::StageSpec;

    const TARGET: Duration = Duration::from_micros(33_333);

    fn stages() -> StageSet {
        StageSet::new(&[
            StageSpec { name: "capture", share: 0.2, queued: false },
            StageSpec { name: "submit", share: 0.1, queued: true },
            StageSpec { name: "encode", share: 0.4, queued: false },
            StageSpec { name: "send", share: 0.25, queued: true },
        ])
        .unwrap()
    }

    /// A frame that begins at `start_ms` and passes (wait, time) pairs, in ms.
    fn frame(epoch: Instant, start_ms: u64, passes: [(u64, u64); 4]) -> Stamps {
        let mut now = epoch + Duration::from_millis(start_ms);
        let mut stamps = Stamps {
            word: 2,
            start: now,
            entered: [now; MAX_STAGES],
            left: [now; MAX_STAGES],
            seen: 0,
            pace: Duration::ZERO,
        };
        for (i, (wait, time)) in passes.into_iter().enumerate() {
            now += Duration::from_millis(wait);
            stamps.entered[i] = now;
            now += Duration::from_millis(time);
            stamps.left[i] = now;
            stamps.seen |= 1 << i;
        }
        stamps
    }

    fn host(stamps: &Stamps) -> u64 {
        nanos(stamps.left[3] - stamps.start)
    }

    #[test]
    fn a_frame_within_the_target_is_charged_to_nobody() {
        let mut attribution = Attribution::new(&stages(), TARGET);
        let stamps = frame(Instant::now(), 0, [(0, 2), (0, 1), (0, 6), (0, 2)]);
        assert_eq!(attribution.frame(&stamps, host(&stamps)), None);
    }

    #[test]
    fn a_wait_is_charged_to_the_stage_that_kept_the_thread_busy() {
        let epoch = Instant::now();
        let mut attribution = Attribution::new(&stages(), TARGET);
        let slow = frame(epoch, 0, [(0, 2), (0, 1), (0, 60), (0, 2)]);
        assert_eq!(attribution.frame(&slow, host(&slow)), Some(Some(2)));
        // Captured at 18 ms, it waits until the slow frame leaves `encode` at 63 ms.
        let held = frame(epoch, 16, [(0, 2), (45, 1), (0, 6), (0, 2)]);
        assert_eq!(attribution.frame(&held, host(&held)), Some(Some(2)));
    }

    #[test]
    fn a_wait_for_an_idle_thread_is_charged_to_the_queue() {
        let epoch = Instant::now();
        let mut attribution = Attribution::new(&stages(), TARGET);
        let first = frame(epoch, 0, [(0, 2), (0, 1), (0, 6), (0, 2)]);
        attribution.frame(&first, host(&first));
        let late = frame(epoch, 16, [(0, 2), (0, 1), (0, 6), (40, 2)]);
        assert_eq!(attribution.frame(&late, host(&late)), Some(Some(QUEUE)));
    }

    #[test]
    fn back_pressure_is_charged_to_the_stage_below() {
        let epoch = Instant::now();
        let mut attribution = Attribution::new(&stages(), TARGET);
        // `send` takes 50 ms; the next frame waits for it after encoding; the third one finds the encoder idle but held.
        let a = frame(epoch, 0, [(0, 2), (0, 1), (0, 6), (0, 50)]);
        let b = frame(epoch, 16, [(0, 2), (0, 1), (0, 6), (34, 2)]);
        let c = frame(epoch, 33, [(0, 2), (24, 1), (0, 6), (0, 2)]);
        assert_eq!(attribution.frame(&a, host(&a)), Some(Some(3)));
        assert_eq!(attribution.frame(&b, host(&b)), Some(Some(3)));
        assert_eq!(attribution.frame(&c, host(&c)), Some(Some(3)));
    }

    #[test]
    fn pacing_is_never_blamed() {
        let epoch = Instant::now();
        let mut attribution = Attribution::new(&stages(), TARGET);
        let mut stamps = frame(epoch, 0, [(0, 2), (0, 1), (0, 15), (0, 20)]);
        stamps.pace = Duration::from_millis(19);
        assert_eq!(attribution.frame(&stamps, host(&stamps)), Some(Some(2)));
    }

    #[test]
    fn a_constant_excess_is_found_by_its_share() {
        let epoch = Instant::now();
        let mut attribution = Attribution::new(&stages(), TARGET);
        for n in 0..1000 {
            let stamps = frame(epoch, n * 50, [(0, 2), (0, 30), (0, 6), (0, 2)]);
            assert_eq!(attribution.frame(&stamps, host(&stamps)), Some(Some(1)), "frame {n}");
        }
    }

    #[test]
    fn the_running_median_follows_the_last_values() {
        let mut median = RunningMedian::new();
        assert_eq!(median.get(), 0);
        for value in 0..1000 {
            median.push(value);
        }
        for _ in 0..RunningMedian::LEN {
            median.push(7);
        }
        assert_eq!((median.get(), median.len()), (7, RunningMedian::LEN));
    }
}
