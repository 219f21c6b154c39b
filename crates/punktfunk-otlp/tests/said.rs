//! What is said of a backend, and how often. One test: the log is the process's.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::let_underscore_must_use, reason = "a helper that outlives its test has nobody to tell")]

mod support;

use crossbeam_channel::bounded;
use punktfunk_otlp::{Exporter, Health};
use testkit::Log;

use support::{Backend, PATIENCE, answer, identity, ok, snapshots, to};

/// Exports `captures` captures of three seconds, five requests each.
fn export(backend: &Backend, captures: usize) -> Health {
    let (sender, receiver) = bounded(100);
    for capture in 0..captures {
        for mut snapshot in snapshots(3) {
            snapshot.capture_id = format!("c{capture}");
            sender.send(snapshot).unwrap();
        }
    }
    let mut resolved = to(&format!("{}?key=s3cr3t", backend.url()));
    resolved.metrics.as_mut().unwrap().headers.insert("authorization", "s3cr3t".parse().unwrap());
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    assert!(exporter.shutdown(PATIENCE));
    exporter.health()
}

#[test]
fn an_outage_is_said_once_and_a_refusal_once_a_capture() {
    let log = Log::of("punktfunk_otlp");

    let unavailable = || answer("503 Service Unavailable", "text/plain", "later");
    let backend = Backend::start(move |n| if (2..10).contains(&n) { unavailable() } else { ok() });
    assert_eq!(export(&backend, 1).retried, 8);
    let said = log.take();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("WARN") && said[0].contains("is away") && said[0].contains("503"), "{said:?}");
    assert!(said[1].starts_with("INFO") && said[1].contains("is back") && said[1].contains("lost=0"), "{said:?}");

    let backend = Backend::start(|_| answer("400 Bad Request", "text/plain", "out of order"));
    assert_eq!(export(&backend, 2).failed, 10);
    let refusals = log.take();
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    for (line, capture) in refusals.iter().zip(["c0", "c1"]) {
        assert!(line.starts_with("WARN") && line.contains("out of order") && line.contains(capture), "{line}");
    }

    let backend = Backend::start(|_| ok());
    assert_eq!(export(&backend, 1).exported, 5);
    assert_eq!(log.take(), Vec::<String>::new());
    assert!(said.iter().chain(&refusals).all(|line| !line.contains("s3cr3t")), "{said:?} {refusals:?}");
}
