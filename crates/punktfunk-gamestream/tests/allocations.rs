//! A running stream allocates nothing for its packets, in clear or encrypted: counted, not believed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use punktfunk_gamestream::video::{FecConfig, FrameHead, FrameKind, PacketSize, Packetizer, VideoKey};
use testkit::{CountingAllocator, allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn packets_are_made_without_an_allocation_each() {
    let picture = vec![7; 400_000];
    for key in [None, Some(VideoKey::new([1; 16]))] {
        let fec = FecConfig { percent: 20, minimum: 2 };
        let mut packetizer = Packetizer::new(PacketSize::new(1024).unwrap(), fec, key.as_ref());
        let (mut made, mut counted) = (0, 0);
        for index in 1..=600_u32 {
            // Once the longest frame and the largest block have been seen, nothing grows.
            let bytes = match index {
                1 => picture.len(),
                2 => 212 * 1008 - 8,
                _ => 500 + index as usize * 6_151 % 350_000,
            };
            let kind = if index == 1 { FrameKind::Idr } else { FrameKind::Predicted };
            let head = FrameHead { index, kind, latency: Duration::ZERO, since_start: Duration::ZERO };
            let before = allocations();
            let count = packetizer.packetize(head, &picture[..bytes]).unwrap().count();
            if index > 2 {
                counted += allocations() - before;
                made += count;
            }
        }
        assert!(made > 100_000);
        assert_eq!(counted, 0, "making {made} packets allocated");
    }
}
