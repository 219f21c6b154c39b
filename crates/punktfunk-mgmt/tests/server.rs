//! The server over real sockets: TLS, limits, and clients that are slow on purpose.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use punktfunk_mgmt::{RequestLimits, ServeError, ServerConfig, serve, tls_config};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};

mod support;

use support::Rig;
use support::wire::{self, connect, head, parse, raw, rest, said, soon};

const HEALTH: &str = "/api/v1/health";
const START: &str = "/api/v1/stats/capture/start";

/// Short enough to be waited for, long enough that an honest client of a busy machine keeps it.
const SHORT: Duration = Duration::from_millis(500);

/// SHA-256 of a certificate.
fn fingerprint(certificate: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, certificate).as_ref().to_vec()
}

/// A self-signed certificate with its key, as the host has one, in PEM; and its fingerprint.
fn identity() -> (String, String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(Vec::<String>::new()).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem(), fingerprint(made.cert.der()))
}

/// Knows the host by its certificate's fingerprint, as clients do that were shown it.
#[derive(Debug)]
struct Pinned {
    fingerprint: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if fingerprint(certificate) == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Connects as a client that has pinned a fingerprint.
async fn pinned(
    address: SocketAddr,
    fingerprint: &[u8],
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(provider::default_provider());
    let verifier = Arc::new(Pinned { fingerprint: fingerprint.to_vec(), provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    soon(TlsConnector::from(Arc::new(config)).connect(name, connect(address).await)).await
}

#[tokio::test]
async fn under_tls_the_cookie_of_a_session_is_for_this_host_and_tls_only() {
    let rig = Rig::new();
    let (certificate, key, ours) = identity();
    let tls = tls_config(certificate.as_bytes(), key.as_bytes()).unwrap();
    let server = rig.serve(|config| config.tls = Some(tls)).await;
    let ask = async |request| {
        let stream = pinned(server.address(), &ours, &rustls::version::TLS13).await.unwrap();
        wire::whole(stream, request).await.unwrap()
    };
    let mut sign_in = wire::get(&rig, "/api/v1/auth/session");
    *sign_in.method_mut() = hyper::Method::POST;
    let answer = ask(sign_in).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with(&format!("__Host-punktfunk-{}=", server.address().port())), "{cookie}");
    assert!(cookie.contains("; Secure") && cookie.contains("; Path=/;") && !cookie.contains("Domain"), "{cookie}");

    let mut request = wire::get(&rig, "/api/v1/version");
    request.headers_mut().remove("authorization");
    request.headers_mut().insert("cookie", cookie.split(';').next().unwrap().parse().unwrap());
    assert_eq!(ask(request).await.status, 200);
    let mut link = wire::get(&rig, "/api/v1/auth/links");
    *link.method_mut() = hyper::Method::POST;
    assert!(ask(link).await.json()["url"].as_str().unwrap().starts_with("https://localhost/#signin="));
}

#[tokio::test]
async fn a_client_that_pinned_the_certificate_is_served_over_tls_and_one_that_pinned_another_turns_away() {
    let rig = Rig::new();
    let (certificate, key, ours) = identity();
    let (_, _, others) = identity();
    let tls = tls_config(certificate.as_bytes(), key.as_bytes()).unwrap();
    let server = rig.serve(|config| config.tls = Some(tls)).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let stream = pinned(server.address(), &ours, version).await.unwrap();
        let answer = wire::whole(stream, wire::get(&rig, "/api/v1/version")).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.json()["version"]), (200, &serde_json::json!("0.0.0")));

        let refused = pinned(server.address(), &others, version).await.unwrap_err();
        let reason = refused.get_ref().and_then(|reason| reason.downcast_ref::<rustls::Error>()).unwrap();
        let mismatch = rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        assert_eq!(*reason, mismatch);
    }
    // Whoever speaks HTTP to it in the clear gets no answer, and the server goes on.
    let mut plain = connect(server.address()).await;
    plain.write_all(head(&rig, "GET /api/v1/version").as_bytes()).await.unwrap();
    plain.write_all(b"\r\n").await.unwrap();
    assert!(!rest(&mut plain).await.starts_with(b"HTTP"));
    let stream = pinned(server.address(), &ours, &rustls::version::TLS13).await.unwrap();
    assert_eq!(wire::whole(stream, wire::get(&rig, HEALTH)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_get_on_is_cut() {
    let rig = Rig::new();
    let (certificate, key, _) = identity();
    let tls = tls_config(certificate.as_bytes(), key.as_bytes()).unwrap();
    let server = rig
        .serve(|config| {
            config.tls = Some(tls);
            config.limits.header_timeout = SHORT;
        })
        .await;
    let mut stream = connect(server.address()).await;
    let begun = Instant::now();
    // The head of a record that holds a ClientHello, and never the hello.
    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    assert_eq!(rest(&mut stream).await, b"");
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn what_the_network_can_reach_is_not_served_in_the_clear_unless_somebody_insists() {
    let rig = Rig::new();
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let start = |config: ServerConfig| serve(config, rig.router(), rig.state.shutdown.clone());
    let error = start(ServerConfig::new(everywhere)).await.unwrap_err();
    assert!(matches!(error, ServeError::NeedsTls { bind } if bind == everywhere), "{error}");
    assert!(error.to_string().contains("TLS") && error.to_string().contains("--insecure"), "{error}");
    // A link-local address is no loopback either.
    let error = start(ServerConfig::new(SocketAddr::from(([169, 254, 0, 1], 0)))).await.unwrap_err();
    assert!(matches!(error, ServeError::NeedsTls { .. }), "{error}");
    let taken = rig.serve(|_| ()).await;
    let error = start(ServerConfig::new(taken.address())).await.unwrap_err();
    assert!(error.to_string().contains(&taken.address().to_string()), "{error}");
}

#[tokio::test]
async fn certificates_and_keys_that_cannot_be_used_say_which() {
    let ((certificate, key, _), (_, foreign, _)) = (identity(), identity());
    let said =
        |certificate: &str, key: &str| tls_config(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string();
    assert!(said("", &key).contains("certificate"), "{}", said("", &key));
    assert!(said(&certificate, "").contains("private key"), "{}", said(&certificate, ""));
    assert!(said(&certificate, &foreign).contains("cannot be used"), "{}", said(&certificate, &foreign));
    assert!(said("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key).contains("cannot be used"));
}

#[tokio::test]
async fn addresses_and_header_fields_over_their_limits_are_refused_with_the_reason() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let limits = ServerConfig::new(server.address()).limits;
    let get =
        |path: &str, fields: &str| format!("{}connection: close\r\n{fields}\r\n", head(&rig, &format!("GET {path}")));
    let ask = async |path: &str, fields: &str| raw(server.address(), get(path, fields).as_bytes()).await;

    let path = |length: usize| format!("{HEALTH}?{}", "x".repeat(length - HEALTH.len() - 1));
    ask(&path(limits.uri_bytes + 1), "").await.refusal(414);
    assert_eq!(ask(&path(limits.uri_bytes), "").await.status, 200, "the longest legal one");
    ask(&path(60_000), "").await.refusal(414);

    let fields = |number: usize| (0..number).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    // Beside the three that are always there.
    ask(HEALTH, &fields(limits.headers - 2)).await.refusal(431);
    assert_eq!(ask(HEALTH, &fields(limits.headers - 3)).await.status, 200);
    ask(HEALTH, &format!("x: {}\r\n", "y".repeat(limits.header_bytes))).await.refusal(431);
    assert_eq!(ask(HEALTH, &format!("x: {}\r\n", "y".repeat(limits.header_bytes - 256))).await.status, 200);

    // What is too large even to be read has no envelope, and no memory.
    for head in
        [get(HEALTH, &format!("x: {}\r\n", "y".repeat(300_000))), get(HEALTH, &fields(300)), get(&path(300_000), "")]
    {
        let answer = raw(server.address(), head.as_bytes()).await;
        assert!(matches!(answer.status.as_u16(), 414 | 431) && answer.body.is_empty(), "{}", answer.status);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_while_it_arrives() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let limit = rig.state.limits.body_bytes;
    let post =
        format!("{}content-type: application/json\r\nconnection: close\r\n", head(&rig, &format!("POST {START}")));
    // Announced: the answer does not wait for a body that nobody will read.
    let announced = format!("{post}content-length: 1000000000\r\n\r\n");
    raw(server.address(), announced.as_bytes()).await.refusal(413);
    // Not announced: a chunk after the other, until it is too much.
    let mut stream = connect(server.address()).await;
    stream.write_all(format!("{post}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
    for _ in 0..=limit / 0x400 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    parse(&rest(&mut stream).await).refusal(413);
    assert!(!rig.state.captures.status().armed);
    // Exactly the limit is read.
    let body = format!("{{{}}}", " ".repeat(limit - 2));
    let whole = format!("{post}content-length: {limit}\r\n\r\n{body}");
    assert_eq!(raw(server.address(), whole.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_is_answered_shortly_and_cut() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let host = "host: localhost\r\n";
    for text in [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET /a b HTTP/1.1\r\n{host}\r\n"),
        format!("POST {START} HTTP/1.1\r\n{host}content-length: -1\r\n\r\n"),
        format!("POST {START} HTTP/1.1\r\n{host}content-length: 1\r\ncontent-length: 2\r\n\r\n"),
        format!("POST {START} HTTP/1.1\r\n{host}transfer-encoding: chunked, nonsense\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host} folded: x\r\nname : x\r\n\r\n"),
    ] {
        // To whoever speaks HTTP/2 there is nothing that can be said.
        let Some(answer) = said(server.address(), text.as_bytes()).await else {
            assert!(text.contains("HTTP/2"), "{text:?}");
            continue;
        };
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (400, ""), "{text:?}");
    }
    // Of this one only the head is right.
    let smuggled =
        format!("{}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n", head(&rig, &format!("POST {START}")));
    let mut stream = connect(server.address()).await;
    stream.write_all(format!("{smuggled}zz\r\n{{}}\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(parse(&rest(&mut stream).await).status, 400);
    assert_eq!(wire::whole(connect(server.address()).await, wire::get(&rig, HEALTH)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_however_steadily_it_trickles() {
    let rig = Rig::new();
    let server = rig.serve(|config| config.limits.header_timeout = SHORT).await;
    let (mut reader, mut writer) = connect(server.address()).await.into_split();
    let trickle = tokio::spawn(async move {
        let drops = "GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\n".chars().chain("x: y\r\n".chars().cycle());
        let mut pace = tokio::time::interval(SHORT / 20);
        for drop in drops {
            pace.tick().await;
            if writer.write_all(&[drop as u8]).await.is_err() {
                break;
            }
        }
    });
    let begun = Instant::now();
    let heard = rest(&mut reader).await;
    assert!(begun.elapsed() >= SHORT && !heard.starts_with(b"HTTP/1.1 200"), "{heard:?}");
    // The reset ends the trickle.
    soon(trickle).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_before_and_between_requests() {
    let rig = Rig::new();
    let server = rig.serve(|config| config.limits.header_timeout = SHORT).await;
    let mut silent = connect(server.address()).await;
    assert!(!rest(&mut silent).await.starts_with(b"HTTP/1.1 200"));
    let mut idle = connect(server.address()).await;
    idle.write_all(format!("{}\r\n", head(&rig, &format!("GET {HEALTH}"))).as_bytes()).await.unwrap();
    let heard = rest(&mut idle).await;
    let answers = String::from_utf8(heard).unwrap().matches("HTTP/1.1 200").count();
    assert_eq!(answers, 1, "the request was answered, then the connection closed");
}

#[tokio::test]
async fn a_body_that_trickles_in_is_refused_and_cut() {
    let rig = Rig::with_limits(RequestLimits { body_timeout: SHORT, ..RequestLimits::default() });
    let server = rig.serve(|_| ()).await;
    for body in ["content-length: 100000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n186a0\r\n"] {
        let (mut reader, mut writer) = connect(server.address()).await.into_split();
        let head = format!("{}content-type: application/json\r\n{body}", head(&rig, &format!("POST {START}")));
        writer.write_all(head.as_bytes()).await.unwrap();
        let trickle = tokio::spawn(async move {
            let mut pace = tokio::time::interval(SHORT / 20);
            while writer.write_all(b" ").await.is_ok() {
                pace.tick().await;
            }
        });
        let begun = Instant::now();
        parse(&rest(&mut reader).await).refusal(408);
        assert!(begun.elapsed() >= SHORT);
        soon(trickle).await.unwrap();
    }
    assert!(!rig.state.captures.status().armed);
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_hold_the_connection() {
    let rig = Rig::new();
    let server = rig.serve(|config| config.limits.header_timeout = SHORT).await;
    for start in [format!("GET {HEALTH}"), "POST /nope".to_owned(), "POST /api/v1/stats/capture/stop".to_owned()] {
        let (mut reader, mut writer) = connect(server.address()).await.into_split();
        writer.write_all(format!("{}content-length: 100000\r\n\r\n", head(&rig, &start)).as_bytes()).await.unwrap();
        let trickle = tokio::spawn(async move {
            let mut pace = tokio::time::interval(SHORT / 20);
            while writer.write_all(b" ").await.is_ok() {
                pace.tick().await;
            }
        });
        let heard = rest(&mut reader).await;
        assert_eq!(String::from_utf8_lossy(&heard).matches("HTTP/1.1").count(), 1, "{start}");
        soon(trickle).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut() {
    let rig = Rig::new();
    let id = rig.record("large").await;
    // Larger than what the sockets of both ends hold.
    let path = rig.directory.path().join("captures").join(format!("{id}.json"));
    let mut recording: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let marker = serde_json::json!({ "t_ms": 0, "session_id": null, "kind": "operator", "text": "x".repeat(24 << 20) });
    recording["markers"].as_array_mut().unwrap().push(marker);
    std::fs::write(&path, serde_json::to_vec(&recording).unwrap()).unwrap();

    // One place: the next client is served when this one is gone.
    let server = rig
        .serve(|config| {
            config.limits.write_timeout = SHORT;
            config.limits.connections = 1;
        })
        .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut stream = soon(socket.connect(server.address())).await.unwrap();
    let get = format!("{}\r\n", head(&rig, &format!("GET /api/v1/stats/recordings/{id}")));
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    soon(stream.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(wire::whole(connect(server.address()).await, wire::get(&rig, HEALTH)).await.unwrap().status, 200);
    assert!(rest(&mut stream).await.len() < 24 << 20, "the rest was never sent");

    // Somebody who reads slowly, but does, gets all of it.
    let whole =
        wire::whole(connect(server.address()).await, wire::get(&rig, &format!("/api/v1/stats/recordings/{id}")));
    assert!(whole.await.unwrap().body.len() > 24 << 20);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_told_so_and_others_are_answered_meanwhile() {
    let rig = Rig::new();
    let server = rig.serve(|config| config.limits.request_timeout = SHORT).await;
    let held = rig.pairing.hold();
    let begun = Instant::now();
    let (late, health) = tokio::join!(
        wire::whole(connect(server.address()).await, wire::get(&rig, "/api/v1/pair")),
        wire::whole(connect(server.address()).await, wire::get(&rig, HEALTH)),
    );
    let message = late.unwrap().refusal(503);
    assert!(begun.elapsed() >= SHORT && message.contains("in time"), "{message}");
    assert_eq!(health.unwrap().status, 200);
    drop(held);
    let after = wire::whole(connect(server.address()).await, wire::get(&rig, "/api/v1/pair")).await.unwrap();
    assert_eq!((after.status.as_u16(), &after.json()[0]["id"]), (200, &serde_json::json!("r1")));
}

#[tokio::test]
async fn an_event_stream_outlives_the_time_that_a_request_has() {
    let rig = Rig::new();
    let _player = rig.play();
    let server = rig.serve(|config| config.limits.request_timeout = SHORT).await;
    let mut events = wire::Events::open(&rig, server.address(), None).await;
    tokio::time::sleep(SHORT * 2).await;
    rig.post(START, "{}").await;
    events.until(|event| event.is("sample")).await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let rig = Rig::new();
    let server = rig.serve(|config| config.limits.connections = 2).await;
    let held = [connect(server.address()).await, connect(server.address()).await];
    let waiting = wire::whole(connect(server.address()).await, wire::get(&rig, HEALTH));
    let mut waiting = std::pin::pin!(waiting);
    assert!(tokio::time::timeout(SHORT, &mut waiting).await.is_err(), "there is no place");
    drop(held);
    assert_eq!(soon(waiting).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_being_answered_and_cuts_the_rest_after_its_grace() {
    let rig = Rig::new();
    let server = rig.serve(|config| config.limits.grace = SHORT).await;
    let address = server.address();
    let mut held = rig.pairing.hold();
    let answer = tokio::spawn(wire::whole(connect(address).await, wire::get(&rig, "/api/v1/pair")));
    // It has been read when the desk is asked.
    soon(held.asked()).await;
    let mut half = connect(address).await;
    half.write_all(b"GET /api/v1/hea").await.unwrap();
    rig.state.shutdown.trigger();
    drop(held);
    assert_eq!(soon(answer).await.unwrap().unwrap().status, 200);
    soon(server.ended()).await;
    assert!(!rest(&mut half).await.starts_with(b"HTTP/1.1 200"));
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn names_that_are_not_ours_are_refused_on_the_wire() {
    let rig = Rig::new();
    let server = rig.serve(|config| config.allowed_hosts = vec!["tower.lan".into()]).await;
    for (name, status) in [("evil.example", 421), ("tower.lan:47990", 200), ("127.0.0.1", 200)] {
        let request = hyper::Request::get(HEALTH).header("host", name).body(Full::<Bytes>::default()).unwrap();
        let answer = wire::whole(connect(server.address()).await, request).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{name}");
    }
    let absolute = format!("GET http://evil.example{HEALTH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    raw(server.address(), absolute.as_bytes()).await.refusal(421);
    let nameless = format!("GET {HEALTH} HTTP/1.1\r\nconnection: close\r\n\r\n");
    raw(server.address(), nameless.as_bytes()).await.refusal(400);
    let answered = rig.get("/metrics").await.text();
    assert!(answered.lines().any(|line| line.contains("\"4xx\"") && line.ends_with(" 3")), "{answered}");
}
