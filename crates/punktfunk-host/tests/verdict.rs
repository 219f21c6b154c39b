//! Known faults in, the verdict out: the pipeline that both paths share in virtual time, delayed at each stage in turn over
//! many seeds, through the real recorder, collector, summary and verdict.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use punktfunk_captures::{StartRequest, assemble};
use punktfunk_gamestream::stream as gamestream;
use punktfunk_media::{DelaySchedule, DelayStage, Delays};
use punktfunk_native::stream as native;
use punktfunk_recordings::{Capture, HostMeta, RecordingId, VerdictKind};
use punktfunk_stats::{
    Anchor, ArmOptions, DropReason, FrameInfo, FrameTrace, Recorder, RecorderConfig, SessionInfo, SessionSpec,
    StageSet, StageSpec,
};
use rand::{RngExt as _, SeedableRng as _};

const FPS: u32 = 60;
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / FPS as u64);
const SECONDS: u64 = 30;
const SEEDS: u64 = 40;

/// Frames that may wait between encoder and sender, as in the pipeline.
const SEND_QUEUE: usize = 2;

/// A path: how it counts what the pipeline does.
#[derive(Debug, Clone, Copy)]
enum Path {
    Native,
    GameStream,
}

impl Path {
    const ALL: [Self; 2] = [Self::Native, Self::GameStream];

    fn protocol(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::GameStream => "gamestream",
        }
    }

    fn stages(self) -> &'static [StageSpec] {
        match self {
            Self::Native => &native::STAGES,
            Self::GameStream => &gamestream::STAGES,
        }
    }

    /// The stage that the verdict must name when `place` is delayed.
    fn at_fault(self, place: DelayStage) -> &'static str {
        match (place, self) {
            (DelayStage::Source, _) => "capture",
            (DelayStage::Conversion, Self::Native) => "submit",
            (DelayStage::Conversion, Self::GameStream) | (DelayStage::Encoder, _) => "encode",
            (DelayStage::Packetizer, Self::GameStream) => "packetize",
            (DelayStage::Packetizer, Self::Native) | (DelayStage::Sender, _) => "send",
            (DelayStage::Queue, _) => "queue",
        }
    }

    /// The stamps that the path would give.
    fn stamp(self, trace: &mut FrameTrace, start: Instant, passage: &Passage) {
        let mut stage = |index: usize, from: Duration, to: Duration| {
            trace.enter_at(index, start + from);
            trace.leave_at(index, start + to);
        };
        stage(0, passage.due, passage.captured);
        match self {
            Self::Native => {
                stage(1, passage.submit, passage.encode);
                stage(2, passage.encode, passage.encoded);
                stage(3, passage.send, passage.sent);
            }
            Self::GameStream => {
                stage(1, passage.submit, passage.encoded);
                stage(2, passage.send, passage.packetized);
                stage(3, passage.packetized, passage.sent);
            }
        }
        trace.add_pace(passage.paced);
    }
}

/// One frame's way, as offsets from the start.
struct Passage {
    due: Duration,
    captured: Duration,
    submit: Duration,
    encode: Duration,
    encoded: Duration,
    send: Duration,
    packetized: Duration,
    sent: Duration,
    paced: Duration,
}

/// The pipeline: a capture thread on a schedule, a one-slot mailbox, an encode thread that waits for room in the send queue
/// before it takes the newest picture, and a send thread. Times scatter by seed.
fn simulate(seed: u64, delays: &Delays) -> (Vec<Passage>, Vec<Duration>) {
    let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    let mut scattered = |us: u64| Duration::from_micros(rng.random_range(us * 8 / 10..us * 13 / 10));
    let end = Duration::from_secs(SECONDS);

    let mut pictures = Vec::new();
    let mut free = Duration::ZERO;
    for tick in 0.. {
        let due = FRAME * tick;
        if due >= end {
            break;
        }
        // A tick that is over before the thread is free again is skipped.
        if due + FRAME <= free {
            continue;
        }
        let captured = due.max(free) + scattered(600) + delays.delay(DelayStage::Source, due, tick.into());
        free = captured;
        pictures.push((due, captured));
    }

    let mut passages: Vec<Passage> = Vec::new();
    let mut replaced = Vec::new();
    let mut sends = VecDeque::new();
    let (mut encoder_free, mut sender_free) = (Duration::ZERO, Duration::ZERO);
    let mut next = 0;
    let mut number = 0;
    while next < pictures.len() {
        let room = if sends.len() >= SEND_QUEUE { sends[sends.len() - SEND_QUEUE] } else { Duration::ZERO };
        let ready = encoder_free.max(room);
        // The newest picture that is in hand by then; older ones were replaced in the mailbox.
        while next + 1 < pictures.len() && pictures[next + 1].1 <= ready {
            replaced.push(pictures[next + 1].1);
            next += 1;
        }
        let (due, captured) = pictures[next];
        next += 1;
        let submit = ready.max(captured) + Duration::from_micros(40);
        let encode = submit + scattered(900) + delays.delay(DelayStage::Conversion, due, number);
        let encoded = encode + scattered(6_000) + delays.delay(DelayStage::Encoder, due, number);
        let handed = encoded + Duration::from_micros(30) + delays.delay(DelayStage::Queue, due, number);
        let send = handed.max(sender_free);
        let paced = Duration::from_micros(2_000);
        let packetized = send + scattered(100) + delays.delay(DelayStage::Packetizer, due, number);
        let sent = packetized + scattered(300) + paced + delays.delay(DelayStage::Sender, due, number);
        encoder_free = encoded;
        sender_free = sent;
        sends.push_back(send);
        number += 1;
        passages.push(Passage { due, captured, submit, encode, encoded, send, packetized, sent, paced });
    }
    (passages, replaced)
}

/// Plays the passages through the recorder and takes what would be saved.
fn record(path: Path, (passages, replaced): &(Vec<Passage>, Vec<Duration>)) -> Capture {
    let (recorder, mut collector) = Recorder::new(RecorderConfig::default());
    let start = Instant::now();
    let info = SessionInfo { width: 1280, height: 720, fps: FPS, ..SessionInfo::default() };
    let spec =
        SessionSpec { protocol: path.protocol(), stages: StageSet::new(path.stages()).unwrap(), info, known: &[] };
    let (mut gate, mut sink, counters) = recorder.session(spec).unwrap().split();
    let options = ArmOptions {
        capture_id: "virtual".into(),
        label: String::new(),
        anchor: Anchor { monotonic: start, wall: SystemTime::UNIX_EPOCH },
        latency_target: None,
    };
    let events = recorder.arm(options).unwrap();
    collector.step(start);
    let mut replaced = replaced.iter().peekable();
    for (number, passage) in passages.iter().enumerate() {
        while replaced.next_if(|at| **at <= passage.sent).is_some() {
            counters.drop_frame(&gate.begin_at(start + passage.due), DropReason::Replaced);
        }
        let mut trace = gate.begin_at(start + passage.due);
        path.stamp(&mut trace, start, passage);
        sink.record(
            &trace,
            FrameInfo { number: number as u64, media_bytes: 20_000, packets: 20, ..FrameInfo::default() },
        );
        collector.step(start + passage.sent);
    }
    drop((sink, counters));
    recorder.disarm_at(start + Duration::from_secs(SECONDS));
    collector.step(start + Duration::from_secs(SECONDS));
    let id = RecordingId::new(0, None);
    assemble(id, StartRequest::default(), HostMeta::default(), None, events.try_iter()).unwrap()
}

fn judge(path: Path, seed: u64, delays: &Delays) -> Capture {
    record(path, &simulate(seed, delays))
}

#[test]
fn without_a_fault_the_verdict_is_within_budget() {
    for (path, seed) in Path::ALL.into_iter().flat_map(|path| (0..SEEDS).map(move |seed| (path, seed))) {
        let capture = judge(path, seed, &Delays::none());
        let verdict = &capture.summary.verdict;
        assert_eq!(verdict.kind, VerdictKind::WithinBudget, "{path:?}, seed {seed}: {}", verdict.text);
        assert_eq!(capture.provenance.verified, Some(true));
    }
}

/// Every path, place and seed in turn: the verdict names the delayed stage, and the late frames are mostly charged to it.
fn every_fault_is_named(schedule: impl Fn(u64) -> DelaySchedule) {
    for (path, place) in Path::ALL.into_iter().flat_map(|path| DelayStage::ALL.map(|place| (path, place))) {
        let stage = path.at_fault(place);
        for seed in 0..SEEDS {
            let summary = judge(path, seed, &Delays::none().with(place, schedule(seed))).summary;
            let verdict = &summary.verdict;
            let named = (verdict.kind, verdict.stage.as_deref());
            assert_eq!(named, (VerdictKind::Stage, Some(stage)), "{path:?}, {place:?}, seed {seed}: {}", verdict.text);
            let charged =
                summary.all.late_by_stage.iter().find(|late| late.stage == stage).map_or(0, |late| late.count);
            assert!(
                charged * 10 >= summary.all.late * 8,
                "{path:?}, {place:?}, seed {seed}: {charged} of {}",
                summary.all.late
            );
        }
    }
}

#[test]
fn a_burst_at_a_stage_names_that_stage_and_no_other() {
    every_fault_is_named(|seed| {
        let from = Duration::from_secs(8 + seed % 5);
        DelaySchedule::burst(from..from + Duration::from_secs(6), Duration::from_millis(30 + seed))
    });
}

#[test]
fn a_constant_delay_at_a_stage_names_that_stage_and_no_other() {
    every_fault_is_named(|seed| DelaySchedule::constant(Duration::from_millis(30 + seed)));
}

#[test]
fn scattered_delays_at_a_stage_name_that_stage_and_no_other() {
    every_fault_is_named(|seed| {
        DelaySchedule::random(seed, 0.08, Duration::from_millis(45)..Duration::from_millis(90))
    });
}
