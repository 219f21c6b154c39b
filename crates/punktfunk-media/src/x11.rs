//! The `x11` source: what an X server shows on its root window, taken through shared memory.
//!
//! The server makes the segment (MIT-SHM 1.2) and passes us its file, which is read rather than mapped: no memory of
//! ours can change under us, a server that dies takes nothing with it, and the one copy into the frame is needed
//! anyway. The pointer is not part of the picture: the server keeps it out of the root window.
//!
//! A stream keeps its size. When the screen grows, its upper left part is shown; when it shrinks, the rest is black.

use std::fs::File;
use std::os::unix::fs::FileExt;

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, ImageFormat, ImageOrder, Screen, Setup, VisualClass,
    Window,
};
use x11rb::protocol::{ErrorKind, Event};
use x11rb::rust_connection::RustConnection;

use crate::fingerprint::fingerprint;
use crate::frame::{ModeError, PixelFormat, RawFrame, VideoMode};
use crate::source::{FrameOrigin, FrameSource, SourceError};

/// How often a capture is tried again when the screen changes its size meanwhile.
const ATTEMPTS: u32 = 3;

/// The screen of an X server.
#[derive(Debug)]
pub struct X11 {
    display: String,
    connection: RustConnection,
    root: Window,
    /// The segment on the server's side; it goes with the connection.
    segment: shm::Seg,
    /// The segment's file, as long as a picture of `mode`.
    pixels: File,
    mode: VideoMode,
    /// What the screen measures now, in pixels.
    screen: (u32, u32),
    last: Option<u64>,
}

/// Why a display cannot be captured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenX11Error {
    /// No X server answers there, or it refuses us.
    #[error("the display {display} cannot be reached: is an X server running there, and is this user let in?")]
    Connect {
        /// The display, for example `:0`.
        display: String,
        /// What the attempt ended with.
        #[source]
        source: ConnectError,
    },
    /// No display was named, neither by the caller nor in `DISPLAY`.
    #[error("no display is named: set DISPLAY or choose one")]
    NoDisplay,
    /// The screen's size or the rate is out of range.
    #[error("the display {display} cannot be streamed as it is")]
    Mode {
        /// The display, for example `:0`.
        display: String,
        /// Which value is out of range.
        #[source]
        source: ModeError,
    },
    /// Pixels are not 32-bit words of blue, green and red.
    #[error("the display {display} stores pixels in a way that is not supported: {reason}; start it at depth 24")]
    Pixels {
        /// The display, for example `:0`.
        display: String,
        /// What differs.
        reason: &'static str,
    },
    /// The server does not share memory with us, for example because it is on another machine.
    #[error("the display {display} offers no shared memory (MIT-SHM 1.2): run the host on the machine that shows it")]
    NoSharedMemory {
        /// The display, for example `:0`.
        display: String,
    },
    /// A request failed.
    #[error("the display {display} failed while it was set up")]
    Request {
        /// The display, for example `:0`.
        display: String,
        /// What the connection reported.
        #[source]
        source: ReplyOrIdError,
    },
}

impl X11 {
    /// Opens a display (`None`: the one in `DISPLAY`) for a rate in pictures a second. The size is the screen's, less
    /// an odd last column or row.
    ///
    /// # Errors
    /// [`OpenX11Error`] names the display and what stands against capturing it.
    pub fn open(display: Option<&str>, fps: u32) -> Result<Self, OpenX11Error> {
        let display = display.map(str::to_owned).or_else(|| std::env::var("DISPLAY").ok());
        let display = display.filter(|name| !name.is_empty()).ok_or(OpenX11Error::NoDisplay)?;
        let (connection, number) = RustConnection::connect(Some(&display))
            .map_err(|source| OpenX11Error::Connect { display: display.clone(), source })?;
        let setup = connection.setup();
        let screen = &setup.roots[number];
        if let Some(reason) = unsupported_pixels(setup, screen) {
            return Err(OpenX11Error::Pixels { display, reason });
        }
        let size = (u32::from(screen.width_in_pixels), u32::from(screen.height_in_pixels));
        let mode = VideoMode::new(size.0 & !1, size.1 & !1, fps)
            .map_err(|source| OpenX11Error::Mode { display: display.clone(), source })?;
        let root = screen.root;
        match share(&connection, root, mode) {
            Ok(Some((segment, pixels))) => {
                Ok(Self { display, connection, root, segment, pixels, mode, screen: size, last: None })
            }
            Ok(None) => Err(OpenX11Error::NoSharedMemory { display }),
            Err(source) => Err(OpenX11Error::Request { display, source }),
        }
    }

    /// Fills `into` from the screen as large as it is now, with black around it where it is smaller than the mode.
    fn grab(&mut self, into: &mut [u8]) -> Result<(), GrabError> {
        let mut attempt = 1;
        let (width, height) = loop {
            self.follow_size()?;
            let width = self.screen.0.min(self.mode.width);
            let height = self.screen.1.min(self.mode.height);
            // Sides are bounded by `VideoMode::MAX_SIDE`, so they fit.
            let (w, h) = (width as u16, height as u16);
            let format = ImageFormat::Z_PIXMAP.into();
            let reply = self.connection.shm_get_image(self.root, 0, 0, w, h, !0, format, self.segment, 0)?.reply();
            match reply {
                Ok(_) => break (width as usize * 4, height as usize),
                // The screen shrank after its size was last heard of.
                Err(ReplyError::X11Error(error)) if error.error_kind == ErrorKind::Match && attempt < ATTEMPTS => {
                    attempt += 1;
                    self.ask_size()?;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let row_bytes = self.mode.width as usize * 4;
        if width == row_bytes {
            let (shown, below) = into.split_at_mut(row_bytes * height);
            self.pixels.read_exact_at(shown, 0)?;
            below.fill(0);
            return Ok(());
        }
        into.fill(0);
        for (y, row) in into.chunks_exact_mut(row_bytes).take(height).enumerate() {
            self.pixels.read_exact_at(&mut row[..width], (y * width) as u64)?;
        }
        Ok(())
    }

    /// Takes note of size changes that the server has told us about.
    fn follow_size(&mut self) -> Result<(), GrabError> {
        while let Some(event) = self.connection.poll_for_event()? {
            if let Event::ConfigureNotify(change) = event
                && change.window == self.root
            {
                self.resized(change.width, change.height);
            }
        }
        Ok(())
    }

    fn ask_size(&mut self) -> Result<(), GrabError> {
        let geometry = self.connection.get_geometry(self.root)?.reply()?;
        self.resized(geometry.width, geometry.height);
        Ok(())
    }

    fn resized(&mut self, width: u16, height: u16) {
        let size = (u32::from(width), u32::from(height));
        if size != self.screen {
            tracing::info!(display = self.display, width, height, mode = %self.mode, "the screen changed its size");
            self.screen = size;
        }
    }
}

impl FrameSource for X11 {
    fn mode(&self) -> VideoMode {
        self.mode
    }

    fn kind(&self) -> &'static str {
        "x11"
    }

    fn capture(&mut self, into: &mut RawFrame) -> Result<FrameOrigin, SourceError> {
        into.reset(PixelFormat::Bgra, self.mode.width, self.mode.height);
        self.grab(into.bytes_mut()).map_err(|error| match error {
            GrabError::Connection(source) => {
                SourceError::DisplayLost { display: self.display.clone(), source: Box::new(source) }
            }
            GrabError::Reply(source) => {
                SourceError::DisplayRefused { display: self.display.clone(), source: Box::new(source) }
            }
            GrabError::Read(source) => {
                SourceError::DisplayRefused { display: self.display.clone(), source: Box::new(source) }
            }
        })?;
        let now = Some(fingerprint(into.bytes()));
        let last = std::mem::replace(&mut self.last, now);
        Ok(if last == now { FrameOrigin::Repeat } else { FrameOrigin::New })
    }
}

#[derive(Debug)]
enum GrabError {
    Connection(ConnectionError),
    Reply(ReplyError),
    Read(std::io::Error),
}

impl From<ConnectionError> for GrabError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<ReplyError> for GrabError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => Self::Connection(error),
            refused @ ReplyError::X11Error(_) => Self::Reply(refused),
        }
    }
}

impl From<std::io::Error> for GrabError {
    fn from(error: std::io::Error) -> Self {
        Self::Read(error)
    }
}

/// What of the screen's pixels is not as [`PixelFormat::Bgra`] has it.
fn unsupported_pixels(setup: &Setup, screen: &Screen) -> Option<&'static str> {
    let format = setup.pixmap_formats.iter().find(|format| format.depth == screen.root_depth);
    if format.is_none_or(|format| format.bits_per_pixel != 32) {
        return Some("a pixel is not 32 bits long");
    }
    if setup.image_byte_order != ImageOrder::LSB_FIRST {
        return Some("bytes come in big-endian order");
    }
    let visual =
        screen.allowed_depths.iter().flat_map(|depth| &depth.visuals).find(|v| v.visual_id == screen.root_visual);
    let plain = visual.is_some_and(|visual| {
        let masks = (visual.red_mask, visual.green_mask, visual.blue_mask);
        visual.class == VisualClass::TRUE_COLOR && masks == (0xff_0000, 0xff00, 0xff)
    });
    (!plain).then_some("a pixel is not eight bits each of red, green and blue")
}

/// Has the server make a segment for pictures of `mode` and tell us about size changes. `None` when it cannot share.
fn share(
    connection: &RustConnection,
    root: Window,
    mode: VideoMode,
) -> Result<Option<(shm::Seg, File)>, ReplyOrIdError> {
    if connection.extension_information(shm::X11_EXTENSION_NAME)?.is_none() {
        return Ok(None);
    }
    let version = connection.shm_query_version()?.reply()?;
    if (version.major_version, version.minor_version) < (1, 2) {
        return Ok(None);
    }
    let events = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    connection.change_window_attributes(root, &events)?.check()?;
    let segment = connection.generate_id()?;
    let bytes = PixelFormat::Bgra.picture_bytes(mode.width, mode.height);
    // At most 64 MiB (`VideoMode::MAX_SIDE`), so it fits.
    match connection.shm_create_segment(segment, bytes as u32, false)?.reply() {
        Ok(reply) => Ok(Some((segment, File::from(reply.shm_fd)))),
        // What a server says that is not on this machine and cannot pass a file.
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
