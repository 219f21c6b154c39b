//! The loop's side of the recorder never allocates: a million frames of wild values under a counting allocator, with the
//! real collector draining beside it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::{Duration, Instant};

use punktfunk_stats::{
    Anchor, ArmOptions, CaptureEvent, FrameInfo, Recorder, RecorderConfig, SessionInfo, SessionSpec, StageSet,
    StageSpec,
};
use testkit::{CountingAllocator, allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_million_frames_of_wild_values_allocate_nothing_in_the_loop() {
    let recorder = Recorder::spawn(RecorderConfig::default()).unwrap();
    let stages = StageSet::new(&[
        StageSpec { name: "work", share: 0.5, queued: false },
        StageSpec { name: "send", share: 0.5, queued: true },
    ]);
    let info = SessionInfo { fps: 240, ..SessionInfo::default() };
    let spec = SessionSpec { protocol: "native", stages: stages.unwrap(), info, known: &[] };
    let (mut gate, mut sink, _counters) = recorder.session(spec).unwrap().split();
    let events = recorder
        .arm(ArmOptions {
            capture_id: "wild".into(),
            label: String::new(),
            anchor: Anchor::now(),
            latency_target: None,
        })
        .unwrap();
    while !gate.is_measuring() {
        std::thread::yield_now();
    }
    let now = Instant::now();
    let mut seed = 1_u64;
    let before = allocations();
    for number in 0..1_000_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let wild = Duration::from_nanos(seed >> (seed % 50));
        let mut trace = gate.begin_at(now);
        trace.leave_at(0, now + wild / 2);
        trace.enter_at(1, now + wild / 2);
        trace.leave_at(1, now + wild);
        trace.add_pace(wild / 8);
        sink.record(&trace, FrameInfo { number, media_bytes: seed as u32, ..FrameInfo::default() });
    }
    assert_eq!(allocations() - before, 0);

    recorder.disarm();
    let report = events.iter().find_map(|event| match event {
        CaptureEvent::Finished(report) => Some(report),
        _ => None,
    });
    let session = &report.unwrap().sessions[0];
    assert_eq!(session.records + session.records_lost + session.in_flight, 1_000_000);
    assert!(session.records > 0);
}
