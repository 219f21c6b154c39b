//! When frames are due. A pure schedule: the capture thread sleeps by it.

use std::time::{Duration, Instant};

/// The schedule `due(k) = start + k / fps`. Ticks that were missed are skipped, the phase is kept.
#[derive(Debug, Clone)]
pub(crate) struct FrameClock {
    start: Instant,
    fps: u32,
    tick: u64,
}

impl FrameClock {
    /// A schedule whose first frame is due at `start`. `fps` of 0 counts as 1.
    pub(crate) fn new(start: Instant, fps: u32) -> Self {
        Self { start, fps: fps.max(1), tick: 0 }
    }

    /// When the next frame is due.
    pub(crate) fn due(&self) -> Instant {
        self.start + self.since_start()
    }

    /// When the next frame is due, since the start.
    pub(crate) fn since_start(&self) -> Duration {
        let (seconds, rest) = (self.tick / u64::from(self.fps), self.tick % u64::from(self.fps));
        Duration::from_secs(seconds) + Duration::from_nanos(rest * 1_000_000_000 / u64::from(self.fps))
    }

    /// Moves on to the next frame after one was captured by `now`, and returns how many ticks were skipped: those whose
    /// whole interval has passed already. A frame that is merely late is taken at once.
    pub(crate) fn advance(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start);
        let current = elapsed.as_nanos() * u128::from(self.fps) / 1_000_000_000;
        let next = self.tick + 1;
        self.tick = next.max(u64::try_from(current).unwrap_or(u64::MAX));
        self.tick - next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn ticks_do_not_drift() {
        let start = Instant::now();
        let mut clock = FrameClock::new(start, 60);
        for _ in 0..60 * 3600 {
            let due = clock.due();
            assert_eq!(clock.advance(due), 0);
        }
        assert_eq!(clock.due(), start + Duration::from_secs(3600));
    }

    #[test]
    fn a_late_capture_skips_what_it_missed_and_keeps_the_phase() {
        let start = Instant::now();
        let mut clock = FrameClock::new(start, 100);
        assert_eq!(clock.advance(start + 3 * MS), 0);
        assert_eq!(clock.due(), start + 10 * MS);
        assert_eq!(clock.advance(start + 57 * MS), 3, "20, 30 and 40 ms are gone; 50 ms is late but its own");
        assert_eq!(clock.due(), start + 50 * MS);
        assert_eq!(clock.advance(start + 58 * MS), 0);
        assert_eq!(clock.due(), start + 60 * MS);
    }

    #[test]
    fn a_frame_rate_of_zero_is_survived() {
        let start = Instant::now();
        let mut clock = FrameClock::new(start, 0);
        clock.advance(start);
        assert_eq!(clock.due(), start + Duration::from_secs(1));
    }
}
