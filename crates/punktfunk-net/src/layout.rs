//! How a frame is cut: into blocks, and each block into data shards of one size. A pure function of the frame's length,
//! so that both ends agree and a packet that contradicts it is refused.
//!
//! Parity is not part of it: how much of it a block carries is the sender's choice ([`parity_for`]) and stands in each
//! packet.

use std::ops::Range;

/// Largest shard. With headers, tag, UDP and IPv6 it stays below 1,400 bytes, which passes most tunnels unfragmented; a
/// multiple of 64, which is what the parity code works in.
pub const MAX_SHARD_BYTES: usize = 1280;

/// Most data shards of a block. Larger blocks repair longer bursts of loss, and wait longer for their parity.
pub const MAX_BLOCK_SHARDS: usize = 128;

/// Most parity shards of a block.
pub const MAX_PARITY_SHARDS: usize = 128;

/// Longest frame: 4 MiB, some twenty times a large 4K picture on its own.
pub const MAX_FRAME_BYTES: usize = 4 << 20;

/// A frame length that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame has 1 to {MAX_FRAME_BYTES} bytes, not {bytes}")]
pub struct FrameLength {
    /// The length.
    pub bytes: usize,
}

/// The cut of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLayout {
    frame_bytes: usize,
    data_shards: usize,
    shard_bytes: usize,
    blocks: usize,
}

impl FrameLayout {
    /// The cut of a frame of `frame_bytes`: as few shards as fit, all of one even size, in as few blocks as fit, whose
    /// sizes differ by one at most.
    ///
    /// # Errors
    /// [`FrameLength`] when the frame is empty or longer than [`MAX_FRAME_BYTES`].
    pub fn of(frame_bytes: usize) -> Result<Self, FrameLength> {
        if frame_bytes == 0 || frame_bytes > MAX_FRAME_BYTES {
            return Err(FrameLength { bytes: frame_bytes });
        }
        let data_shards = frame_bytes.div_ceil(MAX_SHARD_BYTES);
        // Even: the parity code works on 16-bit symbols.
        let shard_bytes = frame_bytes.div_ceil(data_shards).next_multiple_of(2);
        Ok(Self { frame_bytes, data_shards, shard_bytes, blocks: data_shards.div_ceil(MAX_BLOCK_SHARDS) })
    }

    /// The frame's length.
    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Data shards of the whole frame.
    pub fn data_shards(&self) -> usize {
        self.data_shards
    }

    /// Size of every shard, data and parity. Bytes past the frame's end are zero.
    pub fn shard_bytes(&self) -> usize {
        self.shard_bytes
    }

    /// Blocks of the frame.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The data shards of `block`, counted over the whole frame. Empty for a block that the frame does not have.
    pub fn block(&self, block: usize) -> Range<usize> {
        if block >= self.blocks {
            return 0..0;
        }
        let (small, larger) = (self.data_shards / self.blocks, self.data_shards % self.blocks);
        let first = block * small + block.min(larger);
        first..first + small + usize::from(block < larger)
    }

    /// Where data shard `index` (counted over the whole frame) lies in the frame. Shorter than a shard at the end, and
    /// empty where rounding left nothing.
    pub fn bytes_of(&self, index: usize) -> Range<usize> {
        let start = (index * self.shard_bytes).min(self.frame_bytes);
        start..(start + self.shard_bytes).min(self.frame_bytes)
    }
}

/// Parity shards for a block of `data` shards at `percent` of redundancy, rounded up.
///
/// Blocks of two shards and more get at least two: at 3 % loss a block of five with a single parity shard is lost once
/// in 80 frames, with two once in 1,100. `percent` 0 means none.
pub fn parity_for(data: usize, percent: u8) -> usize {
    if percent == 0 || data == 0 {
        return 0;
    }
    let floor = if data == 1 { 1 } else { 2 };
    (data * usize::from(percent)).div_ceil(100).max(floor).min(MAX_PARITY_SHARDS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_and_oversized_frames_are_refused() {
        assert_eq!(FrameLayout::of(0), Err(FrameLength { bytes: 0 }));
        assert!(FrameLayout::of(MAX_FRAME_BYTES).is_ok());
        assert!(FrameLayout::of(MAX_FRAME_BYTES + 1).is_err());
    }

    #[test]
    fn parity_has_a_floor_and_a_ceiling() {
        assert_eq!([1, 2, 5, 40, 128].map(|data| parity_for(data, 20)), [1, 2, 2, 8, 26]);
        assert_eq!(parity_for(128, 200), MAX_PARITY_SHARDS);
        assert_eq!(parity_for(10, 0), 0);
    }

    proptest! {
        #[test]
        fn blocks_and_shards_cover_the_frame_without_gap_or_overlap(bytes in 1..=MAX_FRAME_BYTES) {
            let layout = FrameLayout::of(bytes).unwrap();
            prop_assert!(layout.shard_bytes() <= MAX_SHARD_BYTES && layout.shard_bytes().is_multiple_of(2));
            let mut next = 0;
            for block in 0..layout.blocks() {
                let range = layout.block(block);
                prop_assert_eq!(range.start, next);
                prop_assert!(!range.is_empty() && range.len() <= MAX_BLOCK_SHARDS);
                next = range.end;
            }
            prop_assert_eq!(next, layout.data_shards());
            prop_assert!(layout.block(layout.blocks()).is_empty());
            let mut covered = 0;
            for shard in 0..layout.data_shards() {
                let range = layout.bytes_of(shard);
                prop_assert_eq!(range.start, covered);
                covered = range.end;
            }
            prop_assert_eq!(covered, bytes);
        }
    }
}
