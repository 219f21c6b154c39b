//! What the packetizer makes, put together by a client that was written from the wire: every byte, every header, whatever
//! is lost.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use proptest::prelude::*;
use punktfunk_gamestream::video::{
    FecConfig, FecStatus, FrameHead, FrameKind, PacketSize, Packetizer, Repair, VideoKey,
};
use support::assembler::{Assembler, Event};

const KEY: [u8; 16] = [9; 16];

fn access_unit(bytes: usize, seed: u64) -> Vec<u8> {
    (0..bytes as u64).map(|i| ((i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn head(index: u32, idr: bool) -> FrameHead {
    FrameHead {
        index,
        kind: if idr { FrameKind::Idr } else { FrameKind::Predicted },
        latency: Duration::from_micros(12_340),
        since_start: Duration::from_millis(16 * u64::from(index)),
    }
}

fn packetizer(size: usize, key: bool) -> Packetizer {
    let key = key.then(|| VideoKey::new(KEY));
    Packetizer::new(PacketSize::new(size).unwrap(), FecConfig { percent: 20, minimum: 2 }, key.as_ref())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_frame_of_any_length_survives_the_loss_of_as_much_as_its_parity(
        bytes in 1usize..140_000, size in 256usize..1456, key: bool, seed: u64, lost in 0.0..1.0_f64,
    ) {
        let mut packetizer = packetizer(size, key);
        let mut client = Assembler::new(size, key.then_some(KEY));
        let unit = access_unit(bytes, seed);
        let packets = packetizer.packetize(head(1, true), &unit).unwrap();
        // Every block loses as much as the weakest can spare, or less, from a place that the seed says.
        let drop = (packets.spare as f64 * lost).round() as usize;
        let from = seed as usize % packets.count();
        let mut events = Vec::new();
        for (at, datagram) in packets.datagrams.chunks(packets.size).enumerate() {
            if (at + packets.count() - from) % packets.count() >= drop {
                events.extend(client.push(datagram));
            }
        }
        let frames: Vec<_> = events.iter().filter(|event| matches!(event, Event::Frame { .. })).collect();
        let expected =
            Event::Frame { index: 1, timestamp: 16 * 90, idr: true, latency_tenths: 123, access_unit: unit, decodable: true };
        prop_assert_eq!(frames, [&expected]);
        let reported: u64 = events.iter().filter_map(|event| match event {
            Event::FecStatus(bytes) => match FecStatus::parse(bytes).unwrap().repair() {
                Repair::Recovered(shards) => Some(shards),
                Repair::Lost => panic!("nothing was lost for good"),
            },
            _ => None,
        }).sum();
        prop_assert_eq!(reported, client.tally().recovered);
    }
}

#[test]
fn frames_of_one_to_four_blocks_and_beyond_are_put_together() {
    let (mut packetizer, mut client) = (packetizer(256, false), Assembler::new(256, None));
    // 240 bytes a packet, 212 packets a block; beyond 848 packets there is no parity.
    for (index, (packets, blocks)) in
        [(1, 1), (212, 1), (213, 2), (500, 3), (848, 4), (849, 4), (4000, 4)].into_iter().enumerate()
    {
        let unit = access_unit(packets * 240 - 8, index as u64);
        let made = packetizer.packetize(head(index as u32 + 1, index == 0), &unit).unwrap();
        assert_eq!(made.data, packets);
        assert_eq!(made.parity == 0, packets > 848);
        let events: Vec<_> = made.datagrams.chunks(made.size).flat_map(|datagram| client.push(datagram)).collect();
        assert!(matches!(&events[..], [Event::Frame { access_unit, decodable: true, .. }] if *access_unit == unit));
        assert_eq!(client.tally().most_blocks, blocks);
    }
}

#[test]
fn a_frame_that_lost_more_than_its_parity_is_given_up_with_a_report_and_a_request() {
    let (mut packetizer, mut client) = (packetizer(1024, true), Assembler::new(1024, Some(KEY)));
    let unit = access_unit(30_000, 1);
    for index in 1..=4 {
        let made = packetizer.packetize(head(index, index % 3 == 1), &unit).unwrap();
        let skip = if index == 2 { made.spare + 1 } else { 0 };
        let sent = made.datagrams.chunks(made.size).skip(skip);
        let events: Vec<_> = sent.flat_map(|datagram| client.push(datagram)).collect();
        match (index, &events[..]) {
            (1 | 4, [Event::Frame { decodable: true, .. }]) | (2, []) => {}
            (3, [Event::FecStatus(bytes), Event::RequestIdr, Event::Frame { decodable: false, .. }]) => {
                let status = FecStatus::parse(bytes).unwrap();
                assert_eq!((status.frame, status.repair()), (2, Repair::Lost));
                assert_eq!(usize::from(status.missing), 7);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((client.tally().frames, client.tally().frames_lost, client.tally().idr_requests), (3, 1, 1));
}

#[test]
fn a_stream_numbers_its_packets_on_past_sixteen_bits() {
    let (mut packetizer, mut client) = (packetizer(256, false), Assembler::new(256, None));
    let unit = access_unit(50_000, 3);
    for index in 1..=300 {
        let made = packetizer.packetize(head(index, index == 1), &unit).unwrap();
        made.datagrams.chunks(made.size).for_each(|datagram| {
            client.push(datagram);
        });
    }
    assert!(client.tally().packets > 70_000);
    assert_eq!((client.tally().frames, client.tally().frames_lost), (300, 0));
}
