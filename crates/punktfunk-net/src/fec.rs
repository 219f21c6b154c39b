//! Reed–Solomon parity for one block of shards at a time: any `k` of the `k + m` shards give the block back.
//!
//! One coder serves a whole stream. Its working memory is reset, not rebuilt, for each block, whatever `k` and `m` the
//! block has; it grows to the largest block seen and stays, so that a running stream allocates nothing.

use std::fmt;

use reed_solomon_simd::{DecoderResult, EncoderResult, ReedSolomonDecoder, ReedSolomonEncoder};

/// Why parity could not be computed, or a block not be restored.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{source}")]
pub struct FecError {
    /// What the code says: sizes that differ, an index out of range, too few shards.
    #[from]
    source: reed_solomon_simd::Error,
}

/// Refuses a size that the code cannot work with. The library checks it, too, but cannot be used again afterwards.
fn check_size(shard_bytes: usize) -> Result<(), FecError> {
    let valid = shard_bytes > 0 && shard_bytes.is_multiple_of(2);
    if valid { Ok(()) } else { Err(reed_solomon_simd::Error::InvalidShardSize { shard_bytes }.into()) }
}

/// Computes the parity of blocks.
pub struct ParityEncoder {
    code: ReedSolomonEncoder,
}

impl Default for ParityEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ParityEncoder {
    /// A coder with little working memory; it grows with the first large block.
    pub fn new() -> Self {
        Self { code: ReedSolomonEncoder::new(1, 1, 64).expect("one data and one parity shard is a valid code") }
    }

    /// The `parity` shards of a block of `data`, in order.
    ///
    /// # Errors
    /// When the shards' sizes differ or are odd, or a count is 0.
    pub fn parity<'b>(
        &mut self,
        data: impl ExactSizeIterator<Item = &'b [u8]>,
        parity: usize,
        shard_bytes: usize,
    ) -> Result<Parity<'_>, FecError> {
        check_size(shard_bytes)?;
        self.code.reset(data.len(), parity, shard_bytes)?;
        for shard in data {
            self.code.add_original_shard(shard)?;
        }
        Ok(Parity(self.code.encode()?))
    }
}

impl fmt::Debug for ParityEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParityEncoder").finish_non_exhaustive()
    }
}

/// Parity of the block just encoded.
pub struct Parity<'a>(EncoderResult<'a>);

impl Parity<'_> {
    /// The parity shards, in the order of their index.
    pub fn shards(&self) -> impl Iterator<Item = &[u8]> {
        self.0.recovery_iter()
    }
}

impl fmt::Debug for Parity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parity").finish_non_exhaustive()
    }
}

/// Restores the missing data shards of blocks.
pub struct BlockDecoder {
    code: ReedSolomonDecoder,
}

impl Default for BlockDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl BlockDecoder {
    /// A decoder with little working memory; it grows with the first large block.
    pub fn new() -> Self {
        Self { code: ReedSolomonDecoder::new(1, 1, 64).expect("one data and one parity shard is a valid code") }
    }

    /// Restores a block of `k` data and `m` parity shards from those that arrived, given with their index.
    ///
    /// # Errors
    /// When fewer than `k` arrived, sizes differ, or an index is doubled or out of range.
    pub fn restore<'b>(
        &mut self,
        (k, m): (usize, usize),
        shard_bytes: usize,
        data: impl Iterator<Item = (usize, &'b [u8])>,
        parity: impl Iterator<Item = (usize, &'b [u8])>,
    ) -> Result<Restored<'_>, FecError> {
        check_size(shard_bytes)?;
        self.code.reset(k, m, shard_bytes)?;
        for (index, shard) in data {
            self.code.add_original_shard(index, shard)?;
        }
        for (index, shard) in parity {
            self.code.add_recovery_shard(index, shard)?;
        }
        Ok(Restored(self.code.decode()?))
    }
}

impl fmt::Debug for BlockDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockDecoder").finish_non_exhaustive()
    }
}

/// The data shards that were missing in the block just restored.
pub struct Restored<'a>(DecoderResult<'a>);

impl Restored<'_> {
    /// Each restored data shard with its index in the block.
    pub fn shards(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.0.restored_original_iter()
    }
}

impl fmt::Debug for Restored<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restored").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(k: usize, bytes: usize, seed: u8) -> Vec<Vec<u8>> {
        (0..k).map(|i| (0..bytes).map(|j| (i * 31 + j * 7 + usize::from(seed)) as u8).collect()).collect()
    }

    #[test]
    fn fewer_than_k_shards_are_an_error_and_the_decoder_stays_usable() {
        let data = block(4, 64, 0);
        let mut decoder = BlockDecoder::new();
        let three = || data.iter().map(Vec::as_slice).enumerate().take(3);
        assert!(decoder.restore((4, 2), 64, three(), std::iter::empty()).is_err());
        let mut encoder = ParityEncoder::new();
        let parity = encoder.parity(data.iter().map(Vec::as_slice), 2, 64).unwrap();
        let one = parity.shards().enumerate().take(1);
        let restored = decoder.restore((4, 2), 64, three(), one).unwrap();
        assert_eq!(restored.shards().collect::<Vec<_>>(), [(3, data[3].as_slice())]);
    }

    #[test]
    fn impossible_shapes_are_errors_and_the_coders_stay_usable() {
        let (mut encoder, mut decoder) = (ParityEncoder::new(), BlockDecoder::new());
        let data = block(4, 64, 0);
        for (parity, bytes) in [(0, 64), (2, 0), (2, 63), (2, 66), (usize::MAX, 64)] {
            assert!(encoder.parity(data.iter().map(Vec::as_slice), parity, bytes).is_err());
            let shards = data.iter().map(Vec::as_slice).enumerate();
            assert!(decoder.restore((4, parity), bytes, shards, std::iter::empty()).is_err());
        }
        assert!(encoder.parity(data.iter().map(Vec::as_slice), 2, 64).is_ok());
        let shards = data.iter().map(Vec::as_slice).enumerate();
        assert!(decoder.restore((4, 2), 64, shards, std::iter::empty()).is_ok());
    }

    proptest! {
        #[test]
        fn any_k_of_k_plus_m_shards_restore_the_block_with_one_reused_coder(
            blocks in proptest::collection::vec((1usize..60, 1usize..30, 1usize..100, any::<u64>()), 1..5)
        ) {
            let (mut encoder, mut decoder) = (ParityEncoder::new(), BlockDecoder::new());
            for (k, m, half, mut seed) in blocks {
                let bytes = half * 2;
                let data = block(k, bytes, seed as u8);
                let parity: Vec<Vec<u8>> =
                    encoder.parity(data.iter().map(Vec::as_slice), m, bytes).unwrap().shards().map(<[u8]>::to_vec).collect();
                prop_assert_eq!(parity.len(), m);
                // Lose m of the k + m.
                let mut lost: Vec<usize> = (0..k + m).collect();
                for i in (1..lost.len()).rev() {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    lost.swap(i, (seed >> 33) as usize % (i + 1));
                }
                lost.truncate(m);
                let kept = |i: &usize| !lost.contains(i);
                let restored = decoder.restore(
                    (k, m),
                    bytes,
                    (0..k).filter(kept).map(|i| (i, data[i].as_slice())),
                    (0..m).filter(|i| kept(&(i + k))).map(|i| (i, parity[i].as_slice())),
                ).unwrap();
                let mut missing: Vec<usize> = lost.iter().copied().filter(|&i| i < k).collect();
                missing.sort_unstable();
                let mut given: Vec<usize> = Vec::new();
                for (i, shard) in restored.shards() {
                    prop_assert_eq!(shard, data[i].as_slice());
                    given.push(i);
                }
                prop_assert_eq!(given, missing);
            }
        }
    }
}
