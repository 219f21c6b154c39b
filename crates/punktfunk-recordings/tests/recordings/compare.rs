//! Noise and change told apart, on runs whose difference is known.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use punktfunk_recordings::compare::{ComparisonOutcome, FigureOutcome, RunDifference, compare};
use punktfunk_recordings::{Capture, StatsSample};

use super::fixture;

/// A random number in 0–1 for each purpose: the runs are the same each time, and look like measured ones.
fn random(seed: u64, n: u64) -> f64 {
    let mut z = (seed << 32 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A run whose stages scatter from frame to frame, drift together for seconds at a time, and have a spike now and then;
/// `factor` stretches encode.
fn run(seed: u64, seconds: u64, factor: f64) -> Capture {
    run_with_spikes(seed, seconds, factor, 0.0)
}

fn run_with_spikes(seed: u64, seconds: u64, factor: f64, spikes: f64) -> Capture {
    let mut samples = Vec::new();
    for second in 0..seconds {
        // Three seconds in a row are alike: what blocks are for.
        let drift = 0.94 + 0.12 * random(seed, 1_000_000 + second / 3);
        let mut values: [Vec<f64>; 5] = Default::default();
        for frame in 0..60 {
            let at = second * 60 + frame;
            let spike = if random(seed, 2_000_000 + at) < spikes { 2.0 } else { 1.0 };
            let mut host = 0.0;
            for (stage, usual) in [1_900.0, 700.0, 5_600.0 * factor, 2_300.0].into_iter().enumerate() {
                let us = usual * drift * spike * (0.8 + 0.4 * random(seed, 10 * at + stage as u64));
                values[stage].push(us);
                host += us;
            }
            values[4].push(host);
        }
        let names = ["capture", "submit", "encode", "send", "host"];
        let mut stats: Vec<_> = names.iter().zip(&values).map(|(name, values)| fixture::stats(name, values)).collect();
        let host = stats.pop();
        samples.push(StatsSample {
            stages: stats,
            host,
            ..fixture::sample("s1", second, 60, [1_900.0, 700.0, 5_600.0, 2_300.0])
        });
    }
    with_samples(fixture::capture("a", 1), samples)
}

fn with_samples(capture: Capture, samples: Vec<StatsSample>) -> Capture {
    Capture::assemble(capture.meta, samples, capture.markers, capture.provenance, capture.kept_frames)
}

fn difference(a: Capture, b: Capture) -> RunDifference {
    compare(&mut [a, b], None).differences.remove(0)
}

/// Both halves of a run as runs of their own.
fn halves(whole: &Capture) -> (Capture, Capture) {
    let middle = whole.samples.len() / 2;
    let half = |samples: &[StatsSample]| {
        let first = samples.first().map_or(0, |sample| sample.t_ms - 1000);
        let moved = samples.iter().map(|sample| StatsSample { t_ms: sample.t_ms - first, ..sample.clone() });
        with_samples(whole.clone(), moved.collect())
    };
    (half(&whole.samples[..middle]), half(&whole.samples[middle..]))
}

#[test]
fn a_run_against_itself_has_not_changed() {
    let run = run(1, 60, 1.0);
    let difference = difference(run.clone(), run);
    assert_eq!(difference.outcome, ComparisonOutcome::NoChange);
    assert!(difference.figures.iter().all(|figure| figure.difference == 0.0 && figure.low.is_some()));
    assert_eq!(difference.text, "No change: every difference is noise.");
}

#[test]
fn a_slower_encoder_is_found_and_named_and_nothing_else_is() {
    let found = difference(run(1, 60, 1.0), run(2, 60, 1.4));
    assert_eq!(found.outcome, ComparisonOutcome::Worse, "{}", found.text);
    for figure in &found.figures {
        let hit = ["encode", "host"].contains(&figure.series.as_str());
        let wanted = if hit { FigureOutcome::Worse } else { FigureOutcome::Noise };
        assert_eq!(figure.outcome, wanted, "{figure:?}");
    }
    assert!(found.text.starts_with("Worse: ") && found.text.contains("encode p99 +"), "{}", found.text);
    assert!(found.text.ends_with("the rest is noise."), "{}", found.text);
    let back = difference(run(2, 60, 1.4), run(1, 60, 1.0));
    assert_eq!(back.outcome, ComparisonOutcome::Better);
    assert!(back.text.contains("encode p99 −"), "{}", back.text);
}

#[test]
fn a_run_of_a_few_seconds_says_that_it_is_too_short() {
    let short = difference(run(1, 60, 1.0), run(2, 5, 3.0));
    assert_eq!(short.outcome, ComparisonOutcome::NotEnoughData);
    assert!(short.figures.iter().all(|figure| figure.low.is_none()), "not a guess");
    assert!(short.text.contains("Too short"), "{}", short.text);
    let none = with_samples(run(1, 1, 1.0), Vec::new());
    assert_eq!(difference(none.clone(), none).outcome, ComparisonOutcome::NotEnoughData);
}

#[test]
fn percentiles_without_distributions_are_unknown_and_means_are_not() {
    let plain = |mut capture: Capture| {
        for sample in &mut capture.samples {
            sample.stages.iter_mut().chain(&mut sample.host).for_each(|stage| stage.hist = None);
        }
        let samples = capture.samples.clone();
        with_samples(capture, samples)
    };
    let found = difference(plain(run(1, 60, 1.0)), plain(run(2, 60, 1.5)));
    assert!(found.figures.iter().all(|figure| !figure.figure.starts_with('p')));
    assert!(found.figures.iter().any(|figure| figure.series == "encode" && figure.outcome == FigureOutcome::Worse));
}

#[test]
fn runs_that_did_other_work_are_called_so() {
    let (a, mut b) = (run(1, 20, 1.0), run(1, 20, 1.0));
    b.meta.sessions[0].height = 1080;
    b.meta.sessions[0].client = "another".into();
    b.meta.interrupted = true;
    let compared = compare(&mut [a, b], None);
    assert!(!compared.comparable);
    assert!(compared.warnings[0].contains("resolution") && compared.warnings[1].contains("interrupted"));
    let settings: Vec<_> = compared.configuration.iter().map(|one| one.setting.as_str()).collect();
    assert_eq!(settings, ["resolution", "client"]);
    let decides: Vec<_> = compared.configuration.iter().map(|one| one.decides).collect();
    assert_eq!(decides, [true, false]);
}

#[test]
fn a_part_of_the_runs_is_compared_alone() {
    // Slow in the first half, as the baseline in the second.
    let (baseline, slow) = (run(1, 60, 1.0), run(2, 30, 2.0));
    let mut samples = slow.samples.clone();
    samples.extend(run(3, 60, 1.0).samples.into_iter().skip(30));
    let half = with_samples(run(2, 60, 1.0), samples);
    let outcome = |range| compare(&mut [baseline.clone(), half.clone()], Some(range)).differences.remove(0).outcome;
    assert_eq!(outcome((0, 29_000)), ComparisonOutcome::Worse);
    assert_eq!(outcome((29_000, 60_000)), ComparisonOutcome::NoChange);
    assert_eq!(outcome((61_000, 70_000)), ComparisonOutcome::NotEnoughData);
    let part = compare(&mut [baseline.clone(), half.clone()], Some((29_000, u64::MAX)));
    assert_eq!((part.from_ms, part.to_ms), (Some(29_000), Some(baseline.meta.duration_ms)));
    assert_eq!(part.runs[0].figures.frames, 30 * 60);
}

#[test]
fn what_stands_out_leads_once_a_series() {
    let found = difference(run(1, 60, 1.0), run(2, 60, 2.0));
    let leading: Vec<_> = found.leading.iter().map(|at| &found.figures[*at]).collect();
    let series: Vec<_> = leading.iter().map(|figure| (figure.series.as_str(), figure.figure.as_str())).collect();
    assert!(series.contains(&("encode", "p99")) && series.contains(&("host", "p99")), "{series:?}");
    assert!(!series.contains(&("encode", "p95")), "{series:?}");
    let places: Vec<_> =
        leading.iter().map(|figure| found.text.find(&format!("{} {} ", figure.series, figure.figure))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", found.text);
}

proptest! {
    // The same runs each time. What is judged at 99.9 % is wrong now and then (6 of 3,000 shifts, 4 of 3,000 pairs of halves),
    // and a test is not to be so.
    #![proptest_config(ProptestConfig { cases: 24, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn two_halves_of_a_stationary_run_have_not_changed(seed in 0_u64..1 << 20, seconds in 20_u64..200) {
        // The 99th percentile stands where the spikes begin: a few more or less double it.
        let (a, b) = halves(&run_with_spikes(seed, seconds, 1.0, 0.01));
        let found = difference(a, b);
        prop_assert_eq!(found.outcome, ComparisonOutcome::NoChange, "{}", found.text);
    }

    #[test]
    fn a_known_shift_is_found(seed in 0_u64..1 << 20, seconds in 20_u64..120, factor in 1.25_f64..3.0) {
        let found = difference(run(seed, seconds, 1.0), run(seed + 1, seconds, factor));
        prop_assert_eq!(found.outcome, ComparisonOutcome::Worse, "{}", found.text);
        let p50 = found.figures.iter().find(|figure| figure.series == "encode" && figure.figure == "p50").unwrap();
        prop_assert!((p50.relative.unwrap() + 1.0 - factor).abs() < 0.1 * factor);
        prop_assert!(p50.regression().is_some());
    }
}
