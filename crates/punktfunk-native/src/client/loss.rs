//! Loss on purpose, the same for the same seed: `--loss` of the probe.

/// Drops a share of datagrams.
#[derive(Debug, Clone)]
pub struct SeededLoss {
    state: u64,
    threshold: u64,
}

impl SeededLoss {
    /// Loses `probability` (0–1) of what comes, chosen by `seed`.
    pub fn new(probability: f64, seed: u64) -> Self {
        // A float becomes an integer by saturation: NaN and negatives lose nothing, 1 and above everything.
        Self { state: seed, threshold: (probability * u64::MAX as f64) as u64 }
    }

    /// Whether the next datagram is lost.
    pub fn strikes(&mut self) -> bool {
        // SplitMix64 (Steele, Lea, Flood 2014): every seed is a good one.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) < self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_share_is_lost_and_always_the_same() {
        let run = |seed| {
            let mut loss = SeededLoss::new(0.03, seed);
            (0..100_000).map(|_| loss.strikes()).collect::<Vec<_>>()
        };
        let lost = run(1).iter().filter(|lost| **lost).count();
        assert!((2_800..3_200).contains(&lost), "{lost}");
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn none_and_all_are_exact() {
        assert!(!(0..1000).any(|seed| SeededLoss::new(0.0, seed).strikes()));
        assert!((0..1000).all(|seed| SeededLoss::new(1.0, seed).strikes()));
    }
}
