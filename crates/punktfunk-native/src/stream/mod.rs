//! The host's loop: one stream to one client.
//!
//! ```text
//!  punktfunk-pipeline: capture ──mailbox──▶ encode ──room for two──▶ send thread ──▶ packets, parity, seal, pacing, UDP
//!  session thread: messages of the control connection, contacts, the client's presence
//! ```
//!
//! What happens to a picture until it is encoded, how frames are numbered, dropped and recorded, is the pipeline's.
//!
//! Every stream has its own threads, socket, buffers and keys. Nothing is shared with another stream but the recorder.

mod send;
mod session;

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use punktfunk_media::{Delays, Encoder, FrameSource};
use punktfunk_net::batch::{BatchSender, SendMode, size_buffers};
use punktfunk_net::paced::PacedSender;
use punktfunk_net::pacer::PaceConfig;
use punktfunk_net::seal::Opener;
use punktfunk_pipeline::policy::Liveness;
use punktfunk_pipeline::{HoldUps, PathStages, Pipeline, PipelineConfig, PipelineParts, StreamControl};
use punktfunk_stats::{Counter, Recorder, SessionError, SessionInfo, SessionSpec, StageSet, StageSpec};

use crate::keys::DataKeys;
use crate::message::ClientMessage;
use crate::packetize::Packetizer;
use crate::stream::send::Whereabouts;

pub use punktfunk_pipeline::EndReason;

/// Where the pipeline's stages stand in [`STAGES`].
const PATH: PathStages = PathStages { capture: 0, convert: Some(1), encode: 2 };

/// Frame taken by the sender → its last packet handed to the kernel: parity, sealing and pacing included.
const SEND: usize = 3;

/// The path's stages and the share of the latency budget that each is meant to need.
pub const STAGES: [StageSpec; 4] = [
    StageSpec { name: "capture", share: 0.25, queued: false },
    StageSpec { name: "submit", share: 0.1, queued: true },
    StageSpec { name: "encode", share: 0.35, queued: false },
    StageSpec { name: "send", share: 0.2, queued: true },
];

/// What this path can measure. It has no reference-frame invalidation.
const KNOWN: &[Counter] = &[Counter::PacketsLost, Counter::SendDropped, Counter::FecRecovered, Counter::IdrRequests];

/// Socket buffer asked for: several large frames.
const SOCKET_BYTES: usize = 2 << 20;

/// What was granted to the client, and how it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// Id of the stream on the wire.
    pub stream: u32,
    /// Bits a second that the encoder starts with.
    pub bitrate_bps: u64,
    /// Lowest and highest rate that the client may ask for, bits a second; default 100 kb/s to 200 Mb/s.
    pub bitrate_range_bps: (u64, u64),
    /// Codec as a short name.
    pub codec: &'static str,
    /// The client as it was named at pairing.
    pub client: String,
    /// Parity in percent of a block's data; default 20. More repairs more and costs as much more of the line; 0 is none.
    pub fec_percent: u8,
    /// How packets are spread.
    pub pace: PaceConfig,
    /// How packets are handed to the kernel, to begin with.
    pub send_mode: SendMode,
    /// Time between two frames of a still screen; default 100 ms.
    pub repeat_every: Duration,
    /// Shortest time between two IDRs; default 250 ms. IDRs are large: closer together they cause the next loss.
    pub idr_every: Duration,
    /// Silence after which nothing is sent to the client; default 1.5 s, three missing contacts.
    pub stalled_after: Duration,
    /// Silence after which the session ends; default 5 s.
    pub gone_after: Duration,
}

impl StreamConfig {
    /// The defaults for a stream whose encoder was opened for `bitrate_bps`.
    pub fn new(stream: u32, bitrate_bps: u64, client: impl Into<String>) -> Self {
        Self {
            stream,
            bitrate_bps,
            bitrate_range_bps: (100_000, 200_000_000),
            codec: "h264",
            client: client.into(),
            fec_percent: 20,
            pace: PaceConfig::default(),
            send_mode: SendMode::Segmented,
            repeat_every: Duration::from_millis(100),
            idr_every: Duration::from_millis(250),
            stalled_after: Duration::from_millis(1500),
            gone_after: Duration::from_secs(5),
        }
    }
}

/// What a stream works with.
pub struct StreamParts {
    /// Where pictures come from, in the granted mode.
    pub source: Box<dyn FrameSource>,
    /// What encodes them, in the granted mode.
    pub encoder: Box<dyn Encoder>,
    /// The data socket, whose port was told to the client. The stream begins when the client's first contact arrives on it.
    pub socket: UdpSocket,
    /// Fresh keys of this stream.
    pub keys: DataKeys,
    /// Delays on purpose of packetizer, sender and queue.
    pub delays: Delays,
    /// Where their bursts are counted from: the moment that the wrappers of source and encoder were given, too.
    pub delays_from: Instant,
    /// What the client says over its control connection. Closing it ends the stream.
    pub messages: Receiver<ClientMessage>,
}

/// Why a stream did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The recorder refused the session.
    #[error("the recorder refused the session: {0}")]
    Session(#[from] SessionError),
    /// The socket or a thread could not be set up.
    #[error("the stream could not be set up: {0}")]
    Io(#[from] io::Error),
}

/// A stream that runs. Dropping it asks it to end and does not wait.
#[derive(Debug)]
pub struct Stream(Pipeline);

impl Stream {
    /// Registers the session and starts its threads.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(config: StreamConfig, parts: StreamParts, recorder: &Recorder) -> Result<Self, StartError> {
        parts.socket.set_nonblocking(true)?;
        size_buffers(&parts.socket, SOCKET_BYTES, 1 << 16)?;
        let contacts = parts.socket.try_clone()?;
        let mode = parts.source.mode();
        let session = recorder.session(SessionSpec {
            protocol: "native",
            stages: StageSet::new(&STAGES)?,
            info: SessionInfo {
                width: mode.width,
                height: mode.height,
                fps: mode.fps,
                codec: config.codec.to_owned(),
                encoder: parts.encoder.name().to_owned(),
                client: config.client.clone(),
                source_kind: parts.source.kind().to_owned(),
                audio: None,
            },
            known: KNOWN,
        })?;
        let (gate, sink, counters) = session.split();
        counters.set_target_rate_bps(config.bitrate_bps);

        let control = StreamControl::new(config.idr_every);
        let whereabouts = Whereabouts::default();
        let hold_ups = HoldUps::new(parts.delays, parts.delays_from);
        let (go_in, go) = bounded(1);
        let transmit = send::Transmitter {
            control: control.clone(),
            whereabouts: whereabouts.clone(),
            packetizer: Packetizer::new(config.stream, parts.keys.from_host.clone(), config.fec_percent),
            sender: PacedSender {
                sender: BatchSender::new(config.send_mode),
                socket: parts.socket,
                pace: config.pace,
                interval: mode.interval(),
            },
            hold_ups: hold_ups.clone(),
            counters: counters.clone(),
        };
        let session = session::Session {
            control: control.clone(),
            whereabouts,
            stream: config.stream,
            opener: Opener::new(parts.keys.from_client.clone()),
            socket: contacts,
            messages: parts.messages,
            counters: counters.clone(),
            liveness: Liveness::new(Instant::now(), config.stalled_after, config.gone_after),
            bitrate_bps: config.bitrate_bps,
            bitrate_range_bps: config.bitrate_range_bps,
            go: Some(go_in),
            refused: 0,
        };
        let (source, encoder) = (parts.source, parts.encoder);
        let mut pipeline = Pipeline::start(
            PipelineConfig { stages: PATH, repeat_every: config.repeat_every },
            PipelineParts { source, encoder, transmit, hold_ups, gate, sink, counters, control, go },
        )?;
        pipeline.spawn("session", move || session.run())?;
        Ok(Self(pipeline))
    }

    /// The session's id in samples, labels and lists.
    pub fn session_id(&self) -> &str {
        self.0.session_id()
    }

    /// Asks the stream to end.
    pub fn stop(&self) {
        self.0.control().end(EndReason::HostStopped);
    }

    /// Whether the stream is over, and why.
    pub fn ended(&self) -> Option<EndReason> {
        self.0.control().ended()
    }

    /// Waits until the stream is over and everything it held is free, and says why it ended.
    ///
    /// # Panics
    /// When one of its threads did: a bug.
    pub fn join(self) -> EndReason {
        self.0.join()
    }
}
