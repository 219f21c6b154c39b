//! What travels between a source and an encoder: the video mode and one uncompressed picture.
//!
//! A [`RawFrame`] is a buffer that is filled again and again; after the first picture of a mode nothing is allocated.
//! Nothing here converts, scales or interprets pixels.

/// Size and rate of a stream of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VideoMode {
    /// Picture width in pixels; even, 16 to [`VideoMode::MAX_SIDE`].
    pub width: u32,
    /// Picture height in pixels; even, 16 to [`VideoMode::MAX_SIDE`].
    pub height: u32,
    /// Pictures a second, 1 to [`VideoMode::MAX_FPS`].
    pub fps: u32,
}

/// Why a [`VideoMode`] cannot be streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// A side is too short, too long, or odd: chroma is stored at half resolution, so sides are even.
    #[error("{width}×{height} is no picture size: both sides must be even and from 16 to {max}", max = VideoMode::MAX_SIDE)]
    Size {
        /// The width that was asked for, in pixels.
        width: u32,
        /// The height that was asked for, in pixels.
        height: u32,
    },
    /// The rate is zero or too high.
    #[error("{fps} pictures a second is no frame rate: it must be from 1 to {max}", max = VideoMode::MAX_FPS)]
    Rate {
        /// The rate that was asked for, in pictures a second.
        fps: u32,
    },
}

impl VideoMode {
    /// Longest side in pixels. Bounds what a configuration or a file header can make us allocate (64 MiB of BGRA).
    pub const MAX_SIDE: u32 = 4096;
    /// Highest rate in pictures a second.
    pub const MAX_FPS: u32 = 480;

    /// A mode that every source and encoder here can be asked for.
    ///
    /// # Errors
    /// As [`VideoMode::validate`].
    pub fn new(width: u32, height: u32, fps: u32) -> Result<Self, ModeError> {
        let mode = Self { width, height, fps };
        mode.validate()?;
        Ok(mode)
    }

    /// Checks the ranges that the fields' documentation names.
    ///
    /// # Errors
    /// [`ModeError`] names the field that is out of range.
    pub fn validate(self) -> Result<(), ModeError> {
        let Self { width, height, fps } = self;
        let side_ok = |side: u32| (16..=Self::MAX_SIDE).contains(&side) && side.is_multiple_of(2);
        if !(side_ok(width) && side_ok(height)) {
            return Err(ModeError::Size { width, height });
        }
        if !(1..=Self::MAX_FPS).contains(&fps) {
            return Err(ModeError::Rate { fps });
        }
        Ok(())
    }

    /// The time from one picture to the next.
    pub fn interval(self) -> std::time::Duration {
        std::time::Duration::from_secs(1) / self.fps.max(1)
    }
}

impl std::fmt::Display for VideoMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}@{}", self.width, self.height, self.fps)
    }
}

/// How the pixels of a [`RawFrame`] lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Four bytes a pixel: blue, green, red, and one that is ignored. Rows follow each other without padding.
    Bgra,
    /// Planes of luma, then both chroma at half width and height (limited range, BT.709), without padding.
    I420,
}

impl PixelFormat {
    /// Bytes of one picture of this format.
    pub fn picture_bytes(self, width: u32, height: u32) -> usize {
        let pixels = width as usize * height as usize;
        match self {
            Self::Bgra => pixels * 4,
            Self::I420 => pixels + 2 * chroma_bytes(width, height),
        }
    }
}

fn chroma_bytes(width: u32, height: u32) -> usize {
    width.div_ceil(2) as usize * height.div_ceil(2) as usize
}

/// One uncompressed picture in a buffer that is used again.
#[derive(Clone, Debug)]
pub struct RawFrame {
    width: u32,
    height: u32,
    format: PixelFormat,
    bytes: Vec<u8>,
}

/// The three planes of an I420 picture. Luma rows are `width` bytes apart, chroma rows half of it (rounded up).
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// Luma.
    pub y: &'a [u8],
    /// Blue difference.
    pub u: &'a [u8],
    /// Red difference.
    pub v: &'a [u8],
}

/// As [`Planes`], to be written.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Luma.
    pub y: &'a mut [u8],
    /// Blue difference.
    pub u: &'a mut [u8],
    /// Red difference.
    pub v: &'a mut [u8],
}

impl Default for RawFrame {
    fn default() -> Self {
        Self::new()
    }
}

impl RawFrame {
    /// An empty frame; a source gives it its size when it fills it.
    pub fn new() -> Self {
        Self { width: 0, height: 0, format: PixelFormat::Bgra, bytes: Vec::new() }
    }

    /// Takes on a format and size. The content is unspecified afterwards; allocates only while the buffer grows.
    pub fn reset(&mut self, format: PixelFormat, width: u32, height: u32) {
        self.bytes.resize(format.picture_bytes(width, height), 0);
        (self.width, self.height, self.format) = (width, height, format);
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How the pixels lie in memory.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Every byte of the picture, in the order that [`PixelFormat`] describes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As [`RawFrame::bytes`], to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The planes, when the frame is I420.
    pub fn planes(&self) -> Option<Planes<'_>> {
        (self.format == PixelFormat::I420).then(|| {
            let (y, chroma) = self.bytes.split_at(self.width as usize * self.height as usize);
            let (u, v) = chroma.split_at(chroma_bytes(self.width, self.height));
            Planes { y, u, v }
        })
    }

    /// The planes to be written, when the frame is I420.
    pub fn planes_mut(&mut self) -> Option<PlanesMut<'_>> {
        (self.format == PixelFormat::I420).then(|| {
            let (y, chroma) = self.bytes.split_at_mut(self.width as usize * self.height as usize);
            let (u, v) = chroma.split_at_mut(chroma_bytes(self.width, self.height));
            PlanesMut { y, u, v }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_with_an_odd_side_or_no_rate_is_refused_by_name() {
        assert_eq!(VideoMode::new(1281, 720, 60), Err(ModeError::Size { width: 1281, height: 720 }));
        assert_eq!(VideoMode::new(1280, 8192, 60), Err(ModeError::Size { width: 1280, height: 8192 }));
        assert_eq!(VideoMode::new(1280, 720, 0), Err(ModeError::Rate { fps: 0 }));
        assert!(VideoMode::new(1280, 720, 60).is_ok());
    }

    #[test]
    fn a_frame_keeps_its_buffer_when_it_takes_on_a_smaller_size() {
        let mut frame = RawFrame::new();
        frame.reset(PixelFormat::Bgra, 64, 32);
        let start = frame.bytes().as_ptr();
        frame.reset(PixelFormat::I420, 64, 32);
        assert_eq!(frame.bytes().as_ptr(), start);
        assert_eq!(frame.bytes().len(), 64 * 32 * 3 / 2);
    }

    #[test]
    fn planes_cover_an_i420_picture_and_exist_only_there() {
        let mut frame = RawFrame::new();
        frame.reset(PixelFormat::I420, 20, 18);
        let planes = frame.planes().unwrap();
        assert_eq!((planes.y.len(), planes.u.len(), planes.v.len()), (360, 90, 90));
        frame.reset(PixelFormat::Bgra, 20, 18);
        assert!(frame.planes().is_none());
    }
}
