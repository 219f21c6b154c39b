//! What turns pictures into H.264: the trait that every encoder implements and the errors it reports.
//!
//! An encoder does not queue: one picture is submitted, then encoded.

use crate::frame::{PixelFormat, RawFrame, VideoMode};

/// One access unit as it left an encoder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedFrame {
    /// Annex B bytes of all NAL units of the picture. The buffer is used again by the next `encode`.
    pub data: Vec<u8>,
    /// True when decoding can start here.
    pub idr: bool,
}

/// An H.264 encoder for one stream.
pub trait Encoder: Send {
    /// A short fixed name for reports, for example `openh264`.
    fn name(&self) -> &'static str;

    /// Takes over a picture: converts or copies it into the encoder's own buffer. `frame` is free afterwards.
    /// A picture that was submitted before and not encoded yet is replaced.
    ///
    /// # Errors
    /// [`EncodeError::WrongSize`] or [`EncodeError::Conversion`]; nothing is held for `encode` then.
    fn submit(&mut self, frame: &RawFrame) -> Result<(), EncodeError>;

    /// Encodes the submitted picture into `out`, whose old content goes. False when the encoder chose to give no
    /// output for this picture; `out` is empty then.
    ///
    /// # Errors
    /// [`EncodeError::NothingSubmitted`] without a picture, [`EncodeError::Library`] when the library fails.
    fn encode(&mut self, out: &mut EncodedFrame) -> Result<bool, EncodeError>;

    /// Makes the next encoded picture an IDR. Several requests before it count as one.
    fn request_idr(&mut self);

    /// Sets the target rate in bits a second, from the next picture on.
    ///
    /// # Errors
    /// [`EncodeError::Bitrate`] when the rate is out of range; the old one stays.
    fn set_bitrate(&mut self, bps: u64) -> Result<(), EncodeError>;
}

impl<E: Encoder + ?Sized> Encoder for Box<E> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn submit(&mut self, frame: &RawFrame) -> Result<(), EncodeError> {
        (**self).submit(frame)
    }

    fn encode(&mut self, out: &mut EncodedFrame) -> Result<bool, EncodeError> {
        (**self).encode(out)
    }

    fn request_idr(&mut self) {
        (**self).request_idr();
    }

    fn set_bitrate(&mut self, bps: u64) -> Result<(), EncodeError> {
        (**self).set_bitrate(bps)
    }
}

impl VideoMode {
    /// Whether an encoder for this mode can take the picture.
    pub(crate) fn check_size(self, frame: &RawFrame) -> Result<(), EncodeError> {
        let (width, height) = (frame.width(), frame.height());
        if (width, height) == (self.width, self.height) {
            return Ok(());
        }
        Err(EncodeError::WrongSize { expected_width: self.width, expected_height: self.height, width, height })
    }
}

/// Why an encoder could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenEncoderError {
    /// The mode itself is out of range.
    #[error("the encoder cannot be opened")]
    Mode(#[from] crate::frame::ModeError),
    /// The encoder has no level for pictures of this size.
    #[error("{encoder} cannot encode {mode}: {reason}")]
    Unsupported {
        /// Which encoder.
        encoder: &'static str,
        /// What was asked for.
        mode: VideoMode,
        /// What stands against it.
        reason: &'static str,
    },
    /// The target rate is out of range.
    #[error("a target of {bps} bit/s is out of range: it must be from {min} to {max}")]
    Bitrate {
        /// What was asked for, in bits a second.
        bps: u64,
        /// Lowest accepted rate, in bits a second.
        min: u64,
        /// Highest accepted rate, in bits a second.
        max: u64,
    },
    /// A call into the library failed.
    #[error("{encoder}: {call} failed with code {code}")]
    Library {
        /// Which encoder.
        encoder: &'static str,
        /// The library's function.
        call: &'static str,
        /// What it returned.
        code: i64,
    },
}

/// Why a picture was not encoded or a setting not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The picture does not have the size the encoder was opened for.
    #[error("the encoder takes {expected_width}×{expected_height}, the picture is {width}×{height}")]
    WrongSize {
        /// Width the encoder was opened for, in pixels.
        expected_width: u32,
        /// Height the encoder was opened for, in pixels.
        expected_height: u32,
        /// Width of the picture, in pixels.
        width: u32,
        /// Height of the picture, in pixels.
        height: u32,
    },
    /// The picture could not be converted to what the encoder takes.
    #[error("a picture in {from:?} could not be converted")]
    Conversion {
        /// Format of the picture.
        from: PixelFormat,
        /// What the converter reported.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `encode` was called without a picture.
    #[error("no picture was submitted since the last one was encoded")]
    NothingSubmitted,
    /// The target rate is out of range.
    #[error("a target of {bps} bit/s is out of range: it must be from {min} to {max}")]
    Bitrate {
        /// What was asked for, in bits a second.
        bps: u64,
        /// Lowest accepted rate, in bits a second.
        min: u64,
        /// Highest accepted rate, in bits a second.
        max: u64,
    },
    /// A call into the library failed.
    #[error("{encoder}: {call} failed with code {code}")]
    Library {
        /// Which encoder.
        encoder: &'static str,
        /// The library's function.
        call: &'static str,
        /// What it returned.
        code: i64,
    },
}
