//! The video of a session over loopback: synthetic pictures, a real encoder, real sockets, a client of the tests' own that
//! loses packets by seed, a real decoder; and a capture that must say the same as the client.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::net::UdpSocket;
use std::time::Duration;

use punktfunk_gamestream::stream::{EndReason, Stream, StreamConfig, StreamError};
use punktfunk_gamestream::video::FecStatus;
use punktfunk_media::Delays;
use punktfunk_stats::{CaptureEvent, SessionEvent};
use support::client::VideoClient;
use support::{arm, config, encrypted, finish, host, recorder, start, sum};

/// Streams to a client that loses `loss`, until it has 150 frames and this many IDRs, and holds what both sides say against
/// each other.
fn survives(config: StreamConfig, loss: f64, seed: u64, idrs: u64) -> VideoClient {
    let recorder = recorder();
    let host = host(&recorder, Delays::none());
    let events = arm(&recorder);
    let mut client = VideoClient::new(&config, loss, seed);
    let stream = start(&host, config, client.address());
    client.receive_until(&stream, |client| client.tally().frames >= 150 && client.tally().idrs >= idrs);
    recorder.disarm();
    let (windows, others, report) = finish(&events);
    let session = stream.session_id().to_owned();
    stream.stop();
    assert!(recorder.sessions().is_empty());

    let tally = client.tally();
    assert_eq!(sum(&windows, |window| window.packets_lost), tally.missing, "{tally:?}");
    assert_eq!(sum(&windows, |window| window.fec_recovered), tally.recovered, "{tally:?}");
    assert_eq!(sum(&windows, |window| window.idr_requests), tally.idr_requests, "{tally:?}");
    let markers = others
        .iter()
        .filter(|event| matches!(event, CaptureEvent::Event { event: SessionEvent::IdrRequested, .. }))
        .count();
    assert_eq!(markers as u64, tally.idr_requests);
    for window in &windows {
        assert_eq!(window.session_id, session);
        assert_eq!((window.rfi_requests, window.client, window.rtt), (None, None, None), "the protocol does not say");
    }
    let (first, last) = report.sessions[0].frames.unwrap();
    assert_eq!(report.sessions[0].gaps, 0, "the host dropped nothing");
    // The gate opens on the collector's thread, a frame or so into the stream.
    assert!(first <= 5, "{first}");
    // The newest frames may be on their way when the gate closes.
    assert!(last + 2 >= tally.frames + tally.frames_lost, "{last} {tally:?}");
    let stages: Vec<_> = windows[0].stages.iter().map(|(name, stage)| (*name, stage.is_some())).collect();
    assert_eq!(stages, [("capture", true), ("encode", true), ("packetize", true), ("send", true)]);
    client
}

#[test]
fn a_stream_arrives_whole_and_every_picture_decodes() {
    for config in [config(), encrypted(config())] {
        let client = survives(config, 0.0, 0, 1);
        let tally = client.tally();
        assert_eq!((tally.frames_lost, tally.missing, tally.idrs, client.pictures), (0, 0, 1, tally.frames));
    }
}

#[test]
fn one_percent_of_loss_is_repaired() {
    let client = survives(config(), 0.01, 11, 1);
    assert!(client.lost() > 8 && client.tally().recovered > 4, "{:?}", client.tally());
    assert!(client.pictures >= 135, "{} pictures, {:?}", client.pictures, client.tally());
}

#[test]
fn three_percent_of_loss_is_repaired_or_mended_by_an_idr() {
    let client = survives(encrypted(config()), 0.03, 12, 1);
    assert!(client.lost() > 30 && client.tally().recovered > 20, "{:?}", client.tally());
    assert!(client.pictures >= 110, "{} pictures, {:?}", client.pictures, client.tally());
}

#[test]
fn at_eight_percent_the_picture_comes_back_after_each_lost_frame() {
    let client = survives(config(), 0.08, 13, 3);
    let tally = client.tally();
    assert!(client.lost() > 120 && tally.recovered > 80, "{tally:?}");
    assert!(tally.frames_lost >= 2 && tally.idr_requests >= 2, "{tally:?}");
    assert!(client.pictures * 3 >= tally.frames * 2, "{} pictures, {tally:?}", client.pictures);
}

#[test]
fn frames_of_several_blocks_survive_loss() {
    // As much parity as data, so that a block holds half as much, and even what a busy machine encodes takes several.
    let large =
        StreamConfig { width: 1280, height: 720, packet_size: 256, fec_percent: 100, bitrate_kbps: 40_000, ..config() };
    let client = survives(large, 0.03, 14, 1);
    assert!(client.tally().most_blocks >= 2, "{:?}", client.tally());
    assert!(client.pictures >= 110, "{} pictures, {:?}", client.pictures, client.tally());
}

#[test]
fn without_parity_each_lost_packet_costs_a_frame_and_an_idr_mends_it() {
    let bare = StreamConfig { fec_percent: 0, ..config() };
    let client = survives(bare, 0.01, 15, 3);
    let tally = client.tally();
    assert!(tally.frames_lost >= 2 && tally.recovered == 0, "{tally:?}");
}

#[test]
fn a_report_of_a_lost_frame_brings_an_idr_without_a_request_and_a_burst_is_marked() {
    let recorder = recorder();
    let host = host(&recorder, Delays::none());
    let events = arm(&recorder);
    let mut client = VideoClient::new(&config(), 0.0, 0);
    let stream = start(&host, config(), client.address());
    client.receive_until(&stream, |client| client.tally().frames >= 10);
    let lost = FecStatus {
        frame: client.tally().frames as u32,
        highest_received: 90,
        next_contiguous: 60,
        missing: 30,
        data: 80,
        parity: 16,
        data_received: 45,
        parity_received: 16,
        percent: 20,
        block: 0,
        blocks: 1,
    };
    stream.fec_status(lost);
    // The request for the same frame, and a report on one from before the IDR, bring no second one.
    stream.request_idr();
    client.receive_until(&stream, |client| client.tally().idrs == 2);
    stream.fec_status(FecStatus { frame: lost.frame - 1, missing: 0, ..lost });
    // As the stock client says it when nothing arrived of a block: the figures of the one before, once more.
    stream.fec_status(FecStatus { frame: lost.frame - 1, missing: 7, data_received: 70, ..lost });
    stream.fec_status(FecStatus { frame: lost.frame - 1, block: 1, missing: 7, data_received: 70, ..lost });
    let until = client.tally().frames + 20;
    client.receive_until(&stream, |client| client.tally().frames >= until);
    assert_eq!(client.tally().idrs, 2);
    recorder.disarm();
    let (windows, others, _) = finish(&events);
    let marked: Vec<_> = others
        .iter()
        .filter_map(|event| if let CaptureEvent::Event { event, .. } = event { Some(*event) } else { None })
        .collect();
    assert_eq!(marked, [SessionEvent::LossBurst { packets: 30 }, SessionEvent::IdrRequested]);
    assert_eq!(sum(&windows, |window| window.packets_lost), 37);
    assert_eq!((sum(&windows, |window| window.fec_recovered), sum(&windows, |window| window.idr_requests)), (10, 1));
}

#[test]
fn a_client_that_moves_gets_its_frames_where_it_is() {
    let recorder = recorder();
    let host = host(&recorder, Delays::none());
    let (mut here, mut there) = (VideoClient::new(&config(), 0.0, 0), VideoClient::new(&config(), 0.0, 0));
    let stream = start(&host, config(), here.address());
    here.receive_until(&stream, |client| client.tally().frames >= 5);
    stream.set_peer(there.address());
    stream.request_idr();
    there.receive_until(&stream, |client| client.pictures >= 5);
    stream.set_rtt(Duration::from_millis(3));
    assert!(stream.is_running());
    assert_eq!(stream.ended(), None);
}

#[test]
fn what_cannot_be_streamed_is_refused_and_leaves_nothing() {
    let recorder = recorder();
    let host = host(&recorder, Delays::none());
    let peer = "127.0.0.1:9".parse().unwrap();
    let refuse =
        |config: StreamConfig| Stream::start(&host, config, UdpSocket::bind("127.0.0.1:0").unwrap(), peer).unwrap_err();
    assert!(matches!(refuse(StreamConfig { width: 0, height: 0, ..config() }), StreamError::Mode(_)));
    assert!(matches!(
        refuse(StreamConfig { width: 100_000, height: 100_000, fps: 1000, ..config() }),
        StreamError::Mode(_)
    ));
    assert!(matches!(refuse(StreamConfig { packet_size: 0, ..config() }), StreamError::PacketSize(_)));
    assert!(matches!(refuse(StreamConfig { packet_size: usize::MAX, ..config() }), StreamError::PacketSize(_)));
    assert!(matches!(refuse(StreamConfig { bitrate_kbps: 0, ..config() }), StreamError::Open(_)));
    assert!(recorder.sessions().is_empty());
}

#[test]
fn a_source_that_fails_ends_the_stream() {
    let recorder = recorder();
    let mut host = host(&recorder, Delays::none());
    let open = host.open;
    host.open = Box::new(move |mode, bps| {
        let mut video = open(mode, bps)?;
        video.source = Box::new(Failing(video.source, 5));
        Ok(video)
    });
    let mut client = VideoClient::new(&config(), 0.0, 0);
    let stream = start(&host, config(), client.address());
    client.receive_until(&stream, |client| client.tally().frames >= 5);
    while stream.is_running() {
        std::thread::yield_now();
    }
    assert!(matches!(stream.ended(), Some(EndReason::SourceFailed(_))), "{:?}", stream.ended());
}

/// A display that is lost after some pictures.
struct Failing(Box<dyn punktfunk_media::FrameSource>, u32);

impl punktfunk_media::FrameSource for Failing {
    fn mode(&self) -> punktfunk_media::VideoMode {
        self.0.mode()
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn capture(
        &mut self,
        into: &mut punktfunk_media::RawFrame,
    ) -> Result<punktfunk_media::FrameOrigin, punktfunk_media::SourceError> {
        if self.1 == 0 {
            let (display, source) = (":0".to_owned(), "it is gone".into());
            return Err(punktfunk_media::SourceError::DisplayLost { display, source });
        }
        self.1 -= 1;
        self.0.capture(into)
    }
}
