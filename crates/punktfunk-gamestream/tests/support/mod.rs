//! A GameStream client and a host in one process, over loopback UDP.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod assembler;
pub mod client;
pub mod field;
pub mod gamehost;
pub mod moonlight;
pub mod viewer;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use punktfunk_gamestream::stream::{Stream, StreamConfig, StreamHost, Video};
use punktfunk_gamestream::video::VideoKey;
use punktfunk_media::{DelayedEncoder, DelayedSource, Delays, OpenH264, Synthetic};
use punktfunk_stats::{Anchor, ArmOptions, CaptureEvent, CaptureReport, Recorder, RecorderConfig, WindowReport};

/// Long enough for anything that should happen soon on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

pub fn recorder() -> Recorder {
    Recorder::spawn(RecorderConfig { host_id: "test".to_owned(), ..RecorderConfig::default() }).unwrap()
}

pub fn arm(recorder: &Recorder) -> Receiver<CaptureEvent> {
    let options =
        ArmOptions { capture_id: "test".to_owned(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    recorder.arm(options).unwrap()
}

/// A host of synthetic pictures, delayed by `delays` from now on.
pub fn host(recorder: &Recorder, delays: Delays) -> StreamHost {
    let start = Instant::now();
    StreamHost::new(
        recorder.clone(),
        Box::new(move |mode, bps| {
            Ok(Video {
                source: Box::new(DelayedSource::new(Synthetic::new(mode)?, &delays, start)),
                encoder: Box::new(DelayedEncoder::new(OpenH264::new(mode, bps)?, &delays, start)),
                delays: delays.clone(),
                delays_from: start,
            })
        }),
    )
}

pub fn config() -> StreamConfig {
    StreamConfig {
        width: 640,
        height: 360,
        fps: 30,
        bitrate_kbps: 6_000,
        packet_size: 1392,
        min_fec_packets: 2,
        fec_percent: 20,
        video_key: None,
        client: "test client".to_owned(),
    }
}

pub fn encrypted(config: StreamConfig) -> StreamConfig {
    StreamConfig { packet_size: config.packet_size - 32, video_key: Some(VideoKey::new(client::KEY)), ..config }
}

pub fn start(host: &StreamHost, config: StreamConfig, to: SocketAddr) -> Stream {
    Stream::start(host, config, UdpSocket::bind("127.0.0.1:0").unwrap(), to).unwrap()
}

/// All windows of a capture, and its report.
pub fn finish(events: &Receiver<CaptureEvent>) -> (Vec<WindowReport>, Vec<CaptureEvent>, CaptureReport) {
    let (mut windows, mut others) = (Vec::new(), Vec::new());
    loop {
        match events.recv_timeout(SOON).unwrap() {
            CaptureEvent::Window(window) => windows.push(*window),
            CaptureEvent::Finished(report) => return (windows, others, *report),
            other => others.push(other),
        }
    }
}

pub fn sum(windows: &[WindowReport], figure: impl Fn(&WindowReport) -> Option<u64>) -> u64 {
    windows.iter().filter_map(figure).sum()
}
