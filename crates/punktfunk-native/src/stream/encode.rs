//! The encode thread: waits for room behind it, takes the newest picture, encodes it, numbers the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use punktfunk_media::{EncodeError, EncodedFrame, Encoder, RawFrame};
use punktfunk_stats::{DropReason, FrameTrace, SessionCounters};

use crate::packet::FIRST_FRAME;
use crate::stream::shared::{EndReason, Picture, Shared};
use crate::stream::{ENCODE, SUBMIT};

/// Failures in a row after which the encoder is given up: half a second at 60 frames a second.
const MAX_FAILURES: u32 = 30;

/// An encoded frame on its way to the network.
pub(super) struct Job {
    pub(super) encoded: EncodedFrame,
    pub(super) trace: FrameTrace,
    pub(super) number: u64,
    pub(super) repeat: bool,
    pub(super) due: Duration,
}

pub(super) struct Encode {
    pub(super) shared: Arc<Shared>,
    pub(super) encoder: Box<dyn Encoder>,
    pub(super) counters: SessionCounters,
    /// Where pictures go that have been read.
    pub(super) raw_back: Sender<RawFrame>,
    /// Free buffers. Holding one is the right to one place in the queue to the sender.
    pub(super) room: Receiver<EncodedFrame>,
    pub(super) jobs: Sender<Job>,
}

impl Encode {
    pub(super) fn run(mut self) {
        let (mut number, mut failures) = (FIRST_FRAME, 0);
        let mut room = None;
        loop {
            // Room first, picture second: while the sender is behind, the mailbox keeps getting newer.
            let Some(mut encoded) = room.take().or_else(|| self.room.recv().ok()) else { return };
            let Some(picture) = self.shared.mailbox.take() else { return };
            let (repeat, due) = (picture.repeat, picture.due);
            let (trace, result) = self.encode(picture, &mut encoded);
            match result {
                Ok(true) => {
                    if self.jobs.send(Job { encoded, trace, number, repeat, due }).is_err() {
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
                        self.shared.end(EndReason::EncoderFailed(error.to_string()));
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
        if let Some(bps) = self.shared.take_bitrate()
            && let Err(error) = self.encoder.set_bitrate(bps)
        {
            tracing::warn!(%error, bps, "the encoder kept its bit rate");
        }
        let idr = self.shared.grant_idr(Instant::now());
        if idr {
            self.encoder.request_idr();
        }
        trace.enter(SUBMIT);
        let submitted = self.encoder.submit(&raw);
        trace.advance(SUBMIT);
        if self.raw_back.try_send(raw).is_err() {
            tracing::trace!("the capture thread is gone; a picture's buffer goes with it");
        }
        let result = submitted.and_then(|()| self.encoder.encode(encoded));
        trace.leave(ENCODE);
        if idr && !matches!(result, Ok(true)) {
            self.shared.ask_idr();
        }
        (trace, result)
    }
}
