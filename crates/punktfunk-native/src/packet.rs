//! The datagrams of the `punktfunk/1` data plane.
//!
//! Every datagram is a clear header, a sealed body and a tag. The header is authenticated; numbers are big-endian.
//!
//! | offset | bytes | field | |
//! |---|---|---|---|
//! | 0 | 1 | magic | `0x50` |
//! | 1 | 1 | version | 1 |
//! | 2 | 1 | kind | 1 shard (host → client), 2 contact (client → host) |
//! | 3 | 1 | reserved | 0 |
//! | 4 | 4 | stream | as granted over the control connection |
//! | 8 | 8 | number | packet number: from 0, one more for each datagram of a direction, never reused |
//! | 16 | | body | sealed |
//! | end − 16 | 16 | tag | AES-128-GCM |
//!
//! The body of a contact is empty. It tells the host where the client is, and that it is still there. The body of a shard
//! is this, and the shard's bytes, of which every shard of a frame has as many:
//!
//! | offset | bytes | field | |
//! |---|---|---|---|
//! | 0 | 8 | frame | frame number: from 1, one more for each encoded frame |
//! | 8 | 8 | captured | when the frame was due, µs since the stream began, on the host's clock |
//! | 16 | 4 | length | of the frame, bytes |
//! | 20 | 1 | flags | bit 0: IDR; bit 1: repeats the picture before it |
//! | 21 | 1 | block | index |
//! | 22 | 1 | blocks | how many the frame has |
//! | 23 | 1 | shard | index in the block: first data, then parity |
//! | 24 | 1 | k | data shards of the block |
//! | 25 | 1 | m | parity shards of the block |
//! | 26 | 2 | reserved | 0 |
//!
//! The cut of a frame follows from its length ([`FrameLayout`]), so `blocks`, `k` and the shard's size are redundant:
//! a packet that contradicts its own length is refused before anything is stored for it.

use punktfunk_net::layout::{FrameLayout, MAX_PARITY_SHARDS, MAX_SHARD_BYTES};
use punktfunk_net::seal::TAG_BYTES;

/// Bytes of the clear header.
pub const HEADER_BYTES: usize = 16;

/// Bytes before the shard in a shard's body.
pub const SHARD_HEADER_BYTES: usize = 28;

/// What a shard's datagram carries beside the shard.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + SHARD_HEADER_BYTES + TAG_BYTES;

/// Longest datagram of the data plane.
pub const MAX_DATAGRAM_BYTES: usize = OVERHEAD_BYTES + MAX_SHARD_BYTES;

/// Bytes of a contact.
pub const CONTACT_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// The number of a stream's first frame.
pub const FIRST_FRAME: u64 = punktfunk_pipeline::FIRST_FRAME;

const MAGIC: u8 = 0x50;
const VERSION: u8 = 1;
const FLAG_IDR: u8 = 1;
const FLAG_REPEAT: u8 = 2;

/// Why a datagram is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than its headers.
    #[error("the datagram is cut off")]
    Truncated,
    /// Another magic, version or kind.
    #[error("the datagram is not of this protocol and version")]
    Foreign,
    /// Fields that cannot be true together.
    #[error("the shard's fields contradict each other")]
    Contradictory,
}

/// What a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A piece of a frame.
    Shard,
    /// The client saying where it is.
    Contact,
}

/// The clear header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the datagram is.
    pub kind: Kind,
    /// The stream it belongs to.
    pub stream: u32,
    /// Its packet number.
    pub number: u64,
}

impl Header {
    /// Reads the header of `datagram`.
    ///
    /// # Errors
    /// [`PacketError::Truncated`] or [`PacketError::Foreign`].
    pub fn parse(datagram: &[u8]) -> Result<Self, PacketError> {
        let header: &[u8; HEADER_BYTES] = datagram.first_chunk().ok_or(PacketError::Truncated)?;
        let kind = match header[..4] {
            [MAGIC, VERSION, 1, 0] => Kind::Shard,
            [MAGIC, VERSION, 2, 0] => Kind::Contact,
            _ => return Err(PacketError::Foreign),
        };
        Ok(Self { kind, stream: u32::from_be_bytes(array(header, 4)), number: u64::from_be_bytes(array(header, 8)) })
    }

    /// Writes the header into the first [`HEADER_BYTES`] of `into`.
    pub fn write(&self, into: &mut [u8]) {
        let kind = match self.kind {
            Kind::Shard => 1,
            Kind::Contact => 2,
        };
        into[..4].copy_from_slice(&[MAGIC, VERSION, kind, 0]);
        into[4..8].copy_from_slice(&self.stream.to_be_bytes());
        into[8..16].copy_from_slice(&self.number.to_be_bytes());
    }
}

/// What every shard says of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Frame number.
    pub number: u64,
    /// When it was due, µs since the stream began.
    pub captured_us: u64,
    /// Whether it can be decoded without any earlier frame.
    pub idr: bool,
    /// Whether it shows the picture of the frame before.
    pub repeat: bool,
}

/// Where a shard belongs in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardHeader {
    /// The frame.
    pub frame: FrameHeader,
    /// The frame's cut.
    pub layout: FrameLayout,
    /// The block.
    pub block: usize,
    /// Index in the block: data, then parity.
    pub shard: usize,
    /// Data shards of the block.
    pub k: usize,
    /// Parity shards of the block.
    pub m: usize,
}

impl ShardHeader {
    /// Reads the opened body of a shard's datagram: where it belongs, and its bytes.
    ///
    /// # Errors
    /// [`PacketError::Truncated`] or [`PacketError::Contradictory`].
    pub fn parse(body: &[u8]) -> Result<(Self, &[u8]), PacketError> {
        let (head, shard_bytes) = body.split_first_chunk::<SHARD_HEADER_BYTES>().ok_or(PacketError::Truncated)?;
        let layout = FrameLayout::of(u32::from_be_bytes(array(head, 16)) as usize)
            .map_err(|_length| PacketError::Contradictory)?;
        let [flags, block, blocks, shard, k, m, ..] = array::<8>(head, 20);
        let this = Self {
            frame: FrameHeader {
                number: u64::from_be_bytes(array(head, 0)),
                captured_us: u64::from_be_bytes(array(head, 8)),
                idr: flags & FLAG_IDR != 0,
                repeat: flags & FLAG_REPEAT != 0,
            },
            layout,
            block: usize::from(block),
            shard: usize::from(shard),
            k: usize::from(k),
            m: usize::from(m),
        };
        let consistent = usize::from(blocks) == layout.blocks()
            && this.k > 0
            && this.k == layout.block(this.block).len()
            && this.m <= MAX_PARITY_SHARDS
            && this.shard < this.k + this.m
            && this.frame.number >= FIRST_FRAME
            && shard_bytes.len() == layout.shard_bytes();
        if consistent { Ok((this, shard_bytes)) } else { Err(PacketError::Contradictory) }
    }

    /// Writes the header into the first [`SHARD_HEADER_BYTES`] of a body.
    pub fn write(&self, into: &mut [u8]) {
        // A layout has at most 2^12 shards in 2^5 blocks of at most 2^7; a frame at most 2^22 bytes.
        let byte = |value: usize| u8::try_from(value).expect("the layout bounds it to a byte");
        let length = u32::try_from(self.layout.frame_bytes()).expect("the layout bounds the frame's length");
        let flags = if self.frame.idr { FLAG_IDR } else { 0 } | if self.frame.repeat { FLAG_REPEAT } else { 0 };
        into[..8].copy_from_slice(&self.frame.number.to_be_bytes());
        into[8..16].copy_from_slice(&self.frame.captured_us.to_be_bytes());
        into[16..20].copy_from_slice(&length.to_be_bytes());
        into[20..28].copy_from_slice(&[
            flags,
            byte(self.block),
            byte(self.layout.blocks()),
            byte(self.shard),
            byte(self.k),
            byte(self.m),
            0,
            0,
        ]);
    }
}

fn array<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    *from[at..].first_chunk().expect("fields lie inside the fixed header")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(bytes: usize) -> (ShardHeader, Vec<u8>) {
        let layout = FrameLayout::of(bytes).unwrap();
        let header = ShardHeader {
            frame: FrameHeader { number: 7, captured_us: 123_456, idr: true, repeat: false },
            layout,
            block: 0,
            shard: 0,
            k: layout.block(0).len(),
            m: 2,
        };
        let mut body = vec![9; SHARD_HEADER_BYTES + layout.shard_bytes()];
        header.write(&mut body);
        (header, body)
    }

    #[test]
    fn headers_read_as_they_were_written() {
        let header = Header { kind: Kind::Contact, stream: 77, number: u64::MAX - 3 };
        let mut bytes = [0; HEADER_BYTES];
        header.write(&mut bytes);
        assert_eq!(Header::parse(&bytes), Ok(header));
        let (header, body) = shard(5000);
        assert_eq!(ShardHeader::parse(&body), Ok((header, &body[SHARD_HEADER_BYTES..])));
    }

    #[test]
    fn a_length_that_does_not_fit_the_shard_is_refused() {
        let (_, mut body) = shard(5000);
        body[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(ShardHeader::parse(&body), Err(PacketError::Contradictory));
        body[16..20].copy_from_slice(&5001u32.to_be_bytes());
        body.pop();
        assert_eq!(ShardHeader::parse(&body), Err(PacketError::Contradictory));
        assert_eq!(ShardHeader::parse(&body[..20]), Err(PacketError::Truncated));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
            prop_assert!(Header::parse(&bytes).is_err() || bytes[0] == MAGIC);
            if let Ok((header, rest)) = ShardHeader::parse(&bytes) {
                prop_assert_eq!(rest.len(), header.layout.shard_bytes());
            }
        }

        #[test]
        fn a_body_with_any_field_changed_parses_to_something_consistent_or_not_at_all(
            bytes in 1usize..2_000_000, at in 0usize..SHARD_HEADER_BYTES, value: u8
        ) {
            let (_, mut body) = shard(bytes);
            body[at] = value;
            if let Ok((header, rest)) = ShardHeader::parse(&body) {
                prop_assert!(header.shard < header.k + header.m);
                prop_assert_eq!(header.k, header.layout.block(header.block).len());
                prop_assert_eq!(rest.len(), header.layout.shard_bytes());
            }
        }
    }
}
