//! Figures against their definitions.

use proptest::prelude::*;
use punktfunk_recordings::{StatsSample, summarize};

use crate::fixture::{QUICK, run, sample, session, stats};

#[test]
fn busy_shares_are_work_against_wall_time_and_threads_add_up() {
    let figures = &summarize(&run("s1", 10, |_| QUICK), &[session("s1")], None).sessions[0].figures;
    let busy: Vec<_> = figures.stages.iter().map(|stage| (stage.name.as_str(), stage.busy_share)).collect();
    for ((name, share), expected) in busy.iter().zip([0.12, 0.06, 0.30, 0.03]) {
        assert!((share.unwrap() - expected).abs() < 0.003, "{name} {share:?}");
    }
    assert_eq!(busy.last(), Some(&("queue", None)));
    let threads: Vec<_> = figures.threads.iter().map(|thread| thread.stages.join("+")).collect();
    assert_eq!(threads, ["capture", "submit+encode", "send"]);
    assert!((figures.threads[1].busy_share - 0.36).abs() < 0.004);
    assert!((figures.threads[1].frame_share - figures.threads[1].busy_share).abs() < 1e-6);
}

#[test]
fn the_worst_ten_seconds_have_the_most_late_frames() {
    let slow = [2_000.0, 1_000.0, 60_000.0, 1_000.0];
    let samples = run("s1", 60, |second| if second == 20 || second == 29 || second == 50 { slow } else { QUICK });
    let worst = summarize(&samples, &[session("s1")], None).all.worst_ten_seconds.unwrap();
    assert_eq!((worst.from_ms, worst.to_ms, worst.frames, worst.late), (19_000, 29_000, 600, 120));
    assert_eq!(worst.late_by_stage[0].stage, "encode");
}

#[test]
fn without_late_frames_the_worst_ten_seconds_have_the_highest_host_duration() {
    let samples = run("s1", 60, |second| if second == 33 { [2_000.0, 1_000.0, 9_000.0, 1_000.0] } else { QUICK });
    let worst = summarize(&samples, &[session("s1")], None).all.worst_ten_seconds.unwrap();
    assert_eq!((worst.from_ms, worst.to_ms), (23_000, 33_000));
}

#[test]
fn the_worst_ten_seconds_of_all_take_the_same_time_of_every_session() {
    let mut samples = run("s1", 30, |_| QUICK);
    samples.extend(run("s2", 30, |second| if second == 15 { [2_000.0, 1_000.0, 60_000.0, 1_000.0] } else { QUICK }));
    let worst = summarize(&samples, &["s1", "s2"].map(session), None).all.worst_ten_seconds.unwrap();
    assert_eq!((worst.frames, worst.late, worst.to_ms - worst.from_ms), (1200, 60, 10_000));
}

#[test]
fn a_run_shorter_than_ten_seconds_is_its_own_worst() {
    let worst = summarize(&run("s1", 3, |_| QUICK), &[session("s1")], None).all.worst_ten_seconds.unwrap();
    assert_eq!((worst.from_ms, worst.to_ms, worst.frames), (0, 3000, 180));
}

#[test]
fn one_percent_low_stands_on_the_longest_intervals() {
    let mut intervals = vec![10_000.0; 198];
    intervals.extend([100_000.0, 3_000_000.0]);
    let mut window = sample("s1", 1, 60, QUICK);
    window.interval = Some(stats("interval", &intervals));
    let low = summarize(&[window], &[session("s1")], None).all.low_1_percent_fps.unwrap();
    let exact = 2.0 / 3.1;
    assert!((low / exact - 1.0).abs() < 0.006, "{low} for {exact}");
}

#[test]
fn percentiles_are_absent_if_a_window_has_no_distribution() {
    let mut samples = run("s1", 2, |_| QUICK);
    samples[1].host.as_mut().unwrap().hist = None;
    let host = summarize(&samples, &[session("s1")], None).all.host.unwrap();
    assert_eq!((host.p50_us, host.count), (None, 120));
    assert!(host.max_us > 0.0 && host.mean_us > 0.0);
}

#[test]
fn figures_that_no_window_knows_stay_absent() {
    let mut samples = run("s1", 2, |_| QUICK);
    for sample in &mut samples {
        sample.packets_dropped = None;
    }
    let all = summarize(&samples, &[session("s1")], None).all;
    assert_eq!((all.packets_lost, all.fec_recovered, all.idr_requests), (None, None, None));
}

#[test]
fn adjacent_ranges_share_no_window_and_leave_none_out() {
    let samples = run("s1", 10, |_| QUICK);
    let frames = |range| summarize(&samples, &[session("s1")], range).all.frames;
    assert_eq!(frames(Some((0, 4000))) + frames(Some((4000, 10_000))), frames(None));
    assert_eq!(frames(Some((4000, 5000))), 60);
    assert_eq!(frames(Some((9000, 2000))), 0);
}

#[test]
fn nothing_measured_is_no_figure() {
    let summary = summarize(&[], &[], None);
    assert_eq!((summary.all.late_share, summary.all.host.is_none(), summary.sessions.len()), (None, true, 0));
}

/// Samples as a hostile or damaged file may hold them.
fn wild() -> impl Strategy<Value = StatsSample> {
    (any::<u64>(), any::<f64>(), any::<u64>(), any::<u64>(), prop::option::of(any::<u64>())).prop_map(
        |(t_ms, us, count, late, lost)| {
            let mut sample = sample("s1", 1, 3, QUICK);
            (sample.t_ms, sample.window_ms, sample.frames, sample.late) = (t_ms, us, count, late);
            (sample.packets_dropped, sample.records_lost) = (lost, count);
            let host = sample.host.as_mut().unwrap();
            (host.mean_us, host.max_us, host.count) = (us, us, count);
            sample
        },
    )
}

proptest! {
    #[test]
    fn no_samples_make_it_panic(samples in prop::collection::vec(wild(), 0..20)) {
        let summary = summarize(&samples, &[session("s1")], None);
        prop_assert_eq!(summary.sessions.len(), 1);
    }

    #[test]
    fn merged_percentiles_are_within_their_bound_of_all_values(
        windows in prop::collection::vec(prop::collection::vec((1_000_u32..900_000_000).prop_map(|ns| f64::from(ns) / 1e3), 1..100), 1..8),
    ) {
        let samples: Vec<_> = windows.iter().zip(1..).map(|(values, second)| {
            let mut sample = sample("s1", second, values.len(), QUICK);
            sample.host = Some(stats("host", values));
            sample
        }).collect();
        let host = summarize(&samples, &[session("s1")], None).all.host.unwrap();
        let mut values = windows.concat();
        values.sort_by(f64::total_cmp);
        for (estimate, percent) in [(host.p50_us, 50), (host.p95_us, 95), (host.p99_us, 99)] {
            let exact = values[(values.len() * percent).div_ceil(100) - 1];
            prop_assert!((estimate.unwrap() / exact - 1.0).abs() < 0.0056, "{estimate:?} for {exact}");
        }
        prop_assert_eq!(host.max_us, *values.last().unwrap());
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        prop_assert!((host.mean_us - mean).abs() < 0.002);
    }
}
