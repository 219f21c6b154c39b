//! The rules of the verdict, each with a case on either side of its threshold.

use proptest::prelude::*;
use punktfunk_recordings::verdict::{Criterion, Evidence, MIN_FRAMES, judge};
use punktfunk_recordings::{Summary, Verdict, VerdictKind, summarize};

use crate::fixture::{QUICK, STAGES, TARGET_US, late, missing, quiet, run, sample, session};

fn outcome(verdict: &Verdict) -> (VerdictKind, Option<&str>) {
    (verdict.kind, verdict.stage.as_deref())
}

/// Judges ten seconds of one session in which `stages_us` depends on the second.
fn judge_run(stages_us: impl Fn(u64) -> [f64; 4]) -> Summary {
    summarize(&run("s1", 10, stages_us), &[session("s1")], None)
}

fn with(stage: usize, us: f64) -> [f64; 4] {
    let mut stages = QUICK;
    stages[stage] = us;
    stages
}

#[test]
fn late_frames_are_blamed_on_the_stage_that_most_are_charged_to() {
    let evidence = Evidence { late: 186, late_by_stage: late(&[("encode", 169), ("send", 17)]), ..quiet() };
    let verdict = judge(evidence);
    assert_eq!(outcome(&verdict), (VerdictKind::Stage, Some("encode")));
    assert_eq!(
        verdict.text,
        "31 % of frames were late (over 33.3 ms from capture to wire); `encode` is at fault in 91 % of them."
    );
}

#[test]
fn fewer_late_frames_than_one_in_a_hundred_are_within_budget() {
    let just_under = Evidence { late: 5, late_by_stage: late(&[("encode", 5)]), ..quiet() };
    let at = Evidence { late: 6, late_by_stage: late(&[("encode", 6)]), ..quiet() };
    assert_eq!(outcome(&judge(just_under)), (VerdictKind::WithinBudget, None));
    assert_eq!(outcome(&judge(at)), (VerdictKind::Stage, Some("encode")));
}

#[test]
fn two_late_frames_of_a_short_run_are_no_fault() {
    let evidence = Evidence { frames: 60, late: 2, late_by_stage: late(&[("encode", 2)]), ..quiet() };
    assert_eq!(judge(evidence).kind, VerdictKind::WithinBudget);
}

#[test]
fn a_bad_ten_seconds_of_a_long_run_are_found() {
    let samples = run("s1", 1800, |second| if (600..604).contains(&second) { with(2, 60_000.0) } else { QUICK });
    let summary = summarize(&samples, &[session("s1")], None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::Stage, Some("encode")));
    assert_eq!(summary.verdict.criterion, Some(Criterion::WorstTenSeconds));
    assert_eq!(
        summary.verdict.text,
        "0.2 % of frames were late (over 33.3 ms from capture to wire), but 40 % in the ten seconds from 9:59; `encode` is \
         at fault in 100 % of those."
    );
}

#[test]
fn waiting_between_idle_threads_is_called_by_its_name() {
    let verdict = judge(Evidence { late: 60, late_by_stage: late(&[("queue", 60)]), ..quiet() });
    assert_eq!(outcome(&verdict), (VerdictKind::Stage, Some("queue")));
    assert!(
        verdict.text.contains("waiting between the stages (`queue`) is at fault in 100 % of them"),
        "{}",
        verdict.text
    );
}

#[test]
fn late_frames_without_a_stage_that_stands_out_are_said_to_have_none() {
    let verdict = judge(Evidence { late: 60, late_by_stage: late(&[("none", 60)]), ..quiet() });
    assert_eq!(outcome(&verdict), (VerdictKind::Stage, None));
    assert!(verdict.text.ends_with("no single stage stands out in them."), "{}", verdict.text);
}

#[test]
fn a_stage_that_keeps_frames_from_being_sent_is_at_fault_although_none_is_late() {
    let over = Evidence { missing: missing(Some("encode"), 90), ..quiet() };
    let under = Evidence { missing: missing(Some("encode"), 11), ..quiet() };
    let verdict = judge(over);
    assert_eq!(outcome(&verdict), (VerdictKind::Stage, Some("encode")));
    assert_eq!(
        verdict.text,
        "`encode` could not keep up: 15 % of the frames that 60 fps needs were never sent, because it was busy or failed."
    );
    assert_eq!(judge(under).kind, VerdictKind::WithinBudget);
}

#[test]
fn the_graver_of_latency_and_throughput_is_the_headline() {
    let latency = Evidence { late: 120, late_by_stage: late(&[("send", 120)]), ..quiet() };
    let mild = Evidence { missing: missing(Some("encode"), 30), ..latency.clone() };
    let grave = Evidence { missing: missing(Some("encode"), 300), ..latency };
    let answer = |evidence| {
        let verdict = judge(evidence);
        (verdict.stage, verdict.criterion)
    };
    assert_eq!(answer(mild), (Some("send".to_owned()), Some(Criterion::Late)));
    assert_eq!(answer(grave), (Some("encode".to_owned()), Some(Criterion::Missing)));
}

#[test]
fn loss_is_the_networks_fault_only_if_the_host_is_innocent() {
    let lossy = Evidence { packets_lost: Some(360), fec_recovered: Some(290), ..quiet() };
    let verdict = judge(lossy.clone());
    assert_eq!(outcome(&verdict), (VerdictKind::Network, None));
    assert_eq!(
        verdict.text,
        "The host kept up, but 3 % of the packets did not reach the client; 290 packets were rebuilt from parity."
    );
    let slow_too = Evidence { late: 60, late_by_stage: late(&[("encode", 60)]), ..lossy };
    assert_eq!(judge(slow_too).kind, VerdictKind::Stage);
    assert_eq!(judge(Evidence { packets_lost: Some(119), ..quiet() }).kind, VerdictKind::WithinBudget);
    assert_eq!(judge(Evidence { packets_lost: None, ..quiet() }).kind, VerdictKind::WithinBudget);
}

#[test]
fn few_new_pictures_on_a_host_with_time_to_spare_are_the_sources_limit() {
    let verdict = judge(Evidence { fps: 31.0, missing: missing(None, 290), ..quiet() });
    assert_eq!(outcome(&verdict), (VerdictKind::SourceLimited, None));
    assert!(verdict.text.contains("31 new pictures a second of the 60 granted"), "{}", verdict.text);
    assert_eq!(judge(Evidence { missing: missing(None, 59), ..quiet() }).kind, VerdictKind::WithinBudget);
}

#[test]
fn half_a_second_of_frames_is_too_little() {
    let few = Evidence { frames: MIN_FRAMES - 1, late: 20, ..quiet() };
    assert_eq!(judge(few).kind, VerdictKind::NotEnoughData);
    assert_eq!(judge(Evidence::default()).text, "Only 0 frames were measured; a verdict needs 30.");
}

#[test]
fn shares_are_never_rounded_to_nothing_or_to_everything() {
    let one = judge(Evidence { frames: 100_000, late: 1, ..quiet() });
    assert!(one.text.contains("under 0.1 % of frames"), "{}", one.text);
    let nearly = judge(Evidence { frames: 1000, late: 999, late_by_stage: late(&[("send", 999)]), ..quiet() });
    assert!(nearly.text.contains("over 99 % of frames"), "{}", nearly.text);
}

#[test]
fn a_quiet_run_is_within_budget() {
    let summary = judge_run(|_| QUICK);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::WithinBudget, None));
    assert_eq!(
        summary.verdict.text,
        "The host kept up: no frame was late (over 33.3 ms from capture to wire); its busiest thread (`submit` and \
         `encode`) was at work 36 % of the time."
    );
}

#[test]
fn a_slow_stage_is_named_whether_always_or_in_bursts() {
    for (stage, name) in STAGES.into_iter().enumerate() {
        let slow = with(stage, 40_000.0);
        for summary in [judge_run(|_| slow), judge_run(|second| if second == 5 { slow } else { QUICK })] {
            assert_eq!(outcome(&summary.verdict), (VerdictKind::Stage, Some(name)), "{}", summary.verdict.text);
        }
    }
}

#[test]
fn a_thread_that_is_busy_all_the_time_is_named_by_its_stage_furthest_over_its_share() {
    // 20 ms a frame: 50 frames a second, none of them late.
    let samples: Vec<_> = (1..=10).map(|second| sample("s1", second, 50, [1000.0, 1000.0, 19_000.0, 1000.0])).collect();
    let summary = summarize(&samples, &[session("s1")], None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::Stage, Some("encode")), "{}", summary.verdict.text);
}

#[test]
fn waiting_on_purpose_does_not_make_the_last_stage_busy() {
    let samples: Vec<_> = (1..=10)
        .map(|second| {
            let mut sample = sample("s1", second, 40, [1000.0, 1000.0, 2000.0, 22_000.0]);
            sample.pace = Some(crate::fixture::stats("pace", &[21_000.0; 40]));
            sample
        })
        .collect();
    let summary = summarize(&samples, &[session("s1")], None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::SourceLimited, None), "{}", summary.verdict.text);
    assert!(summary.sessions[0].figures.stages[3].busy_share.unwrap() < 0.1);
}

#[test]
fn repeated_pictures_are_the_sources_even_if_the_encoder_is_busy() {
    let samples: Vec<_> = (1..=10)
        .map(|second| {
            let mut sample = sample("s1", second, 60, [1000.0, 1000.0, 14_000.0, 1000.0]);
            (sample.fps, sample.repeat_fps) = (30.0, 30.0);
            sample
        })
        .collect();
    let summary = summarize(&samples, &[session("s1")], None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::SourceLimited, None), "{}", summary.verdict.text);
}

#[test]
fn seconds_in_which_nothing_left_are_charged_to_what_held_the_frames_up() {
    let mut samples = run("s1", 10, |_| QUICK);
    for stalled in &mut samples[4..8] {
        *stalled = sample("s1", stalled.t_ms / 1000, 0, QUICK);
    }
    // One frame took the four seconds and the rest of the fifth.
    let held = &mut samples[8];
    *held = sample("s1", 9, 1, [1000.0, 1000.0, 4_900_000.0, 1000.0]);
    let summary = summarize(&samples, &[session("s1")], None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::Stage, Some("encode")), "{:?}", summary.verdict);
}

#[test]
fn failures_are_charged_to_the_stage_that_failed() {
    let mut samples = run("s1", 10, |_| QUICK);
    for failing in &mut samples {
        *failing = sample("s1", failing.t_ms / 1000, 50, QUICK);
        failing.frames_dropped = 10;
        failing.dropped_by_reason =
            vec![punktfunk_recordings::DropCount { reason: "encode_failed".to_owned(), count: 10 }];
    }
    let summary = summarize(&samples, &[session("s1")], None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::Stage, Some("encode")), "{}", summary.verdict.text);
}

#[test]
fn pictures_that_were_replaced_before_an_encoder_that_hangs_are_charged_to_it() {
    let mut path = session("s1");
    path.stages[2].budget_share = 0.4;
    let replaced = |count| vec![punktfunk_recordings::DropCount { reason: "replaced".to_owned(), count }];
    let mut hang = run("s1", 10, |_| QUICK);
    for hanging in &mut hang[5..] {
        *hanging = sample("s1", hanging.t_ms / 1000, 0, QUICK);
        hanging.dropped_by_reason = replaced(60);
    }
    let mut now_and_then = run("s1", 10, |_| QUICK);
    for window in &mut now_and_then {
        *window = sample("s1", window.t_ms / 1000, 45, QUICK);
        window.dropped_by_reason = replaced(15);
    }
    for samples in [hang, now_and_then] {
        let summary = summarize(&samples, std::slice::from_ref(&path), None);
        assert_eq!(outcome(&summary.verdict), (VerdictKind::Stage, Some("encode")), "{}", summary.verdict.text);
    }
}

#[test]
fn the_gravest_session_gives_the_verdict_and_its_name() {
    let sessions = ["s1", "s2", "s3"].map(session);
    let mut samples = run("s1", 10, |_| QUICK);
    samples.extend(run("s2", 10, |second| if second == 5 { with(3, 50_000.0) } else { QUICK }));
    samples.extend(run("s3", 10, |_| QUICK));
    let summary = summarize(&samples, &sessions, None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::Stage, Some("send")));
    assert!(summary.verdict.text.starts_with("Session s2 (Living room): 10 % of frames"), "{}", summary.verdict.text);
    let kinds: Vec<_> = summary.sessions.iter().map(|session| session.verdict.kind).collect();
    assert_eq!(kinds, [VerdictKind::WithinBudget, VerdictKind::Stage, VerdictKind::WithinBudget]);
}

#[test]
fn sessions_that_all_keep_up_are_judged_together() {
    let mut samples = run("s1", 10, |_| QUICK);
    samples.extend(run("s2", 10, |_| QUICK));
    let summary = summarize(&samples, &["s1", "s2"].map(session), None);
    assert_eq!(outcome(&summary.verdict), (VerdictKind::WithinBudget, None));
    assert_eq!(summary.verdict.evidence.frames, 1200);
    assert_eq!(summary.verdict.evidence.target_us, Some(TARGET_US));
}

proptest! {
    /// Whatever the figures are, they get a verdict, and a stage is named only if it is at fault.
    #[test]
    fn every_evidence_has_one_verdict(
        frames in any::<u64>(), late_frames in any::<u64>(), granted in any::<u64>(), gone in any::<u64>(),
        sent in any::<u64>(), lost in prop::option::of(any::<u64>()),
    ) {
        let verdict = judge(Evidence {
            frames, late: late_frames, late_by_stage: late(&[("send", late_frames)]), granted_frames: granted,
            missing: missing(None, gone), packets_sent: sent, packets_lost: lost, ..Evidence::default()
        });
        prop_assert_eq!(verdict.stage.is_some(), verdict.kind == VerdictKind::Stage);
        prop_assert_eq!(verdict.criterion.is_some(), verdict.kind == VerdictKind::Stage);
        prop_assert!(verdict.text.ends_with('.') && !verdict.text.contains("NaN"), "{}", verdict.text);
    }
}
