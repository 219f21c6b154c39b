//! Pairing to pictures over loopback: a client of the tests' own against the whole host side of the protocol.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use punktfunk_gamestream::SessionLimits;
use punktfunk_stats::WindowReport;
use support::gamehost::{GameHost, PIN};
use support::moonlight::control::Told;
use support::moonlight::rtsp::{WISH, Wish};
use support::moonlight::{Identity, Moonlight};
use support::viewer::Viewer;
use support::{arm, finish, sum};

const TERMINATION: Option<(u16, [u8; 4])> = Some((0x0109, [0x80, 0x03, 0x00, 0x23]));

fn said(last: Option<(u16, Vec<u8>)>) -> Option<(u16, [u8; 4])> {
    last.map(|(kind, payload)| (kind, payload.try_into().unwrap()))
}

#[test]
fn a_client_pairs_lists_and_sees_pictures_and_the_capture_knows_it() {
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Living room");
    let info = client.https("/serverinfo");
    assert_eq!((info.get("PairStatus").as_deref(), info.get("currentgame").as_deref()), (Some("1"), Some("0")));
    let list = client.https("/applist");
    assert_eq!((list.get("AppTitle").as_deref(), list.get("ID").as_deref()), (Some("Desktop"), Some("1")));
    let art = client.https_bytes("/appasset?appid=1&AssetType=2&AssetIdx=0");
    assert!(art.starts_with(b"HTTP/1.1 200") && art.windows(8).any(|bytes| bytes == b"\x89PNG\r\n\x1a\n"));
    assert!(client.https_bytes("/appasset?appid=2&AssetType=2&AssetIdx=0").starts_with(b"HTTP/1.1 404"));
    let events = arm(&host.recorder);
    let mut viewer = Viewer::launch(&client, WISH, 0.03);
    assert!(client.https("/serverinfo").get("state").unwrap().contains("_SERVER_BUSY"));
    viewer.play_until(|viewer| viewer.pictures >= 90);
    assert_eq!(viewer.size, (640, 360));
    let sessions = host.recorder.sessions();
    assert_eq!(sessions.len(), 1);
    assert!(format!("{sessions:?}").contains("Living room"), "{sessions:?}");
    host.recorder.disarm();
    let (windows, _, _) = finish(&events);
    let tally = viewer.tally();
    assert!(tally.missing > 0 && viewer.lost() > 0, "{tally:?}");
    assert!(sum(&windows, |window| window.fec_recovered) > 0, "reports of repair arrive");
    assert!(client.https("/cancel").get("cancel").as_deref() == Some("1"));
    assert_eq!(said(viewer.until_over()), TERMINATION);
    host.until_free(&client);
}

#[test]
fn video_is_sealed_for_a_client_that_wants_it() {
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    // As stock clients do: the sealing prefix comes off the packet size.
    let mut viewer = Viewer::launch(&client, Wish { encryption: 3, packet_size: 1392 - 32, ..WISH }, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 15);
}

#[test]
fn a_client_that_leaves_frees_the_host_and_may_come_back() {
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    let mut first = Viewer::launch(&client, WISH, 0.0);
    first.play_until(|viewer| viewer.pictures >= 5);
    drop(first);
    host.until_free(&client);
    let mut again = Viewer::resume(&client, WISH);
    again.play_until(|viewer| viewer.pictures >= 5);
    // After a crash, a client resumes what the host still believes to run.
    let mut resumed = Viewer::resume(&client, WISH);
    resumed.play_until(|viewer| viewer.pictures >= 5);
    assert_eq!(said(again.until_over()), TERMINATION);
    assert_eq!(host.recorder.sessions().len(), 1);
}

#[test]
fn a_client_that_falls_silent_is_gone_in_time() {
    let host = GameHost::start(SessionLimits { silence: Duration::from_secs(1), ..SessionLimits::default() });
    let client = host.paired(0, "Deck");
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    // ENet goes on; pings do not.
    assert_eq!(said(viewer.until_over()), TERMINATION);
    host.until_free(&client);

    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    viewer.control.fall_silent();
    // Pings go on; ENet does not.
    viewer.play_until(|_| host.recorder.sessions().is_empty());
    host.until_free(&client);
}

/// A report on a block of which one packet of twelve was lost and rebuilt; no two have the same sequence numbers.
fn report(number: u8) -> [u8; 21] {
    [0, 0, 0, 3, number, 40, number, 30, 0, 1, 0, 10, 0, 2, 0, 9, 0, 2, 20, 0, 1]
}

#[test]
fn reports_arrive_though_the_clients_line_stalls() {
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    let events = arm(&host.recorder);
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    // Round trips far longer than the ones before: ENet's answer is to drop most of what may be lost.
    for _ in 0..15 {
        viewer.control.send(0x0200, &[0; 4]);
        viewer.control.lag(Duration::from_millis(60));
    }
    (0..40).for_each(|number| viewer.control.report(&report(number)));
    viewer.play_until(|viewer| viewer.pictures >= 90);
    host.recorder.disarm();
    let (windows, _, _) = finish(&events);
    let counted = |figure: fn(&WindowReport) -> Option<u64>| sum(&windows, figure);
    assert_eq!((counted(|window| window.packets_lost), counted(|window| window.fec_recovered)), (40, 40));
    assert!(windows.iter().any(|window| window.rtt.is_some()), "{windows:?}");
}

#[test]
fn a_launch_that_is_not_begun_is_forgotten() {
    let host = GameHost::start(SessionLimits { begin: Duration::from_millis(300), ..SessionLimits::default() });
    let client = host.paired(0, "Deck");
    client.launch("launch", "1280x720x60").unwrap();
    host.until_free(&client);
}

#[test]
fn a_second_client_is_told_that_the_host_is_busy() {
    let host = GameHost::start(SessionLimits::default());
    let (first, second) = (host.paired(0, "Deck"), host.paired(1, "Phone"));
    let mut viewer = Viewer::launch(&first, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    for verb in ["launch", "resume"] {
        let refused = second.launch(verb, "640x360x30").unwrap_err();
        assert_eq!(refused.status, 503, "{refused:?}");
    }
    assert_eq!(second.https("/cancel").get("cancel").as_deref(), Some("0"));
    let before = viewer.pictures;
    viewer.play_until(|viewer| viewer.pictures >= before + 5);
}

#[test]
fn a_revoked_client_is_cut_off_and_not_let_in_again() {
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    let known = host.clients.list();
    assert!(known[0].connected);
    host.clients.revoke(&known[0].id).unwrap();
    assert_eq!(said(viewer.until_over()), TERMINATION);
    assert_eq!(client.launch("launch", "640x360x30").unwrap_err().status, 401);
    assert_eq!(client.https("/serverinfo").get("PairStatus").as_deref(), Some("0"));
}

#[test]
fn a_host_that_stops_tells_its_client() {
    let mut host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    host.stop();
    assert_eq!(said(viewer.until_over()), TERMINATION);
    assert!(host.recorder.sessions().is_empty());
}

#[test]
fn what_is_granted_is_within_what_the_host_can_do() {
    let host = GameHost::start(SessionLimits { bitrate_kbps: (500, 2000), ..SessionLimits::default() });
    let client = host.paired(0, "Deck");
    let wish = Wish { width: 16_384, height: 16_384, fps: 1000, bitrate_kbps: u32::MAX, ..WISH };
    let mut viewer = Viewer::launch(&client, wish, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 3);
    assert_eq!(viewer.size, (640, 360), "the source has no larger picture");
}

#[test]
fn pairing_survives_a_restart() {
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    let id = client.http("/serverinfo").get("uniqueid");
    let host = host.restarted();
    let client = Moonlight { http: host.address(), ..client };
    assert_eq!(client.http("/serverinfo").get("uniqueid"), id);
    assert_eq!(client.https("/serverinfo").get("PairStatus").as_deref(), Some("1"));
    assert!(!Identity::shared(0).pem.is_empty() && !PIN.is_empty());
}

#[test]
fn a_control_connection_without_the_sessions_data_is_refused() {
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    let mut agreed = viewer.agreed.clone();
    agreed.connect_data ^= 1;
    let stranger = support::moonlight::control::Control::connect(&agreed, &[0; 16]);
    // It may be told that it is connected before the host looks at its data.
    while stranger.try_told(Duration::from_millis(500)) == Some(Told::Connected) {}
    let before = viewer.pictures;
    viewer.play_until(|viewer| viewer.pictures >= before + 5);
}
