//! The hot path: the gate that says whether a frame is measured, and the stamps that travel with it.
//!
//! Nothing here allocates, locks, formats or fails. While nothing is armed, a frame costs one relaxed load and a branch,
//! and no clock is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::MAX_STAGES;

/// Lowest bit of a gate word: frames are measured for the performance log, armed or not. The bits above it are the
/// capture generation, 0 while disarmed.
pub(crate) const PERF_BIT: u64 = 1;

/// What a session's threads and the collector share about the gate.
///
/// On cache lines of its own: the capture thread loads `word` once a frame, and nothing else may make that load miss.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct GateState {
    /// `generation << 1 | perf`; 0 means that nothing is measured.
    pub(crate) word: AtomicU64,
    /// `low 32 bits of the generation << 32 | frames begun under it`, written by the capture thread alone.
    pub(crate) begun: AtomicU64,
}

impl GateState {
    /// Frames begun under `generation` so far.
    pub(crate) fn begun_under(&self, generation: u64) -> u64 {
        // Relaxed: a count for a report; nothing is published through it.
        let begun = self.begun.load(Ordering::Relaxed);
        if begun >> 32 == generation & u64::from(u32::MAX) { begun & u64::from(u32::MAX) } else { 0 }
    }
}

/// The capture thread's end of a session: says, once a frame, whether that frame is measured.
#[derive(Debug)]
pub struct FrameGate {
    pub(crate) state: Arc<GateState>,
}

impl FrameGate {
    /// Whether frames are measured at this moment: by an armed capture, or for the performance log.
    #[inline]
    pub fn is_measuring(&self) -> bool {
        // Relaxed: the generation in the trace, not the order of this load, decides where a frame belongs.
        self.state.word.load(Ordering::Relaxed) != 0
    }

    /// Begins a frame now. Reads the clock only if the frame is measured.
    #[inline]
    pub fn begin(&mut self) -> FrameTrace {
        let word = self.state.word.load(Ordering::Relaxed);
        if word == 0 { FrameTrace { stamps: None } } else { self.begin_measured(word, Instant::now()) }
    }

    /// Begins a frame that was due at `due`: the first stage's clock starts there, so that a late wake-up counts.
    #[inline]
    pub fn begin_at(&mut self, due: Instant) -> FrameTrace {
        let word = self.state.word.load(Ordering::Relaxed);
        if word == 0 { FrameTrace { stamps: None } } else { self.begin_measured(word, due) }
    }

    /// Out of line, so that the disarmed loop keeps its registers.
    #[inline(never)]
    fn begin_measured(&mut self, word: u64, start: Instant) -> FrameTrace {
        let generation = (word >> 1) & u64::from(u32::MAX);
        let previous = self.state.begun.load(Ordering::Relaxed);
        let count = if previous >> 32 == generation { (previous & u64::from(u32::MAX)) + 1 } else { 1 };
        // A plain store: this thread is the only writer. Relaxed: read for a report only.
        self.state.begun.store(generation << 32 | count, Ordering::Relaxed);
        FrameTrace {
            stamps: Some(Stamps {
                word,
                start,
                entered: [start; MAX_STAGES],
                left: [start; MAX_STAGES],
                seen: 0,
                pace: Duration::ZERO,
            }),
        }
    }
}

/// The stamps of one frame. It travels with the frame from thread to thread and does nothing when the frame is not
/// measured.
///
/// Stages are named by their index in the session's [`StageSet`](crate::StageSet). The first stage begins when the frame
/// does. A stage that was never left has no duration for this frame: absent, not zero.
#[derive(Debug, Clone, Copy)]
pub struct FrameTrace {
    pub(crate) stamps: Option<Stamps>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamps {
    pub(crate) word: u64,
    pub(crate) start: Instant,
    pub(crate) entered: [Instant; MAX_STAGES],
    pub(crate) left: [Instant; MAX_STAGES],
    /// Bit `i`: stage `i` was left.
    pub(crate) seen: u8,
    pub(crate) pace: Duration,
}

impl FrameTrace {
    /// A trace that measures nothing, for frames that come from no gate.
    pub const UNMEASURED: Self = Self { stamps: None };

    /// Whether this frame is measured.
    #[inline]
    pub fn is_measured(&self) -> bool {
        self.stamps.is_some()
    }

    /// The frame enters `stage` now. For stage 0 this does nothing: it began with the frame.
    #[inline]
    pub fn enter(&mut self, stage: usize) {
        if self.stamps.is_some() {
            self.enter_at(stage, Instant::now());
        }
    }

    /// The frame enters `stage` at `now`.
    #[inline]
    pub fn enter_at(&mut self, stage: usize, now: Instant) {
        if let Some(stamps) = &mut self.stamps
            && stage != 0
            && let Some(entered) = stamps.entered.get_mut(stage)
        {
            *entered = now;
        }
    }

    /// The frame leaves `stage` now.
    #[inline]
    pub fn leave(&mut self, stage: usize) {
        if self.stamps.is_some() {
            self.leave_at(stage, Instant::now());
        }
    }

    /// The frame leaves `stage` at `now`.
    #[inline]
    pub fn leave_at(&mut self, stage: usize, now: Instant) {
        if let Some(stamps) = &mut self.stamps
            && let Some(left) = stamps.left.get_mut(stage)
        {
            *left = now;
            stamps.seen |= 1 << stage;
        }
    }

    /// The frame leaves `stage` and enters the next one on the same thread: one clock read for both.
    #[inline]
    pub fn advance(&mut self, stage: usize) {
        if self.stamps.is_some() {
            let now = Instant::now();
            self.leave_at(stage, now);
            self.enter_at(stage + 1, now);
        }
    }

    /// Adds time that the last stage waited on purpose, to spread packets. It stays part of that stage and is reported
    /// apart, so that it is never blamed.
    #[inline]
    pub fn add_pace(&mut self, waited: Duration) {
        if let Some(stamps) = &mut self.stamps {
            stamps.pace += waited;
        }
    }
}
