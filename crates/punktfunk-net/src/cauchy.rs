//! Reed–Solomon parity by a Cauchy matrix over GF(2⁸), as GameStream clients repair with it.
//!
//! With `d` data and `p` parity shards, parity shard `j` is the sum over data shards `i` of `inverse((p + i) XOR j)` times
//! shard `i`, byte by byte, in the field of the polynomial 0x11D. The coefficients are a table look-up each, so nothing is
//! prepared for a shape of block and nothing has to be kept: a codec that inverts a matrix first costs 10 ms for 200 + 40.
//! [`fec`](crate::fec) is another code, over GF(2¹⁶), for the path whose both ends are ours.

use std::fmt;

use fec_rs::galois;

/// Data and parity shards that a block can have together.
pub const MAX_SHARDS: usize = 256;

/// The vector units work on so many bytes at once; what is left over would be multiplied byte by byte.
const LANE: usize = 32;

/// Parity that is summed up at a time: it shares the first cache, 32 KiB as a rule, with a data shard.
const NEAR_BYTES: usize = 24 << 10;

/// Why a block has no parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CauchyError {
    /// Too many shards for the field, or no data.
    #[error(
        "a block of {data} data and {parity} parity shards: it takes at least one data shard, and {MAX_SHARDS} in all"
    )]
    Shape {
        /// Data shards.
        data: usize,
        /// Parity shards.
        parity: usize,
    },
    /// The block is not as long as its shards.
    #[error("a block of {bytes} bytes is not {shards} shards of {shard_bytes} bytes")]
    Length {
        /// Bytes given.
        bytes: usize,
        /// Shards that it should hold.
        shards: usize,
        /// Bytes of each.
        shard_bytes: usize,
    },
}

/// Computes the parity of blocks. Its working memory grows to the largest block and stays.
pub struct CauchyEncoder {
    /// `inverses[x]` times `x` is 1; the one of 0 is never asked for, since `p + i` is never a `j` below `p`.
    inverses: [u8; MAX_SHARDS],
    /// The best of the library's ways on this machine, looked for once.
    multiply_add: galois::MulSliceFn,
    /// One data shard and all parity shards, each padded to whole lanes.
    work: Vec<u8>,
}

impl Default for CauchyEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CauchyEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CauchyEncoder").finish_non_exhaustive()
    }
}

impl CauchyEncoder {
    /// An encoder for blocks of any shape.
    pub fn new() -> Self {
        let mut inverses = [0; MAX_SHARDS];
        for (element, inverse) in (0..=u8::MAX).zip(&mut inverses).skip(1) {
            *inverse = galois::div(1, element);
        }
        let (_multiply, multiply_add) = galois::detect_mul_slice();
        Self { inverses, multiply_add, work: Vec::new() }
    }

    /// Fills in the last `parity` shards of a block whose first `data` shards are there. All lie one after another,
    /// `shard_bytes` each.
    ///
    /// # Errors
    /// [`CauchyError`]; the block is unchanged then.
    pub fn encode(
        &mut self,
        block: &mut [u8],
        (data, parity): (usize, usize),
        shard_bytes: usize,
    ) -> Result<(), CauchyError> {
        let shards = data.saturating_add(parity);
        if data == 0 || shards > MAX_SHARDS {
            return Err(CauchyError::Shape { data, parity });
        }
        if shard_bytes == 0 || Some(block.len()) != shards.checked_mul(shard_bytes) {
            return Err(CauchyError::Length { bytes: block.len(), shards, shard_bytes });
        }
        let stride = shard_bytes.next_multiple_of(LANE);
        self.work.clear();
        self.work.resize((1 + parity) * stride, 0);
        let (input, sums) = self.work.split_at_mut(stride);
        let (source, repair) = block.split_at_mut(data * shard_bytes);
        // So many rows of parity as stay near while all the data goes by.
        let rows = (NEAR_BYTES / stride).max(1);
        for (group, near) in sums.chunks_mut(rows * stride).enumerate() {
            for (i, shard) in source.chunks_exact(shard_bytes).enumerate() {
                input[..shard_bytes].copy_from_slice(shard);
                for (j, sum) in (group * rows..).zip(near.chunks_exact_mut(stride)) {
                    (self.multiply_add)(self.inverses[(parity + i) ^ j], input, sum);
                }
            }
        }
        for (shard, sum) in repair.chunks_exact_mut(shard_bytes).zip(sums.chunks_exact(stride)) {
            shard.copy_from_slice(&sum[..shard_bytes]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The product by long multiplication: shift, add, reduce by 0x11D.
    fn product(a: u8, b: u8) -> u8 {
        let (mut a, mut sum) = (u16::from(a), 0);
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                sum ^= a;
            }
            a <<= 1;
            if a & 0x100 != 0 {
                a ^= 0x11d;
            }
        }
        sum as u8
    }

    /// The inverse by trying all.
    fn inverse(a: u8) -> u8 {
        (1..=u8::MAX).find(|&b| product(a, b) == 1).unwrap()
    }

    /// Parity by the definition, a byte at a time.
    fn by_definition(data: &[u8], (d, p): (usize, usize), bytes: usize) -> Vec<u8> {
        let inverses: Vec<u8> = (0..=u8::MAX).map(|a| if a == 0 { 0 } else { inverse(a) }).collect();
        let shard = |j: usize| {
            let inverses = &inverses;
            (0..bytes).map(move |at| {
                (0..d).map(|i| product(inverses[(p + i) ^ j], data[i * bytes + at])).fold(0, |sum, part| sum ^ part)
            })
        };
        (0..p).flat_map(shard).collect()
    }

    fn check((d, p): (usize, usize), bytes: usize, seed: u64, encoder: &mut CauchyEncoder) {
        let byte = |k: u64| (seed ^ k).wrapping_mul(6_364_136_223_846_793_005).rotate_left(23) as u8;
        let mut block: Vec<u8> = (0..((d + p) * bytes) as u64).map(byte).collect();
        let before = block.clone();
        encoder.encode(&mut block, (d, p), bytes).unwrap();
        let (data, parity) = block.split_at(d * bytes);
        assert!(data == &before[..d * bytes], "the data is left as it was");
        assert!(parity == by_definition(data, (d, p), bytes), "{d}+{p} x {bytes}");
    }

    #[test]
    fn the_largest_blocks_that_are_sent_are_right() {
        let mut encoder = CauchyEncoder::new();
        for (d, p, bytes) in [(212, 43, 33), (200, 40, 40), (1, 255, 8), (256, 0, 8), (255, 1, 8)] {
            check((d, p), bytes, 7, &mut encoder);
        }
    }

    #[test]
    fn impossible_shapes_are_errors() {
        let mut encoder = CauchyEncoder::new();
        let mut block = [0; 64];
        for (shape, bytes) in [((0, 2), 32), ((200, 57), 1), ((usize::MAX, 2), 1)] {
            assert!(matches!(encoder.encode(&mut block, shape, bytes), Err(CauchyError::Shape { .. })));
        }
        for bytes in [0, 31, 33, usize::MAX / 2] {
            assert!(matches!(encoder.encode(&mut block, (1, 1), bytes), Err(CauchyError::Length { .. })));
        }
    }

    proptest! {
        #[test]
        fn one_encoder_gives_the_parity_of_the_definition_for_blocks_of_any_shape(
            blocks in proptest::collection::vec((1usize..40, 0usize..20, 1usize..100, any::<u64>()), 1..4)
        ) {
            let mut encoder = CauchyEncoder::new();
            for (d, p, bytes, seed) in blocks {
                check((d, p), bytes, seed, &mut encoder);
            }
        }
    }
}
