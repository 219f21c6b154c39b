//! Cuts an access unit into datagrams: packets, parity and, where it is asked for, encryption, block by block.

use std::time::Duration;

use punktfunk_net::cauchy::{CauchyEncoder, CauchyError};
use ring::error::Unspecified;

use crate::video::cut::{FecConfig, FrameCut, FrameTooLong};
use crate::video::header::{
    BlockHead, FrameKind, HEADER_BYTES, PREFIX_BYTES, PacketSize, Place, write_after_parity, write_prefix,
    write_protected,
};
use crate::video::seal::{SEAL_BYTES, VideoKey, VideoSealer};

/// Why a frame could not be made into datagrams.
#[derive(Debug, thiserror::Error)]
pub enum PacketizeError {
    /// There is nothing to send.
    #[error("the encoder's frame is empty")]
    Empty,
    /// It is too long.
    #[error("the encoder's frame cannot be sent: {0}")]
    Length(#[from] FrameTooLong),
    /// The parity code refused its input.
    #[error("no parity: {0}")]
    Parity(#[from] CauchyError),
    /// A packet could not be encrypted.
    #[error("a packet could not be encrypted")]
    Seal(Unspecified),
}

/// What the headers of a frame say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// From 1, one more for each frame.
    pub index: u32,
    /// How it is decoded.
    pub kind: FrameKind,
    /// From the start of the capture to the start of packetizing; more than 6.5 s is said as that.
    pub latency: Duration,
    /// When it was due, since the stream began.
    pub since_start: Duration,
}

/// The datagrams of one frame, one after another in one buffer.
#[derive(Debug, Clone, Copy)]
pub struct VideoPackets<'a> {
    /// All of them.
    pub datagrams: &'a [u8],
    /// Bytes of each.
    pub size: usize,
    /// How many carry data.
    pub data: usize,
    /// How many carry parity.
    pub parity: usize,
    /// Parity of the block that has least of it: so many datagrams may go missing, whichever they are.
    pub spare: usize,
    /// Bytes of parity, with the headers that it covers.
    pub fec_bytes: usize,
}

impl VideoPackets<'_> {
    /// Datagrams in all.
    pub fn count(&self) -> usize {
        self.data + self.parity
    }
}

/// Makes the datagrams of a stream. Its buffers grow to the largest frame and stay.
#[derive(Debug)]
pub struct Packetizer {
    size: PacketSize,
    fec: FecConfig,
    parity: CauchyEncoder,
    sealer: Option<VideoSealer>,
    /// Counts packets, data and parity alike, from 0.
    sequence: u32,
    shards: Vec<u8>,
    sealed: Vec<u8>,
}

impl Packetizer {
    /// A packetizer for one stream; with a `key`, its datagrams are encrypted.
    pub fn new(size: PacketSize, fec: FecConfig, key: Option<&VideoKey>) -> Self {
        Self {
            size,
            fec,
            parity: CauchyEncoder::new(),
            sealer: key.map(VideoSealer::new),
            sequence: 0,
            shards: Vec::new(),
            sealed: Vec::new(),
        }
    }

    /// Cuts, protects and seals one access unit.
    ///
    /// # Errors
    /// [`PacketizeError`]. Nothing of the frame may be sent then; the stream can go on with the next one.
    pub fn packetize(&mut self, head: FrameHead, access_unit: &[u8]) -> Result<VideoPackets<'_>, PacketizeError> {
        if access_unit.is_empty() {
            return Err(PacketizeError::Empty);
        }
        let (bytes, payload) = (self.size.shard_bytes(), self.size.payload_bytes());
        let data = (PREFIX_BYTES + access_unit.len()).div_ceil(payload);
        let cut = FrameCut::of(data, self.fec)?;
        let parity = cut.blocks().map(|block| block.parity).sum::<usize>();
        self.shards.resize((data + parity) * bytes, 0);

        let mut prefix = [0; PREFIX_BYTES];
        // At most a packet's payload, which is far below 2^16.
        let last_payload = (PREFIX_BYTES + access_unit.len() - (data - 1) * payload) as u16;
        write_prefix(&mut prefix, head.kind, head.latency, last_payload);

        let (mut done, mut spare) = (0, usize::MAX);
        for (index, block) in cut.blocks().enumerate() {
            let (count, extra) = (block.data.len(), block.parity);
            let shards = &mut self.shards[done * bytes..(done + count + extra) * bytes];
            for (at, shard) in shards.chunks_exact_mut(bytes).take(count).enumerate() {
                let place = Place { first: at == 0, last: at + 1 == count };
                write_protected(shard, self.sequence.wrapping_add(at as u32), place);
                fill(&mut shard[HEADER_BYTES..], &prefix, access_unit, (block.data.start + at) * payload);
            }
            if extra > 0 {
                self.parity.encode(shards, (count, extra), bytes)?;
            }
            let block = BlockHead {
                timestamp: rtp_clock(head.since_start),
                frame: head.index,
                block: index,
                blocks: cut.count(),
                data: count,
                percent: block.percent,
            };
            for (at, shard) in shards.chunks_exact_mut(bytes).enumerate() {
                write_after_parity(shard, &block, at, self.sequence);
                self.sequence = self.sequence.wrapping_add(1);
            }
            (done, spare) = (done + count + extra, spare.min(extra));
        }
        let (datagrams, size) = self.seal(head.index, bytes)?;
        Ok(VideoPackets { datagrams, size, data, parity, spare, fec_bytes: parity * bytes })
    }

    /// The frame's datagrams and the bytes of each: the shards themselves, or sealed.
    fn seal(&mut self, frame: u32, bytes: usize) -> Result<(&[u8], usize), PacketizeError> {
        let Some(sealer) = &mut self.sealer else { return Ok((&self.shards, bytes)) };
        let size = SEAL_BYTES + bytes;
        self.sealed.resize(self.shards.len() / bytes * size, 0);
        for (shard, datagram) in self.shards.chunks_exact(bytes).zip(self.sealed.chunks_exact_mut(size)) {
            sealer.seal(frame, shard, datagram).map_err(PacketizeError::Seal)?;
        }
        Ok((&self.sealed, size))
    }
}

/// Fills a packet's payload from byte `at` of the prefix and the access unit behind it; the rest is 0.
fn fill(payload: &mut [u8], prefix: &[u8; PREFIX_BYTES], access_unit: &[u8], at: usize) {
    let mut rest = payload;
    let mut from = at;
    if at == 0 {
        let (head, behind) = rest.split_at_mut(PREFIX_BYTES);
        head.copy_from_slice(prefix);
        (rest, from) = (behind, PREFIX_BYTES);
    }
    let bytes = &access_unit[from - PREFIX_BYTES..];
    let used = bytes.len().min(rest.len());
    rest[..used].copy_from_slice(&bytes[..used]);
    rest[used..].fill(0);
}

/// The 90 kHz clock that RTP has for video (RFC 6184, section 5.1), modulo 2³². From the time since the stream began, not
/// added up, so that it does not drift.
fn rtp_clock(since_start: Duration) -> u32 {
    // Wraps, as it is meant to.
    (since_start.as_nanos() * 9 / 100_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rtp_clock_counts_ninety_thousand_a_second_and_wraps() {
        assert_eq!(rtp_clock(Duration::from_secs(1)), 90_000);
        assert_eq!(rtp_clock(Duration::from_nanos(16_666_667)), 1_500);
        assert_eq!(rtp_clock(Duration::from_secs(100_000)), (9_000_000_000_u64 % (1 << 32)) as u32);
    }

    #[test]
    fn an_empty_or_endless_access_unit_is_an_error_and_the_stream_goes_on() {
        let fec = FecConfig { percent: 20, minimum: 2 };
        let mut packetizer = Packetizer::new(PacketSize::new(1024).unwrap(), fec, None);
        let head = FrameHead { index: 1, kind: FrameKind::Idr, latency: Duration::ZERO, since_start: Duration::ZERO };
        assert!(matches!(packetizer.packetize(head, &[]), Err(PacketizeError::Empty)));
        assert!(matches!(packetizer.packetize(head, &vec![0; 5_000_000]), Err(PacketizeError::Length(_))));
        let packets = packetizer.packetize(head, &[1; 5_000]).unwrap();
        assert_eq!((packets.data, packets.parity, packets.spare, packets.size), (5, 2, 2, 1040));
        assert_eq!(packets.datagrams.len(), 7 * 1040);
    }
}
