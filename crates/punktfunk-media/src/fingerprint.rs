//! Tells whether a picture is the one before it, at a fraction of what copying it costs.
//!
//! Not a cryptographic hash: nobody gains from making a screen look still.

/// A number that equal bytes share and different pictures practically never do.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    // Four lanes do not wait for each other's multiplication.
    let mut lanes = [0x9e37_79b9_7f4a_7c15_u64, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            let word = u64::from_le_bytes(word.try_into().expect("a chunk of eight bytes has eight bytes"));
            *lane = fold(*lane, word);
        }
    }
    let tail = blocks.remainder().iter().fold(bytes.len() as u64, |hash, byte| fold(hash, u64::from(*byte)));
    lanes.into_iter().fold(tail, fold)
}

/// One step: a bijection of either argument while the other stands still, so a single changed word always shows.
fn fold(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fingerprint;

    proptest! {
        #[test]
        fn one_changed_byte_anywhere_shows(bytes in prop::collection::vec(any::<u8>(), 1..300), at: prop::sample::Index, by in 1_u8..) {
            let mut changed = bytes.clone();
            changed[at.index(bytes.len())] ^= by;
            prop_assert_ne!(fingerprint(&bytes), fingerprint(&changed));
            prop_assert_eq!(fingerprint(&bytes), fingerprint(&bytes.clone()));
        }

        #[test]
        fn two_blocks_that_change_places_show(one: [u8; 32], other: [u8; 32]) {
            prop_assume!(one != other);
            prop_assert_ne!(fingerprint(&[one, other].concat()), fingerprint(&[other, one].concat()));
        }
    }
}
