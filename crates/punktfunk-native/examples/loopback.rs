//! Streams over loopback for some seconds and says what arrived: the figure for "720p60 on two cores".
//!
//! ```text
//! cargo run --release -p punktfunk-native --example loopback -- [WIDTH HEIGHT FPS SECONDS LOSS]
//! ```
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use punktfunk_media::{Delays, OpenH264, Synthetic, VideoMode};
use punktfunk_native::DataKeys;
use punktfunk_native::client::{ClientStream, ClientStreamConfig, SeededLoss};
use punktfunk_native::stream::{Stream, StreamConfig, StreamParts};
use punktfunk_stats::{Anchor, ArmOptions, CaptureEvent, Recorder, RecorderConfig};

const STREAM: u32 = 1;
const BITRATE_BPS: u64 = 10_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<f64> = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<_, _>>()?;
    let arg = |index: usize, default: f64| args.get(index).copied().unwrap_or(default);
    let mode = VideoMode::new(arg(0, 1280.0) as u32, arg(1, 720.0) as u32, arg(2, 60.0) as u32)?;
    let (seconds, loss) = (arg(3, 10.0), arg(4, 0.0));

    let recorder = Recorder::spawn(RecorderConfig { host_id: "loopback".to_owned(), ..RecorderConfig::default() })?;
    let options = ArmOptions {
        capture_id: "loopback".to_owned(),
        label: String::new(),
        anchor: Anchor::now(),
        latency_target: None,
    };
    let events = recorder.arm(options)?;

    // In real use the keys come from the control connection.
    let keys = DataKeys::from_exported(&[1; DataKeys::BYTES]);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let host = socket.local_addr()?;
    let (control, messages) = bounded(64);
    let parts = StreamParts {
        source: Box::new(Synthetic::new(mode)?),
        encoder: Box::new(OpenH264::new(mode, BITRATE_BPS)?),
        socket,
        keys: keys.clone(),
        delays: Delays::none(),
        delays_from: Instant::now(),
        messages,
    };
    let stream = Stream::start(StreamConfig::new(STREAM, BITRATE_BPS, "example"), parts, &recorder)?;
    let mut config = ClientStreamConfig::new(STREAM, keys, host);
    config.receiver.loss = (loss > 0.0).then(|| SeededLoss::new(loss, 1));
    let client = ClientStream::start(config, control)?;

    let mut first: Option<Instant> = None;
    let mut frames = 0_u32;
    let span = loop {
        let Some(received) = client.next_frame(Duration::from_secs(5))? else { return Err("no frame came".into()) };
        client.done_with(received.frame, None);
        let now = Instant::now();
        let since = now.duration_since(*first.get_or_insert(now)).as_secs_f64();
        if since >= seconds {
            break since;
        }
        frames += 1;
    };
    stream.stop();
    let reason = stream.join();
    recorder.disarm();
    let tally = client.stop().tally;
    println!("{mode}, {span:.1} s, loss {loss}: {:.2} frames a second at the client", f64::from(frames) / span);
    println!("{reason}; {tally:?}");
    for event in events {
        match event {
            CaptureEvent::Finished(_) => break,
            other => println!("{}", brief(&other)),
        }
    }
    Ok(())
}

/// One line a window: p50/p99 of each stage in ms.
fn brief(event: &CaptureEvent) -> String {
    let CaptureEvent::Window(window) = event else { return String::new() };
    let ms = |ns: u64| ns as f64 / 1e6;
    let mut line = format!("new {:3} late {:3} dropped {:?}", window.new_frames, window.late, window.dropped);
    for (name, distribution) in
        window.stages.iter().map(|(name, d)| (*name, d)).chain([("host", &window.host), ("pace", &window.pace)])
    {
        if let Some(d) = distribution {
            line += &format!("  {name} {:.1}/{:.1}", ms(d.p50_ns), ms(d.p99_ns));
        }
    }
    line
}
