//! Capturing a real X server: something moves, stands still, the screen changes its size, the server dies.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use punktfunk_media::{FrameOrigin, FrameSource, OpenX11Error, RawFrame, SourceError, VideoMode, X11};
use x11rb::connection::Connection;
use x11rb::protocol::randr::{ConnectionExt as _, Rotation};
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, Window, WindowClass};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

const RED: u32 = 0xff_0000;

/// An X server of its own for a test.
struct Xvfb {
    server: Child,
    display: String,
}

impl Xvfb {
    /// `None`, said aloud, where Xvfb is not installed; a failure where everything has to be (`CI=true`).
    fn start(screen: &str) -> Option<Self> {
        let started = Command::new("Xvfb")
            .args(["-displayfd", "1", "-br", "-noreset", "-nolisten", "tcp", "-screen", "0", screen])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut server = match started {
            Ok(server) => server,
            Err(error) if error.kind() == ErrorKind::NotFound && std::env::var("CI").as_deref() != Ok("true") => {
                // Past the test harness, which shows what a passing test prints to nobody.
                let line = b"NOT TESTED: Xvfb is not installed, so the X11 source was not run (apt-get install xvfb)\n";
                std::io::stderr().write_all(line).unwrap();
                return None;
            }
            Err(error) => panic!("Xvfb cannot be started: {error}"),
        };
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        Some(Self { server, display })
    }

    fn end(&mut self, signal: Signal) {
        // Failing means that it is gone already, which is what we want.
        if kill(Pid::from_raw(self.server.id() as i32), signal).is_ok() {
            self.server.wait().unwrap();
        }
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        if matches!(self.server.try_wait(), Ok(None)) {
            self.end(Signal::SIGTERM);
        }
    }
}

/// A client with one red square; every call returns when the server has done it.
struct Painter {
    connection: RustConnection,
    root: Window,
    window: Window,
}

impl Painter {
    fn new(display: &str) -> Self {
        let (connection, screen) = RustConnection::connect(Some(display)).unwrap();
        let root = connection.setup().roots[screen].root;
        let window = connection.generate_id().unwrap();
        let red = CreateWindowAux::new().background_pixel(RED).override_redirect(1);
        connection.create_window(0, window, root, 10, 20, 32, 32, 0, WindowClass::INPUT_OUTPUT, 0, &red).unwrap();
        connection.map_window(window).unwrap();
        connection.sync().unwrap();
        Self { connection, root, window }
    }

    fn move_to(&self, x: i32, y: i32) {
        self.connection.configure_window(self.window, &ConfigureWindowAux::new().x(x).y(y)).unwrap();
        self.connection.sync().unwrap();
    }

    fn resize_screen(&self, width: u16, height: u16) {
        let resources = self.connection.randr_get_screen_resources(self.root).unwrap().reply().unwrap();
        for crtc in resources.crtcs {
            let off = self.connection.randr_set_crtc_config(crtc, 0, 0, 0, 0, 0, Rotation::ROTATE0, &[]).unwrap();
            off.reply().unwrap();
        }
        self.connection.randr_set_screen_size(self.root, width, height, 100, 100).unwrap().check().unwrap();
    }
}

/// Blue, green and red of a pixel.
fn pixel(frame: &RawFrame, x: u32, y: u32) -> [u8; 3] {
    let at = ((y * frame.width() + x) * 4) as usize;
    frame.bytes()[at..at + 3].try_into().unwrap()
}

const RED_PIXEL: [u8; 3] = [0, 0, 255];
const BLACK_PIXEL: [u8; 3] = [0, 0, 0];

#[test]
fn a_moving_window_gives_new_pictures_and_a_still_screen_repeats() {
    let Some(xvfb) = Xvfb::start("320x241x24") else { return };
    let painter = Painter::new(&xvfb.display);
    let mut source = X11::open(Some(&xvfb.display), 60).unwrap();
    assert_eq!(source.mode(), VideoMode { width: 320, height: 240, fps: 60 }, "an odd last row is left out");
    let mut frame = RawFrame::new();
    for step in 0..20 {
        painter.move_to(10 + step, 20);
        assert_eq!(source.capture(&mut frame).unwrap(), FrameOrigin::New);
        assert_eq!(pixel(&frame, step as u32 + 10, 20), RED_PIXEL);
        assert_eq!(pixel(&frame, step as u32 + 9, 20), BLACK_PIXEL);
    }
    for _ in 0..20 {
        assert_eq!(source.capture(&mut frame).unwrap(), FrameOrigin::Repeat);
        assert_eq!(pixel(&frame, 29, 20), RED_PIXEL, "a repeat is filled in as well");
    }
}

#[test]
fn a_server_that_dies_is_a_lost_display() {
    let Some(mut xvfb) = Xvfb::start("320x240x24") else { return };
    let mut source = X11::open(Some(&xvfb.display), 60).unwrap();
    let mut frame = RawFrame::new();
    source.capture(&mut frame).unwrap();
    xvfb.end(Signal::SIGKILL);
    let error = source.capture(&mut frame).unwrap_err();
    assert!(matches!(&error, SourceError::DisplayLost { display, .. } if *display == xvfb.display), "{error:?}");
    assert_eq!(error.to_string(), format!("the display {} is gone", xvfb.display));
}

#[test]
fn a_screen_that_shrinks_and_grows_again_keeps_the_stream_going() {
    let Some(xvfb) = Xvfb::start("320x240x24") else { return };
    let painter = Painter::new(&xvfb.display);
    painter.move_to(200, 150);
    let mut source = X11::open(Some(&xvfb.display), 60).unwrap();
    let mut frame = RawFrame::new();
    source.capture(&mut frame).unwrap();
    assert_eq!(pixel(&frame, 210, 160), RED_PIXEL);

    painter.resize_screen(160, 120);
    painter.move_to(100, 80);
    assert_eq!(source.capture(&mut frame).unwrap(), FrameOrigin::New);
    assert_eq!((frame.width(), frame.height()), (320, 240));
    assert_eq!(pixel(&frame, 110, 90), RED_PIXEL);
    assert_eq!(pixel(&frame, 210, 160), BLACK_PIXEL);

    painter.resize_screen(320, 240);
    painter.move_to(280, 200);
    assert_eq!(source.capture(&mut frame).unwrap(), FrameOrigin::New);
    assert_eq!(pixel(&frame, 290, 210), RED_PIXEL);
}

#[test]
fn a_screen_of_sixteen_bit_pixels_is_refused() {
    let Some(xvfb) = Xvfb::start("320x240x16") else { return };
    assert!(matches!(X11::open(Some(&xvfb.display), 60), Err(OpenX11Error::Pixels { .. })));
}

#[test]
fn a_display_that_is_not_there_and_a_rate_out_of_range_are_refused_by_name() {
    let error = X11::open(Some(":65000"), 60).unwrap_err();
    assert!(error.to_string().starts_with("the display :65000 cannot be reached: "), "{error}");
    assert!(matches!(X11::open(Some(""), 60), Err(OpenX11Error::NoDisplay)));
    let Some(xvfb) = Xvfb::start("320x240x24") else { return };
    assert!(matches!(X11::open(Some(&xvfb.display), 0), Err(OpenX11Error::Mode { .. })));
}
