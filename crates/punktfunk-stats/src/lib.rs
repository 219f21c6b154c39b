//! The embeddable recorder: per-stage frame latencies, measured only while a capture is armed.
//!
//! A stream loop takes one [`FrameTrace`] per frame from its [`FrameGate`] (one relaxed atomic load), stamps the stages
//! that the frame passes, on whichever threads it passes them, and hands the trace to its [`FrameSink`], which pushes one
//! fixed-size record into the session's own ring. Everything else happens on the collector thread: durations,
//! OpenTelemetry histograms, windows with exact percentiles, the stage at fault of every late frame.
//!
//! ```text
//! FrameGate ─▶ FrameTrace ─▶ FrameSink ─▶ ring ─▶ Collector ─▶ CaptureEvent (windows, totals, kept frames)
//! ```
//!
//! What this crate does not know: HTTP, OTLP, disk, video, saved recordings, an async runtime. A path describes itself
//! with a [`SessionSpec`]: its protocol, its ordered stages and the figures that it can measure.
//!
//! The README shows the smallest host that uses it.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod catalogue;
mod collector;
mod counters;
mod recorder;
mod report;
mod session;
mod snapshot;
mod trace;

pub use collector::Collector;
pub use counters::{ClientFigures, Counter, DropReason, SessionCounters, SessionEvent};
pub use recorder::{AlreadyArmed, Anchor, ArmOptions, Recorder, RecorderConfig, SpawnError};
pub use report::{
    Buckets, CaptureEvent, CaptureReport, Distribution, KeptFrame, KeptReason, KeptSpan, LiveSession, SeriesTotal,
    SessionReport, WindowReport,
};
pub use session::{FrameInfo, FrameSink, Session, SessionError, SessionInfo, SessionSpec, StageSet, StageSpec};
pub use snapshot::{MetricSnapshot, SnapshotSender};
pub use trace::{FrameGate, FrameTrace};

/// Stages that one path may declare; the record of a frame has room for this many.
pub const MAX_STAGES: usize = 6;

/// Samples kept per session and capture: three hours at one a second.
pub const MAX_SAMPLES: usize = 10_800;

/// Sessions measured in one capture. Later ones stream on unmeasured and the capture is marked truncated.
pub const MAX_SESSIONS: usize = 32;

/// The README's host is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
