//! Frames over a seeded lossy link in virtual time: every frame number comes out once, complete and unchanged, or lost.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use punktfunk_native::packet::{FrameHeader, HEADER_BYTES, Header, ShardHeader};
use punktfunk_native::packetize::Packetizer;
use punktfunk_native::reassembly::{Delivery, Inserted, Reassembler};
use punktfunk_net::seal::{DirectionKey, OpenError, Opener};
use testkit::{Link, LinkConfig};

const GRACE: Duration = Duration::from_millis(40);

fn key() -> DirectionKey {
    DirectionKey::from_secret(&[3; DirectionKey::BYTES])
}

/// A frame's bytes follow from its number.
fn picture(number: u64) -> Vec<u8> {
    let bytes = if number % 60 == 1 { 150_000 } else { 2_000 + (number as usize * 7919) % 60_000 };
    (0..bytes).map(|i| (i as u64 * 31 + number * 17) as u8).collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    complete: u64,
    lost: u64,
    recovered: u64,
    replayed: u64,
}

/// Sends `frames` frames at 60 a second and checks that each number comes out once, in order.
fn stream(config: LinkConfig, frames: u64, fec_percent: u8) -> Outcome {
    let mut packetizer = Packetizer::new(9, key(), fec_percent);
    let (mut opener, mut reassembler) = (Opener::new(key()), Reassembler::new(GRACE));
    let (mut link, start) = (Link::new(config), Instant::now());
    let (mut outcome, mut next) = (Outcome::default(), 1);
    let mut take = |delivery: Delivery, reassembler: &mut Reassembler, outcome: &mut Outcome| match delivery {
        Delivery::Complete(frame) => {
            assert_eq!(frame.header.number, next);
            assert!(frame.data == picture(next), "frame {next} came out changed");
            assert_eq!(frame.header.captured_us, next * 16_667);
            reassembler.recycle(frame.data);
            (next, outcome.complete) = (next + 1, outcome.complete + 1);
        }
        Delivery::Lost { first, count } => {
            assert_eq!(first, next);
            (next, outcome.lost) = (next + count, outcome.lost + count);
        }
    };
    for number in 1..=frames + 60 {
        let now = Duration::from_micros(number * 16_667);
        if number <= frames {
            let frame = FrameHeader { number, captured_us: number * 16_667, idr: number % 60 == 1, repeat: false };
            let packets = packetizer.packetize(frame, &picture(number)).unwrap();
            for datagram in packets.datagrams.chunks(packets.size) {
                link.send(now, datagram.to_vec());
            }
        }
        while let Some((at, mut datagram)) = link.receive(now) {
            let header = Header::parse(&datagram).unwrap();
            match opener.open(header.number, &mut datagram, HEADER_BYTES) {
                Ok(body) => {
                    let (shard, bytes) = ShardHeader::parse(body).unwrap();
                    assert_ne!(reassembler.insert(start + at, &shard, bytes), Inserted::Contradictory);
                }
                Err(OpenError::Replayed) => outcome.replayed += 1,
                Err(error) => panic!("{error}"),
            }
            while let Some(delivery) = reassembler.poll(start + at) {
                take(delivery, &mut reassembler, &mut outcome);
            }
        }
    }
    while let Some(delivery) = reassembler.flush() {
        take(delivery, &mut reassembler, &mut outcome);
    }
    outcome.recovered = reassembler.recovered();
    assert_eq!(outcome.replayed, link.tally().duplicated, "every doubled datagram is refused once");
    outcome
}

#[test]
fn a_perfect_link_loses_and_repairs_nothing() {
    let outcome = stream(LinkConfig::default(), 300, 20);
    assert_eq!(outcome, Outcome { complete: 300, lost: 0, recovered: 0, replayed: 0 });
}

#[test]
fn three_percent_of_loss_leaves_every_frame_complete_or_counted() {
    let config = LinkConfig { seed: 1, loss: 0.03, delay: Duration::from_millis(10), ..LinkConfig::default() };
    let outcome = stream(config, 600, 20);
    assert_eq!(outcome.complete + outcome.lost, 600);
    assert!(outcome.lost <= 3, "parity repairs nearly all: {outcome:?}");
    assert!(outcome.recovered > 100, "{outcome:?}");
    let without = stream(config, 600, 0);
    assert_eq!(without.complete + without.lost, 600);
    assert!(without.lost > 200, "without parity the same loss costs many frames: {without:?}");
}

#[test]
fn reordering_and_duplication_within_the_grace_cost_no_frame() {
    let config = LinkConfig {
        seed: 2,
        duplicate: 0.1,
        reorder: 0.3,
        jitter: Duration::from_millis(20),
        delay: Duration::from_millis(3),
        ..LinkConfig::default()
    };
    let outcome = stream(config, 300, 20);
    assert_eq!((outcome.complete, outcome.lost), (300, 0));
    assert!(outcome.replayed > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_number_comes_out_once_whatever_the_link_does(
        seed: u64, loss in 0.0..0.6, duplicate in 0.0..0.3, reorder in 0.0..0.5, jitter_ms in 0u64..200, fec in 0u8..60
    ) {
        let config = LinkConfig {
            seed, loss, duplicate, reorder,
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(jitter_ms),
        };
        let outcome = stream(config, 80, fec);
        // Frames after the last one of which anything arrived are unknown to the client.
        prop_assert!(outcome.complete + outcome.lost <= 80);
        prop_assert!(outcome.complete + outcome.lost >= 70);
    }
}
