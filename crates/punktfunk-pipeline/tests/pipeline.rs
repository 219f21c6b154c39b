//! The pipeline with real pictures and a real encoder, in front of a path that keeps what it is given.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use punktfunk_media::{
    DelaySchedule, DelayStage, DelayedEncoder, Delays, FrameOrigin, FrameSource, OpenH264, RawFrame, SourceError,
    Synthetic, VideoMode,
};
use punktfunk_pipeline::{
    EndReason, FIRST_FRAME, HoldUps, OutgoingFrame, PathStages, Pipeline, PipelineConfig, PipelineParts, StreamControl,
    Transmit,
};
use punktfunk_stats::{
    Anchor, ArmOptions, CaptureEvent, DropReason, FrameInfo, Recorder, RecorderConfig, SessionInfo, SessionSpec,
    StageSet, StageSpec, WindowReport,
};

const SOON: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

/// What the path was given: a frame's number, whether it is an IDR, and whether it repeats.
type Given = (u64, bool, bool);

/// A path of one stage that keeps what it is given, and fails for the frames that it is told to.
struct Path {
    last_stage: usize,
    fails: Vec<u64>,
    given: Sender<Given>,
}

impl Transmit for Path {
    fn is_ready(&self) -> bool {
        true
    }

    fn transmit(&mut self, frame: &mut OutgoingFrame) -> Result<FrameInfo, DropReason> {
        frame.trace.enter(self.last_stage);
        let (number, idr, repeat) = (frame.number, frame.encoded.idr, frame.repeat);
        // A test that has seen enough does not listen any more.
        self.given.send((number, idr, repeat)).ok();
        if self.fails.contains(&number) {
            return Err(DropReason::SendFailed);
        }
        frame.trace.leave(self.last_stage);
        Ok(FrameInfo { number, idr, repeat, ..FrameInfo::default() })
    }
}

fn mode() -> VideoMode {
    VideoMode::new(320, 180, 60).unwrap()
}

struct Running {
    recorder: Recorder,
    events: Receiver<CaptureEvent>,
    pipeline: Pipeline,
    given: Receiver<Given>,
}

/// Runs a pipeline whose path has these stages and fails for these frames.
fn run(names: &[&'static str], convert: Option<usize>, fails: Vec<u64>, source: Box<dyn FrameSource>) -> Running {
    let recorder = Recorder::spawn(RecorderConfig::default()).unwrap();
    let options =
        ArmOptions { capture_id: "test".to_owned(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    let events = recorder.arm(options).unwrap();
    let stage = |(at, name): (usize, &&'static str)| StageSpec { name, share: 0.2, queued: at == 1 };
    let stages: Vec<_> = names.iter().enumerate().map(stage).collect();
    let info = SessionInfo { fps: mode().fps, ..SessionInfo::default() };
    let spec = SessionSpec { protocol: "native", stages: StageSet::new(&stages).unwrap(), info, known: &[] };
    let (gate, sink, counters) = recorder.session(spec).unwrap().split();
    let delays = Delays::none()
        .with(DelayStage::Conversion, DelaySchedule::constant(3 * MS))
        .with(DelayStage::Encoder, DelaySchedule::constant(3 * MS));
    let encoder = DelayedEncoder::new(OpenH264::new(mode(), 1_000_000).unwrap(), &delays, Instant::now());
    let (begin, go) = bounded(1);
    begin.send(Instant::now()).unwrap();
    let (keep, given) = channel();
    let pipeline = Pipeline::start(
        PipelineConfig { stages: PathStages { capture: 0, convert, encode: names.len() - 2 }, repeat_every: 100 * MS },
        PipelineParts {
            source,
            encoder: Box::new(encoder),
            transmit: Path { last_stage: names.len() - 1, fails, given: keep },
            hold_ups: HoldUps::new(Delays::none(), Instant::now()),
            gate,
            sink,
            counters,
            control: StreamControl::new(50 * MS),
            go,
        },
    )
    .unwrap();
    Running { recorder, events, pipeline, given }
}

impl Running {
    fn take(&self, frames: usize) -> Vec<Given> {
        (0..frames).map(|_| self.given.recv_timeout(SOON).unwrap()).collect()
    }

    /// Ends the stream and returns the capture's windows.
    fn windows(self) -> Vec<WindowReport> {
        self.recorder.disarm();
        let mut windows = Vec::new();
        loop {
            match self.events.recv_timeout(SOON).unwrap() {
                CaptureEvent::Window(window) => windows.push(*window),
                CaptureEvent::Finished(_) => break,
                _ => {}
            }
        }
        self.pipeline.control().end(EndReason::HostStopped);
        assert_eq!(self.pipeline.join(), EndReason::HostStopped);
        assert!(self.recorder.sessions().is_empty(), "a stream that ended holds nothing");
        windows
    }
}

fn synthetic() -> Box<dyn FrameSource> {
    Box::new(Synthetic::new(mode()).unwrap())
}

#[test]
fn conversion_is_a_stage_of_its_own_or_a_part_of_encode_as_the_path_says() {
    let apart: &[&'static str] = &["capture", "submit", "encode", "send"];
    let together: &[&'static str] = &["capture", "encode", "send"];
    for (names, convert, shortest) in [(apart, Some(1), [3, 3]), (together, None, [6, 6])] {
        let running = run(names, convert, Vec::new(), synthetic());
        let numbers: Vec<_> = running.take(40).into_iter().map(|(number, ..)| number).collect();
        assert_eq!(numbers, (FIRST_FRAME..FIRST_FRAME + 40).collect::<Vec<_>>());
        let windows = running.windows();
        let measured = |name: &str| {
            let stages = windows.iter().flat_map(|window| &window.stages);
            stages
                .filter(|(of, _)| *of == name)
                .filter_map(|(_, stats)| stats.as_ref())
                .map(|s| s.p50_ns)
                .max()
                .unwrap()
        };
        for (name, shortest) in names[1..names.len() - 1].iter().zip(shortest) {
            assert!(Duration::from_nanos(measured(name)) >= shortest * MS, "{name}");
        }
    }
}

#[test]
fn after_a_frame_that_could_not_be_sent_the_path_gets_nothing_but_an_idr() {
    let running = run(&["capture", "encode", "send"], None, vec![5], synthetic());
    let given = running.take(30);
    let (until, after): (Vec<_>, Vec<_>) = given.iter().partition(|(number, ..)| *number <= 5);
    assert_eq!(
        until.iter().map(|(number, idr, _)| (*number, *idr)).collect::<Vec<_>>(),
        [(1, true), (2, false), (3, false), (4, false), (5, false)]
    );
    assert!(after[0].1, "the first that is sent again is an IDR: {after:?}");
    assert_eq!(after.iter().filter(|(_, idr, _)| *idr).count(), 1, "one is enough: {after:?}");
    let windows = running.windows();
    let dropped = |reason| {
        windows.iter().flat_map(|window| &window.dropped).filter(|(of, _)| *of == reason).map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!(dropped(DropReason::SendFailed), 1);
    // Each number that the path did not get is counted.
    assert_eq!(dropped(DropReason::Stale), after[0].0 - 6);
}

/// A screen that stands still.
struct Still(Synthetic, bool);

impl FrameSource for Still {
    fn mode(&self) -> VideoMode {
        self.0.mode()
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn capture(&mut self, into: &mut RawFrame) -> Result<FrameOrigin, SourceError> {
        self.0.capture(into)?;
        Ok(if std::mem::replace(&mut self.1, true) { FrameOrigin::Repeat } else { FrameOrigin::New })
    }
}

#[test]
fn a_still_screen_is_repeated_rarely_and_at_once_for_an_idr() {
    let running =
        run(&["capture", "encode", "send"], None, Vec::new(), Box::new(Still(Synthetic::new(mode()).unwrap(), false)));
    assert_eq!(running.take(3), [(1, true, false), (2, false, true), (3, false, true)]);
    running.pipeline.control().ask_idr();
    assert_eq!(running.take(1), [(4, true, true)]);
    let windows = running.windows();
    let sum = |figure: fn(&WindowReport) -> u64| windows.iter().map(figure).sum::<u64>();
    assert_eq!(sum(|window| window.new_frames), 1);
    assert!(sum(|window| window.repeat_frames) >= 2);
}
