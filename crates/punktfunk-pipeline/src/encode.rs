//! The encode thread: waits for room behind it, takes the newest picture, encodes it, numbers the result.

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use punktfunk_media::{EncodeError, EncodedFrame, Encoder, RawFrame};
use punktfunk_stats::{DropReason, FrameTrace, SessionCounters};

use crate::control::{EndReason, Picture, StreamControl};
use crate::pipeline::PathStages;
use crate::send::{FIRST_FRAME, OutgoingFrame};

/// Failures in a row after which the encoder is given up: half a second at 60 frames a second.
const MAX_FAILURES: u32 = 30;

pub(crate) struct Encode {
    pub(crate) control: StreamControl,
    pub(crate) stages: PathStages,
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) counters: SessionCounters,
    /// Where pictures go that have been read.
    pub(crate) raw_back: Sender<RawFrame>,
    /// Free buffers. Holding one is the right to one place in the queue to the sender.
    pub(crate) room: Receiver<EncodedFrame>,
    pub(crate) frames: Sender<OutgoingFrame>,
}

impl Encode {
    pub(crate) fn run(mut self) {
        let (mut number, mut failures) = (FIRST_FRAME, 0);
        let mut room = None;
        loop {
            // Room first, picture second: while the sender is behind, the mailbox keeps getting newer.
            let Some(mut encoded) = room.take().or_else(|| self.room.recv().ok()) else { return };
            let Some(picture) = self.control.mailbox().take() else { return };
            let (repeat, due, since_start) = (picture.repeat, picture.due, picture.since_start);
            let (trace, result) = self.encode(picture, &mut encoded);
            match result {
                Ok(true) => {
                    let frame = OutgoingFrame { encoded, trace, number, repeat, due, since_start };
                    if self.frames.send(frame).is_err() {
                        return;
                    }
                    (number, failures) = (number + 1, 0);
                    continue;
                }
                Ok(false) => {}
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "a picture could not be encoded");
                    if failures >= MAX_FAILURES {
                        self.control.end(EndReason::EncoderFailed(error.to_string()));
                        return;
                    }
                }
            }
            self.counters.drop_frame(&trace, DropReason::EncodeFailed);
            room = Some(encoded);
        }
    }

    fn encode(&mut self, picture: Picture, encoded: &mut EncodedFrame) -> (FrameTrace, Result<bool, EncodeError>) {
        let Picture { raw, mut trace, .. } = picture;
        if let Some(bps) = self.control.take_bitrate()
            && let Err(error) = self.encoder.set_bitrate(bps)
        {
            tracing::warn!(%error, bps, "the encoder kept its bit rate");
        }
        let idr = self.control.grant_idr(Instant::now());
        if idr {
            self.encoder.request_idr();
        }
        let PathStages { convert, encode, .. } = self.stages;
        trace.enter(convert.unwrap_or(encode));
        let submitted = self.encoder.submit(&raw);
        if let Some(convert) = convert {
            trace.advance(convert);
        }
        if self.raw_back.try_send(raw).is_err() {
            tracing::trace!("the capture thread is gone; a picture's buffer goes with it");
        }
        let result = submitted.and_then(|()| self.encoder.encode(encoded));
        trace.leave(encode);
        if idr && !matches!(result, Ok(true)) {
            self.control.ask_idr();
        }
        (trace, result)
    }
}
