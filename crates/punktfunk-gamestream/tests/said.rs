//! What the log says of strangers and faulty clients: one line for each refusal, and no more however long they go on. One
//! test: the log is the process's.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use punktfunk_gamestream::SessionLimits;
use support::SOON;
use support::gamehost::{GameHost, PIN};
use support::moonlight::control::{Control, Told};
use support::moonlight::rtsp::{self, WISH, Wish};
use support::viewer::Viewer;
use testkit::Log;

const OPTIONS: &[u8] = b"OPTIONS / RTSP/1.0\r\nCSeq: 1\r\n\r\n";

/// What was said that is for the operator: everything above information.
fn warnings(log: &Log) -> Vec<String> {
    log.take().into_iter().filter(|line| line.starts_with("WARN") || line.starts_with("ERROR")).collect()
}

/// Lets `act` be refused; that is said in one line, which says this.
fn one_line<T>(log: &Log, says: &str, act: impl FnOnce() -> T) -> T {
    let done = act();
    let said = warnings(log);
    assert!(said.len() == 1 && said[0].starts_with("WARN") && said[0].contains(says), "{says}: {said:#?}");
    done
}

/// The same of what is refused while the session plays: the line comes in time, and none follows.
fn one_line_of(log: &Log, says: &str, viewer: &mut Viewer, act: impl FnOnce(&mut Viewer)) {
    act(viewer);
    let (mut said, since) = (Vec::new(), Instant::now());
    while said.is_empty() {
        assert!(since.elapsed() < SOON, "nobody said {says}");
        let pictures = viewer.pictures;
        viewer.play_until(|viewer| viewer.pictures > pictures);
        said = warnings(log);
    }
    let pictures = viewer.pictures;
    viewer.play_until(|viewer| viewer.pictures >= pictures + 15);
    said.extend(warnings(log));
    assert!(said.len() == 1 && said[0].starts_with("WARN") && said[0].contains(says), "{says}: {said:#?}");
}

#[test]
fn each_refusal_is_said_in_one_line_and_a_flood_of_them_in_one_as_well() {
    let log = Log::of("punktfunk_gamestream");
    let host = GameHost::start(SessionLimits::default());
    pairing(&log, &host);
    let client = host.paired(0, "Deck");
    assert_eq!(warnings(&log), Vec::<String>::new(), "a client that does everything right");

    let stranger = host.client(1);
    for path in ["/applist", "/appasset", "/launch?mode=640x360x30", "/resume", "/cancel"] {
        one_line(&log, "unpaired", || stranger.https(path));
    }
    one_line(&log, "unpaired", || client.http("/launch?mode=640x360x30"));
    for mode in ["0x0x0", "100000x100000x1000"] {
        one_line(&log, "parameter mode", || client.launch("launch", mode).unwrap_err());
    }
    one_line(&log, "with a body", || {
        let mut stream = TcpStream::connect(host.address()).unwrap();
        stream.write_all(b"GET /serverinfo HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    });
    rtsp_refusals(&log, &host);
    playing(&log, &host);
}

fn pairing(log: &Log, host: &GameHost) {
    let client = host.client(0);
    let mut wrong = host.answered(&client, PIN, "9999");
    wrong.challenge();
    wrong.response();
    one_line(log, "PIN is wrong", || wrong.secret());
    one_line(log, "out of turn", || wrong.secret());

    // Stock clients see for themselves that the host has another PIN, and take their leave.
    let mut wrong = host.answered(&client, PIN, "9999");
    wrong.challenge();
    let reply = wrong.response();
    assert!(!wrong.host_is_right(&reply));
    one_line(log, "gave up pairing", || client.http("/unpair"));

    let mut again = host.answered(&client, PIN, PIN);
    again.challenge();
    one_line(log, "out of turn", || again.challenge());
    let early = host.answered(&client, PIN, PIN);
    one_line(log, "out of turn", || early.secret());
    one_line(log, "clientcert", || client.http("/pair?phrase=getservercert&salt=00&clientcert=00"));
}

fn rtsp_refusals(log: &Log, host: &GameHost) {
    let client = host.paired(0, "Deck");
    let (rtsp, _) = client.launch("launch", "640x360x30").unwrap();
    client.https("/cancel");
    host.until_free(&client);
    one_line(log, "nothing was launched", || rtsp::raw(rtsp, OPTIONS));
    client.launch("launch", "640x360x30").unwrap();
    one_line(log, "nothing was launched", || rtsp::raw_from(Ipv4Addr::new(127, 0, 0, 2), rtsp, OPTIONS));
    for (request, says) in [
        ("ANNOUNCE x RTSP/1.0\r\nCSeq: 1\r\nContent-length: 1073741824\r\n\r\n", "body is longer"),
        ("PLAY / RTSP/1.0\r\nCSeq: 1\r\n\r\n", "nothing was announced"),
        ("GET / HTTP/1.1\r\n\r\n", "wrong form"),
        ("TEARDOWN / RTSP/1.0\r\nCSeq: 1\r\n\r\n", "no such method"),
        ("SETUP streamid=other RTSP/1.0\r\nCSeq: 1\r\n\r\n", "no such stream"),
    ] {
        one_line(log, says, || rtsp::raw(rtsp, request.as_bytes()));
    }
    for (wish, says) in [
        (Wish { width: 0, height: 0, ..WISH }, "picture of 0×0"),
        (Wish { width: 100_000, height: 100_000, fps: 1000, ..WISH }, "picture of 100000×100000 at 1000"),
        (Wish { packet_size: 60_000, ..WISH }, "packet size"),
        (Wish { encryption: 0, ..WISH }, "sealed"),
    ] {
        one_line(log, says, || rtsp::agree(rtsp, wish).unwrap_err());
    }
    client.https("/cancel");
    host.until_free(&client);
}

fn playing(log: &Log, host: &GameHost) {
    let (client, other) = (host.paired(0, "Deck"), host.paired(1, "Phone"));
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    one_line(log, "busy", || other.launch("launch", "640x360x30").unwrap_err());
    one_line(log, "another client's", || other.https("/cancel"));
    one_line(log, "plays already", || rtsp::raw(viewer.rtsp, b"PLAY / RTSP/1.0\r\nCSeq: 9\r\n\r\n"));

    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let far = UdpSocket::bind("127.0.0.2:0").unwrap();
    one_line_of(log, "a ping", &mut viewer, |viewer| {
        for _ in 0..5000 {
            near.send_to(&[b'x'; 20], viewer.agreed.video).ok();
            far.send_to(&[b'x'; 20], viewer.agreed.video).ok();
        }
    });
    one_line_of(log, "a control datagram", &mut viewer, |viewer| {
        for _ in 0..500 {
            far.send_to(&[0x80; 40], viewer.agreed.control).ok();
        }
    });
    one_line_of(log, "wrong tag", &mut viewer, |viewer| {
        for _ in 0..50 {
            let mut wrong = viewer.control.sealed(0x0302, &[0, 0]);
            wrong[9] ^= 1;
            viewer.control.send_raw(wrong);
        }
    });
    let over = viewer.tally();
    assert_eq!(over.frames_lost, 0, "the session did not notice: {over:?}");
    drop(viewer);
    host.until_free(&client);

    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    one_line_of(log, "not the launched client's", &mut viewer, |viewer| {
        let mut agreed = viewer.agreed.clone();
        agreed.connect_data ^= 1;
        for _ in 0..3 {
            let stranger = Control::connect(&agreed, &[0; 16]);
            // It may be told that it is connected before the host looks at its data.
            while stranger.try_told(Duration::from_millis(100)) == Some(Told::Connected) {}
        }
    });
    drop(viewer);
    host.until_free(&client);
    assert_eq!(warnings(log), Vec::<String>::new(), "and its end is no fault");
}
