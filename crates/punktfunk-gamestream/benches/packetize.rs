//! What it costs to make a frame's datagrams: a usual frame, an IDR, and one of several blocks, in clear and encrypted.
#![allow(missing_docs, reason = "criterion's macros make a function that nobody else sees")]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use punktfunk_gamestream::video::{FecConfig, FrameHead, FrameKind, PacketSize, Packetizer, VideoKey};

fn packetize(c: &mut Criterion) {
    let size = PacketSize::new(1392).expect("in range");
    let fec = FecConfig { percent: 20, minimum: 2 };
    let head = FrameHead { index: 1, kind: FrameKind::Predicted, latency: Duration::ZERO, since_start: Duration::ZERO };
    let picture: Vec<u8> = (0..400_000_u32).map(|i| (i * 13) as u8).collect();
    let mut group = c.benchmark_group("packetize");
    // A frame at 10 Mb/s and 60 frames a second, an IDR of it, and two blocks.
    for bytes in [20_800, 100_000, 400_000] {
        group.throughput(Throughput::Bytes(bytes as u64));
        for (what, key) in [("clear", None), ("encrypted", Some(VideoKey::new([7; 16])))] {
            let mut packetizer = Packetizer::new(size, fec, key.as_ref());
            group.bench_function(format!("{bytes} B, {what}"), |b| {
                b.iter(|| packetizer.packetize(head, &picture[..bytes]).expect("a valid frame").count());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, packetize);
criterion_main!(benches);
