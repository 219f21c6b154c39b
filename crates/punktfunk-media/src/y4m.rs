//! The `y4m` source: an uncompressed YUV4MPEG2 file, played at its own rate, over and over.
//!
//! Takes 8-bit 4:2:0, which is what encoders here take; other layouts are refused by name. Colours are passed on as
//! they are. The header is a stranger's: nothing is allocated before its numbers have been checked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::fingerprint::fingerprint;
use crate::frame::{ModeError, PixelFormat, RawFrame, VideoMode};
use crate::source::{FrameOrigin, FrameSource, SourceError};

/// Longest header line of a file or frame, in bytes. Writers stay below a hundred.
const MAX_LINE: u64 = 1024;

/// A file that is replayed.
#[derive(Debug)]
pub struct Y4m {
    path: PathBuf,
    file: BufReader<File>,
    mode: VideoMode,
    /// Where the first frame starts.
    frames_at: u64,
    frame: u64,
    last: Option<u64>,
}

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenY4mError {
    /// The file cannot be opened or read.
    #[error("{path}: cannot be read", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// The header is not one of a YUV4MPEG2 file that we can play.
    #[error("{path}: not a file that can be replayed", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: HeaderError,
    },
    /// There is a header, but not one whole frame after it.
    #[error("{path}: holds no whole frame", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What is wrong with the header of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file starts with something else.
    #[error("it does not start with a YUV4MPEG2 header")]
    Magic,
    /// A parameter is missing.
    #[error("the header has no parameter {0}")]
    Missing(char),
    /// A parameter cannot be read.
    #[error("the header's parameter {name} is not valid: {value:?}")]
    Invalid {
        /// Letter of the parameter.
        name: char,
        /// What stands there.
        value: String,
    },
    /// The layout of the pixels is not 8-bit 4:2:0.
    #[error("pixels are stored as {0:?}; only 8-bit 4:2:0 is supported (ffmpeg: -pix_fmt yuv420p)")]
    Layout(String),
    /// Frames are interlaced.
    #[error("frames are interlaced; only progressive ones are supported")]
    Interlaced,
    /// Size or rate is out of range.
    #[error(transparent)]
    Mode(#[from] ModeError),
}

impl Y4m {
    /// Opens a file. Its rate is rounded to whole pictures a second.
    ///
    /// # Errors
    /// [`OpenY4mError`] names the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenY4mError> {
        let path = path.as_ref();
        let io_error = |source| OpenY4mError::Io { path: path.into(), source };
        let mut file = BufReader::new(File::open(path).map_err(io_error)?);
        let length = file.get_ref().metadata().map_err(io_error)?.len();
        let line = read_line(&mut file).map_err(io_error)?;
        let header = |source| OpenY4mError::Header { path: path.into(), source };
        let mode = parse_header(&line.ok_or(header(HeaderError::Magic))?).map_err(header)?;
        let frames_at = file.stream_position().map_err(io_error)?;
        let frame_bytes = PixelFormat::I420.picture_bytes(mode.width, mode.height) + FRAME.len() + 1;
        if length.saturating_sub(frames_at) < frame_bytes as u64 {
            return Err(OpenY4mError::Empty { path: path.into() });
        }
        Ok(Self { path: path.into(), file, mode, frames_at, frame: 0, last: None })
    }

    fn read_frame(&mut self, into: &mut [u8]) -> Result<(), FrameError> {
        if self.file.fill_buf()?.is_empty() {
            self.file.seek(SeekFrom::Start(self.frames_at))?;
            self.frame = 0;
        }
        match read_line(&mut self.file)? {
            Some(line) if line == FRAME || line.starts_with(b"FRAME ") => {}
            _ => return Err(FrameError::Magic),
        }
        self.file.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FrameError::Truncated,
            _ => FrameError::Io(error),
        })
    }
}

impl FrameSource for Y4m {
    fn mode(&self) -> VideoMode {
        self.mode
    }

    fn kind(&self) -> &'static str {
        "y4m"
    }

    fn capture(&mut self, into: &mut RawFrame) -> Result<FrameOrigin, SourceError> {
        into.reset(PixelFormat::I420, self.mode.width, self.mode.height);
        self.read_frame(into.bytes_mut()).map_err(|error| SourceError::Replay {
            path: self.path.clone(),
            frame: self.frame,
            source: Box::new(error),
        })?;
        self.frame += 1;
        let now = Some(fingerprint(into.bytes()));
        let last = std::mem::replace(&mut self.last, now);
        Ok(if last == now { FrameOrigin::Repeat } else { FrameOrigin::New })
    }
}

const FRAME: &[u8] = b"FRAME";

#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error("no frame header where one is due")]
    Magic,
    #[error("the file ends within the frame")]
    Truncated,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A line without its end; `None` when there is no end within [`MAX_LINE`].
fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

/// Reads the first line of a file (<https://wiki.multimedia.cx/index.php/YUV4MPEG2>).
fn parse_header(line: &[u8]) -> Result<VideoMode, HeaderError> {
    let mut words = line.split(|byte| *byte == b' ');
    if words.next() != Some(b"YUV4MPEG2") {
        return Err(HeaderError::Magic);
    }
    let (mut width, mut height, mut fps) = (None, None, None);
    for word in words {
        let Some((name, value)) = word.split_first() else { continue };
        let name = char::from(*name);
        let text = String::from_utf8_lossy(value);
        let invalid = || HeaderError::Invalid { name, value: text.clone().into_owned() };
        match name {
            'W' => width = Some(text.parse().map_err(|_| invalid())?),
            'H' => height = Some(text.parse().map_err(|_| invalid())?),
            'F' => fps = Some(parse_rate(&text).ok_or_else(invalid)?),
            'C' if !matches!(&*text, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                return Err(HeaderError::Layout(text.into_owned()));
            }
            'I' if !matches!(&*text, "p" | "?") => return Err(HeaderError::Interlaced),
            // Pixel aspect, comments and extensions change nothing here.
            _ => {}
        }
    }
    let width = width.ok_or(HeaderError::Missing('W'))?;
    let height = height.ok_or(HeaderError::Missing('H'))?;
    let fps = fps.ok_or(HeaderError::Missing('F'))?;
    Ok(VideoMode::new(width, height, fps)?)
}

/// A rate such as `30000:1001`, rounded to whole pictures a second and to no less than one.
fn parse_rate(text: &str) -> Option<u32> {
    let (pictures, seconds) = text.split_once(':')?;
    let (pictures, seconds): (u32, u32) = (pictures.parse().ok()?, seconds.parse().ok()?);
    if pictures == 0 || seconds == 0 {
        return None;
    }
    let rounded = (u64::from(pictures) + u64::from(seconds) / 2) / u64::from(seconds);
    u32::try_from(rounded.max(1)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_gives_size_and_rounded_rate() {
        let mode = |line: &str| parse_header(line.as_bytes());
        assert_eq!(
            mode("YUV4MPEG2 W640 H360 F60:1 Ip A1:1 C420jpeg XSOMETHING"),
            Ok(VideoMode { width: 640, height: 360, fps: 60 })
        );
        assert_eq!(mode("YUV4MPEG2 H16 W32 F30000:1001").map(|mode| mode.fps), Ok(30));
        assert_eq!(mode("YUV4MPEG2 H16 W32 F1:4").map(|mode| mode.fps), Ok(1));
    }

    #[test]
    fn a_header_that_cannot_be_played_says_what_is_wrong() {
        let error = |line: &str| parse_header(line.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("RIFF"), "it does not start with a YUV4MPEG2 header");
        assert_eq!(error("YUV4MPEG2 W640 F60:1"), "the header has no parameter H");
        assert_eq!(error("YUV4MPEG2 W640 H360"), "the header has no parameter F");
        assert_eq!(error("YUV4MPEG2 W99999999999 H2"), "the header's parameter W is not valid: \"99999999999\"");
        assert_eq!(error("YUV4MPEG2 W640 H360 F60:0"), "the header's parameter F is not valid: \"60:0\"");
        assert_eq!(
            error("YUV4MPEG2 W64 H64 F60:1 C422"),
            "pixels are stored as \"422\"; only 8-bit 4:2:0 is supported (ffmpeg: -pix_fmt yuv420p)"
        );
        assert_eq!(error("YUV4MPEG2 W64 H64 F60:1 It"), "frames are interlaced; only progressive ones are supported");
        assert!(error("YUV4MPEG2 W4294967294 H2 F60:1").contains("no picture size"));
    }

    proptest! {
        #[test]
        fn any_line_is_a_mode_in_range_or_an_error(line in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(mode) = parse_header(&line) {
                prop_assert_eq!(mode.validate(), Ok(()));
            }
        }

        #[test]
        fn any_numbers_in_a_header_are_a_mode_in_range_or_an_error(w: u64, h: u64, pictures: u64, seconds: u64) {
            let line = format!("YUV4MPEG2 W{w} H{h} F{pictures}:{seconds}");
            if let Ok(mode) = parse_header(line.as_bytes()) {
                prop_assert_eq!(mode.validate(), Ok(()));
            }
        }
    }
}
