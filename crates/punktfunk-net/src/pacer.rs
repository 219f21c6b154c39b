//! Spreads the packets of a frame over a part of the frame interval, in small bursts.
//!
//! A frame handed to the kernel at once arrives at the narrowest link as one burst and overflows its queue. Spread too
//! far, its last packet arrives late. The plan is a pure function of the frame's start; [`sleep`] is the only place that
//! reads the clock. Nothing spins: a wait too short for the scheduler is skipped.

use std::time::{Duration, Instant};

/// How frames are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaceConfig {
    /// Part of the frame interval over which a frame's bursts are spread, 0–1; default 0.25. 0 turns pacing off. A higher
    /// value is gentler to the network and delays the end of large frames by as much.
    pub spread: f64,
    /// Packets handed over at once, at least 1; default 16. Frames of up to this many packets are never delayed.
    pub burst: usize,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { spread: 0.25, burst: 16 }
    }
}

/// Shortest wait worth a sleep: the scheduler's own slack is about 60 µs.
const SHORTEST_SLEEP: Duration = Duration::from_micros(150);

impl PaceConfig {
    /// The plan for a frame of `packets` that starts at `start`.
    pub fn plan(&self, start: Instant, interval: Duration, packets: usize) -> PacePlan {
        let burst = self.burst.max(1);
        let bursts = packets.div_ceil(burst).max(1) as u32;
        let step = interval.mul_f64(self.spread.clamp(0.0, 1.0)) / bursts;
        PacePlan { start, step, burst }
    }
}

/// When each burst of one frame is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacePlan {
    start: Instant,
    step: Duration,
    burst: usize,
}

impl PacePlan {
    /// Packets of a burst.
    pub fn burst(&self) -> usize {
        self.burst
    }

    /// How long to wait at `now` before burst `index`. Zero when it is due, or nearly so: lateness is not made longer.
    pub fn wait(&self, index: usize, now: Instant) -> Duration {
        let due = self.start + self.step * u32::try_from(index).unwrap_or(u32::MAX);
        Some(due.saturating_duration_since(now)).filter(|&wait| wait >= SHORTEST_SLEEP).unwrap_or_default()
    }
}

/// Sleeps for `wait` and returns how long that took, which is what a stage reports as waiting on purpose. A zero wait
/// reads no clock.
pub fn sleep(wait: Duration) -> Duration {
    if wait.is_zero() {
        return Duration::ZERO;
    }
    let from = Instant::now();
    std::thread::sleep(wait);
    from.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(16);

    #[test]
    fn a_small_frame_waits_for_nothing() {
        let now = Instant::now();
        assert_eq!(PaceConfig::default().plan(now, INTERVAL, 16).wait(0, now), Duration::ZERO);
    }

    #[test]
    fn a_large_frame_is_spread_evenly_over_its_part_of_the_interval() {
        let (pace, now) = (PaceConfig { spread: 0.5, burst: 10 }, Instant::now());
        let plan = pace.plan(now, INTERVAL, 80);
        let waits: Vec<_> = (0..8).map(|burst| plan.wait(burst, now).as_millis()).collect();
        assert_eq!(waits, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_late_burst_does_not_wait() {
        let now = Instant::now();
        let plan = PaceConfig { spread: 1.0, burst: 1 }.plan(now, INTERVAL, 16);
        assert_eq!(plan.wait(3, now + Duration::from_millis(5)), Duration::ZERO);
        assert_eq!(plan.wait(6, now + Duration::from_millis(5)), Duration::from_millis(1));
    }

    #[test]
    fn odd_settings_neither_panic_nor_wait_for_ever() {
        let now = Instant::now();
        for spread in [f64::NAN, -1.0, 0.0, 7.0] {
            let plan =
                PaceConfig { spread: if spread.is_nan() { 0.0 } else { spread }, burst: 0 }.plan(now, INTERVAL, 1000);
            assert!(plan.wait(1000, now) <= INTERVAL);
        }
    }

    #[test]
    fn no_wait_takes_no_time() {
        assert_eq!(sleep(Duration::ZERO), Duration::ZERO);
    }
}
