//! The capture thread: owns the schedule, fills pooled pictures, leaves the newest in the mailbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use punktfunk_media::{FrameOrigin, FrameSource, RawFrame};
use punktfunk_stats::{DropReason, FrameGate, FrameTrace, SessionCounters};

use crate::stream::CAPTURE;
use crate::stream::clock::FrameClock;
use crate::stream::mailbox::Put;
use crate::stream::policy::KeepAlive;
use crate::stream::shared::{EndReason, Picture, Shared};

/// Raw pictures of a stream: one being captured, one in the mailbox, one at the encoder.
pub(super) const RAW_FRAMES: usize = 3;

pub(super) struct Capture {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Box<dyn FrameSource>,
    pub(super) gate: FrameGate,
    pub(super) counters: SessionCounters,
    /// Pictures that the encoder has read.
    pub(super) back: Receiver<RawFrame>,
    /// When the stream begins: the client's first contact.
    pub(super) go: Receiver<Instant>,
    pub(super) fps: u32,
    pub(super) repeat_every: Duration,
}

impl Capture {
    pub(super) fn run(mut self) {
        let Ok(start) = self.go.recv() else { return };
        let mut clock = FrameClock::new(start, self.fps);
        let mut keep_alive = KeepAlive::new(self.repeat_every);
        let mut spare: Vec<RawFrame> = (0..RAW_FRAMES).map(|_| RawFrame::default()).collect();
        loop {
            std::thread::sleep(clock.due().saturating_duration_since(Instant::now()));
            if self.shared.is_over() {
                return;
            }
            spare.extend(self.back.try_iter());
            let mut raw = spare.pop().expect("of three pictures one is in the mailbox and one at the encoder at most");
            // The gate is asked before and after, so that a frame that was captured before the gate opened is not measured.
            let measuring = self.gate.is_measuring();
            let origin = self.source.capture(&mut raw);
            let repeat = matches!(origin, Ok(FrameOrigin::Repeat));
            if !keep_alive.admits(clock.due(), repeat, self.shared.idr_wanted()) {
                spare.push(raw);
                clock.advance(Instant::now());
                continue;
            }
            let mut trace = if measuring { self.gate.begin_at(clock.due()) } else { FrameTrace::UNMEASURED };
            trace.leave(CAPTURE);
            if let Err(error) = origin {
                self.counters.drop_frame(&trace, DropReason::CaptureFailed);
                self.shared.end(EndReason::SourceFailed(error.to_string()));
                return;
            }
            let picture = Picture { raw, trace, repeat, due: clock.since_start() };
            // A repeat of a picture that nobody took is that picture, not a repeat of what the client has.
            match self.shared.mailbox.put(picture, |older, newer| newer.repeat &= older.repeat) {
                Put::Stored => {}
                Put::Replaced(older) => {
                    self.counters.drop_frame(&older.trace, DropReason::Replaced);
                    spare.push(older.raw);
                }
                Put::Closed(_) => return,
            }
            clock.advance(Instant::now());
        }
    }
}
