//! How many packets, blocks and parity shards a frame has: pure arithmetic that the client repeats from the headers.

use std::ops::Range;

/// Blocks that a frame can have: the header has two bits for their number.
pub(crate) const MAX_BLOCKS: usize = 4;

/// Shards of a block that has parity: elements of GF(2⁸) but one.
const MAX_PROTECTED_SHARDS: usize = 255;

/// Data shards of a block without parity: the header has ten bits for their number.
const MAX_DATA_SHARDS: usize = 1023;

/// Highest share of parity, in percent of the data: the header has eight bits for it.
const MAX_PERCENT: u32 = 255;

/// How frames are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FecConfig {
    /// Parity in percent of a block's data, rounded up to whole shards; more than 255 counts as 255. 0 is none, whatever
    /// the minimum says.
    pub percent: u32,
    /// Parity shards that a block has at least. It is kept as far as the header can say so: a block of one data shard has
    /// two at most.
    pub minimum: u32,
}

impl FecConfig {
    fn percent(&self) -> u32 {
        self.percent.min(MAX_PERCENT)
    }

    /// Parity shards of a block of `data` shards, and the percentage that its headers name. The client computes the number
    /// from the percentage, so that is what decides.
    fn parity(&self, data: usize) -> (usize, u32) {
        let of = |percent: u32| (data * percent as usize).div_ceil(100);
        let usual = of(self.percent());
        let wanted = (self.minimum as usize).min(MAX_PROTECTED_SHARDS.saturating_sub(data));
        if usual >= wanted {
            return (usual, self.percent());
        }
        // Below 256 by `min`.
        let percent = (100 * wanted / data).min(MAX_PERCENT as usize) as u32;
        (of(percent), percent)
    }
}

/// A frame has more packets than its headers can number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {packets} packets is too long: at most {} can be numbered", MAX_BLOCKS * MAX_DATA_SHARDS)]
pub struct FrameTooLong {
    /// Its data packets.
    pub packets: usize,
}

/// The blocks of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameCut {
    packets: usize,
    blocks: usize,
    /// `None`: the frame is too long to be protected.
    fec: Option<FecConfig>,
}

/// One block of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockCut {
    /// Which of the frame's data packets it has.
    pub(crate) data: Range<usize>,
    /// Its parity shards.
    pub(crate) parity: usize,
    /// The percentage that its headers name.
    pub(crate) percent: u32,
}

impl FrameCut {
    /// Cuts a frame of `packets` data packets, at least one.
    pub(crate) fn of(packets: usize, fec: FecConfig) -> Result<Self, FrameTooLong> {
        let most = MAX_PROTECTED_SHARDS * 100 / (100 + fec.percent() as usize);
        let blocks = packets.div_ceil(most);
        if fec.percent() > 0 && blocks <= MAX_BLOCKS {
            return Ok(Self { packets, blocks, fec: Some(fec) });
        }
        let blocks = blocks.min(MAX_BLOCKS);
        if packets.div_ceil(blocks.max(1)) > MAX_DATA_SHARDS {
            return Err(FrameTooLong { packets });
        }
        Ok(Self { packets, blocks, fec: None })
    }

    /// How many blocks there are.
    pub(crate) fn count(&self) -> usize {
        self.blocks
    }

    /// The blocks, in the order in which they are sent. All but the last have the same number of data packets.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = BlockCut> + use<> {
        let Self { packets, blocks, fec } = *self;
        let each = packets.div_ceil(blocks.max(1));
        (0..blocks).map(move |block| {
            let data = (block * each).min(packets)..((block + 1) * each).min(packets);
            let (parity, percent) = fec.map_or((0, 0), |fec| fec.parity(data.len()));
            BlockCut { data, parity, percent }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: FecConfig = FecConfig { percent: 20, minimum: 2 };

    fn shapes(packets: usize, fec: FecConfig) -> Vec<(usize, usize, u32)> {
        let cut = FrameCut::of(packets, fec).unwrap();
        cut.blocks().map(|block| (block.data.len(), block.parity, block.percent)).collect()
    }

    #[test]
    fn parity_is_rounded_up() {
        assert_eq!(shapes(11, USUAL), [(11, 3, 20)]);
        assert_eq!(shapes(212, USUAL), [(212, 43, 20)]);
    }

    #[test]
    fn a_small_block_has_the_parity_that_the_client_requires() {
        assert_eq!(shapes(1, USUAL), [(1, 2, 200)]);
        assert_eq!(shapes(3, USUAL), [(3, 2, 66)]);
        assert_eq!(shapes(1, FecConfig { percent: 20, minimum: 1000 }), [(1, 3, 255)]);
        assert_eq!(shapes(1, FecConfig { percent: 0, minimum: 2 }), [(1, 0, 0)]);
    }

    #[test]
    fn a_long_frame_has_several_blocks_and_a_very_long_one_no_parity() {
        assert_eq!(shapes(213, USUAL), [(107, 22, 20), (106, 22, 20)]);
        assert_eq!(shapes(848, USUAL), [(212, 43, 20); 4]);
        assert_eq!(shapes(849, USUAL), [(213, 0, 0), (213, 0, 0), (213, 0, 0), (210, 0, 0)]);
        assert_eq!(shapes(4092, USUAL), [(1023, 0, 0); 4]);
        assert_eq!(FrameCut::of(4093, USUAL), Err(FrameTooLong { packets: 4093 }));
    }

    proptest! {
        #[test]
        fn every_packet_is_in_one_block_and_the_client_computes_the_same_parity(
            packets in 1usize..=4092, percent in 0u32..400, minimum in 0u32..400,
        ) {
            let cut = FrameCut::of(packets, FecConfig { percent, minimum }).unwrap();
            let mut next = 0;
            for block in cut.blocks() {
                let data = block.data.len();
                prop_assert_eq!(block.data.start, next);
                prop_assert!((1..=MAX_DATA_SHARDS).contains(&data) && block.percent <= MAX_PERCENT);
                prop_assert_eq!(block.parity, (data * block.percent as usize).div_ceil(100));
                prop_assert!(block.parity == 0 || data + block.parity <= 256);
                next = block.data.end;
            }
            prop_assert_eq!(next, packets);
            prop_assert!((1..=MAX_BLOCKS).contains(&cut.count()));
        }
    }
}
