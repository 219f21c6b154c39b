//! The way back: H.264 access units into pictures, for a client that wants to see what arrived and for tests.
//!
//! A thin wrapper of openh264's decoder, with its concealment of errors off: a picture that came out is the picture
//! that was sent. It shows nothing and keeps no time.

use openh264::decoder::{DecodedYUV, DecoderConfig, Flush};
use openh264::formats::YUVSource;

/// A decoder for one stream.
pub struct Decoder {
    inner: openh264::decoder::Decoder,
}

/// A decoded picture, borrowed from its decoder.
#[derive(Debug)]
pub struct Picture<'a> {
    decoded: DecodedYUV<'a>,
}

/// One plane of a [`Picture`].
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The rows, one after the other.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next; at least the plane's width.
    pub stride: usize,
    /// Bytes of picture in a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// Why a decoder could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the decoder cannot be opened")]
pub struct OpenDecoderError(#[source] openh264::Error);

/// Why an access unit was not decoded. Decoding may go on with the next one, and recovers at an IDR.
#[derive(Debug, thiserror::Error)]
#[error("an access unit of {bytes} bytes could not be decoded")]
pub struct DecodeError {
    /// Length of the access unit.
    pub bytes: usize,
    /// What the decoder reported.
    #[source]
    source: openh264::Error,
}

impl Decoder {
    /// A decoder that waits for its first IDR.
    ///
    /// # Errors
    /// [`OpenDecoderError`] when the library cannot set one up.
    pub fn new() -> Result<Self, OpenDecoderError> {
        // The streams here have no reordering, so nothing is held back that would have to be flushed.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let api = openh264::OpenH264API::from_source();
        let inner = openh264::decoder::Decoder::with_api_config(api, config).map_err(OpenDecoderError)?;
        Ok(Self { inner })
    }

    /// Decodes one Annex B access unit. `None` when it holds no picture, for example parameter sets alone.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that the decoder refuses, pictures before the first IDR among them.
    pub fn decode(&mut self, access_unit: &[u8]) -> Result<Option<Picture<'_>>, DecodeError> {
        let bytes = access_unit.len();
        let decoded = self.inner.decode(access_unit).map_err(|source| DecodeError { bytes, source })?;
        Ok(decoded.map(|decoded| Picture { decoded }))
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Picture<'_> {
    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.decoded.dimensions().0
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.decoded.dimensions().1
    }

    /// Luma.
    pub fn y(&self) -> Plane<'_> {
        let (width, height) = self.decoded.dimensions();
        Plane { bytes: self.decoded.y(), stride: self.decoded.strides().0, width, height }
    }

    /// Blue difference, at half width and height.
    pub fn u(&self) -> Plane<'_> {
        let (width, height) = self.decoded.dimensions_uv();
        Plane { bytes: self.decoded.u(), stride: self.decoded.strides().1, width, height }
    }

    /// Red difference, at half width and height.
    pub fn v(&self) -> Plane<'_> {
        let (width, height) = self.decoded.dimensions_uv();
        Plane { bytes: self.decoded.v(), stride: self.decoded.strides().2, width, height }
    }
}

impl<'a> Plane<'a> {
    /// The rows without what pads them.
    pub fn rows(self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes.chunks(self.stride.max(1)).take(self.height).map(move |row| &row[..self.width.min(row.len())])
    }
}
