//! What a picture costs on this machine: milliseconds for drawing, converting, encoding and decoding it.
//!
//! `cargo run --release -p punktfunk-media --example cost -- [WIDTH HEIGHT FPS MBPS]`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::Instant;

use punktfunk_media::convert::to_i420;
use punktfunk_media::decode::Decoder;
use punktfunk_media::{EncodedFrame, Encoder, FrameSource, OpenH264, RawFrame, Synthetic, VideoMode};

const PICTURES: u32 = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<Vec<u32>, _>>()?;
    let [width, height, fps, mbps] = given.try_into().unwrap_or([1280, 720, 60, 10]);
    let mode = VideoMode::new(width, height, fps)?;
    let mut source = Synthetic::new(mode)?;
    let mut encoder = OpenH264::new(mode, u64::from(mbps) * 1_000_000)?;
    let mut decoder = Decoder::new()?;
    let (mut frame, mut i420, mut encoded) = (RawFrame::new(), RawFrame::new(), EncodedFrame::default());
    let names = ["draw", "convert", "encode", "decode"];
    let mut costs_ms: [Vec<f64>; 4] = Default::default();
    let mut bytes = 0;
    for _ in 0..PICTURES {
        let start = Instant::now();
        source.capture(&mut frame)?;
        let drawn = Instant::now();
        to_i420(&frame, &mut i420)?;
        let converted = Instant::now();
        encoder.submit(&i420)?;
        let submitted = Instant::now();
        encoder.encode(&mut encoded)?;
        let finished = Instant::now();
        decoder.decode(&encoded.data)?;
        bytes += encoded.data.len();
        let spans = [drawn - start, converted - drawn, finished - submitted, finished.elapsed()];
        for (costs, span) in costs_ms.iter_mut().zip(spans) {
            costs.push(span.as_secs_f64() * 1000.0);
        }
    }
    println!("{mode}, {PICTURES} pictures, milliseconds a picture");
    for (name, costs) in names.iter().zip(&mut costs_ms) {
        costs.sort_by(f64::total_cmp);
        let at = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
        println!("{name:>8}  p50 {:6.2}  p99 {:6.2}  max {:6.2}", at(0.5), at(0.99), at(1.0));
    }
    let rate = bytes as f64 * 8.0 / f64::from(PICTURES) * f64::from(fps) / 1e6;
    println!("    rate  {rate:.2} Mb/s for a target of {mbps}");
    Ok(())
}
