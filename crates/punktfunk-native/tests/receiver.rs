//! The client's step machine over a seeded lossy link in virtual time, with hostile traffic among the genuine.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::{Duration, Instant};

use punktfunk_native::DataKeys;
use punktfunk_native::client::{ClientEvent, Outcome, Receiver, ReceiverConfig, SeededLoss};
use punktfunk_native::packet::FrameHeader;
use punktfunk_native::packetize::Packetizer;
use punktfunk_net::seal::DirectionKey;
use testkit::{Link, LinkConfig};

const STREAM: u32 = 4;
const INTERVAL_US: u64 = 16_667;

fn keys() -> DataKeys {
    DataKeys::from_exported(&[8; DataKeys::BYTES])
}

/// A host that sends an IDR at the start and one frame after each request, 60 frames a second.
struct Simulation {
    start: Instant,
    packetizer: Packetizer,
    receiver: Receiver,
    link: Link<Vec<u8>>,
    number: u64,
    idr: bool,
    events: Vec<(Duration, ClientEvent)>,
}

impl Simulation {
    fn new(link: LinkConfig, config: ReceiverConfig, fec_percent: u8) -> Self {
        let start = Instant::now();
        Self {
            start,
            packetizer: Packetizer::new(STREAM, keys().from_host, fec_percent),
            receiver: Receiver::new(config, STREAM, &keys(), start),
            link: Link::new(link),
            number: 0,
            idr: true,
            events: Vec::new(),
        }
    }

    fn run(&mut self, frames: u64, mut tamper: impl FnMut(u64, &mut Link<Vec<u8>>, &[u8])) {
        for _ in 0..frames {
            self.number += 1;
            let captured_us = self.number * INTERVAL_US;
            let now = Duration::from_micros(captured_us);
            let frame =
                FrameHeader { number: self.number, captured_us, idr: std::mem::take(&mut self.idr), repeat: false };
            let packets = self.packetizer.packetize(frame, &vec![self.number as u8; 20_000]).unwrap();
            for datagram in packets.datagrams.chunks(packets.size) {
                self.link.send(now, datagram.to_vec());
                tamper(self.number, &mut self.link, datagram);
            }
            for ms in 0..16 {
                self.until(now + Duration::from_millis(ms));
            }
        }
    }

    fn until(&mut self, now: Duration) {
        while let Some((at, mut datagram)) = self.link.receive(now) {
            self.receiver.datagram(self.start + at, &mut datagram);
        }
        while let Some(event) = self.receiver.poll(self.start + now) {
            self.idr |= matches!(event, ClientEvent::AskIdr);
            self.events.push((now, event));
        }
    }

    fn finish(&mut self) {
        let now = Duration::from_micros((self.number + 60) * INTERVAL_US);
        self.until(now);
        while let Some(event) = self.receiver.finish(self.start + now) {
            self.events.push((now, event));
        }
    }

    fn asked(&self) -> Vec<Duration> {
        self.events.iter().filter(|(_, event)| *event == ClientEvent::AskIdr).map(|(at, _)| *at).collect()
    }
}

#[test]
fn with_three_percent_of_loss_every_frame_is_decodable_or_counted() {
    let link = LinkConfig { seed: 3, loss: 0.03, delay: Duration::from_millis(5), ..LinkConfig::default() };
    let mut simulation = Simulation::new(link, ReceiverConfig::default(), 10);
    simulation.run(1200, |_, _, _| ());
    simulation.finish();
    let tally = simulation.receiver.tally();
    assert_eq!(tally.frames_complete + tally.frames_undecodable + tally.frames_lost, 1200);
    let log = simulation.receiver.outcomes();
    assert_eq!(log.count(Outcome::Complete, 1..=1200), tally.frames_complete);
    assert_eq!(log.count(Outcome::Undecodable, 1..=1200), tally.frames_undecodable);
    assert_eq!(log.count(Outcome::Lost, 1..=1200), tally.frames_lost);
    assert!(tally.frames_lost > 0, "10 % of parity does not repair everything: {tally:?}");
    // Every loss is mended by an IDR within a few frames: the link's delay, the grace, one frame.
    assert!(tally.frames_undecodable <= tally.frames_lost * 5, "{tally:?}");
    assert_eq!(tally.packets_lost, simulation.link.tally().lost);
    // The reports cover everything but the last, unfinished window.
    let reported: u64 = simulation
        .events
        .iter()
        .map(|(_, event)| if let ClientEvent::Report(report) = event { report.lost } else { 0 })
        .sum();
    assert!(reported <= tally.packets_lost && reported * 10 >= tally.packets_lost * 9, "{reported} of {tally:?}");
}

#[test]
fn loss_on_purpose_looks_like_loss_on_the_way() {
    let config = ReceiverConfig { loss: Some(SeededLoss::new(0.03, 11)), ..ReceiverConfig::default() };
    let mut simulation = Simulation::new(LinkConfig::default(), config, 20);
    simulation.run(300, |_, _, _| ());
    simulation.finish();
    let tally = simulation.receiver.tally();
    assert!(tally.packets_dropped_on_purpose > 50);
    assert!(tally.packets_dropped_on_purpose - tally.packets_lost <= 1, "the last packet may be the one: {tally:?}");
    assert!(tally.shards_recovered > 0);
}

#[test]
fn garbage_replays_truncations_and_foreign_keys_are_refused_and_counted_by_reason() {
    let mut simulation = Simulation::new(LinkConfig::default(), ReceiverConfig::default(), 20);
    let mut stranger = Packetizer::new(STREAM, DirectionKey::from_secret(&[9; DirectionKey::BYTES]), 0);
    let mut other_stream = Packetizer::new(STREAM + 1, keys().from_host, 0);
    simulation.run(100, |number, link, datagram| {
        let now = Duration::from_micros(number * INTERVAL_US);
        let frame = FrameHeader { number, captured_us: 0, idr: true, repeat: false };
        link.send(now, vec![0xA5; 700]);
        link.send(now, datagram.to_vec());
        link.send(now, datagram[..datagram.len() - 5].to_vec());
        // Its number is far ahead, so that it gets as far as being opened.
        let mut forged = stranger.packetize(frame, &[1; 100]).unwrap().datagrams.to_vec();
        forged[8..16].copy_from_slice(&(1_u64 << 40 | number).to_be_bytes());
        link.send(now, forged);
        link.send(now, other_stream.packetize(frame, &[1; 100]).unwrap().datagrams.to_vec());
    });
    simulation.finish();
    let tally = simulation.receiver.tally();
    let sent = tally.packets;
    assert_eq!((tally.frames_complete, tally.packets_lost), (100, 0), "{tally:?}");
    assert_eq!(tally.refused.foreign, 2 * sent, "garbage, and another stream's packets");
    assert_eq!(tally.refused.replayed, 2 * sent, "replays; truncated ones bear the number of the whole one, too");
    assert_eq!(tally.refused.forged, sent);
    assert_eq!(tally.refused.contradictory + tally.refused.too_old, 0);
}

#[test]
fn an_idr_is_asked_for_until_one_comes_and_not_too_often() {
    let config = ReceiverConfig { idr_every: Duration::from_millis(150), ..ReceiverConfig::default() };
    let mut simulation = Simulation::new(LinkConfig::default(), config, 0);
    simulation.run(10, |_, _, _| ());
    assert!(simulation.asked().is_empty());
    // One frame is lost whole, and the host turns a deaf ear to requests for half a second.
    simulation.number += 1;
    for _ in 0..30 {
        simulation.run(1, |_, _, _| ());
        simulation.idr = false;
    }
    let asked = simulation.asked();
    assert!((3..=4).contains(&asked.len()), "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(150)), "{asked:?}");
    simulation.idr = true;
    simulation.run(30, |_, _, _| ());
    assert_eq!(simulation.asked().len(), asked.len(), "the IDR mended the picture");
    simulation.finish();
    let tally = simulation.receiver.tally();
    assert_eq!((tally.frames_lost, tally.frames_undecodable, tally.frames_complete), (1, 30, 40));
}

#[test]
fn a_report_says_how_much_longer_than_the_shortest_way_frames_took() {
    let mut simulation = Simulation::new(LinkConfig::default(), ReceiverConfig::default(), 0);
    simulation.run(30, |_, _, _| ());
    // From now on everything takes 8 ms longer.
    simulation.link = Link::new(LinkConfig { delay: Duration::from_millis(8), ..LinkConfig::default() });
    simulation.run(150, |_, _, _| ());
    let ways: Vec<f64> = simulation
        .events
        .iter()
        .filter_map(|(_, event)| if let ClientEvent::Report(report) = event { report.one_way_us } else { None })
        .collect();
    let last = ways.last().unwrap();
    assert!((7_500.0..=8_500.0).contains(last), "{ways:?}");
}
