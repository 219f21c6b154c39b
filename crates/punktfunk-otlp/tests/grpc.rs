//! The same over gRPC, against a real HTTP/2 server in the test.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::let_underscore_must_use, reason = "a helper that outlives its test has nobody to tell")]

mod support;

use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use punktfunk_otlp::{Compression, Exporter, Health, Protocol, Resolved};

use support::authority::authority;
use support::grpc_server::{Answer, Server, ok};
use support::{MS, PATIENCE, identity, snapshots, to, until};

/// Where `server` is, spoken to by gRPC.
fn resolved(server: &Server) -> Resolved {
    let mut resolved = to(&format!("http://{}", server.address));
    resolved.metrics.as_mut().unwrap().protocol = Protocol::Grpc;
    resolved
}

/// Exports a capture of one second, which is three requests, and waits until each is settled.
fn export(resolved: &Resolved) -> Health {
    let (sender, receiver) = bounded(16);
    snapshots(1).into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
    let exporter = Exporter::start(resolved, &identity(), receiver).unwrap().unwrap();
    assert!(exporter.shutdown(PATIENCE));
    exporter.health()
}

#[test]
fn requests_arrive_whole_with_their_headers_and_compressed_as_configured() {
    for compression in [Compression::Gzip, Compression::None] {
        let server = Server::start(None, |_| ok());
        let mut resolved = resolved(&server);
        let target = resolved.metrics.as_mut().unwrap();
        target.compression = compression;
        target.headers.insert("x-scope-orgid", "tenant".parse().unwrap());
        let health = export(&resolved);
        assert_eq!((health.exported, health.failed, health.up), (3, 0, Some(true)));
        let calls: Vec<_> = server.calls.try_iter().collect();
        assert_eq!(calls.len(), 3);
        for call in calls {
            assert_eq!(call.path, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
            assert_eq!(call.headers["x-scope-orgid"], "tenant");
            assert_eq!(call.compressed, compression == Compression::Gzip);
            let request = ExportMetricsServiceRequest::decode(&call.message[..]).unwrap();
            assert_eq!(request.resource_metrics[0].scope_metrics[0].metrics.len(), 16);
        }
    }
}

/// `google.rpc.Status` with one detail.
fn details(kind: &str, value: &[u8]) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [&[number << 3 | 2, length], content].concat()
    };
    let any = [field(1, format!("type.googleapis.com/google.rpc.{kind}").as_bytes()), field(2, value)].concat();
    field(3, &any)
}

#[test]
fn each_status_is_repeated_or_dropped_as_the_specification_says() {
    // RetryInfo { retry_delay: { nanos: 1000 } }
    let retry_info = details("RetryInfo", b"\x0a\x03\x10\xe8\x07");
    let other = details("ErrorInfo", b"");
    let table = [
        (Answer::Status(1, "cancelled", None), true),
        (Answer::Status(4, "deadline exceeded", None), true),
        (Answer::Status(8, "full", Some(retry_info)), true),
        (Answer::Status(10, "aborted", None), true),
        (Answer::Status(11, "out of range", None), true),
        (Answer::Status(14, "unavailable", None), true),
        (Answer::Status(15, "data loss", None), true),
        (Answer::Reset, true),
        (Answer::Disconnect, true),
        (Answer::Status(2, "unknown", None), false),
        (Answer::Status(3, "invalid", None), false),
        (Answer::Status(8, "full", Some(other)), false),
        (Answer::Status(8, "full", None), false),
        (Answer::Status(12, "unimplemented", None), false),
        (Answer::Status(13, "internal", None), false),
        (Answer::Status(16, "unauthenticated", None), false),
        // partial_success { rejected_data_points: 7, error_message: "no" }
        (Answer::Message(b"\x0a\x06\x08\x07\x12\x02no".to_vec()), false),
        (Answer::Message(vec![0xff; 10]), false),
        (Answer::Message(vec![0; 100_000]), false),
    ];
    for (answer, repeated) in table {
        let first = answer.clone();
        let server = Server::start(None, move |n| if n == 0 { first.clone() } else { ok() });
        let health = export(&resolved(&server));
        let what = match &answer {
            Answer::Status(code, message, _) => format!("{code} {message}"),
            Answer::Message(message) => format!("{} bytes", message.len()),
            _ => "broken off".into(),
        };
        let expected = if repeated { (3, 0, 1) } else { (2, 1, 0) };
        assert_eq!((health.exported, health.failed, health.retried), expected, "{what}: {health:?}");
        if let Answer::Status(_, message, _) = answer {
            assert!(health.last_error.unwrap().contains(message));
        }
    }
}

#[tokio::test]
async fn it_may_be_started_and_dropped_inside_a_runtime_of_the_hosts() {
    let server = Server::start(None, |_| ok());
    let (sender, receiver) = bounded(16);
    snapshots(1).into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
    let exporter = Exporter::start(&resolved(&server), &identity(), receiver).unwrap().unwrap();
    let exporter = tokio::task::spawn_blocking(move || {
        assert!(exporter.shutdown(PATIENCE));
        exporter
    });
    let exporter = exporter.await.unwrap();
    assert_eq!(exporter.health().exported, 3);
    drop(exporter);
}

#[test]
fn a_call_that_hangs_is_given_its_time_and_repeated() {
    let server = Server::start(None, |n| if n == 0 { Answer::Hang } else { ok() });
    let mut resolved = resolved(&server);
    resolved.metrics.as_mut().unwrap().timeout = 100 * MS;
    let health = export(&resolved);
    assert_eq!((health.exported, health.retried, health.last_error.as_deref()), (3, 1, Some("no answer in time")));
}

#[test]
fn nobody_there_is_said_in_words() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut resolved = to(&format!("http://{nobody}"));
    resolved.metrics.as_mut().unwrap().protocol = Protocol::Grpc;
    let (sender, receiver) = bounded(16);
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    snapshots(1).into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
    until(|| exporter.health().up == Some(false));
    let from = Instant::now();
    assert!(!exporter.shutdown(50 * MS));
    assert!(from.elapsed() < Duration::from_secs(5));
    let said = exporter.health().last_error.unwrap();
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn a_backend_is_trusted_through_the_configured_authority_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (right, wrong) = (authority(dir.path(), "right.pem"), authority(dir.path(), "wrong.pem"));
    let server = Server::start(Some(&right), |_| ok());
    let mut resolved = resolved(&server);
    let target = resolved.metrics.as_mut().unwrap();
    target.url = format!("https://localhost:{}", server.address.port()).parse().unwrap();
    target.ca_file = Some(right.file);
    assert_eq!(export(&resolved).exported, 3);

    resolved.metrics.as_mut().unwrap().ca_file = Some(wrong.file);
    let (sender, receiver) = bounded(16);
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    snapshots(1).into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
    until(|| exporter.health().up.is_some());
    assert!(!exporter.shutdown(MS));
    let health = exporter.health();
    assert_eq!((health.exported, server.calls.try_iter().count()), (0, 3));
    let said = health.last_error.unwrap();
    assert!(said.contains("certificate"), "{said}");
}
