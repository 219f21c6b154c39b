//! A host and a client in one process, over loopback UDP, with keys given directly.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};
use punktfunk_media::{Delays, Encoder, FrameSource, OpenH264, Synthetic, VideoMode};
use punktfunk_native::DataKeys;
use punktfunk_native::client::{ClientStream, ClientStreamConfig};
use punktfunk_native::message::ClientMessage;
use punktfunk_native::stream::{Stream, StreamConfig, StreamParts};
use punktfunk_stats::{Anchor, ArmOptions, CaptureEvent, Recorder, RecorderConfig};

pub const STREAM: u32 = 77;

pub fn keys() -> DataKeys {
    DataKeys::from_exported(&[5; DataKeys::BYTES])
}

pub fn recorder() -> Recorder {
    Recorder::spawn(RecorderConfig { host_id: "test".to_owned(), ..RecorderConfig::default() }).unwrap()
}

pub fn arm(recorder: &Recorder) -> std::sync::mpsc::Receiver<CaptureEvent> {
    let options =
        ArmOptions { capture_id: "test".to_owned(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    recorder.arm(options).unwrap()
}

pub struct Host {
    pub stream: Stream,
    pub address: SocketAddr,
    pub control: Sender<ClientMessage>,
}

pub fn host(recorder: &Recorder, mode: VideoMode, adjust: impl FnOnce(&mut StreamConfig)) -> Host {
    let source = Box::new(Synthetic::new(mode).unwrap());
    let encoder = Box::new(OpenH264::new(mode, 6_000_000).unwrap());
    host_with(recorder, source, encoder, adjust)
}

pub fn host_with(
    recorder: &Recorder,
    source: Box<dyn FrameSource>,
    encoder: Box<dyn Encoder>,
    adjust: impl FnOnce(&mut StreamConfig),
) -> Host {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (control, messages) = unbounded();
    let mut config = StreamConfig::new(STREAM, 6_000_000, "test client");
    adjust(&mut config);
    let parts = StreamParts {
        source,
        encoder,
        socket,
        keys: keys(),
        delays: Delays::none(),
        delays_from: Instant::now(),
        messages,
    };
    Host { stream: Stream::start(config, parts, recorder).unwrap(), address, control }
}

pub fn client(host: &Host, adjust: impl FnOnce(&mut ClientStreamConfig)) -> ClientStream {
    let mut config = ClientStreamConfig::new(STREAM, keys(), host.address);
    adjust(&mut config);
    ClientStream::start(config, host.control.clone()).unwrap()
}

/// Long enough for anything that should happen soon on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
