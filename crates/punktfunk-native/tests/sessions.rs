//! Several clients at once, and what host and client each say of the same frames.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use punktfunk_media::{DelaySchedule, DelayStage, DelayedEncoder, Delays, OpenH264, Synthetic, VideoMode};
use punktfunk_native::client::{ClientStream, Outcome, StreamOver};
use punktfunk_native::message::ClientMessage;
use punktfunk_native::stream::EndReason;
use punktfunk_stats::{CaptureEvent, CaptureReport, DropReason, SessionEvent, WindowReport};
use support::{SOON, arm, client, host, host_with, recorder};

fn mode() -> VideoMode {
    VideoMode::new(640, 360, 30).unwrap()
}

fn until_frame(client: &ClientStream, number: u64) {
    let from = Instant::now();
    while client.tally().last_frame < number {
        assert!(from.elapsed() < SOON, "{:?}", client.tally());
        if let Some(received) = client.next_frame(Duration::from_millis(100)).unwrap() {
            client.done_with(received.frame, None);
        }
    }
}

struct Captured {
    windows: Vec<WindowReport>,
    events: Vec<SessionEvent>,
    report: CaptureReport,
}

fn finish(events: &std::sync::mpsc::Receiver<CaptureEvent>) -> Captured {
    let (mut windows, mut others) = (Vec::new(), Vec::new());
    loop {
        match events.recv_timeout(SOON).unwrap() {
            CaptureEvent::Window(window) => windows.push(*window),
            CaptureEvent::Event { event, .. } => others.push(event),
            CaptureEvent::Finished(report) => return Captured { windows, events: others, report: *report },
            _ => {}
        }
    }
}

impl Captured {
    fn dropped(&self) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for (reason, count) in self.windows.iter().flat_map(|window| &window.dropped) {
            *sums.entry(reason.label()).or_default() += count;
        }
        sums
    }
}

#[test]
fn a_client_that_stalls_misses_frames_that_the_host_counted_and_goes_on_with_an_idr() {
    let recorder = recorder();
    let events = arm(&recorder);
    // The client calls every 700 ms; after 300 ms of silence the host holds frames back.
    let host = host(&recorder, mode(), |config| config.stalled_after = Duration::from_millis(300));
    let client = client(&host, |config| {
        config.contact_every = Duration::from_millis(700);
        // Reports and requests would count as signs of life.
        config.receiver.report_every = SOON;
        config.receiver.idr_every = SOON;
    });
    until_frame(&client, 75);
    recorder.disarm();
    let captured = finish(&events);
    host.stream.stop();
    host.stream.join();
    let summary = client.stop();
    let (first, last) = captured.report.sessions[0].frames.unwrap();
    let lost = summary.outcomes.count(Outcome::Lost, first..=last);
    let complete = summary.outcomes.count(Outcome::Complete, first..=last);
    let stale = captured.dropped().get(DropReason::Stale.label()).copied().unwrap_or_default();
    assert!(lost > 10 && summary.tally.idrs >= 2, "{:?}", summary.tally);
    assert_eq!(captured.report.sessions[0].records, complete);
    // The host may have dropped more after the last frame that it sent.
    assert!(stale >= lost, "{stale} {lost}");
    assert_eq!(summary.tally.frames_undecodable, 0, "nothing is sent that the client cannot use");
}

#[test]
fn one_client_that_vanishes_does_not_disturb_two_others() {
    let recorder = recorder();
    let hosts: Vec<_> =
        (0..3).map(|_| host(&recorder, mode(), |config| config.gone_after = Duration::from_millis(700))).collect();
    let mut clients: Vec<_> = hosts.iter().map(|host| client(host, |_| ())).collect();
    assert_eq!(recorder.sessions().len(), 3);
    clients.pop().unwrap().stop();
    for client in &clients {
        until_frame(client, 45);
    }
    for client in clients {
        let tally = client.stop().tally;
        assert_eq!((tally.frames_lost, tally.frames_undecodable), (0, 0), "{tally:?}");
    }
    let reasons: Vec<_> = hosts.into_iter().map(|host| host.stream.join()).collect();
    assert_eq!(reasons[2], EndReason::ClientGone);
    assert!(recorder.sessions().is_empty());
}

#[test]
fn a_slow_encoder_makes_the_mailbox_replace_pictures_and_leaves_no_gap_in_the_numbers() {
    let recorder = recorder();
    let events = arm(&recorder);
    let delays = Delays::none().with(DelayStage::Encoder, DelaySchedule::constant(Duration::from_millis(80)));
    let encoder = DelayedEncoder::new(OpenH264::new(mode(), 2_000_000).unwrap(), &delays, Instant::now());
    let host = host_with(&recorder, Box::new(Synthetic::new(mode()).unwrap()), Box::new(encoder), |_| ());
    let client = client(&host, |_| ());
    until_frame(&client, 20);
    recorder.disarm();
    let captured = finish(&events);
    host.stream.stop();
    host.stream.join();
    let summary = client.stop();
    assert_eq!((summary.tally.frames_lost, summary.over), (0, StreamOver::Stopped));
    let dropped = captured.dropped();
    assert!(dropped.get(DropReason::Replaced.label()).is_some_and(|count| *count >= 20), "{dropped:?}");
    assert_eq!(dropped.keys().copied().collect::<Vec<_>>(), [DropReason::Replaced.label()]);
}

#[test]
fn requests_of_the_client_become_counters_and_events() {
    let recorder = recorder();
    let events = arm(&recorder);
    let host = host(&recorder, mode(), |config| config.bitrate_range_bps = (500_000, 8_000_000));
    let client = client(&host, |_| ());
    until_frame(&client, 5);
    host.control.send(ClientMessage::SetBitrate { bps: u64::MAX }).unwrap();
    host.control.send(ClientMessage::RequestIdr).unwrap();
    until_frame(&client, 20);
    recorder.disarm();
    let captured = finish(&events);
    drop(host);
    assert!(captured.events.contains(&SessionEvent::BitrateChanged { from_bps: 6_000_000, to_bps: 8_000_000 }));
    assert!(captured.events.contains(&SessionEvent::IdrRequested));
    assert_eq!(captured.windows.iter().filter_map(|window| window.idr_requests).sum::<u64>(), 1);
    assert_eq!(client.stop().tally.idrs, 2, "the first frame and the one asked for");
}
