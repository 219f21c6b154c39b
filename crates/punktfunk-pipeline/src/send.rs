//! The send thread: keeps the reference chain, lets the path transmit, writes the frame's record.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use punktfunk_media::{DelayStage, EncodedFrame};
use punktfunk_stats::{Counter, DropReason, FrameInfo, FrameSink, FrameTrace, SessionCounters};

use crate::control::StreamControl;
use crate::delays::HoldUps;
use crate::policy::ReferenceChain;

/// Number of a stream's first encoded frame.
pub const FIRST_FRAME: u64 = 1;

/// An encoded frame on its way to the network.
#[derive(Debug)]
pub struct OutgoingFrame {
    /// The access unit.
    pub encoded: EncodedFrame,
    /// The frame's stamps. The path enters and leaves its own stages.
    pub trace: FrameTrace,
    /// Counts encoded frames from [`FIRST_FRAME`].
    pub number: u64,
    /// Whether it shows the same picture as the frame before.
    pub repeat: bool,
    /// When the picture was due: where its first stage begins.
    pub due: Instant,
    /// The same, counted from the stream's beginning.
    pub since_start: Duration,
}

/// What a path does with encoded frames: packets, protection, the network. Runs on a thread of its own.
pub trait Transmit: Send + 'static {
    /// Whether anybody is there to send to. Frames that come meanwhile are dropped as stale.
    fn is_ready(&self) -> bool;

    /// Sends a frame and stamps the path's stages behind `encode` on its trace, the last one left when this returns. What
    /// is returned is recorded.
    ///
    /// # Errors
    /// Why the client will not get this frame. An IDR is asked for then, and frames before it are not sent.
    fn transmit(&mut self, frame: &mut OutgoingFrame) -> Result<FrameInfo, DropReason>;
}

pub(crate) struct SendLoop<T> {
    pub(crate) control: StreamControl,
    pub(crate) transmit: T,
    pub(crate) hold_ups: HoldUps,
    pub(crate) chain: ReferenceChain,
    pub(crate) sink: FrameSink,
    pub(crate) counters: SessionCounters,
    pub(crate) frames: Receiver<OutgoingFrame>,
    pub(crate) room: Sender<EncodedFrame>,
}

impl<T: Transmit> SendLoop<T> {
    pub(crate) fn run(mut self) {
        while let Ok(mut frame) = self.frames.recv() {
            match self.frame(&mut frame) {
                Ok(info) => self.sink.record(&frame.trace, info),
                Err(reason) => self.dropped(&frame, reason),
            }
            if self.control.is_over() || self.room.send(frame.encoded).is_err() {
                return;
            }
        }
    }

    fn frame(&mut self, frame: &mut OutgoingFrame) -> Result<FrameInfo, DropReason> {
        self.hold_ups.hold_up(DelayStage::Queue, frame.number);
        if !self.transmit.is_ready() || !self.chain.admits(frame.encoded.idr) {
            return Err(DropReason::Stale);
        }
        self.transmit.transmit(frame)
    }

    fn dropped(&mut self, frame: &OutgoingFrame, reason: DropReason) {
        self.counters.drop_frame(&frame.trace, reason);
        if !self.chain.is_broken() || reason == DropReason::SendFailed {
            self.chain.break_off();
            self.counters.add(Counter::IdrRequests, 1);
        }
        self.control.ask_idr();
    }
}
