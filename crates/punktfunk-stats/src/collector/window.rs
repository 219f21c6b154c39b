//! Order statistics of one window.

use crate::report::{Buckets, Distribution};

/// Exact statistics of `values`, which are sorted in place; `None` for none. The buckets are left to the instruments.
pub(super) fn distribution(values: &mut [u64]) -> Option<Distribution> {
    values.sort_unstable();
    let max_ns = *values.last()?;
    Some(Distribution {
        count: values.len() as u64,
        p50_ns: nearest_rank(values, 50),
        p95_ns: nearest_rank(values, 95),
        p99_ns: nearest_rank(values, 99),
        max_ns,
        sum_ns: values.iter().fold(0, |sum: u64, &value| sum.saturating_add(value)),
        buckets: Buckets::default(),
    })
}

/// Nearest-rank percentile: the smallest value that at least `percent` % of the values do not exceed.
/// `sorted` is not empty.
fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_of_a_hundred_values_are_the_values_themselves() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        let stats = distribution(&mut values).unwrap();
        assert_eq!((stats.p50_ns, stats.p95_ns, stats.p99_ns, stats.max_ns), (50, 95, 99, 100));
        assert_eq!((stats.count, stats.sum_ns), (100, 5050));
    }

    #[test]
    fn nothing_has_no_statistics() {
        assert_eq!(distribution(&mut []), None);
    }

    proptest! {
        #[test]
        fn a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(mut values in prop::collection::vec(0_u64..1_000_000, 1..500)) {
            let stats = distribution(&mut values).unwrap();
            for (percent, figure) in [(50, stats.p50_ns), (95, stats.p95_ns), (99, stats.p99_ns)] {
                let covered = |limit: u64| values.iter().filter(|&&v| v <= limit).count() * 100;
                prop_assert!(covered(figure) >= values.len() * percent);
                prop_assert!(values.iter().filter(|&&v| v < figure).all(|&v| covered(v) < values.len() * percent));
            }
        }
    }
}
