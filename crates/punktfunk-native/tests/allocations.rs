//! A running stream allocates nothing for its packets: counted, not believed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::{Duration, Instant};

use punktfunk_native::packet::{FrameHeader, HEADER_BYTES, Header, ShardHeader};
use punktfunk_native::packetize::Packetizer;
use punktfunk_native::reassembly::{Delivery, Reassembler};
use punktfunk_net::seal::{DirectionKey, Opener};
use testkit::{CountingAllocator, allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn packets_are_made_opened_and_put_together_without_an_allocation_each() {
    let key = DirectionKey::from_secret(&[2; DirectionKey::BYTES]);
    let mut packetizer = Packetizer::new(1, key.clone(), 20);
    let (mut opener, mut reassembler) = (Opener::new(key), Reassembler::new(Duration::from_millis(10)));
    let (picture, now) = (vec![7; 200_000], Instant::now());
    let (mut sending, mut receiving, mut packets_sent, mut complete) = (0, 0, 0, 0);
    for number in 1..=600_u64 {
        // Once the largest frame (of two blocks), the largest block and the worst repair have been seen, nothing grows.
        let warm = number > 20;
        let bytes = match number {
            _ if warm => 500 + (number as usize * 6_151) % 150_000,
            _ if number % 2 == 0 => 128 * 1280,
            _ => 200_000,
        };
        let before = allocations();
        let frame = FrameHeader { number, captured_us: 0, idr: false, repeat: false };
        let packets = packetizer.packetize(frame, &picture[..bytes]).unwrap();
        if warm {
            sending += allocations() - before;
            packets_sent += packets.count();
        }
        let mut datagrams = packets.datagrams.to_vec();
        let before = allocations();
        for (index, datagram) in datagrams.chunks_mut(packets.size).enumerate() {
            // One packet in nine is lost, so that most blocks are repaired.
            if index % 9 == 1 {
                continue;
            }
            let header = Header::parse(datagram).unwrap();
            let (shard, bytes) =
                ShardHeader::parse(opener.open(header.number, datagram, HEADER_BYTES).unwrap()).unwrap();
            reassembler.insert(now, &shard, bytes);
        }
        while let Some(Delivery::Complete(frame)) = reassembler.poll(now) {
            complete += 1;
            reassembler.recycle(frame.data);
        }
        if warm {
            receiving += allocations() - before;
        }
    }
    assert_eq!(complete, 600);
    assert!(packets_sent > 30_000);
    assert_eq!(sending, 0, "making {packets_sent} packets allocated");
    // The map of frames on their way makes and frees one node a frame.
    assert!(receiving <= 580 * 2, "receiving {packets_sent} packets allocated {receiving} times");
}
