//! Cuts an encoded frame into sealed datagrams: data shards and parity of each block, in the order in which they are sent.

use punktfunk_net::fec::{FecError, ParityEncoder};
use punktfunk_net::layout::{FrameLayout, FrameLength, parity_for};
use punktfunk_net::seal::{DirectionKey, KeyExhausted, Sealer};

use crate::packet::{FrameHeader, HEADER_BYTES, Header, Kind, OVERHEAD_BYTES, SHARD_HEADER_BYTES, ShardHeader};

/// Why a frame could not be made into datagrams.
#[derive(Debug, thiserror::Error)]
pub enum PacketizeError {
    /// It is empty or too long.
    #[error("the encoder's frame cannot be sent: {0}")]
    Length(#[from] FrameLength),
    /// The stream has lasted too long for its key.
    #[error("the stream needs new keys: {0}")]
    Key(#[from] KeyExhausted),
    /// The parity code refused its input.
    #[error("no parity: {0}")]
    Parity(#[from] FecError),
}

/// The datagrams of one frame, one after another in one buffer.
#[derive(Debug, Clone, Copy)]
pub struct FramePackets<'a> {
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
    /// The cut of the frame.
    pub layout: FrameLayout,
}

impl FramePackets<'_> {
    /// Datagrams in all.
    pub fn count(&self) -> usize {
        self.data + self.parity
    }

    /// Bytes of parity.
    pub fn fec_bytes(&self) -> usize {
        self.parity * self.layout.shard_bytes()
    }

    /// Bytes that are neither the frame's nor parity: headers, tags, and the padding of the last shards.
    pub fn overhead_bytes(&self) -> usize {
        self.datagrams.len() - self.fec_bytes() - self.layout.frame_bytes()
    }
}

/// Makes the datagrams of a stream. Its buffers grow to the largest frame and stay.
#[derive(Debug)]
pub struct Packetizer {
    stream: u32,
    sealer: Sealer,
    code: ParityEncoder,
    fec_percent: u8,
    buffer: Vec<u8>,
}

impl Packetizer {
    /// A packetizer for `stream` that adds `fec_percent` of parity to each block (0: none).
    pub fn new(stream: u32, key: DirectionKey, fec_percent: u8) -> Self {
        Self { stream, sealer: Sealer::new(key), code: ParityEncoder::new(), fec_percent, buffer: Vec::new() }
    }

    /// Datagrams sealed so far.
    pub fn sealed(&self) -> u64 {
        self.sealer.next_number()
    }

    /// Cuts, protects and seals one frame.
    ///
    /// # Errors
    /// [`PacketizeError`]. Nothing of the frame may be sent then; the stream can go on with the next one unless the key is
    /// exhausted.
    pub fn packetize(&mut self, frame: FrameHeader, data: &[u8]) -> Result<FramePackets<'_>, PacketizeError> {
        let layout = FrameLayout::of(data.len())?;
        let size = OVERHEAD_BYTES + layout.shard_bytes();
        let parity =
            (0..layout.blocks()).map(|block| parity_for(layout.block(block).len(), self.fec_percent)).sum::<usize>();
        self.buffer.resize((layout.data_shards() + parity) * size, 0);

        let (mut next, mut spare) = (0, usize::MAX);
        for block in 0..layout.blocks() {
            let shards = layout.block(block);
            let (k, m) = (shards.len(), parity_for(shards.len(), self.fec_percent));
            let (source, repair) = self.buffer[next * size..(next + k + m) * size].split_at_mut(k * size);
            for (packet, shard) in source.chunks_exact_mut(size).zip(shards) {
                let bytes = &data[layout.bytes_of(shard)];
                let room = payload_mut(packet, &layout);
                room[..bytes.len()].copy_from_slice(bytes);
                room[bytes.len()..].fill(0);
            }
            if m > 0 {
                let parity = self.code.parity(
                    source.chunks_exact(size).map(|packet| payload(packet, &layout)),
                    m,
                    layout.shard_bytes(),
                )?;
                for (packet, shard) in repair.chunks_exact_mut(size).zip(parity.shards()) {
                    payload_mut(packet, &layout).copy_from_slice(shard);
                }
            }
            for shard in 0..k + m {
                let packet = &mut self.buffer[(next + shard) * size..(next + shard + 1) * size];
                ShardHeader { frame, layout, block, shard, k, m }.write(&mut packet[HEADER_BYTES..]);
                let stream = self.stream;
                self.sealer.seal(packet, HEADER_BYTES, |header, number| {
                    Header { kind: Kind::Shard, stream, number }.write(header);
                })?;
            }
            (next, spare) = (next + k + m, spare.min(m));
        }
        Ok(FramePackets { datagrams: &self.buffer, size, data: layout.data_shards(), parity, spare, layout })
    }
}

const PAYLOAD: usize = HEADER_BYTES + SHARD_HEADER_BYTES;

fn payload<'a>(packet: &'a [u8], layout: &FrameLayout) -> &'a [u8] {
    &packet[PAYLOAD..PAYLOAD + layout.shard_bytes()]
}

fn payload_mut<'a>(packet: &'a mut [u8], layout: &FrameLayout) -> &'a mut [u8] {
    &mut packet[PAYLOAD..PAYLOAD + layout.shard_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_on_the_wire_is_media_parity_or_overhead() {
        let key = DirectionKey::from_secret(&[1; DirectionKey::BYTES]);
        let mut packetizer = Packetizer::new(1, key, 20);
        let frame = FrameHeader { number: 1, captured_us: 0, idr: true, repeat: false };
        for bytes in [1, 1280, 1281, 30_001, 400_000] {
            let packets = packetizer.packetize(frame, &vec![5; bytes]).unwrap();
            assert_eq!(packets.datagrams.len(), packets.count() * packets.size);
            assert_eq!(packets.overhead_bytes() + packets.fec_bytes() + bytes, packets.datagrams.len());
            assert!(packets.overhead_bytes() >= packets.count() * OVERHEAD_BYTES);
            assert!(packets.parity > 0);
        }
        assert!(matches!(packetizer.packetize(frame, &[]), Err(PacketizeError::Length(_))));
    }

    #[test]
    fn a_running_stream_keeps_its_buffer() {
        let mut packetizer = Packetizer::new(1, DirectionKey::from_secret(&[1; DirectionKey::BYTES]), 20);
        let frame = FrameHeader { number: 1, captured_us: 0, idr: true, repeat: false };
        packetizer.packetize(frame, &vec![1; 100_000]).unwrap();
        let (at, capacity) = (packetizer.buffer.as_ptr(), packetizer.buffer.capacity());
        for bytes in (1..100_000).step_by(9_999) {
            packetizer.packetize(frame, &vec![1; bytes]).unwrap();
        }
        assert_eq!((packetizer.buffer.as_ptr(), packetizer.buffer.capacity()), (at, capacity));
    }
}
