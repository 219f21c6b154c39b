//! Pictures as they are captured (BGRA) into what encoders take (I420).
//!
//! Limited range, BT.709: what decoders assume for pictures of HD size when a stream says nothing, and what the
//! streams here say in their headers. Every size uses it, so that a stream keeps its colours when its size changes.

use yuv::{BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use crate::encoder::EncodeError;
use crate::frame::{PixelFormat, PlanesMut, RawFrame};

/// Fills `into` with `from` as I420 of the same size. A picture that is I420 already is copied.
///
/// # Errors
/// [`EncodeError::Conversion`] when the converter refuses the picture, for example one without pixels.
pub fn to_i420(from: &RawFrame, into: &mut RawFrame) -> Result<(), EncodeError> {
    let (width, height) = (from.width(), from.height());
    into.reset(PixelFormat::I420, width, height);
    match from.format() {
        PixelFormat::I420 => {
            into.bytes_mut().copy_from_slice(from.bytes());
            Ok(())
        }
        PixelFormat::Bgra => bgra_to_i420(from.bytes(), width, height, into)
            .map_err(|source| EncodeError::Conversion { from: from.format(), source: Box::new(source) }),
    }
}

fn bgra_to_i420(bgra: &[u8], width: u32, height: u32, into: &mut RawFrame) -> Result<(), YuvError> {
    let PlanesMut { y, u, v } = into.planes_mut().expect("`into` was reset to I420 by the caller");
    let mut image = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(u),
        u_stride: width.div_ceil(2),
        v_plane: BufferStoreMut::Borrowed(v),
        v_stride: width.div_ceil(2),
        width,
        height,
    };
    yuv::bgra_to_yuv420(
        &mut image,
        bgra,
        width * 4,
        YuvRange::Limited,
        YuvStandardMatrix::Bt709,
        YuvConversionMode::Balanced,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(bgr: [u8; 3]) -> [u8; 3] {
        let mut frame = RawFrame::new();
        frame.reset(PixelFormat::Bgra, 64, 32);
        for pixel in frame.bytes_mut().chunks_exact_mut(4) {
            pixel[..3].copy_from_slice(&bgr);
        }
        let mut i420 = RawFrame::new();
        to_i420(&frame, &mut i420).unwrap();
        let planes = i420.planes().unwrap();
        [planes.y[40], planes.u[20], planes.v[20]]
    }

    #[test]
    fn colours_become_the_values_of_bt709_in_limited_range() {
        // ITU-R BT.709-6, section 3: Y = 16 + 219·(0.2126 R + 0.7152 G + 0.0722 B); chroma is centred on 128.
        let expected = [
            ([0, 0, 0], [16, 128, 128]),
            ([255, 255, 255], [235, 128, 128]),
            ([0, 0, 255], [63, 102, 240]),
            ([255, 0, 0], [32, 240, 118]),
        ];
        for (bgr, yuv) in expected {
            let found = converted(bgr);
            for (found, expected) in found.iter().zip(yuv) {
                assert!(found.abs_diff(expected) <= 1, "{bgr:?} became {found} where {expected} was expected");
            }
        }
    }

    #[test]
    fn an_i420_picture_is_copied_unchanged() {
        let mut frame = RawFrame::new();
        frame.reset(PixelFormat::I420, 16, 16);
        for (at, byte) in frame.bytes_mut().iter_mut().enumerate() {
            *byte = at as u8;
        }
        let mut copy = RawFrame::new();
        to_i420(&frame, &mut copy).unwrap();
        assert_eq!(copy.bytes(), frame.bytes());
    }

    #[test]
    fn a_picture_without_pixels_is_a_conversion_error() {
        let error = to_i420(&RawFrame::new(), &mut RawFrame::new()).unwrap_err();
        assert!(matches!(error, EncodeError::Conversion { from: PixelFormat::Bgra, .. }));
    }
}
