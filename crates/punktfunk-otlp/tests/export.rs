//! Snapshots of a real recorder, exported over real HTTP: what arrives, and what becomes of every kind of answer.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::let_underscore_must_use, reason = "a helper that outlives its test has nobody to tell")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::bounded;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use punktfunk_otlp::{Compression, Exporter, Health, Limits, Resolved};
use punktfunk_stats::{MetricSnapshot, SnapshotSender};

use support::{Answer, Backend, Lab, MS, PATIENCE, answer, identity, ok, snapshots, some_time, to, until};

/// Exports all of them to `resolved` and waits until each is settled.
fn export(resolved: &Resolved, snapshots: Vec<MetricSnapshot>) -> Health {
    let (sender, receiver) = bounded(snapshots.len().max(1));
    snapshots.into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
    let exporter = Exporter::start(resolved, &identity(), receiver).unwrap().unwrap();
    assert!(exporter.shutdown(PATIENCE));
    exporter.health()
}

/// Start, time and flags of every point.
fn stamps(request: &ExportMetricsServiceRequest) -> BTreeSet<(u64, u64, u32)> {
    let metrics = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut stamps = BTreeSet::new();
    for metric in metrics.flat_map(|scope| &scope.metrics) {
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => stamps.extend(gauge.data_points.iter().map(|p| (0, p.time_unix_nano, p.flags))),
            Data::Sum(sum) => {
                stamps.extend(sum.data_points.iter().map(|p| (p.start_time_unix_nano, p.time_unix_nano, p.flags)));
            }
            Data::ExponentialHistogram(histogram) => {
                let points = histogram.data_points.iter();
                stamps.extend(points.map(|p| (p.start_time_unix_nano, p.time_unix_nano, p.flags)));
            }
            other => panic!("{other:?}"),
        }
    }
    stamps
}

fn nanos(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

fn resource(request: &ExportMetricsServiceRequest) -> Vec<(String, String)> {
    let attributes = &request.resource_metrics[0].resource.as_ref().unwrap().attributes;
    let text = |value: &Option<Value>| match value {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|a| (a.key.clone(), text(&a.value.as_ref().unwrap().value))).collect()
}

#[test]
fn every_point_is_stamped_with_its_snapshot_and_the_last_is_followed_by_the_end() {
    let backend = Backend::start(|_| ok());
    let snapshots = snapshots(3);
    let at: Vec<u64> = snapshots.iter().map(|snapshot| nanos(snapshot.at)).collect();
    let end = nanos(snapshots.last().unwrap().step_end) + 1_000_000_000;
    let health = export(&to(&backend.url()), snapshots);
    assert_eq!((health.exported, health.failed, health.up), (5, 0, Some(true)));

    let requests: Vec<_> = (0..5).map(|_| backend.next()).collect();
    // The recorder's own clock was far ahead of the capture's: the start is held to the first snapshot.
    let start = at[0];
    for (request, at) in requests.iter().zip(&at) {
        assert_eq!(stamps(&request.metrics()), BTreeSet::from([(0, *at, 0), (start, *at, 0)]));
    }
    assert_eq!(stamps(&requests[4].metrics()), BTreeSet::from([(0, end, 1), (start, end, 1)]));
    let names = |at: usize| {
        let metrics = requests[at].metrics().resource_metrics.remove(0).scope_metrics;
        metrics.into_iter().flat_map(|scope| scope.metrics).map(|metric| metric.name).collect::<Vec<_>>()
    };
    assert_eq!(names(3), names(4));
}

#[test]
fn the_end_of_a_capture_is_sent_when_its_moment_has_come() {
    let backend = Backend::start(|_| ok());
    let mut resolved = to(&backend.url());
    resolved.limits.sample_interval = MS;
    let (sender, receiver) = bounded(16);
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    // Stopped a quarter of a second before the end of its step.
    let last = snapshots(1).pop().unwrap();
    let (due, end) = (750 * MS + MS, nanos(last.step_end + MS));
    let from = Instant::now();
    sender.send(last).unwrap();
    backend.next();
    assert_eq!(stamps(&backend.next().metrics()).first().unwrap(), &(0, end, 1));
    assert!(from.elapsed() >= due);
    assert!(exporter.shutdown(PATIENCE));
}

#[test]
fn the_end_of_a_capture_does_not_overtake_the_next_one() {
    let backend = Backend::start(|_| ok());
    let (sender, receiver) = SnapshotSender::bounded(16);
    let mut lab = Lab::new(sender);
    let mut wall = some_time();
    for capture in ["c1", "c2", "c3"] {
        lab.arm(capture, wall);
        lab.play(2);
        lab.stop();
        wall += Duration::from_millis(2_010);
    }
    let all: Vec<_> = receiver.try_iter().collect();
    let expected = all.len() as u64 + 3;
    assert_eq!(export(&to(&backend.url()), all).exported, expected);
    let stamped: Vec<_> = backend
        .arrived
        .try_iter()
        .map(|request| stamps(&request.metrics()).first().map(|(_, time, flags)| (*time, *flags)).unwrap())
        .collect();
    assert!(stamped.is_sorted_by_key(|(time, _)| *time), "{stamped:?}");
    // The first two captures' ends stand between the snapshots of the ones after them.
    let ends: Vec<_> = stamped.iter().enumerate().filter(|(_, (_, flags))| *flags == 1).map(|(at, _)| at).collect();
    assert!(ends.len() == 3 && ends[0] > 3, "{stamped:?}");
}

#[test]
fn a_series_begins_when_the_collector_began_it_and_stays_there() {
    let backend = Backend::start(|_| ok());
    let (sender, receiver) = SnapshotSender::bounded(16);
    let mut lab = Lab::new(sender);
    let before = SystemTime::now();
    // A capture in the near future: the collector's start lies before its first snapshot.
    let seconds = before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 60;
    lab.arm("c1", SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + 250 * MS);
    lab.play(3);
    lab.stop();
    export(&to(&backend.url()), receiver.try_iter().collect());
    let mut starts = BTreeSet::new();
    for _ in 0..5 {
        starts
            .extend(stamps(&backend.next().metrics()).into_iter().map(|(start, ..)| start).filter(|start| *start > 0));
    }
    assert_eq!(starts.len(), 1);
    assert!(starts.iter().all(|start| (nanos(before)..nanos(before) + 30_000_000_000).contains(start)));
}

#[test]
fn the_resource_is_the_hosts_and_the_environment_adds_to_it() {
    let backend = Backend::start(|_| ok());
    let mut resolved = to(&backend.url());
    export(&resolved, snapshots(1));
    let pairs = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Vec<_>>();
    let own = pairs(&[("service.name", "punktfunk"), ("service.instance.id", "h1"), ("service.version", "1.2.3")]);
    assert_eq!(resource(&backend.next().metrics()), own);

    let backend = Backend::start(|_| ok());
    resolved.metrics.as_mut().unwrap().url = backend.url().parse().unwrap();
    resolved.attributes = pairs(&[
        ("service.name", "a"),
        ("deployment.environment.name", "lab"),
        ("service.instance.id", "x"),
        ("service.name", "b"),
    ]);
    let last = snapshots(1).len();
    export(&resolved, snapshots(1));
    let requests: Vec<_> = (0..=last).map(|_| backend.next().metrics()).collect();
    let all = pairs(&[
        ("service.name", "b"),
        ("deployment.environment.name", "lab"),
        ("service.instance.id", "h1"),
        ("service.version", "1.2.3"),
    ]);
    assert_eq!(resource(&requests[0]), all);
    assert_eq!(resource(&requests[last]), all);
}

#[test]
fn headers_and_compression_are_as_configured() {
    let backend = Backend::start(|_| ok());
    let mut resolved = to(&backend.url());
    let target = resolved.metrics.as_mut().unwrap();
    target.headers.insert("x-scope-orgid", "tenant".parse().unwrap());
    export(&resolved, snapshots(1));
    let request = backend.next();
    assert_eq!(request.path, "/v1/metrics");
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    assert_eq!(header("content-encoding"), Some("gzip"));
    assert_eq!(header("content-type"), Some("application/x-protobuf"));
    assert_eq!(header("x-scope-orgid"), Some("tenant"));

    let backend = Backend::start(|_| ok());
    let target = resolved.metrics.as_mut().unwrap();
    target.url = backend.url().parse().unwrap();
    target.compression = Compression::None;
    export(&resolved, snapshots(1));
    assert_eq!(backend.next().headers.get("content-encoding"), None);
}

#[test]
fn a_refusal_is_counted_and_not_repeated() {
    let status = "\x12\x14out of order\n sample";
    for (kind, body, said) in [
        ("text/plain", "out of order\n sample", "400 Bad Request: out of order sample"),
        ("application/x-protobuf", status, "400 Bad Request: out of order sample"),
        ("text/html", "<html>proxy</html>", "400 Bad Request: an HTML page"),
    ] {
        let backend = Backend::start(move |n| if n == 1 { answer("400 Bad Request", kind, body) } else { ok() });
        let health = export(&to(&backend.url()), snapshots(3));
        assert_eq!((health.exported, health.failed, health.retried), (4, 1, 0), "{kind}");
        assert_eq!((health.last_error.as_deref(), health.up), (Some(said), Some(true)));
        assert_eq!(backend.arrived.try_iter().count(), 5);
    }
}

#[test]
fn what_is_unavailable_for_a_while_gets_everything_once_and_in_order() {
    for status in ["429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"] {
        let backend = Backend::start(move |n| if n % 3 < 2 { answer(status, "text/plain", "") } else { ok() });
        let health = export(&to(&backend.url()), snapshots(3));
        assert_eq!((health.exported, health.failed, health.retried), (5, 0, 10), "{status}");
        let times: Vec<u64> =
            backend.arrived.try_iter().map(|request| stamps(&request.metrics()).first().unwrap().1).collect();
        assert_eq!(times.len(), 15);
        assert!(times.chunks(3).all(|chunk| chunk.iter().all(|time| *time == chunk[0])));
        assert!(times.is_sorted());
    }
}

#[test]
fn a_pause_that_is_asked_for_is_kept() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let backend = Backend::start(move |n| if n == 0 { Answer::Whole(busy.into()) } else { ok() });
    let resolved = to(&backend.url());
    let (sender, receiver) = bounded(1);
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    sender.send(snapshots(1).remove(0)).unwrap();
    let from = Instant::now();
    backend.next();
    backend.next();
    assert!(from.elapsed() >= Duration::from_secs(1));
    assert!(exporter.shutdown(PATIENCE));
    assert_eq!(exporter.health().retried, 1);
}

#[test]
fn a_success_that_is_none_is_a_failure() {
    // partial_success { rejected_data_points: 7, error_message: "no" }
    let partial = "\x0a\x06\x08\x07\x12\x02no";
    for (kind, body, said) in [
        ("text/html", "<html>welcome</html>", "not OTLP"),
        ("application/x-protobuf", "<html>welcome</html>", "not OTLP"),
        ("application/x-protobuf", partial, "7 data points were rejected: no"),
    ] {
        let backend = Backend::start(move |_| answer("200 OK", kind, body));
        let health = export(&to(&backend.url()), snapshots(1));
        assert_eq!((health.exported, health.failed, health.last_success), (0, 3, None), "{kind}");
        assert!(health.last_error.unwrap().contains(said));
    }
}

#[test]
fn a_warning_beside_a_success_is_no_failure() {
    let warning = "\x0a\x04\x12\x02hm";
    let backend = Backend::start(move |_| answer("200 OK", "application/x-protobuf", warning));
    let health = export(&to(&backend.url()), snapshots(1));
    assert_eq!((health.exported, health.failed), (3, 0));
}

#[test]
fn an_endless_answer_is_cut_off() {
    for (status, kind) in [("200 OK", "application/x-protobuf"), ("400 Bad Request", "text/plain")] {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).into_bytes();
        let backend = Backend::start(move |_| Answer::Endless(head.clone(), chunk.clone()));
        let health = export(&to(&backend.url()), snapshots(1));
        assert_eq!((health.exported, health.failed), (0, 3), "{status}");
        assert!(health.last_error.unwrap().len() < 300);
    }
}

#[test]
fn a_redirect_is_not_followed_and_says_what_to_configure() {
    let elsewhere = Backend::start(|_| ok());
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let to_there =
            format!("HTTP/1.1 {status}\r\nlocation: {}?key=secret\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
        let backend = Backend::start(move |_| Answer::Whole(to_there.clone()));
        let health = export(&to(&backend.url()), snapshots(1));
        assert_eq!((health.exported, health.failed), (0, 3), "{status}");
        let said = health.last_error.unwrap();
        assert!(said.contains(&elsewhere.url()) && !said.contains("secret"), "{said}");
    }
    assert!(elsewhere.arrived.try_recv().is_err());
}

#[test]
fn a_request_that_hangs_is_given_its_time_and_repeated() {
    let backend = Backend::start(|n| if n == 0 { Answer::Hang } else { ok() });
    let mut resolved = to(&backend.url());
    resolved.metrics.as_mut().unwrap().timeout = 100 * MS;
    let health = export(&resolved, snapshots(1));
    assert_eq!((health.exported, health.retried, health.last_error.as_deref()), (3, 1, Some("no answer in time")));
}

#[test]
fn the_backlog_stays_within_its_bytes_while_the_backend_is_away() {
    // A port that was free a moment ago and on which nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut resolved = to(&format!("http://{nobody}/"));
    resolved.limits = Limits { backlog_bytes: 8_000, ..Limits::default() };
    let (sender, receiver) = bounded(0);
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    let all = snapshots(60);
    let total = all.len() as u64 + 1;
    for snapshot in all {
        // Taken at once, although nothing can be sent.
        sender.send_timeout(snapshot, PATIENCE).unwrap();
        assert!(exporter.health().backlog_bytes <= 8_000);
    }
    until(|| exporter.health().up == Some(false));
    assert!(!exporter.shutdown(MS));
    let health = exporter.health();
    assert_eq!(health.exported, 0);
    assert!(health.dropped_backlog + health.backlog_requests == total && health.backlog_requests <= 1, "{health:?}");
}

#[test]
fn the_newest_survive_an_outage_longer_than_the_backlog() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let backend = Backend::start(move |n| {
        if n == 0 {
            // The first request stays unanswered until the outage is over.
            let _ = gate.recv();
        }
        ok()
    });
    let mut resolved = to(&backend.url());
    resolved.limits.backlog_bytes = 8_000;
    let (sender, receiver) = bounded(0);
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    let all = snapshots(60);
    let end = nanos(all.last().unwrap().step_end) + 1_000_000_000;
    for snapshot in all {
        sender.send_timeout(snapshot, PATIENCE).unwrap();
    }
    open.send(()).unwrap();
    assert!(exporter.shutdown(PATIENCE));
    let health = exporter.health();
    assert_eq!(health.exported + health.dropped_backlog, 62, "{health:?}");
    assert!(health.dropped_backlog > 0 && health.backlog_bytes == 0);
    let last = backend.arrived.try_iter().last().unwrap();
    assert_eq!(stamps(&last.metrics()).first().unwrap().1, end);
}

#[test]
fn the_collector_is_not_delayed_while_the_backend_hangs() {
    let backend = Backend::start(|_| Answer::Hang);
    let (sender, receiver) = SnapshotSender::bounded(4);
    let exporter = Exporter::start(&to(&backend.url()), &identity(), receiver).unwrap().unwrap();
    let mut lab = Lab::new(sender.clone());
    lab.arm("c1", some_time());
    lab.play(1);
    // From here on a request is under way that will not come back for ten seconds.
    backend.next();
    let from = Instant::now();
    lab.play(60);
    lab.stop();
    let took = from.elapsed();
    assert_eq!(lab.windows(), 62);
    assert!(took < Duration::from_secs(5), "62 windows took {took:?}");
    assert!(!exporter.shutdown(Duration::ZERO));
    let health = exporter.health();
    assert!(health.backlog_bytes <= 4 << 20);
    assert_eq!(health.exported, 0);
}

#[test]
fn without_an_endpoint_there_is_no_exporter() {
    let (_sender, receiver) = bounded(1);
    assert!(Exporter::start(&Resolved::default(), &identity(), receiver).unwrap().is_none());
}

#[test]
fn an_exporter_ends_with_its_recorder() {
    let backend = Backend::start(|_| ok());
    let (sender, receiver) = bounded(16);
    let exporter = Exporter::start(&to(&backend.url()), &identity(), receiver).unwrap().unwrap();
    snapshots(1).into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
    drop(sender);
    for _ in 0..3 {
        backend.next();
    }
    assert!(exporter.shutdown(PATIENCE));
    assert_eq!(exporter.health().exported, 3);
}
