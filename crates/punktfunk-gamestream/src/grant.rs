//! What a client may ask for, and what it is granted of it.

use std::time::Duration;

use punktfunk_media::VideoMode;

use crate::rtsp::Announced;
use crate::stream::StreamConfig;
use crate::video::VideoKey;

/// Longest side that any screen may have, pixels.
const MAX_SIDE: u32 = 16_384;

/// Most pictures a second that any screen may show.
const MAX_FPS: u32 = 1000;

/// Smallest side of a picture that is granted, pixels.
const MIN_SIDE: u32 = 64;

/// Most parity packets a block that a client may require; stock clients require 2.
const MAX_REQUIRED_PARITY: u32 = 16;

/// What sessions may have, and how long they may be silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimits {
    /// Lowest and highest bit rate that is granted, kb/s.
    pub bitrate_kbps: (u32, u32),
    /// Parity in percent of the data; default 20, as the protocol's hosts have it.
    pub fec_percent: u32,
    /// Time from a launch to its start; default 30 s.
    pub begin: Duration,
    /// Silence after which a client is gone; default 10 s. Clients ping twice a second.
    pub silence: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            bitrate_kbps: (500, 50_000),
            fec_percent: 20,
            begin: Duration::from_secs(30),
            silence: Duration::from_secs(10),
        }
    }
}

/// Whether a screen could have this mode. Such a wish is granted as far as the host can; one beyond it is a fault, and is
/// refused.
pub(crate) fn is_possible(width: u32, height: u32, fps: u32) -> bool {
    let side = |pixels: u32| (1..=MAX_SIDE).contains(&pixels);
    side(width) && side(height) && (1..=MAX_FPS).contains(&fps)
}

/// What a client gets of what it wants. The source decides on the mode within these limits.
pub(crate) fn granted(limits: &SessionLimits, announced: &Announced, key: [u8; 16], client: &str) -> StreamConfig {
    // 4:2:0 video has a colour sample for every two pixels.
    let side = |pixels: u32| pixels.clamp(MIN_SIDE, VideoMode::MAX_SIDE) & !1;
    let (least, most) = limits.bitrate_kbps;
    StreamConfig {
        width: side(announced.width),
        height: side(announced.height),
        fps: announced.fps.clamp(1, VideoMode::MAX_FPS),
        bitrate_kbps: announced.bitrate_kbps.clamp(least.min(most), most),
        packet_size: announced.packet_size,
        min_fec_packets: announced.min_fec_packets.min(MAX_REQUIRED_PARITY),
        fec_percent: limits.fec_percent,
        video_key: announced.sealed_video.then(|| VideoKey::new(key)),
        client: client.to_owned(),
    }
}
