//! How this path sends a frame: packets, parity, sealing, pacing, the kernel.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use punktfunk_media::DelayStage;
use punktfunk_net::paced::{PacedFrame, PacedSender};
use punktfunk_pipeline::{EndReason, HoldUps, OutgoingFrame, StreamControl, Transmit};
use punktfunk_stats::{Counter, DropReason, FrameInfo, SessionCounters};

use crate::packet::FrameHeader;
use crate::packetize::{FramePackets, PacketizeError, Packetizer};
use crate::stream::SEND;

/// Where the client is and whether it is there: what the session thread tells the send thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Whereabouts(Arc<State>);

#[derive(Debug, Default)]
struct State {
    client: Mutex<Option<SocketAddr>>,
    /// The client is silent: frames would go nowhere.
    stalled: AtomicBool,
}

impl Whereabouts {
    /// The client is here now. It may move: the newest genuine contact counts.
    pub(super) fn set_client(&self, address: SocketAddr) {
        *self.0.client.lock() = Some(address);
    }

    /// Says whether the client is silent; returns what was said before.
    pub(super) fn set_stalled(&self, stalled: bool) -> bool {
        // Relaxed: a fact on its own.
        self.0.stalled.swap(stalled, Ordering::Relaxed)
    }

    fn client(&self) -> Option<SocketAddr> {
        if self.0.stalled.load(Ordering::Relaxed) { None } else { *self.0.client.lock() }
    }
}

pub(super) struct Transmitter {
    pub(super) control: StreamControl,
    pub(super) whereabouts: Whereabouts,
    pub(super) packetizer: Packetizer,
    pub(super) sender: PacedSender,
    pub(super) hold_ups: HoldUps,
    pub(super) counters: SessionCounters,
}

impl Transmit for Transmitter {
    fn is_ready(&self) -> bool {
        self.whereabouts.client().is_some()
    }

    fn transmit(&mut self, frame: &mut OutgoingFrame) -> Result<FrameInfo, DropReason> {
        frame.trace.enter(SEND);
        let client = self.whereabouts.client().ok_or(DropReason::Stale)?;
        self.hold_ups.hold_up(DelayStage::Packetizer, frame.number);
        let header = FrameHeader {
            number: frame.number,
            captured_us: u64::try_from(frame.since_start.as_micros()).unwrap_or(u64::MAX),
            idr: frame.encoded.idr,
            repeat: frame.repeat,
        };
        self.hold_ups.hold_up(DelayStage::Sender, frame.number);
        let packets = match self.packetizer.packetize(header, &frame.encoded.data) {
            Ok(packets) => packets,
            Err(error) => {
                tracing::warn!(%error, frame = frame.number, "a frame could not be sent");
                if matches!(error, PacketizeError::Key(_)) {
                    self.control.end(EndReason::KeyExhausted);
                }
                return Err(DropReason::SendFailed);
            }
        };
        let whole = PacedFrame { datagrams: packets.datagrams, size: packets.size, spare: packets.spare };
        let outcome = self.sender.send(client, whole);
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

fn frame_info(frame: &OutgoingFrame, packets: &FramePackets<'_>, refused: usize) -> FrameInfo {
    // A frame has at most 4 MiB and a few thousand packets: everything fits.
    let small = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    FrameInfo {
        number: frame.number,
        media_bytes: small(packets.layout.frame_bytes()),
        fec_bytes: small(packets.fec_bytes()),
        overhead_bytes: small(packets.overhead_bytes()),
        packets: small(packets.count() - refused),
        idr: frame.encoded.idr,
        repeat: frame.repeat,
    }
}
