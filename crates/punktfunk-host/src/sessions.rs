//! Starts streams for the native path's control: what a client asks for, clamped to what this host has, with a source and
//! an encoder of its own.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use parking_lot::Mutex;
use punktfunk_media::{
    DelayedEncoder, DelayedSource, Delays, Encoder, FrameSource, OpenH264, Synthetic, VideoMode, X11, Y4m,
};
use punktfunk_native::control::{Refusal, SessionHandler, SessionStart};
use punktfunk_native::message::StreamGrant;
use punktfunk_native::stream::{Stream, StreamConfig, StreamParts};
use punktfunk_stats::Recorder;

use crate::config::{EncoderConfig, EncoderKind, SourceConfig, SourceKind};

/// Lowest bit rate that is granted.
const MIN_BITRATE_BPS: u64 = 500_000;

/// What streams are made of on this host.
pub struct NativeSessions {
    recorder: Recorder,
    source: SourceConfig,
    encoder: EncoderConfig,
    /// Address that data sockets are bound to.
    bind: IpAddr,
    /// Delays on purpose, counted from the moment beside them; none but in the demo.
    delays: Mutex<(Delays, Instant)>,
}

impl NativeSessions {
    /// Streams from this source, recorded here.
    pub fn new(recorder: Recorder, source: SourceConfig, encoder: EncoderConfig, bind: IpAddr) -> Self {
        Self { recorder, source, encoder, bind, delays: Mutex::new((Delays::none(), Instant::now())) }
    }

    /// Streams that start from now on are delayed, counted from now.
    pub fn delay(&self, delays: Delays) {
        *self.delays.lock() = (delays, Instant::now());
    }

    /// Opens the source in the mode nearest to what the client asks for.
    fn open_source(&self, width: u32, height: u32, fps: u32) -> Result<Box<dyn FrameSource>, Refusal> {
        let fps = fps.clamp(1, self.source.fps);
        Ok(match self.source.kind {
            SourceKind::Synthetic => {
                let mode = VideoMode {
                    width: even(width.clamp(64, self.source.width)),
                    height: even(height.clamp(64, self.source.height)),
                    fps,
                };
                Box::new(Synthetic::new(mode).map_err(Refusal::new)?)
            }
            SourceKind::X11 => Box::new(X11::open(self.source.display.as_deref(), fps).map_err(Refusal::new)?),
            SourceKind::Y4m => {
                let file = self.source.file.as_ref().ok_or_else(|| Refusal::new("this host replays no file"))?;
                Box::new(Y4m::open(file).map_err(Refusal::new)?)
            }
        })
    }
}

fn open_encoder(kind: EncoderKind, mode: VideoMode, bps: u64) -> Result<Box<dyn Encoder>, Refusal> {
    match kind {
        EncoderKind::OpenH264 => Ok(Box::new(OpenH264::new(mode, bps).map_err(Refusal::new)?)),
        #[cfg(feature = "x264")]
        EncoderKind::X264 => Ok(Box::new(punktfunk_media::X264::new(mode, bps).map_err(Refusal::new)?)),
        #[cfg(not(feature = "x264"))]
        EncoderKind::X264 => Err(Refusal::new("this host was built without x264")),
    }
}

/// The next even number below: 4:2:0 video has a colour sample for every two pixels.
fn even(pixels: u32) -> u32 {
    pixels & !1
}

impl SessionHandler for NativeSessions {
    fn start(&self, start: SessionStart) -> Result<StreamGrant, Refusal> {
        let SessionStart { client, request, stream_id, keys, messages, out, .. } = start;
        let source = self.open_source(request.width, request.height, request.fps)?;
        let mode = source.mode();
        let max_bps = self.encoder.max_bitrate_kbps.saturating_mul(1000);
        let bitrate_bps = request.bitrate_bps.clamp(MIN_BITRATE_BPS.min(max_bps), max_bps);
        let encoder = open_encoder(self.encoder.kind, mode, bitrate_bps)?;
        let socket = UdpSocket::bind(SocketAddr::new(self.bind, 0)).map_err(Refusal::new)?;
        let data_port = socket.local_addr().map_err(Refusal::new)?.port();

        let (delays, delays_from) = self.delays.lock().clone();
        let mut config = StreamConfig::new(stream_id, bitrate_bps, client.name.clone());
        config.bitrate_range_bps = (MIN_BITRATE_BPS.min(max_bps), max_bps);
        let (fec_percent, codec) = (config.fec_percent, config.codec);
        let source: Box<dyn FrameSource> = Box::new(DelayedSource::new(source, &delays, delays_from));
        let encoder: Box<dyn Encoder> = Box::new(DelayedEncoder::new(encoder, &delays, delays_from));
        let parts = StreamParts { source, encoder, socket, keys, delays, delays_from, messages };
        let stream = Stream::start(config, parts, &self.recorder).map_err(Refusal::new)?;
        let session_id = stream.session_id().to_owned();
        tracing::info!(session = %session_id, client = %client.name, %mode, bitrate_bps, "stream granted");
        let follower = std::thread::Builder::new().name(format!("follow-{session_id}"));
        let followed = session_id.clone();
        let span = tracing::info_span!(parent: None, "session", id = %session_id, client = %client.name, %mode);
        follower
            .spawn(move || {
                let _session = span.entered();
                let reason = stream.join();
                tracing::info!(session = %followed, %reason, "stream ended");
                out.ended(reason);
            })
            .map_err(Refusal::new)?;
        Ok(StreamGrant {
            session_id,
            stream_id,
            width: mode.width,
            height: mode.height,
            fps: mode.fps,
            bitrate_bps,
            codec: codec.to_owned(),
            fec_percent,
            data_port,
        })
    }
}
