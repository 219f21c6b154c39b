//! Streams a session's video over loopback for some seconds to the tests' own client, which decodes nothing, and says what
//! arrived and where the time went: the figures for "720p60 on two cores".
//!
//! ```text
//! cargo run --release -p punktfunk-gamestream --example video -- [WIDTH HEIGHT FPS SECONDS LOSS KBPS]
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example shows its result and may fail")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use punktfunk_gamestream::stream::StreamConfig;
use punktfunk_media::Delays;
use support::client::VideoClient;
use support::{arm, config, finish, host, recorder, start};

fn main() {
    let args: Vec<f64> = std::env::args().skip(1).map(|arg| arg.parse().unwrap()).collect();
    let arg = |index: usize, default: f64| args.get(index).copied().unwrap_or(default);
    let (width, height, fps) = (arg(0, 1280.0) as u32, arg(1, 720.0) as u32, arg(2, 60.0) as u32);
    let (seconds, loss, bitrate_kbps) = (arg(3, 10.0), arg(4, 0.0), arg(5, 10_000.0) as u32);
    let config = StreamConfig { width, height, fps, bitrate_kbps, ..config() };

    let recorder = recorder();
    let events = arm(&recorder);
    let host = host(&recorder, Delays::none());
    let mut client = VideoClient::new(&config, loss, 1).decoding_nothing();
    let stream = start(&host, config, client.address());
    client.receive_until(&stream, |client| client.tally().frames > 0);
    let from = Instant::now();
    client.receive_until(&stream, |_| from.elapsed().as_secs_f64() >= seconds);
    let span = from.elapsed().as_secs_f64();
    recorder.disarm();
    let (windows, _, _) = finish(&events);
    stream.stop();

    let tally = client.tally();
    println!(
        "{width}x{height}@{fps}, {span:.1} s, loss {loss}: {:.2} frames a second at the client",
        (tally.frames - 1) as f64 / span
    );
    println!("{tally:?}");
    for window in windows {
        let ms = |ns: u64| ns as f64 / 1e6;
        let mut line = format!("new {:3} late {:3} dropped {:?}", window.new_frames, window.late, window.dropped);
        let all = window.stages.iter().map(|(name, stage)| (*name, stage));
        for (name, stage) in all.chain([("queue", &window.queue), ("host", &window.host), ("pace", &window.pace)]) {
            if let Some(stage) = stage {
                line += &format!("  {name} {:.2}/{:.2}", ms(stage.p50_ns), ms(stage.p99_ns));
            }
        }
        println!("{line}");
    }
}
