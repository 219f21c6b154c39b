//! What a capture says of this path: the latency in the frame header is the sum of the stages before it, and each delayed
//! stage is found by the verdict. Real runs, real clock.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use punktfunk_captures::{StartRequest, assemble};
use punktfunk_media::{DelaySchedule, DelayStage, Delays};
use punktfunk_recordings::{Capture, CaptureKind, HostMeta, RecordingId, VerdictKind};
use support::client::VideoClient;
use support::{SOON, arm, config, finish, host, recorder, start};

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_latency_in_the_header_is_the_sum_of_the_stages_up_to_the_packetizer() {
    let recorder = recorder();
    // Delays that scatter: a constant error would show as well as a swapped stage.
    let delays = [DelayStage::Source, DelayStage::Conversion, DelayStage::Encoder, DelayStage::Queue]
        .into_iter()
        .zip(1..)
        .fold(Delays::none(), |delays, (stage, seed)| delays.with(stage, DelaySchedule::random(seed, 0.5, MS..8 * MS)))
        .with(DelayStage::Packetizer, DelaySchedule::constant(2 * MS));
    let host = host(&recorder, delays);
    let events = arm(&recorder);
    let mut client = VideoClient::new(&config(), 0.0, 0).decoding_nothing();
    let stream = start(&host, config(), client.address());
    client.receive_until(&stream, |client| client.tally().frames >= 90);
    recorder.disarm();
    let (_, _, report) = finish(&events);
    stream.stop();

    let said: BTreeMap<u64, u16> =
        client.latencies.iter().map(|(index, tenths)| (u64::from(*index), *tenths)).collect();
    let mut held = 0;
    for frame in &report.sessions[0].kept_frames {
        let Some(&tenths) = said.get(&frame.number) else { continue };
        let [Some(capture), Some(encode), Some(packetize), ..] = frame.stage_ns else { panic!("{frame:?}") };
        let until = Duration::from_nanos(capture + frame.wait_ns[1] + encode + frame.wait_ns[2]);
        let header = Duration::from_micros(u64::from(tenths) * 100);
        assert!(header.abs_diff(until) <= Duration::from_micros(100), "frame {}: {header:?} {until:?}", frame.number);
        assert!(Duration::from_nanos(packetize) >= 2 * MS, "the packetizer's own time is behind it");
        held += 1;
    }
    assert!(held >= 80, "{held} frames were held against their headers");
}

/// Streams four and a half seconds, the middle third delayed at `place`, and takes what would be saved.
fn captured(place: Option<DelayStage>) -> Capture {
    let recorder = recorder();
    let burst = DelaySchedule::burst(1500 * MS..3000 * MS, 90 * MS);
    let host = host(&recorder, place.map_or_else(Delays::none, |place| Delays::none().with(place, burst)));
    let events = arm(&recorder);
    let mut client = VideoClient::new(&config(), 0.0, 0).decoding_nothing();
    let stream = start(&host, config(), client.address());
    let from = std::time::Instant::now();
    client.receive_until(&stream, |_| from.elapsed() > 4500 * MS);
    recorder.disarm();
    drop(stream);
    drop(host);
    drop(recorder);
    let events = std::iter::from_fn(|| events.recv_timeout(SOON).ok());
    assemble(RecordingId::new(0, None), StartRequest::default(), HostMeta::default(), None, events).unwrap()
}

fn is_named(place: DelayStage, stage: &str) {
    let capture = captured(Some(place));
    let verdict = &capture.summary.verdict;
    assert_eq!((verdict.kind, verdict.stage.as_deref()), (VerdictKind::Stage, Some(stage)), "{}", verdict.text);
    let all = &capture.summary.all;
    let charged = all.late_by_stage.iter().find(|late| late.stage == stage).map_or(0, |late| late.count);
    assert!(all.late >= 10 && charged * 10 >= all.late * 8, "{charged} of {}", all.late);
}

#[test]
fn a_slow_source_is_named() {
    is_named(DelayStage::Source, "capture");
}

#[test]
fn a_slow_conversion_counts_to_the_encoder() {
    is_named(DelayStage::Conversion, "encode");
}

#[test]
fn a_slow_encoder_is_named() {
    is_named(DelayStage::Encoder, "encode");
}

#[test]
fn a_slow_packetizer_is_named() {
    is_named(DelayStage::Packetizer, "packetize");
}

#[test]
fn a_slow_sender_is_named() {
    is_named(DelayStage::Sender, "send");
}

#[test]
fn frames_that_lie_between_encoder_and_sender_are_named() {
    is_named(DelayStage::Queue, "queue");
}

#[test]
fn without_a_fault_a_capture_of_this_path_is_within_budget_and_of_its_kind() {
    let capture = captured(None);
    assert_eq!(capture.summary.verdict.kind, VerdictKind::WithinBudget, "{}", capture.summary.verdict.text);
    let meta = &capture.meta;
    assert_eq!(
        (meta.kind, meta.width, meta.height, meta.fps),
        (Some(CaptureKind::Gamestream), Some(640), Some(360), Some(30))
    );
    assert_eq!((meta.codec.as_deref(), meta.client.as_deref()), (Some("h264"), Some("test client")));
    let session = &meta.sessions[0];
    assert_eq!((session.protocol.as_str(), session.encoder.as_str()), ("gamestream", "openh264"));
    assert_eq!(session.audio.as_deref(), Some("silent"), "the port is there and nothing comes from it");
    let stages: Vec<_> = session.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["capture", "encode", "packetize", "send"]);
    assert_eq!(capture.provenance.verified, Some(true));
    assert!(session.left_ms.is_none() || session.left_ms >= Some(4000));
}
