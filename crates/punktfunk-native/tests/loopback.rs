//! The whole data plane over loopback: synthetic pictures, a real encoder, real sockets, a real decoder.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use punktfunk_media::VideoMode;
use punktfunk_media::decode::Decoder;
use punktfunk_native::client::{Outcome, SeededLoss, StreamOver};
use punktfunk_native::message::ClientMessage;
use punktfunk_native::stream::EndReason;
use punktfunk_net::batch::SendMode;
use punktfunk_stats::CaptureEvent;
use support::{SOON, arm, client, host, recorder};

fn mode() -> VideoMode {
    VideoMode::new(640, 360, 30).unwrap()
}

#[test]
fn a_stream_arrives_whole_decodes_and_is_counted_the_same_at_both_ends() {
    let recorder = recorder();
    let events = arm(&recorder);
    let host = host(&recorder, mode(), |_| ());
    let client = client(&host, |_| ());
    let mut decoder = Decoder::new().unwrap();
    let mut decoded = 0;
    while decoded < 60 {
        let received = client.next_frame(SOON).unwrap().expect("frames keep coming");
        assert!(received.decodable, "loopback loses nothing");
        let from = Instant::now();
        let picture = decoder.decode(&received.frame.data).unwrap().expect("every access unit gives a picture");
        assert_eq!((picture.width(), picture.height()), (640, 360));
        client.done_with(received.frame, Some(from.elapsed()));
        decoded += 1;
    }
    host.control.send(ClientMessage::Stop).unwrap();
    assert_eq!(host.stream.join(), EndReason::ClientStopped);
    recorder.disarm();
    let summary = client.stop();
    assert_eq!(summary.tally.packets_lost + summary.tally.refused.total(), 0, "{:?}", summary.tally);

    let report = loop {
        if let CaptureEvent::Finished(report) = events.recv_timeout(SOON).unwrap() {
            break report;
        }
    };
    let session = &report.sessions[0];
    let (first, last) = session.frames.unwrap();
    let complete = summary.outcomes.count(Outcome::Complete, first..=last);
    let lost = summary.outcomes.count(Outcome::Lost, first..=last);
    assert_eq!(session.records, complete + lost, "every recorded frame arrived or was missed");
    assert_eq!(lost, 0);
}

#[test]
fn three_percent_of_loss_is_repaired_or_counted_and_reported_to_the_host() {
    let recorder = recorder();
    let host = host(&recorder, mode(), |_| ());
    let client = client(&host, |config| {
        config.receiver.loss = Some(SeededLoss::new(0.03, 42));
        config.receiver.report_every = Duration::from_millis(200);
    });
    let from = Instant::now();
    while client.tally().last_frame < 90 {
        assert!(from.elapsed() < SOON, "{:?}", client.tally());
        if let Some(received) = client.next_frame(SOON).unwrap() {
            client.done_with(received.frame, None);
        }
    }
    host.stream.stop();
    assert_eq!(host.stream.join(), EndReason::HostStopped);
    let summary = client.stop();
    let tally = summary.tally;
    assert!(tally.packets_dropped_on_purpose > 0 && tally.shards_recovered > 0, "{tally:?}");
    assert_eq!(tally.frames_complete + tally.frames_undecodable + tally.frames_lost, tally.last_frame);
    assert!(tally.frames_complete * 10 >= tally.last_frame * 9, "parity repairs nearly all: {tally:?}");
}

#[test]
fn after_a_total_loss_the_client_asks_for_an_idr_and_gets_one() {
    let recorder = recorder();
    // Without parity, a tenth of the packets lost breaks nearly every frame.
    let host = host(&recorder, mode(), |config| config.fec_percent = 0);
    let client = client(&host, |config| config.receiver.loss = Some(SeededLoss::new(0.1, 1)));
    let from = Instant::now();
    while client.tally().idrs < 3 {
        assert!(from.elapsed() < SOON, "{:?}", client.tally());
        if let Some(received) = client.next_frame(Duration::from_millis(100)).unwrap() {
            client.done_with(received.frame, None);
        }
    }
    let summary = client.stop();
    assert!(summary.tally.idr_requests >= 2 && summary.tally.frames_lost > 0, "{:?}", summary.tally);
    drop(host.control);
    assert_eq!(host.stream.join(), EndReason::ControlClosed);
}

#[test]
fn every_send_mode_carries_the_stream() {
    for send_mode in [SendMode::Segmented, SendMode::Batched, SendMode::Single] {
        let recorder = recorder();
        let host = host(&recorder, mode(), |config| config.send_mode = send_mode);
        let client = client(&host, |_| ());
        for _ in 0..10 {
            assert!(client.next_frame(SOON).unwrap().expect("frames keep coming").decodable, "{send_mode:?}");
        }
        host.stream.stop();
        host.stream.join();
        assert_eq!(client.stop().over, StreamOver::Stopped);
    }
}

#[test]
fn a_client_that_falls_silent_is_dropped_and_its_session_freed() {
    let recorder = recorder();
    let host = host(&recorder, mode(), |config| {
        config.stalled_after = Duration::from_millis(200);
        config.gone_after = Duration::from_millis(600);
    });
    let client = client(&host, |config| config.contact_every = Duration::from_millis(50));
    client.next_frame(SOON).unwrap().expect("the stream begins");
    assert_eq!(recorder.sessions().len(), 1);
    client.stop();
    assert_eq!(host.stream.join(), EndReason::ClientGone);
    assert!(recorder.sessions().is_empty());
}

#[test]
fn a_host_that_vanishes_is_noticed() {
    let recorder = recorder();
    let host = host(&recorder, mode(), |_| ());
    let client = client(&host, |config| config.lost_after = Duration::from_millis(300));
    client.next_frame(SOON).unwrap().expect("the stream begins");
    host.stream.stop();
    host.stream.join();
    while client.next_frame(SOON).is_ok() {}
    assert_eq!(client.stop().over, StreamOver::LostContact);
}

#[test]
fn strangers_datagrams_change_nothing_at_either_end() {
    let recorder = recorder();
    let host = host(&recorder, mode(), |_| ());
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for i in 0..500usize {
        let garbage: Vec<u8> = (0..i % 90).map(|j| (i * 7 + j * 13) as u8).collect();
        stranger.send_to(&garbage, host.address).unwrap();
    }
    // A contact that looks right and is sealed with another key.
    stranger.send_to(&[&[0x50, 1, 2, 0, 0, 0, 0, 77][..], &[0; 24]].concat(), host.address).unwrap();
    let client = client(&host, |_| ());
    for _ in 0..10 {
        assert!(client.next_frame(SOON).unwrap().expect("frames keep coming").decodable);
    }
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 64]).is_err(), "nothing is sent to a stranger");
    host.stream.stop();
    host.stream.join();
}
