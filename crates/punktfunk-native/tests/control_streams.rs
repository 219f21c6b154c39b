//! The control connection over real QUIC: who gets a stream, what both ends then share, and what a client that
//! misbehaves brings about.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod control_support;

use std::net::UdpSocket;
use std::time::Duration;

use control_support::{REQUEST, SOON, certificate, host, host_with};
use crossbeam_channel::RecvTimeoutError;
use punktfunk_native::client::Dial;
use punktfunk_native::control::{ALPN, CloseCode, DialError, PAIRING_ALPN};
use punktfunk_native::identity::Identity;
use punktfunk_native::message::{
    ClientMessage, ClientReport, FromClient, FromHost, Hello, StreamRequest, VERSION, encode, take,
};

#[test]
fn both_ends_of_a_stream_have_the_same_keys_and_no_two_streams_do() {
    let host = host();
    let mut client = host.paired("Den");
    let (one, at_host_one) = (client.dial().unwrap(), host.stream());
    let (two, at_host_two) = (client.dial().unwrap(), host.stream());
    assert_eq!((one.stream.keys, one.stream.stream), (at_host_one.keys.clone(), at_host_one.stream_id));
    assert_eq!((two.stream.keys, two.stream.stream), (at_host_two.keys.clone(), at_host_two.stream_id));
    assert_ne!(at_host_one.keys, at_host_two.keys);
    assert_ne!(at_host_one.keys.from_host, at_host_one.keys.from_client);
    assert_ne!(at_host_one.stream_id, at_host_two.stream_id);
    assert_eq!((at_host_one.client.name.as_str(), at_host_one.request), ("Den", REQUEST));
}

#[test]
fn a_stream_hears_its_client_with_the_round_trip_time_of_the_host_and_then_its_goodbye() {
    let host = host();
    let mut client = host.paired("Den");
    let granted = client.dial().unwrap();
    let stream = host.stream();
    let claimed = ClientReport { received: 7, rtt_us: Some(1e9), ..ClientReport::default() };
    granted.control.send(ClientMessage::RequestIdr).unwrap();
    granted.control.send(ClientMessage::Report(claimed)).unwrap();
    assert_eq!(stream.messages.recv_timeout(SOON).unwrap(), ClientMessage::RequestIdr);
    let ClientMessage::Report(report) = stream.messages.recv_timeout(SOON).unwrap() else { panic!("a report") };
    assert_eq!(report.received, 7);
    assert!(report.rtt_us.is_some_and(|rtt| rtt > 0.0 && rtt < 1e9), "{report:?}");
    assert!((granted.rtt)().is_some());
    drop(granted);
    assert_eq!(stream.messages.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_client_that_is_not_paired_gets_no_stream() {
    let host = host();
    let mut stranger = host.dialer(&Identity::generate().unwrap());
    assert!(matches!(stranger.dial().err(), Some(DialError::NotPaired)));
    let stranger = host.raw(ALPN, &certificate());
    assert_eq!(host.close_code(&stranger), CloseCode::NotPaired.code());
    assert!(host.started.is_empty());
}

#[test]
fn a_client_of_the_pairing_protocol_cannot_ask_for_a_stream_even_if_it_is_paired() {
    let host = host();
    let known = certificate();
    host.pin(&known);
    let connection = host.raw(PAIRING_ALPN, &known);
    let _open = say(&host, &connection, &[encode(&FromClient::Start(REQUEST)).unwrap()]);
    host.close_code(&connection);
    assert!(host.started.is_empty());
}

#[test]
fn a_client_does_not_talk_to_a_host_with_another_certificate() {
    let mut host = host();
    let identity = Identity::generate().unwrap();
    host.clients.add(identity.fingerprint(), "Den").unwrap();
    host.fingerprint = Identity::generate().unwrap().fingerprint();
    let error = host.dialer(&identity).dial().err().unwrap();
    assert!(matches!(&error, DialError::Connection(quinn::ConnectionError::TransportError(_))), "{error}");
    assert!(host.started.is_empty());
}

#[test]
fn a_revoked_client_is_cut_off_while_it_streams_and_the_other_streams_on() {
    let host = host();
    let (mut one, mut two) = (host.paired("one"), host.paired("two"));
    let (granted_one, one_at_host) = (one.dial().unwrap(), host.stream());
    let (granted_two, two_at_host) = (two.dial().unwrap(), host.stream());
    assert!(host.clients.list().iter().all(|client| client.connected));
    host.clients.revoke(&one_at_host.client.id).unwrap();
    assert_eq!(one_at_host.messages.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    granted_two.control.send(ClientMessage::RequestIdr).unwrap();
    assert_eq!(two_at_host.messages.recv_timeout(SOON).unwrap(), ClientMessage::RequestIdr);
    assert!(matches!(one.dial().err(), Some(DialError::NotPaired)));
    drop(granted_one);
}

#[test]
fn a_refusal_is_told_in_the_hosts_words() {
    let host = host();
    let identity = Identity::generate().unwrap();
    host.clients.add(identity.fingerprint(), "Den").unwrap();
    let mut client = host.dialer_for(&identity, StreamRequest { height: 0, ..REQUEST });
    let error = client.dial().err().unwrap();
    assert!(matches!(&error, DialError::Refused(reason) if reason == "a picture has a height"), "{error}");
}

#[test]
fn a_client_is_told_that_its_stream_is_over_and_may_ask_for_another_one() {
    let host = host();
    let known = certificate();
    host.pin(&known);
    let connection = host.raw(ALPN, &known);
    let hello = FromClient::Hello(Hello { version: VERSION, name: String::new() });
    let (start, idr) = (FromClient::Start(REQUEST), FromClient::Stream(ClientMessage::RequestIdr));
    host.runtime.block_on(async {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let mut heard = Vec::new();
        send.write_all(&[encode(&hello).unwrap(), encode(&start).unwrap()].concat()).await.unwrap();
        assert!(matches!(hear(&mut receive, &mut heard).await, FromHost::Welcome(_)));
        let FromHost::Granted(first) = hear(&mut receive, &mut heard).await else { panic!("a grant") };
        let first_at_host = host.stream();
        first_at_host.out.ended("the film is over");
        let ended = FromHost::Ended { reason: "the film is over".to_owned() };
        assert_eq!(hear(&mut receive, &mut heard).await, ended);
        // A message that crossed the end on its way does no harm.
        send.write_all(&[encode(&idr).unwrap(), encode(&start).unwrap()].concat()).await.unwrap();
        let FromHost::Granted(second) = hear(&mut receive, &mut heard).await else { panic!("a grant") };
        assert_ne!(first.stream_id, second.stream_id);
        assert_ne!(first_at_host.keys, host.stream().keys, "a key is never used for two streams");
    });
}

#[test]
fn a_client_that_floods_a_stream_that_hangs_does_not_disturb_the_others() {
    let host = host_with(|config| config.waiting_messages = 4);
    let mut clients: Vec<_> = (0..4).map(|n| host.paired(&format!("client {n}"))).collect();
    let streams: Vec<_> = clients.iter_mut().map(|client| (client.dial().unwrap(), host.stream())).collect();
    let (flooding, others) = streams.split_first().unwrap();
    for bps in 0..2000 {
        flooding.0.control.send(ClientMessage::SetBitrate { bps }).unwrap();
    }
    for (granted, at_host) in others {
        granted.control.send(ClientMessage::RequestIdr).unwrap();
        assert_eq!(at_host.messages.recv_timeout(SOON).unwrap(), ClientMessage::RequestIdr);
    }
    assert!(flooding.1.messages.len() <= 4, "what waits is bounded");
}

#[test]
fn what_is_no_message_ends_the_connection_of_the_one_who_said_it_and_nothing_else() {
    let host = host();
    let mut good = host.paired("good");
    let (granted, at_host) = (good.dial().unwrap(), host.stream());
    let known = certificate();
    host.pin(&known);
    let hello = |version| encode(&FromClient::Hello(Hello { version, name: String::new() })).unwrap();
    let start = || encode(&FromClient::Start(REQUEST)).unwrap();
    let oversize = 0x4000_0000_u32.to_be_bytes().to_vec();
    let garbage = [7_u32.to_be_bytes().as_slice(), b"garbage"].concat();
    let cases = [
        vec![oversize.clone()],
        vec![garbage],
        vec![hello(VERSION + 1)],
        vec![start()],
        vec![hello(VERSION), hello(VERSION)],
        vec![hello(VERSION), oversize],
        vec![hello(VERSION), start(), start()],
    ];
    for (n, bytes) in cases.iter().enumerate() {
        let connection = host.raw(ALPN, &known);
        let _open = say(&host, &connection, bytes);
        assert_eq!(host.close_code(&connection), CloseCode::BadMessage.code(), "case {n}");
    }
    let last = host.stream();
    assert_eq!(last.messages.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    granted.control.send(ClientMessage::RequestIdr).unwrap();
    assert_eq!(at_host.messages.recv_timeout(SOON).unwrap(), ClientMessage::RequestIdr);
}

#[test]
fn garbage_on_the_port_is_ignored() {
    let host = host();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 1_u64;
    for length in 0..1500 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(length)
        .collect();
        socket.send_to(&bytes, host.address()).unwrap();
    }
    host.paired("Den").dial().unwrap();
    host.stream();
}

#[test]
fn clients_that_connect_and_say_nothing_are_cut_off() {
    let host = host_with(|config| config.patience = Duration::from_millis(100));
    let known = certificate();
    host.pin(&known);
    let paired = host.raw(ALPN, &known);
    let stranger = host.raw(PAIRING_ALPN, &certificate());
    for connection in [paired, stranger] {
        let closed = host.runtime.block_on(async { tokio::time::timeout(SOON, connection.closed()).await }).unwrap();
        // By the host, not by an idle timeout. On a slow machine its patience may end within the handshake.
        let by_host = matches!(
            closed,
            quinn::ConnectionError::ApplicationClosed(_) | quinn::ConnectionError::ConnectionClosed(_)
        );
        assert!(by_host, "{closed}");
    }
}

#[test]
fn strangers_that_fill_their_places_do_not_keep_a_paired_client_from_its_stream() {
    let host = host_with(|config| config.max_strangers = 2);
    let mut client = host.paired("Den");
    let (granted, at_host) = (client.dial().unwrap(), host.stream());
    let strangers = [host.raw(PAIRING_ALPN, &certificate()), host.raw(PAIRING_ALPN, &certificate())];
    let refused = host.runtime.block_on(control_support::connect(host.address(), PAIRING_ALPN, &certificate()));
    assert!(matches!(refused, Err(quinn::ConnectionError::ConnectionClosed(_))), "{refused:?}");
    granted.control.send(ClientMessage::RequestIdr).unwrap();
    assert_eq!(at_host.messages.recv_timeout(SOON).unwrap(), ClientMessage::RequestIdr);
    drop(strangers);
}

#[test]
fn a_host_that_shuts_down_ends_its_streams() {
    let host = host();
    let mut client = host.paired("Den");
    let (granted, at_host) = (client.dial().unwrap(), host.stream());
    let known = certificate();
    host.pin(&known);
    let idle = host.raw(ALPN, &known);
    let hello = encode(&FromClient::Hello(Hello { version: VERSION, name: String::new() })).unwrap();
    let (_send, mut receive) = say(&host, &idle, &[hello]);
    // A host hides its reasons from a client that is still shaking hands.
    assert!(matches!(host.runtime.block_on(hear(&mut receive, &mut Vec::new())), FromHost::Welcome(_)));
    let control_support::Host { runtime, server, .. } = host;
    runtime.block_on(async { tokio::time::timeout(SOON, server.shutdown()).await }).unwrap();
    assert_eq!(at_host.messages.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    let closed = runtime.block_on(idle.closed());
    let shutdown = CloseCode::Shutdown.code();
    assert!(
        matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == shutdown),
        "{closed}"
    );
    drop(granted);
}

/// Says bytes on a new stream, both halves of which stay open: what ends the connection is what was said.
fn say(
    host: &control_support::Host,
    connection: &quinn::Connection,
    messages: &[Vec<u8>],
) -> (quinn::SendStream, quinn::RecvStream) {
    host.runtime.block_on(async {
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&messages.concat()).await.unwrap();
        (send, receive)
    })
}

async fn hear(receive: &mut quinn::RecvStream, heard: &mut Vec<u8>) -> FromHost {
    loop {
        if let Some(message) = take(heard).unwrap() {
            return message;
        }
        heard.extend_from_slice(&receive.read_chunk(1024, true).await.unwrap().unwrap().bytes);
    }
}
