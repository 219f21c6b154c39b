//! What streams are made of on this host, whichever path they take: a source and an encoder, delayed on purpose in the demo.

use std::error::Error;
use std::time::Instant;

use parking_lot::Mutex;
use punktfunk_gamestream::stream::Video;
use punktfunk_media::{
    DelayedEncoder, DelayedSource, Delays, Encoder, FrameSource, OpenH264, Synthetic, VideoMode, X11, Y4m,
};

use crate::config::{EncoderConfig, EncoderKind, SourceConfig, SourceKind};

/// Lowest bit rate that is granted, kb/s.
const MIN_BITRATE_KBPS: u64 = 500;

/// Why there are no pictures.
pub type MediaError = Box<dyn Error + Send + Sync>;

/// Opens sources and encoders.
pub struct Media {
    source: SourceConfig,
    encoder: EncoderConfig,
    /// Delays on purpose, counted from the moment beside them; none but in the demo.
    delays: Mutex<(Delays, Instant)>,
}

impl Media {
    /// As it is configured.
    pub fn new(source: SourceConfig, encoder: EncoderConfig) -> Self {
        Self { source, encoder, delays: Mutex::new((Delays::none(), Instant::now())) }
    }

    /// Streams that start from now on are delayed, counted from now.
    pub fn delay(&self, delays: Delays) {
        *self.delays.lock() = (delays, Instant::now());
    }

    /// Lowest and highest bit rate that is granted, kb/s.
    pub fn bitrate_kbps(&self) -> (u64, u64) {
        let most = self.encoder.max_bitrate_kbps;
        (MIN_BITRATE_KBPS.min(most), most)
    }

    /// A source in the mode nearest to what a client asks for, and an encoder for it.
    ///
    /// # Errors
    /// When the one or the other cannot be had.
    pub fn open(&self, width: u32, height: u32, fps: u32, bps: u64) -> Result<Video, MediaError> {
        let source = self.open_source(width, height, fps)?;
        let encoder = self.open_encoder(source.mode(), bps)?;
        let (delays, delays_from) = self.delays.lock().clone();
        Ok(Video {
            source: Box::new(DelayedSource::new(source, &delays, delays_from)),
            encoder: Box::new(DelayedEncoder::new(encoder, &delays, delays_from)),
            delays,
            delays_from,
        })
    }

    fn open_source(&self, width: u32, height: u32, fps: u32) -> Result<Box<dyn FrameSource>, MediaError> {
        let fps = fps.clamp(1, self.source.fps);
        Ok(match self.source.kind {
            SourceKind::Synthetic => {
                let mode = VideoMode {
                    width: even(width.clamp(64, self.source.width)),
                    height: even(height.clamp(64, self.source.height)),
                    fps,
                };
                Box::new(Synthetic::new(mode)?)
            }
            SourceKind::X11 => Box::new(X11::open(self.source.display.as_deref(), fps)?),
            SourceKind::Y4m => {
                let file = self.source.file.as_ref().ok_or("this host replays no file")?;
                Box::new(Y4m::open(file)?)
            }
        })
    }

    fn open_encoder(&self, mode: VideoMode, bps: u64) -> Result<Box<dyn Encoder>, MediaError> {
        match self.encoder.kind {
            EncoderKind::OpenH264 => Ok(Box::new(OpenH264::new(mode, bps)?)),
            #[cfg(feature = "x264")]
            EncoderKind::X264 => Ok(Box::new(punktfunk_media::X264::new(mode, bps)?)),
            #[cfg(not(feature = "x264"))]
            EncoderKind::X264 => Err("this host was built without x264".into()),
        }
    }
}

/// The next even number below: 4:2:0 video has a colour sample for every two pixels.
fn even(pixels: u32) -> u32 {
    pixels & !1
}
