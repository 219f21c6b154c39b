//! Whom the exporter trusts.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::let_underscore_must_use, reason = "a helper that outlives its test has nobody to tell")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::bounded;
use punktfunk_otlp::{Exporter, StartError};
use rustls::{ServerConnection, StreamOwned};

use support::authority::{Authority, authority};
use support::{Backend, MS, PATIENCE, identity, ok, snapshots, to, until};

fn backend(authority: &Authority) -> Backend {
    let config = Arc::clone(&authority.config);
    Backend::start_wrapped(
        |_| ok(),
        move |mut stream| {
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            tls.complete_io(&mut stream).ok()?;
            Some(Box::new(StreamOwned::new(tls, stream)))
        },
    )
}

#[test]
fn a_backend_is_trusted_through_the_configured_authority_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (right, wrong) = (authority(dir.path(), "right.pem"), authority(dir.path(), "wrong.pem"));
    let backend = backend(&right);
    let mut resolved = to(&format!("https://localhost:{}/v1/metrics", backend.address.port()));
    for (file, exported, up) in [
        (Some(right.file.clone()), 3, true),
        (Some(wrong.file), 0, false),
        // The system's authorities do not know it either.
        (None, 0, false),
    ] {
        resolved.metrics.as_mut().unwrap().ca_file = file.clone();
        let (sender, receiver) = bounded(16);
        let exporter = match Exporter::start(&resolved, &identity(), receiver) {
            Ok(exporter) => exporter.unwrap(),
            // A machine without any authorities says so.
            Err(StartError::NoAuthorities) if file.is_none() => continue,
            Err(error) => panic!("{error}"),
        };
        snapshots(1).into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
        until(|| exporter.health().up.is_some());
        assert_eq!(exporter.shutdown(if up { PATIENCE } else { MS }), up, "{file:?}");
        let health = exporter.health();
        assert_eq!((health.exported, health.up), (exported, Some(up)), "{file:?}");
        if !up {
            let said = health.last_error.unwrap();
            assert!(said.contains("certificate"), "{said}");
        }
    }
    // What came through is the trusted exporter's alone.
    assert_eq!(backend.arrived.try_iter().count(), 3);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(dir.path(), "ca.pem");
    let backend = backend(&authority);
    let mut resolved = to(&format!("https://127.0.0.1:{}/v1/metrics", backend.address.port()));
    resolved.metrics.as_mut().unwrap().ca_file = Some(authority.file);
    let (sender, receiver) = bounded(16);
    let exporter = Exporter::start(&resolved, &identity(), receiver).unwrap().unwrap();
    snapshots(1).into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
    until(|| exporter.health().up == Some(false));
    assert!(!exporter.shutdown(MS));
    assert_eq!((exporter.health().exported, backend.arrived.try_iter().count()), (0, 0));
}

#[test]
fn a_certificate_file_that_cannot_be_used_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut resolved = to("https://localhost:1/v1/metrics");
    let (_sender, receiver) = bounded(1);
    let mut start = |file: PathBuf| {
        resolved.metrics.as_mut().unwrap().ca_file = Some(file);
        Exporter::start(&resolved, &identity(), receiver.clone()).unwrap_err()
    };
    let missing = start(dir.path().join("missing.pem"));
    assert!(matches!(missing, StartError::Unreadable { .. }) && missing.to_string().contains("missing.pem"));
    for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"] {
        let file = dir.path().join("strange.pem");
        std::fs::write(&file, content).unwrap();
        assert!(matches!(start(file), StartError::Certificate { .. }), "{content:?}");
    }
}
