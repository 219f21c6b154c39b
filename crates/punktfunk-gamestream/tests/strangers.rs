//! What strangers and faulty clients may try: each gets the protocol's own refusal, and a session that runs does not notice.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};

use punktfunk_gamestream::SessionLimits;
use punktfunk_gamestream::pairing::AnswerError;
use support::gamehost::{GameHost, PIN};
use support::moonlight::Reply;
use support::moonlight::rtsp::{self, WISH, Wish};
use support::viewer::Viewer;

fn start() -> GameHost {
    GameHost::start(SessionLimits::default())
}

fn is_refused(reply: &Reply) -> bool {
    reply.status == 400 && reply.get("paired").as_deref() == Some("0")
}

#[test]
fn a_wrong_pin_pairs_nobody_and_is_tried_once() {
    let host = start();
    let client = host.client(0);
    let mut pairing = host.answered(&client, PIN, "9999");
    pairing.challenge();
    let reply = pairing.response();
    assert!(!pairing.host_is_right(&reply), "the client sees that the host had another PIN");
    assert!(is_refused(&pairing.secret()));
    assert!(is_refused(&pairing.challenge()), "the exchange is over");
    assert!(host.clients.list().is_empty() && host.pairing.requests().is_empty());
    assert_eq!(client.launch("launch", "640x360x30").unwrap_err().status, 401);
}

#[test]
fn phases_out_of_turn_or_sent_again_end_the_exchange() {
    let host = start();
    let client = host.client(0);
    let stranger = client.http("/pair?clientchallenge=00112233445566778899aabbccddeeff");
    assert!(is_refused(&stranger), "before the first phase: {stranger:?}");

    let mut again = host.answered(&client, PIN, PIN);
    assert!(!is_refused(&again.challenge()));
    assert!(is_refused(&again.challenge()));
    assert!(is_refused(&again.response()), "nothing is left of it");

    let early = host.answered(&client, PIN, PIN);
    assert!(is_refused(&early.secret()));

    for garbage in [
        "clientchallenge=zz",
        "clientchallenge=00",
        "serverchallengeresp=",
        "clientpairingsecret=00",
        "phrase=getservercert&salt=00&clientcert=00",
        "phrase=pairchallenge",
        "x",
    ] {
        assert!(is_refused(&client.http(&format!("/pair?{garbage}"))), "{garbage}");
    }
    assert!(host.clients.list().is_empty());
    assert!(host.paired(0, "Deck").pinned.is_some(), "and the client may try again");
}

#[test]
fn a_pin_answers_one_request_only() {
    let host = start();
    let (mut first, mut second) = (host.client(0), host.client(1));
    let asking = std::thread::spawn(move || first.pair(PIN));
    let id = loop {
        if let Some(request) = host.pairing.requests().first() {
            break request.id.clone();
        }
        std::thread::yield_now();
    };
    let racing = std::thread::spawn(move || second.pair(PIN));
    while host.pairing.requests().len() < 2 {
        std::thread::yield_now();
    }
    assert!(matches!(host.pairing.approve(&id, None, None), Err(AnswerError::PinNeeded)));
    host.pairing.approve(&id, Some(PIN), Some("Deck")).unwrap();
    assert!(matches!(host.pairing.approve(&id, Some(PIN), None), Err(AnswerError::Approve(_))));
    assert!(asking.join().unwrap());
    assert_eq!(host.clients.list().len(), 1, "the other one was not answered");
    let waiting = host.pairing.requests();
    assert_eq!(waiting.len(), 1);
    host.pairing.approve(&waiting[0].id, Some("0000"), None).unwrap();
    assert!(!racing.join().unwrap());
    assert_eq!(host.clients.list().len(), 1);
}

#[test]
fn a_stranger_gets_serverinfo_and_nothing_else() {
    let host = start();
    let stranger = host.client(1);
    let info = stranger.https("/serverinfo");
    assert_eq!((info.status, info.get("PairStatus").as_deref()), (200, Some("0")));
    for path in ["/applist", "/cancel", "/resume?rikey=00", "/launch?mode=640x360x30", "/appasset"] {
        assert_eq!(stranger.https(path).status, 401, "{path}");
        assert_eq!(stranger.http(path).status, 401, "{path} without TLS");
    }
    // Nor does a paired client's word over HTTP count.
    let paired = host.paired(0, "Deck");
    assert_eq!(paired.http("/applist").status, 401);
    assert_eq!(paired.http("/unpair").status, 200);
    assert_eq!(host.clients.list().len(), 1, "anybody could have asked for that");
    assert_eq!(paired.http("/nothing").status, 404);
}

#[test]
fn a_launch_that_cannot_be_is_refused() {
    let host = start();
    let client = host.paired(0, "Deck");
    for mode in ["0x0x0", "1280x720", "x", "-1x1x1", "99999999999x1x1", "100000x100000x1000"] {
        assert_eq!(client.launch("launch", mode).unwrap_err().status, 400, "{mode}");
    }
    for query in ["mode=640x360x30", "mode=640x360x30&rikey=00&rikeyid=1", "mode=640x360x30&rikey=zz&rikeyid=1"] {
        assert_eq!(client.https(&format!("/launch?{query}")).status, 400, "{query}");
    }
    host.until_free(&client);
}

#[test]
fn rtsp_is_for_the_launched_client() {
    let host = start();
    let client = host.paired(0, "Deck");
    let (rtsp, _) = client.launch("launch", "640x360x30").unwrap();
    assert_eq!(client.https("/cancel").status, 200);
    host.until_free(&client);
    let refused = rtsp::agree(rtsp, WISH).unwrap_err();
    assert!(refused.starts_with("RTSP/1.0 454"), "nothing is launched: {refused}");

    let (rtsp, _) = client.launch("launch", "640x360x30").unwrap();
    let reply = rtsp::raw_from(Ipv4Addr::new(127, 0, 0, 2), rtsp, b"OPTIONS / RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    assert!(reply.starts_with("RTSP/1.0 454"), "another address: {reply}");

    for (request, status) in [
        ("ANNOUNCE x RTSP/1.0\r\nCSeq: 1\r\nContent-length: 1073741824\r\n\r\n", "413"),
        ("PLAY / RTSP/1.0\r\nCSeq: 1\r\n\r\n", "455"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("TEARDOWN / RTSP/1.0\r\nCSeq: 1\r\n\r\n", "501"),
        ("SETUP streamid=other RTSP/1.0\r\nCSeq: 1\r\n\r\n", "404"),
    ] {
        let reply = rtsp::raw(rtsp, request.as_bytes());
        assert!(reply.starts_with(&format!("RTSP/1.0 {status}")), "{request}: {reply}");
    }
    for wish in [
        Wish { width: 0, ..WISH },
        Wish { width: 100_000, height: 100_000, fps: 1000, ..WISH },
        Wish { encryption: 0, ..WISH },
        Wish { packet_size: 60_000, ..WISH },
    ] {
        assert!(rtsp::agree(rtsp, wish).unwrap_err().starts_with("RTSP/1.0 400"));
    }
    assert!(rtsp::agree(rtsp, WISH).is_ok(), "and the client itself is served after all that");
}

#[test]
fn a_key_that_served_a_stream_serves_no_other() {
    let host = start();
    let client = host.paired(0, "Deck");
    let key = [9; 16];
    let (rtsp, _) = client.launch_by(&key, "launch", "640x360x30").unwrap();
    let (rtsp_again, _) = client.launch_by(&key, "launch", "640x360x30").unwrap();
    assert_eq!(rtsp, rtsp_again, "so far nothing was sealed with it");
    rtsp::agree(rtsp, WISH).unwrap();
    let again = rtsp::raw(rtsp, b"PLAY / RTSP/1.0\r\nCSeq: 9\r\n\r\n");
    assert!(again.starts_with("RTSP/1.0 455"), "it plays already: {again}");
    for verb in ["launch", "resume"] {
        assert_eq!(client.launch_by(&key, verb, "640x360x30").unwrap_err().status, 400);
    }
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 3);
}

#[test]
fn a_running_session_does_not_notice_what_strangers_send() {
    let host = start();
    let client = host.paired(0, "Deck");
    let mut viewer = Viewer::launch(&client, WISH, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 10);
    let (video, control) = (viewer.agreed.video, viewer.agreed.control);

    // Pings: a flood with another payload, and the right payload from another address.
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let far = UdpSocket::bind("127.0.0.2:0").unwrap();
    let right = [viewer.agreed.ping_payload.as_bytes(), &[0; 4]].concat();
    for count in 0..20_000_u32 {
        near.send_to(&[&[b'x'; 16][..], &count.to_be_bytes()].concat(), video).ok();
        far.send_to(&right, video).ok();
    }
    // Control: garbage from either address, a message with a wrong tag, one of the host's making, an empty one.
    for size in 0..600 {
        let garbage: Vec<u8> = (0..size).map(|at| (at * 7 + size) as u8).collect();
        near.send_to(&garbage, control).ok();
        far.send_to(&garbage, control).ok();
    }
    let mut wrong = viewer.control.sealed(0x0302, &[0, 0]);
    wrong[9] ^= 1;
    let replayed = viewer.control.sealed(0x0200, &[0; 4]);
    for message in [wrong, replayed.clone(), replayed, Vec::new(), vec![0; 4000]] {
        viewer.control.send_raw(message);
    }
    viewer.control.send(0x5502, &[0xff; 21]);
    viewer.control.send(0x5502, &[1; 3]);
    // HTTP: a body that is not read, a head that is too long, no HTTP at all.
    for request in [
        "GET /serverinfo HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n".to_owned(),
        "GET /serverinfo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)),
        "\0".repeat(5000),
    ] {
        let mut stream = TcpStream::connect(host.address()).unwrap();
        stream.write_all(request.as_bytes()).ok();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).ok();
        assert!(reply.is_empty() || reply.starts_with(b"HTTP/1.1 "), "{reply:?}");
    }
    // The busy host takes no RTSP of another address, and a second launch of its own only as a new session.
    let before = viewer.tally();
    let pictures = viewer.pictures;
    viewer.play_until(|viewer| viewer.pictures >= pictures + 60);
    let after = viewer.tally();
    assert_eq!(after.frames_lost, before.frames_lost, "{after:?}");
    assert_eq!(host.recorder.sessions().len(), 1);
    assert!(
        far.set_nonblocking(true).is_ok() && far.recv(&mut [0; 2000]).is_err(),
        "no packet went to another address"
    );
    assert!(near.set_nonblocking(true).is_ok() && near.recv(&mut [0; 2000]).is_err());
}
