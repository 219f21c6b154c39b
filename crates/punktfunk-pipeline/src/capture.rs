//! The capture thread: owns the schedule, fills pooled pictures, leaves the newest in the mailbox.

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use punktfunk_media::{FrameOrigin, FrameSource, RawFrame};
use punktfunk_stats::{DropReason, FrameGate, FrameTrace, SessionCounters};

use crate::clock::FrameClock;
use crate::control::{EndReason, Picture, StreamControl};
use crate::mailbox::Put;
use crate::policy::KeepAlive;

/// Raw pictures of a stream: one being captured, one in the mailbox, one at the encoder.
pub(crate) const RAW_FRAMES: usize = 3;

pub(crate) struct Capture {
    pub(crate) control: StreamControl,
    /// Index of the path's `capture`.
    pub(crate) stage: usize,
    pub(crate) source: Box<dyn FrameSource>,
    pub(crate) gate: FrameGate,
    pub(crate) counters: SessionCounters,
    /// Pictures that the encoder has read.
    pub(crate) back: Receiver<RawFrame>,
    /// When the stream begins.
    pub(crate) go: Receiver<Instant>,
    pub(crate) fps: u32,
    pub(crate) repeat_every: Duration,
}

impl Capture {
    pub(crate) fn run(mut self) {
        let Ok(start) = self.go.recv() else { return };
        let mut clock = FrameClock::new(start, self.fps);
        let mut keep_alive = KeepAlive::new(self.repeat_every);
        let mut spare: Vec<RawFrame> = (0..RAW_FRAMES).map(|_| RawFrame::default()).collect();
        loop {
            std::thread::sleep(clock.due().saturating_duration_since(Instant::now()));
            if self.control.is_over() {
                return;
            }
            spare.extend(self.back.try_iter());
            let mut raw = spare.pop().expect("of three pictures one is in the mailbox and one at the encoder at most");
            // The gate is asked before and after, so that a frame that was captured before the gate opened is not measured.
            let measuring = self.gate.is_measuring();
            let origin = self.source.capture(&mut raw);
            let repeat = matches!(origin, Ok(FrameOrigin::Repeat));
            if !keep_alive.admits(clock.due(), repeat, self.control.idr_wanted()) {
                spare.push(raw);
                clock.advance(Instant::now());
                continue;
            }
            let mut trace = if measuring { self.gate.begin_at(clock.due()) } else { FrameTrace::UNMEASURED };
            trace.leave(self.stage);
            if let Err(error) = origin {
                self.counters.drop_frame(&trace, DropReason::CaptureFailed);
                self.control.end(EndReason::SourceFailed(error.to_string()));
                return;
            }
            let picture = Picture { raw, trace, repeat, due: clock.due(), since_start: clock.since_start() };
            // A repeat of a picture that nobody took is that picture, not a repeat of what the client has.
            match self.control.mailbox().put(picture, |older, newer| newer.repeat &= older.repeat) {
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
