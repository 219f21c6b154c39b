//! Sessions in real time, as a host has them: each on a thread of its own that wakes for every frame, stamps its stages and
//! records it. The encoder is a null one.

#![allow(dead_code, reason = "the soak reads no frame times")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use punktfunk_stats::{
    Counter, FrameGate, FrameInfo, FrameSink, Recorder, SessionInfo, SessionSpec, StageSet, StageSpec,
};

const STAGES: [(&str, f64); 4] = [("capture", 0.2), ("submit", 0.1), ("encode", 0.4), ("send", 0.3)];

/// Which clock the frames' stamps are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// The real one. What each frame cost is kept.
    Clock,
    /// None: every frame is in time, however busy the machine is, so that no stutter is remembered.
    Due,
}

/// What a frame cost its loop.
#[derive(Debug, Clone, Copy)]
pub struct FrameTime {
    /// From its due time until the thread ran.
    pub late: Duration,
    /// From then until it was recorded.
    pub work: Duration,
}

/// Sessions that stream until they are told to end.
pub struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<FrameTime>>>,
}

impl Load {
    /// Starts so many sessions of `fps` frames a second.
    pub fn start(recorder: &Recorder, sessions: usize, fps: u32, stamps: Stamps) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = |number| {
            let (gate, sink, counters) = recorder.session(spec(fps)).unwrap().split();
            counters.set_target_rate_bps(10_000_000);
            let over = Arc::clone(&over);
            let stream = move || {
                let _counters = counters;
                // Spread over a frame time, as sessions that began on their own are.
                stream(gate, sink, fps, Duration::from_micros(487) * number, stamps, &over)
            };
            std::thread::Builder::new().name(format!("session-{number}")).spawn(stream).unwrap()
        };
        let sessions = u32::try_from(sessions).unwrap();
        Self { threads: (0..sessions).map(thread).collect(), over }
    }

    /// Ends them and gives their frame times.
    pub fn end(self) -> Vec<FrameTime> {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn spec(fps: u32) -> SessionSpec {
    let stage = |(name, share)| StageSpec { name, share, queued: false };
    SessionSpec {
        protocol: "native",
        stages: StageSet::new(&STAGES.map(stage)).unwrap(),
        info: SessionInfo { width: 1280, height: 720, fps, codec: "h264".into(), ..SessionInfo::default() },
        known: &[Counter::PacketsLost, Counter::SendDropped, Counter::FecRecovered],
    }
}

fn stream(
    mut gate: FrameGate,
    mut sink: FrameSink,
    fps: u32,
    offset: Duration,
    stamps: Stamps,
    over: &AtomicBool,
) -> Vec<FrameTime> {
    let mut times = Vec::new();
    let start = Instant::now() + offset;
    for number in 0.. {
        let due = start + Duration::from_secs(number) / fps;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if over.load(Ordering::Relaxed) {
            break;
        }
        let woke = Instant::now();
        let mut trace = gate.begin_at(due);
        for stage in 0..STAGES.len() {
            match stamps {
                Stamps::Clock => {
                    trace.enter(stage);
                    trace.leave(stage);
                }
                Stamps::Due => {
                    trace.enter_at(stage, due);
                    trace.leave_at(stage, due);
                }
            }
        }
        let info = FrameInfo { number, media_bytes: 20_000, packets: 17, idr: number == 0, ..FrameInfo::default() };
        sink.record(&trace, info);
        if stamps == Stamps::Clock {
            times.push(FrameTime { late: woke.saturating_duration_since(due), work: woke.elapsed() });
        }
    }
    times
}
