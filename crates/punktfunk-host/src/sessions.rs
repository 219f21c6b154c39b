//! Starts streams for the native path's control: what a client asks for, clamped to what this host has, with a source and
//! an encoder of its own.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use punktfunk_gamestream::stream::Video;
use punktfunk_native::control::{Refusal, SessionHandler, SessionStart};
use punktfunk_native::message::StreamGrant;
use punktfunk_native::stream::{Stream, StreamConfig, StreamParts};
use punktfunk_stats::Recorder;

use crate::media::Media;

/// What the native path's streams are made of on this host.
pub struct NativeSessions {
    recorder: Recorder,
    media: Arc<Media>,
    /// Address that data sockets are bound to.
    bind: IpAddr,
}

impl NativeSessions {
    /// Streams of these pictures, recorded here.
    pub fn new(recorder: Recorder, media: Arc<Media>, bind: IpAddr) -> Self {
        Self { recorder, media, bind }
    }
}

impl SessionHandler for NativeSessions {
    fn start(&self, start: SessionStart) -> Result<StreamGrant, Refusal> {
        let SessionStart { client, request, stream_id, keys, messages, out, .. } = start;
        let (least, most) = self.media.bitrate_kbps();
        let bitrate_range_bps = (least.saturating_mul(1000), most.saturating_mul(1000));
        let bitrate_bps = request.bitrate_bps.clamp(bitrate_range_bps.0, bitrate_range_bps.1);
        let opened = self.media.open(request.width, request.height, request.fps, bitrate_bps);
        let Video { source, encoder, delays, delays_from } = opened.map_err(Refusal::new)?;
        let mode = source.mode();
        let socket = UdpSocket::bind(SocketAddr::new(self.bind, 0)).map_err(Refusal::new)?;
        let data_port = socket.local_addr().map_err(Refusal::new)?.port();

        let mut config = StreamConfig::new(stream_id, bitrate_bps, client.name.clone());
        config.bitrate_range_bps = bitrate_range_bps;
        let (fec_percent, codec) = (config.fec_percent, config.codec);
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
