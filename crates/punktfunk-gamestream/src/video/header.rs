//! The headers of a datagram and the prefix of a frame, byte by byte.
//!
//! | offset | bytes | | |
//! |---|---|---|---|
//! | 0 | 1 | RTP | `0x90`: version 2, with an extension |
//! | 1 | 1 | | 0 |
//! | 2 | 2 | big-endian | sequence number |
//! | 4 | 4 | big-endian | 90 kHz clock |
//! | 8 | 8 | | 0: source, extension |
//! | 16 | 4 | NV, little-endian | sequence number, in the upper 24 bits |
//! | 20 | 4 | | frame, from 1, one more for each |
//! | 24 | 1 | | flags: 1 picture, 2 last, 4 first data packet of its block |
//! | 25 | 1 | | 0 |
//! | 26 | 1 | | `0x10`: several blocks are understood |
//! | 27 | 1 | | block, from bit 4; last block, from bit 6 |
//! | 28 | 4 | | percentage of parity, from bit 4; shard, from bit 12; data shards, from bit 22 |
//!
//! What the client cannot know of a lost packet is under parity as it is sent: the sequence number and the flags. The rest
//! is filled in after encoding, on parity shards too; the client fills it in itself for what it repairs.

use std::time::Duration;

/// Bytes of the RTP header, its extension and the NV header.
pub(crate) const HEADER_BYTES: usize = 32;

/// Where the NV header begins. It counts to the packet size that a client asks for; what is before it does not.
const NV: usize = 16;

/// Bytes before the access unit.
pub(crate) const PREFIX_BYTES: usize = 8;

/// Smallest packet size that is granted: below it, a frame of a usual size would have too many packets to be protected.
pub const MIN_PACKET_SIZE: usize = 256;

/// Largest packet size that is granted; larger ones would be cut again on any usual network.
pub const MAX_PACKET_SIZE: usize = 2000;

const PICTURE: u8 = 1;
const LAST: u8 = 2;
const FIRST: u8 = 4;

/// A packet size that cannot be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packet size of {0} bytes is out of range: it must be from {MIN_PACKET_SIZE} to {MAX_PACKET_SIZE}")]
pub struct PacketSizeError(pub usize);

/// The packet size as a client announces it: the NV header and the payload. A client that wants video encrypted has taken
/// the sealing prefix off it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketSize(usize);

impl PacketSize {
    /// Checks what a client announced.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn new(bytes: usize) -> Result<Self, PacketSizeError> {
        if (MIN_PACKET_SIZE..=MAX_PACKET_SIZE).contains(&bytes) { Ok(Self(bytes)) } else { Err(PacketSizeError(bytes)) }
    }

    /// Bytes of a shard: a datagram without its sealing prefix.
    pub fn shard_bytes(self) -> usize {
        NV + self.0
    }

    /// Bytes of a frame in each packet.
    pub fn payload_bytes(self) -> usize {
        self.shard_bytes() - HEADER_BYTES
    }
}

/// How a client has to decode a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// From the frame before it.
    Predicted,
    /// On its own.
    Idr,
}

/// Writes what stands before the access unit. `latency` is from the start of the capture to here; `last_payload` are the
/// bytes in use of the frame's last packet.
pub(crate) fn write_prefix(out: &mut [u8; PREFIX_BYTES], kind: FrameKind, latency: Duration, last_payload: u16) {
    let tenths = u16::try_from((latency.as_micros() + 50) / 100).unwrap_or(u16::MAX).to_le_bytes();
    let kind = match kind {
        FrameKind::Predicted => 1,
        FrameKind::Idr => 2,
    };
    let last = last_payload.to_le_bytes();
    *out = [1, tenths[0], tenths[1], kind, last[0], last[1], 0, 0];
}

/// Where a data packet stands in its block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// Writes what is under parity as it is sent; everything else of the header is 0.
pub(crate) fn write_protected(shard: &mut [u8], sequence: u32, place: Place) {
    shard[..HEADER_BYTES].fill(0);
    shard[NV..NV + 4].copy_from_slice(&(sequence << 8).to_le_bytes());
    shard[NV + 8] = PICTURE | if place.first { FIRST } else { 0 } | if place.last { LAST } else { 0 };
    shard[NV + 10] = 0x10;
}

/// What the shards of a block share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockHead {
    pub(crate) timestamp: u32,
    pub(crate) frame: u32,
    /// Below 4.
    pub(crate) block: usize,
    /// From 1 to 4.
    pub(crate) blocks: usize,
    pub(crate) data: usize,
    pub(crate) percent: u32,
}

/// Fills in the rest, on data and parity.
pub(crate) fn write_after_parity(shard: &mut [u8], head: &BlockHead, index: usize, sequence: u32) {
    shard[0] = 0x90;
    shard[1] = 0;
    // The lower half: RTP counts in 16 bits.
    shard[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
    shard[4..8].copy_from_slice(&head.timestamp.to_be_bytes());
    shard[8..NV].fill(0);
    shard[NV + 4..NV + 8].copy_from_slice(&head.frame.to_le_bytes());
    // Two bits each.
    shard[NV + 11] = ((head.block << 4) | ((head.blocks - 1) << 6)) as u8;
    // Ten bits each, as the cut of the frame sees to.
    let info = (index as u32) << 12 | (head.data as u32) << 22 | head.percent << 4;
    shard[NV + 12..NV + 16].copy_from_slice(&info.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_packet_has_the_bytes_of_the_wire() {
        let mut shard = [0xee; 40];
        write_protected(&mut shard, 0x0102_0304, Place { first: true, last: false });
        let head = BlockHead { timestamp: 0x1122_3344, frame: 7, block: 1, blocks: 3, data: 33, percent: 20 };
        write_after_parity(&mut shard, &head, 5, 0x0102_0304);
        let rtp = [0x90, 0, 3, 4, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0, 0, 0, 0];
        let info: u32 = 33 << 22 | 5 << 12 | 20 << 4;
        let nv = [&[0, 4, 3, 2, 7, 0, 0, 0, 5, 0, 0x10, 0x90][..], &info.to_le_bytes()].concat();
        assert_eq!(shard[..16], rtp);
        assert_eq!(shard[16..32], nv);
        assert_eq!(shard[32..], [0xee; 8], "the payload is left alone");
    }

    #[test]
    fn the_prefix_has_the_bytes_of_the_wire() {
        let mut out = [0; PREFIX_BYTES];
        write_prefix(&mut out, FrameKind::Idr, Duration::from_micros(25_749), 0x0304);
        assert_eq!(out, [1, 1, 1, 2, 4, 3, 0, 0], "257 tenths of a millisecond");
        write_prefix(&mut out, FrameKind::Predicted, Duration::from_secs(60), 1);
        assert_eq!(out, [1, 0xff, 0xff, 1, 1, 0, 0, 0], "more than the field holds");
    }

    #[test]
    fn packet_sizes_out_of_range_are_refused() {
        for bytes in [0, 255, 2001, usize::MAX] {
            assert_eq!(PacketSize::new(bytes), Err(PacketSizeError(bytes)));
        }
        let size = PacketSize::new(1392).unwrap();
        assert_eq!((size.shard_bytes(), size.payload_bytes()), (1408, 1376));
    }
}
