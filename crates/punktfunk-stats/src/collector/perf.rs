//! The performance log: one line a window and session, whether or not a capture is armed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::window::distribution;
use crate::session::{FrameRecord, SessionShared};

/// Windows of the log; they have nothing to do with those of a capture.
const WINDOW: Duration = Duration::from_secs(1);

/// Frames that one line stands on at the most; a faster loop is described by the first of them.
const FRAMES_PER_WINDOW: usize = 4096;

/// The open window of one session's log.
pub(super) struct PerfLog {
    session: Arc<SessionShared>,
    ends: Instant,
    frames: Vec<FrameRecord>,
}

impl PerfLog {
    pub(super) fn new(session: &Arc<SessionShared>, now: Instant) -> Self {
        Self { session: Arc::clone(session), ends: now + WINDOW, frames: Vec::new() }
    }

    pub(super) fn record(&mut self, record: &FrameRecord) {
        if self.frames.len() < FRAMES_PER_WINDOW {
            self.frames.push(*record);
        }
    }

    /// Writes the line of each window that has ended; a window without frames has none.
    pub(super) fn close_window(&mut self, now: Instant) {
        if now < self.ends {
            return;
        }
        while self.ends <= now {
            self.ends += WINDOW;
        }
        if !self.frames.is_empty() {
            let stages = self.figures();
            tracing::info!(session = %self.session.id, frames = self.frames.len(), "perf {stages}");
            self.frames.clear();
        }
    }

    /// `capture p50/p99 0.31/0.52 ms, …`, in the order of the stages.
    fn figures(&self) -> String {
        let mut line = String::new();
        for (i, stage) in self.session.spec.stages.as_slice().iter().enumerate() {
            let passed = self.frames.iter().filter(|frame| frame.stamps.seen & 1 << i != 0);
            let mut times: Vec<u64> = passed
                .map(|frame| {
                    super::attribution::nanos(frame.stamps.left[i].saturating_duration_since(frame.stamps.entered[i]))
                })
                .collect();
            if let Some(stats) = distribution(&mut times) {
                let separator = if line.is_empty() { "" } else { ", " };
                // Writing to a String cannot fail.
                write!(line, "{separator}{} p50/p99 {:.2}/{:.2} ms", stage.name, ms(stats.p50_ns), ms(stats.p99_ns))
                    .ok();
            }
        }
        line
    }
}

fn ms(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64() * 1e3
}
