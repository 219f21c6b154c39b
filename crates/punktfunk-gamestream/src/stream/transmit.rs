//! How this path sends a frame: packets, parity, encryption, pacing, the kernel.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use punktfunk_media::DelayStage;
use punktfunk_net::paced::{PacedFrame, PacedSender};
use punktfunk_pipeline::{HoldUps, OutgoingFrame, Transmit};
use punktfunk_stats::{Counter, DropReason, FrameInfo, SessionCounters};

use crate::stream::{PACKETIZE, SEND};
use crate::video::{FrameHead, FrameKind, Packetizer, VideoPackets};

/// What the sending thread and whoever speaks for the client tell each other.
#[derive(Debug)]
pub(super) struct Line {
    /// Where frames go.
    pub(super) peer: Mutex<SocketAddr>,
    /// The newest IDR on its way; 0 before the first. Relaxed: a fact on its own.
    pub(super) last_idr: AtomicU32,
}

pub(super) struct Transmitter {
    pub(super) packetizer: Packetizer,
    pub(super) sender: PacedSender,
    pub(super) line: Arc<Line>,
    pub(super) hold_ups: HoldUps,
    pub(super) counters: SessionCounters,
}

impl Transmit for Transmitter {
    /// The client was heard of before the stream began; whoever holds its control stream ends this when it is gone.
    fn is_ready(&self) -> bool {
        true
    }

    fn transmit(&mut self, frame: &mut OutgoingFrame) -> Result<FrameInfo, DropReason> {
        // Every frame's header says when it came here, measured or not; a measured one is stamped with the same instant.
        let here = Instant::now();
        frame.trace.enter_at(PACKETIZE, here);
        self.hold_ups.hold_up(DelayStage::Packetizer, frame.number);
        // Wraps after two years at 60 frames a second.
        let index = frame.number as u32;
        let head = FrameHead {
            index,
            kind: if frame.encoded.idr { FrameKind::Idr } else { FrameKind::Predicted },
            latency: here.saturating_duration_since(frame.due),
            since_start: frame.since_start,
        };
        let packets = self.packetizer.packetize(head, &frame.encoded.data).map_err(|error| {
            tracing::warn!(%error, frame = frame.number, "a frame could not be sent");
            DropReason::SendFailed
        })?;
        frame.trace.advance(PACKETIZE);
        self.hold_ups.hold_up(DelayStage::Sender, frame.number);
        // Before it is sent: what a client says after it arrived finds it here. If it cannot be sent, another is asked for.
        if frame.encoded.idr {
            self.line.last_idr.store(index, Ordering::Relaxed);
        }
        let peer = *self.line.peer.lock();
        let whole = PacedFrame { datagrams: packets.datagrams, size: packets.size, spare: packets.spare };
        let outcome = self.sender.send(peer, whole);
        frame.trace.add_pace(outcome.paced);
        if outcome.refused > 0 {
            self.counters.add(Counter::SendDropped, outcome.refused as u64);
        }
        if !outcome.arrived {
            return Err(DropReason::SendFailed);
        }
        frame.trace.leave(SEND);
        Ok(frame_info(frame, &packets, outcome.refused))
    }
}

fn frame_info(frame: &OutgoingFrame, packets: &VideoPackets<'_>, refused: usize) -> FrameInfo {
    // A frame has at most a few thousand packets of at most 2 KiB: everything fits.
    let small = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let media = frame.encoded.data.len();
    FrameInfo {
        number: frame.number,
        media_bytes: small(media),
        fec_bytes: small(packets.fec_bytes),
        overhead_bytes: small(packets.datagrams.len() - packets.fec_bytes - media),
        packets: small(packets.count() - refused),
        idr: frame.encoded.idr,
        repeat: frame.repeat,
    }
}
