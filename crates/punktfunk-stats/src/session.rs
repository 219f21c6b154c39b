//! A session as its stream loop sees it: what it declares about itself, and the three handles that its threads hold.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::MAX_STAGES;
use crate::counters::{Counter, CounterState, SessionCounters};
use crate::trace::{FrameGate, FrameTrace, GateState, Stamps};

/// Stage names with a meaning of their own: the waits between threads, the whole frame, and "no stage at fault".
const RESERVED_STAGES: [&str; 3] = ["queue", "host", "none"];

/// One stage of a path, in critical-path order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageSpec {
    /// Label of the stage: lower-case letters, digits and `_`.
    pub name: &'static str,
    /// Share of the latency budget that the stage is meant to need, 0–1. The shares of a path sum to at most 1; what is
    /// left is for waiting between threads. A stage that always exceeds its share is found even though it never varies.
    pub share: f64,
    /// Whether the stage runs on a thread of its own, fed by a queue: it does not share its thread with the stage before.
    pub queued: bool,
}

/// The ordered stages of a path, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSet(Vec<StageSpec>);

impl StageSet {
    /// Checks and keeps the stages of a path.
    ///
    /// # Errors
    /// When there is no stage or more than [`MAX_STAGES`], a name is reserved, doubled or not a plain label, or the shares
    /// are not positive or sum to more than 1.
    pub fn new(stages: &[StageSpec]) -> Result<Self, SessionError> {
        if stages.is_empty() || stages.len() > MAX_STAGES {
            return Err(SessionError::StageCount { count: stages.len() });
        }
        for (i, stage) in stages.iter().enumerate() {
            let plain = stage.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            let doubled = stages[..i].iter().any(|other| other.name == stage.name);
            if stage.name.is_empty() || !plain || doubled || RESERVED_STAGES.contains(&stage.name) {
                return Err(SessionError::StageName { name: stage.name });
            }
        }
        let sum: f64 = stages.iter().map(|stage| stage.share).sum();
        if !stages.iter().all(|stage| stage.share > 0.0) || sum > 1.0 + f64::EPSILON {
            return Err(SessionError::StageShares { sum });
        }
        Ok(Self(stages.to_vec()))
    }

    /// The stages, in critical-path order.
    pub fn as_slice(&self) -> &[StageSpec] {
        &self.0
    }

    /// The stages that run on the thread of stage `first`, from it on.
    pub(crate) fn thread_from(&self, first: usize) -> std::ops::Range<usize> {
        let end = (first + 1..self.0.len()).find(|&i| self.0[i].queued).unwrap_or(self.0.len());
        first..end
    }
}

/// What is known of a session's stream when it starts; it becomes the session's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// Width of the picture, pixels.
    pub width: u32,
    /// Height of the picture, pixels.
    pub height: u32,
    /// Frames a second that the client was granted. The latency target and the frame budget follow from it.
    pub fps: u32,
    /// Codec as a short name: `h264`.
    pub codec: String,
    /// Encoder as a short name: `openh264`.
    pub encoder: String,
    /// The client as it was named at pairing.
    pub client: String,
    /// Where the pictures come from: `synthetic`, `x11`, `y4m`.
    pub source_kind: String,
    /// What is sent as sound, as a short name: `silent` where clients expect sound and get none. `None`: the path knows no
    /// sound.
    pub audio: Option<String>,
}

/// Everything a path declares when one of its sessions starts.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSpec {
    /// The path: `native`, `gamestream`. A label: lower-case, one of a few.
    pub protocol: &'static str,
    /// The path's stages.
    pub stages: StageSet,
    /// The stream's metadata.
    pub info: SessionInfo,
    /// The figures that this path can measure. Every other counter stays absent; it is never reported as 0.
    pub known: &'static [Counter],
}

/// Why a session could not be registered.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SessionError {
    /// No stage, or too many.
    #[error("a path declares 1 to {MAX_STAGES} stages, not {count}")]
    StageCount {
        /// How many were declared.
        count: usize,
    },
    /// A name that cannot be a label, is reserved, or stands twice.
    #[error("stage name {name:?} is empty, doubled, reserved (queue, host, none) or not made of a-z, 0-9 and _")]
    StageName {
        /// The name.
        name: &'static str,
    },
    /// Shares that are not positive, or sum to more than 1.
    #[error("the budget shares of a path's stages are positive and sum to at most 1, not {sum}")]
    StageShares {
        /// Their sum.
        sum: f64,
    },
    /// A frame rate of 0 has no frame budget.
    #[error("a session needs a frame rate above 0: its budget follows from it")]
    FrameRate,
    /// The collector thread is gone: the recorder was shut down.
    #[error("the recorder has been shut down")]
    RecorderGone,
}

/// What all handles of one session share with the collector.
pub(crate) struct SessionShared {
    /// Id of the session in labels, samples and lists: `s1`, `s2`, … in the order the host started them.
    pub(crate) id: String,
    pub(crate) spec: SessionSpec,
    pub(crate) gate: Arc<GateState>,
    pub(crate) counters: CounterState,
    /// Set when the sink is dropped: no record can follow.
    pub(crate) ended: AtomicBool,
    /// Latest report of the client, and the events since the last window.
    pub(crate) rare: Mutex<crate::counters::Rare>,
}

impl fmt::Debug for SessionShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionShared").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A registered session. [`split`](Self::split) it and give each handle to the thread that needs it.
#[derive(Debug)]
pub struct Session {
    pub(crate) shared: Arc<SessionShared>,
    pub(crate) producer: rtrb::Producer<FrameRecord>,
}

impl Session {
    /// The session's id, as it stands in samples, labels and lists.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The three handles: for the thread where frames begin, for the one that sends their last packet, and for rare
    /// figures from anywhere.
    pub fn split(self) -> (FrameGate, FrameSink, SessionCounters) {
        let gate = FrameGate { state: Arc::clone(&self.shared.gate) };
        let counters = SessionCounters { shared: Arc::clone(&self.shared) };
        (gate, FrameSink { shared: self.shared, producer: self.producer }, counters)
    }
}

/// What the sending thread knows of a frame when its last packet has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameInfo {
    /// The frame's number as the client sees it.
    pub number: u64,
    /// Bytes of the encoded picture.
    pub media_bytes: u32,
    /// Bytes of parity that were sent for it.
    pub fec_bytes: u32,
    /// Bytes of headers and tags that were sent for it.
    pub overhead_bytes: u32,
    /// Packets handed to the kernel for it, parity included.
    pub packets: u32,
    /// Whether it can be decoded without any earlier frame.
    pub idr: bool,
    /// Whether it shows the same picture as the frame before.
    pub repeat: bool,
}

/// One frame as it lies in the ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameRecord {
    pub(crate) stamps: Stamps,
    pub(crate) info: FrameInfo,
}

/// The sending thread's end of a session. Dropping it ends the session.
#[derive(Debug)]
pub struct FrameSink {
    shared: Arc<SessionShared>,
    producer: rtrb::Producer<FrameRecord>,
}

impl FrameSink {
    /// Records a frame whose last packet has left. Never blocks, allocates or fails: a full ring drops the record and
    /// counts it.
    #[inline]
    pub fn record(&mut self, trace: &FrameTrace, info: FrameInfo) {
        if let Some(stamps) = &trace.stamps {
            self.push(stamps, info);
        }
    }

    /// Out of line, so that the disarmed loop keeps its registers.
    #[inline(never)]
    fn push(&mut self, stamps: &Stamps, info: FrameInfo) {
        if self.producer.push(FrameRecord { stamps: *stamps, info }).is_err() {
            self.shared.counters.ring_overflow.add(1);
        }
    }
}

impl Drop for FrameSink {
    fn drop(&mut self) {
        // Release: pairs with the collector's Acquire load, so that it sees every record pushed before the end.
        self.shared.ended.store(true, Ordering::Release);
    }
}
