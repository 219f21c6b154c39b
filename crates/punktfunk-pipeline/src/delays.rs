//! Delays on purpose at the places that a path owns: behind the encoder.

use std::time::{Duration, Instant};

use punktfunk_media::{DelayStage, Delays};

use crate::send::FIRST_FRAME;

/// Known delays of a stream's queue, packetizer and sender. Those of source and encoder are wrappers around them.
#[derive(Debug, Clone)]
pub struct HoldUps {
    delays: Delays,
    from: Instant,
}

impl HoldUps {
    /// Holds frames up by `delays`, whose bursts are counted from `from`.
    pub fn new(delays: Delays, from: Instant) -> Self {
        Self { delays, from }
    }

    /// Sleeps as long as frame `number` is held up at `stage`. Without any delay no clock is read.
    pub fn hold_up(&self, stage: DelayStage, number: u64) {
        if self.delays.is_none() {
            return;
        }
        let delay = self.delays.delay(stage, self.from.elapsed(), number.saturating_sub(FIRST_FRAME));
        if delay > Duration::ZERO {
            std::thread::sleep(delay);
        }
    }
}
