//! The distribution of one window: a base-2 exponential histogram of scale 6, sparse on the wire.
//!
//! Bucket `i` counts durations in (2^(i/64), 2^((i+1)/64)] seconds (OpenTelemetry metrics data model,
//! "ExponentialHistogram"): 1.1 % wide, so that the geometric middle is within 0.55 % of every value in it. On the wire it is
//! an array of integers: the first bucket's index, then counts; a negative number `-n` skips `n` empty buckets.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Buckets an octave.
const PER_OCTAVE: i32 = 64;

/// Indices that a wire form may name: 2^±64 seconds. A hostile file cannot make a reader walk further.
const INDEX_LIMIT: i64 = 64 * PER_OCTAVE as i64;

/// Counts by bucket index; no entry is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SparseHistogram(BTreeMap<i32, u64>);

impl SparseHistogram {
    /// Takes consecutive counts, the first one at `offset`.
    pub fn from_dense(offset: i32, counts: &[u64]) -> Self {
        Self((offset..).zip(counts).filter(|(_, count)| **count > 0).map(|(index, count)| (index, *count)).collect())
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.values().fold(0, |sum: u64, &count| sum.saturating_add(count))
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (&index, &count) in &other.0 {
            let sum = self.0.entry(index).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// Bucket indices and counts, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, u64)> + '_ {
        self.0.iter().map(|(&index, &count)| (index, count))
    }

    /// The bucket that counts `seconds`.
    pub fn index_of(seconds: f64) -> i32 {
        ((seconds.log2() * f64::from(PER_OCTAVE)).ceil() as i32).saturating_sub(1)
    }

    /// The geometric middle of bucket `index`, µs: within 0.55 % of every value in it.
    pub fn middle_us(index: i32) -> f64 {
        ((f64::from(index) + 0.5) / f64::from(PER_OCTAVE)).exp2() * 1e6
    }

    /// Nearest-rank quantile (`q` in 0–1), µs, as the middle of its bucket; `None` if nothing was counted.
    pub fn quantile_us(&self, q: f64) -> Option<f64> {
        let total = self.count();
        // At most 2^53 frames: 285,000 years at 1000 a second.
        // The product may come out a few units in the last place too large: 0.28 × 50 is not the 15th.
        let rank = ((q * total as f64 * (1.0 - 4.0 * f64::EPSILON)).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        self.iter().find_map(|(index, count)| {
            seen = u64::saturating_add(seen, count);
            (seen >= rank).then(|| Self::middle_us(index))
        })
    }

    /// Sum of the largest values, µs, until `n` values are in it: what a "1 % low" stands on. `None` if fewer than `n` were
    /// counted or `n` is 0.
    pub fn sum_of_largest_us(&self, n: u64) -> Option<f64> {
        if n == 0 || self.count() < n {
            return None;
        }
        let mut left = n;
        let mut sum = 0.0;
        for (index, count) in self.iter().rev() {
            let take = count.min(left);
            sum += take as f64 * Self::middle_us(index);
            left -= take;
            if left == 0 {
                break;
            }
        }
        Some(sum)
    }
}

impl Serialize for SparseHistogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut wire: Vec<i64> = Vec::with_capacity(self.0.len() * 2);
        let mut next = None;
        for (index, count) in self.iter() {
            match next {
                None => wire.push(i64::from(index)),
                Some(next) if next < index => wire.push(i64::from(next) - i64::from(index)),
                Some(_) => {}
            }
            wire.push(i64::try_from(count).unwrap_or(i64::MAX));
            next = Some(index + 1);
        }
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SparseHistogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Vec::<i64>::deserialize(deserializer)?;
        let mut counts = BTreeMap::new();
        let Some((&first, rest)) = wire.split_first() else { return Ok(Self(counts)) };
        let mut index = first;
        for &entry in rest {
            let bucket = i32::try_from(index).ok().filter(|_| index.abs() <= INDEX_LIMIT);
            let bucket =
                bucket.ok_or_else(|| D::Error::custom("a histogram's bucket lies outside of 2^-64 s to 2^64 s"))?;
            match u64::try_from(entry) {
                Ok(count) => {
                    if count > 0 {
                        counts.insert(bucket, count);
                    }
                    index += 1;
                }
                Err(_) => index = index.saturating_add(entry.saturating_neg()),
            }
        }
        Ok(Self(counts))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values_us: &[f64]) -> SparseHistogram {
        let mut histogram = SparseHistogram::default();
        for us in values_us {
            histogram.merge(&SparseHistogram(BTreeMap::from([(SparseHistogram::index_of(us / 1e6), 1)])));
        }
        histogram
    }

    #[test]
    fn the_wire_form_skips_gaps() {
        let histogram = SparseHistogram::from_dense(-640, &[3, 0, 0, 5, 1]);
        assert_eq!(serde_json::to_string(&histogram).unwrap(), "[-640,3,-2,5,1]");
    }

    #[test]
    fn hostile_wire_forms_are_refused_and_cost_nothing() {
        for hostile in ["[9223372036854775807,1]", "[0,-9223372036854775808,1]", "[0,1,-99999999,1]", "[1.5]", "{}"] {
            assert!(serde_json::from_str::<SparseHistogram>(hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn a_value_on_a_boundary_belongs_to_the_bucket_below() {
        assert_eq!((SparseHistogram::index_of(1.0), SparseHistogram::index_of(0.5)), (-1, -65));
    }

    proptest! {
        #[test]
        fn the_wire_form_round_trips(offset in -1300_i32..100, counts in prop::collection::vec(0_u64..5, 0..200)) {
            let histogram = SparseHistogram::from_dense(offset, &counts);
            let wire = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<SparseHistogram>(&wire).unwrap(), histogram);
        }

        #[test]
        fn any_array_of_integers_is_read_or_refused(wire in prop::collection::vec(any::<i64>(), 0..50)) {
            let text = serde_json::to_string(&wire).unwrap();
            if let Ok(histogram) = serde_json::from_str::<SparseHistogram>(&text) {
                prop_assert!(histogram.iter().all(|(_, count)| count > 0));
            }
        }

        #[test]
        fn merging_counts_what_both_counted(a in prop::collection::vec(1.0_f64..1e6, 0..200), b in prop::collection::vec(1.0_f64..1e6, 0..200)) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn quantiles_are_within_1_1_percent(mut values in prop::collection::vec(1.0_f64..1e6, 1..400), percent in 1_usize..=100) {
            let histogram = of(&values);
            values.sort_by(f64::total_cmp);
            let exact = values[(values.len() * percent).div_ceil(100) - 1];
            let estimate = histogram.quantile_us(percent as f64 / 100.0).unwrap();
            prop_assert!((estimate / exact - 1.0).abs() < 0.011, "{estimate} for {exact}");
        }
    }
}
