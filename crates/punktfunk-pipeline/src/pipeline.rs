//! Starts a stream's threads, ends them together, and waits for them.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use punktfunk_media::{EncodedFrame, Encoder, FrameSource};
use punktfunk_stats::{FrameGate, FrameSink, SessionCounters};

use crate::capture::{Capture, RAW_FRAMES};
use crate::control::{EndOnDrop, EndReason, StreamControl};
use crate::delays::HoldUps;
use crate::encode::Encode;
use crate::policy::ReferenceChain;
use crate::send::{SendLoop, Transmit};

/// Encoded frames on their way: one being sent, one waiting or being encoded. Fewer would idle the encoder while the
/// sender paces; more would make pictures wait after they were encoded.
const ENCODED_FRAMES: usize = 2;

/// Where the stages that the pipeline stamps stand in the path's own
/// [`StageSet`](punktfunk_stats::StageSet). Those behind `encode` are stamped by the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathStages {
    /// Frame due → pixels in hand.
    pub capture: usize,
    /// Picture taken from the mailbox → handed to the encoder, conversion included. `None` where the path counts that to
    /// `encode`; otherwise the stage just before it.
    pub convert: Option<usize>,
    /// → bitstream out.
    pub encode: usize,
}

/// How a path runs its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineConfig {
    /// Where the path's stages stand.
    pub stages: PathStages,
    /// Time between two frames of a still screen.
    pub repeat_every: Duration,
}

/// What a pipeline works with.
pub struct PipelineParts<T> {
    /// Where pictures come from, in the granted mode.
    pub source: Box<dyn FrameSource>,
    /// What encodes them, in the granted mode.
    pub encoder: Box<dyn Encoder>,
    /// What sends them.
    pub transmit: T,
    /// Delays on purpose of what lies behind the encoder; the pipeline holds up its queue by them.
    pub hold_ups: HoldUps,
    /// The session's gate.
    pub gate: FrameGate,
    /// Where the session's frames are recorded.
    pub sink: FrameSink,
    /// The session's counters.
    pub counters: SessionCounters,
    /// Ends the stream, asks for IDRs and bit rates. The path keeps a clone.
    pub control: StreamControl,
    /// When the stream begins: its first frame is due at the instant that comes.
    pub go: Receiver<Instant>,
}

/// The threads of a stream that runs. Dropping it asks them to end and does not wait.
#[derive(Debug)]
pub struct Pipeline {
    session_id: String,
    control: StreamControl,
    threads: Vec<JoinHandle<()>>,
}

impl Pipeline {
    /// Starts the capture, encode and send threads. No picture is taken before [`PipelineParts::go`] says so.
    ///
    /// # Errors
    /// When a thread could not be started; the others end then.
    pub fn start<T: Transmit>(config: PipelineConfig, parts: PipelineParts<T>) -> io::Result<Self> {
        let PipelineParts { source, encoder, transmit, hold_ups, gate, sink, counters, control, go } = parts;
        let (raw_back_in, raw_back) = bounded(RAW_FRAMES);
        let (room_in, room) = bounded(ENCODED_FRAMES);
        let (frames_in, frames) = bounded(ENCODED_FRAMES);
        for _ in 0..ENCODED_FRAMES {
            room_in.send(EncodedFrame::default()).expect("the channel has room for every buffer");
        }
        let mut pipeline = Self {
            session_id: counters.session_id().to_owned(),
            control: control.clone(),
            threads: Vec::with_capacity(4),
        };
        let capture = Capture {
            control: control.clone(),
            stage: config.stages.capture,
            fps: source.mode().fps,
            source,
            gate,
            counters: counters.clone(),
            back: raw_back,
            go,
            repeat_every: config.repeat_every,
        };
        let encode = Encode {
            control: control.clone(),
            stages: config.stages,
            encoder,
            counters: counters.clone(),
            raw_back: raw_back_in,
            room,
            frames: frames_in,
        };
        let send = SendLoop {
            control,
            transmit,
            hold_ups,
            chain: ReferenceChain::default(),
            sink,
            counters,
            frames,
            room: room_in,
        };
        pipeline.spawn("send", move || send.run())?;
        pipeline.spawn("encode", move || encode.run())?;
        pipeline.spawn("capture", move || capture.run())?;
        Ok(pipeline)
    }

    /// One more thread of the stream, named `what-s3`. When one ends, for whatever reason, the others do.
    ///
    /// # Errors
    /// When it could not be started.
    pub fn spawn(&mut self, what: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let control = self.control.clone();
        self.threads.push(std::thread::Builder::new().name(format!("{what}-{}", self.session_id)).spawn(
            move || {
                let _end = EndOnDrop(control);
                run();
            },
        )?);
        Ok(())
    }

    /// The session's id in samples, labels and lists.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// What ends the stream and asks things of it.
    pub fn control(&self) -> &StreamControl {
        &self.control
    }

    /// Waits until the stream is over and everything it held is free, and says why it ended.
    ///
    /// # Panics
    /// When one of its threads did: a bug.
    pub fn join(mut self) -> EndReason {
        for thread in std::mem::take(&mut self.threads) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        self.control.ended().unwrap_or(EndReason::HostStopped)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.control.end(EndReason::HostStopped);
    }
}
