//! The video of one session: pictures to datagrams, with the recorder's stamps.
//!
//! ```text
//!  punktfunk-pipeline: capture ──mailbox──▶ encode ──room for two──▶ send thread ──▶ packetize, pacing, UDP
//!  whoever holds the session's control stream tells what the client says: IDR requests, repairs, round-trip times
//! ```
//!
//! What happens to a picture until it is encoded, how frames are numbered, dropped and recorded, is the pipeline's. A
//! frame's number is the index in its packets; a gap in it is a loss to the client, as it is to the host.
//!
//! The protocol tells less than the native one: no exact loss, no one-way delay, no decoding times. What it does not tell
//! is not declared as known, so it stays absent.

mod reports;
mod transmit;

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use parking_lot::Mutex;
use punktfunk_media::{Delays, Encoder, FrameSource, ModeError, VideoMode};
use punktfunk_net::batch::{BatchSender, SendMode, size_buffers};
use punktfunk_net::paced::PacedSender;
use punktfunk_net::pacer::PaceConfig;
use punktfunk_pipeline::{HoldUps, PathStages, Pipeline, PipelineConfig, PipelineParts, StreamControl};
use punktfunk_stats::{
    Counter, Recorder, SessionCounters, SessionError, SessionInfo, SessionSpec, StageSet, StageSpec,
};

use crate::stream::reports::Reports;
use crate::stream::transmit::{Line, Transmitter};
use crate::video::{FecConfig, FecStatus, PacketSize, PacketSizeError, Packetizer, VideoKey};

pub use punktfunk_pipeline::EndReason;

/// The path's stages and the share of the latency budget that each is meant to need. Conversion counts to `encode`; what
/// is left is for waiting between threads.
pub const STAGES: [StageSpec; 4] = [
    StageSpec { name: "capture", share: 0.25, queued: false },
    StageSpec { name: "encode", share: 0.45, queued: true },
    StageSpec { name: "packetize", share: 0.05, queued: true },
    StageSpec { name: "send", share: 0.15, queued: false },
];

/// Where the pipeline's stages stand in [`STAGES`].
const PATH: PathStages = PathStages { capture: 0, convert: None, encode: 1 };

/// Frame taken by the sender → its datagrams ready: headers, parity, encryption.
const PACKETIZE: usize = 2;

/// → its last packet handed to the kernel, pacing included.
const SEND: usize = 3;

/// What this path can measure: lost packets as far as the client reports them missing. It has no reference-frame
/// invalidation.
const KNOWN: &[Counter] = &[Counter::PacketsLost, Counter::SendDropped, Counter::FecRecovered, Counter::IdrRequests];

/// Socket buffer asked for: several large frames.
const SOCKET_BYTES: usize = 2 << 20;

/// What opens a source and an encoder for a mode and a bit rate, bits a second.
pub type OpenVideo = dyn Fn(VideoMode, u64) -> Result<Video, Box<dyn Error + Send + Sync>> + Send + Sync;

/// What a stream's pictures come from.
pub struct Video {
    /// The source. Its mode is what is granted; it may differ from what was asked for.
    pub source: Box<dyn FrameSource>,
    /// The encoder, opened for the source's mode.
    pub encoder: Box<dyn Encoder>,
    /// Delays on purpose of packetizer, sender and queue.
    pub delays: Delays,
    /// Where their bursts are counted from: the moment that the wrappers of source and encoder were given, too.
    pub delays_from: Instant,
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Video").field("mode", &self.source.mode()).finish_non_exhaustive()
    }
}

/// What all streams of a host are made of.
pub struct StreamHost {
    /// Where sessions are recorded.
    pub recorder: Recorder,
    /// Opens source and encoder of a stream.
    pub open: Box<OpenVideo>,
    /// How packets are spread; default a quarter of the frame interval in bursts of 32, so that a frame of usual size at
    /// 10 Mb/s and 60 frames a second leaves at once and an IDR does not.
    pub pace: PaceConfig,
    /// How packets are handed to the kernel, to begin with.
    pub send_mode: SendMode,
    /// Time between two frames of a still screen; default 100 ms.
    pub repeat_every: Duration,
    /// Shortest time between two IDRs; default 250 ms. IDRs are large: closer together they cause the next loss.
    pub idr_every: Duration,
}

impl StreamHost {
    /// A host with the defaults.
    pub fn new(recorder: Recorder, open: Box<OpenVideo>) -> Self {
        Self {
            recorder,
            open,
            pace: PaceConfig { burst: 32, ..PaceConfig::default() },
            send_mode: SendMode::Segmented,
            repeat_every: Duration::from_millis(100),
            idr_every: Duration::from_millis(250),
        }
    }
}

impl fmt::Debug for StreamHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHost").field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// What was granted to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Width of the picture, pixels.
    pub width: u32,
    /// Height of the picture, pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// Rate that the encoder aims at, without parity and headers.
    pub bitrate_kbps: u32,
    /// Packet size as the client announced it: NV header and payload. A client that wants video encrypted has taken the
    /// 32 bytes of the sealing prefix off it already.
    pub packet_size: usize,
    /// Parity shards that the client requires of a block.
    pub min_fec_packets: u32,
    /// Parity in percent of a block's data; 20 is usual. More repairs more and costs as much more of the line; 0 is none.
    pub fec_percent: u32,
    /// The key of the video, if the client wants it encrypted. It serves one stream and no other: the nonces of each begin
    /// anew.
    pub video_key: Option<VideoKey>,
    /// The client as it was named at pairing.
    pub client: String,
}

/// Why a stream did not start.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The mode is out of range.
    #[error("the mode cannot be streamed: {0}")]
    Mode(#[from] ModeError),
    /// The packet size is out of range.
    #[error(transparent)]
    PacketSize(#[from] PacketSizeError),
    /// There is no source or no encoder for it.
    #[error("there are no pictures to stream: {0}")]
    Open(#[source] Box<dyn Error + Send + Sync>),
    /// The recorder refused the session.
    #[error("the recorder refused the session: {0}")]
    Session(#[from] SessionError),
    /// The socket or a thread could not be set up.
    #[error("the stream could not be set up: {0}")]
    Io(#[from] io::Error),
}

/// A stream that runs. Dropping it ends it and joins its threads, which takes at most a frame.
#[derive(Debug)]
pub struct Stream {
    /// `None` once it was joined.
    pipeline: Option<Pipeline>,
    control: StreamControl,
    counters: SessionCounters,
    line: Arc<Line>,
    reports: Mutex<Reports>,
}

impl Stream {
    /// Opens source and encoder, registers the session and starts its threads; the first picture is due at once.
    ///
    /// # Errors
    /// [`StreamError`]; nothing runs then.
    pub fn start(
        host: &StreamHost,
        config: StreamConfig,
        socket: UdpSocket,
        peer: SocketAddr,
    ) -> Result<Self, StreamError> {
        let size = PacketSize::new(config.packet_size)?;
        let mode = VideoMode::new(config.width, config.height, config.fps)?;
        let bitrate_bps = u64::from(config.bitrate_kbps) * 1000;
        let Video { source, encoder, delays, delays_from } =
            (host.open)(mode, bitrate_bps).map_err(StreamError::Open)?;
        size_buffers(&socket, SOCKET_BYTES, 1 << 16)?;
        let mode = source.mode();
        let session = host.recorder.session(SessionSpec {
            protocol: "gamestream",
            stages: StageSet::new(&STAGES)?,
            info: SessionInfo {
                width: mode.width,
                height: mode.height,
                fps: mode.fps,
                codec: "h264".to_owned(),
                encoder: encoder.name().to_owned(),
                client: config.client,
                source_kind: source.kind().to_owned(),
                audio: Some("silent".to_owned()),
            },
            known: KNOWN,
        })?;
        let (gate, sink, counters) = session.split();
        counters.set_target_rate_bps(bitrate_bps);

        let control = StreamControl::new(host.idr_every);
        let hold_ups = HoldUps::new(delays, delays_from);
        let line = Arc::new(Line { peer: Mutex::new(peer), last_idr: AtomicU32::new(0) });
        let fec = FecConfig { percent: config.fec_percent, minimum: config.min_fec_packets };
        let transmit = Transmitter {
            packetizer: Packetizer::new(size, fec, config.video_key.as_ref()),
            sender: PacedSender {
                sender: BatchSender::new(host.send_mode),
                socket,
                pace: host.pace,
                interval: mode.interval(),
            },
            line: Arc::clone(&line),
            hold_ups: hold_ups.clone(),
            counters: counters.clone(),
        };
        let (begin, go) = bounded(1);
        begin.send(Instant::now()).expect("the channel has room for one and its other end is here");
        let pipeline = Pipeline::start(
            PipelineConfig { stages: PATH, repeat_every: host.repeat_every },
            PipelineParts {
                source,
                encoder,
                transmit,
                hold_ups,
                gate,
                sink,
                counters: counters.clone(),
                control: control.clone(),
                go,
            },
        )?;
        Ok(Self { pipeline: Some(pipeline), control, counters, line, reports: Mutex::new(Reports::default()) })
    }

    /// The session's id in samples, labels and lists.
    pub fn session_id(&self) -> &str {
        self.counters.session_id()
    }

    /// The client asks for an IDR.
    pub fn request_idr(&self) {
        if self.reports.lock().idr_requested(Instant::now(), &self.counters) {
            self.control.ask_idr();
        }
    }

    /// The client reports on a block that did not arrive whole. A frame that is lost makes an early frame an IDR.
    pub fn fec_status(&self, status: FecStatus) {
        let last_idr = self.line.last_idr.load(Ordering::Relaxed);
        if self.reports.lock().fec_status(Instant::now(), &status, last_idr, &self.counters) {
            self.control.ask_idr();
        }
    }

    /// The newest round-trip time of the control stream.
    pub fn set_rtt(&self, rtt: Duration) {
        self.counters.set_rtt(rtt);
    }

    /// The client's pings come from another address now: frames go there from the next one on.
    pub fn set_peer(&self, peer: SocketAddr) {
        *self.line.peer.lock() = peer;
    }

    /// Whether frames are still made. A source or an encoder that fails for good ends the stream.
    pub fn is_running(&self) -> bool {
        !self.control.is_over()
    }

    /// Why the stream ended, once it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.control.ended()
    }

    /// Ends the stream and waits until everything it held is free.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.control.end(EndReason::HostStopped);
        // A second panic would abort; the threads end all the same.
        if let Some(pipeline) = self.pipeline.take().filter(|_| !std::thread::panicking()) {
            let reason = pipeline.join();
            tracing::debug!(session = self.counters.session_id(), %reason, "the video ended");
        }
    }
}
