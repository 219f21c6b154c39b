//! A Prometheus that is away, killed, forgetful or strict while a capture is exported: the snapshot is right, or refused with
//! the steps that are missing.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use punktfunk_otlp::Limits;
use punktfunk_prometheus::{Client, PrometheusConfig, snapshot};
use punktfunk_recordings::{BackendCheck, BackendOutcome, Capture, Source};
use testkit::{Behaviour, Misbehaving, Prometheus, PrometheusOptions, ToolSet, tools};

use self::support::{Feed, Played, Player, export, play};

const HOST: &str = "5f3c8a52-host";
const ID: &str = "2026-06-26T20-14-03Z_1280x720";

fn played(seed: u64) -> Played {
    let staying = Player { fps: 60, joins: Duration::ZERO, leaves: Duration::from_secs(1 << 20) };
    play(ID, HOST, Duration::from_secs(12), &[staying], seed)
}

fn take(url: &str, local: &Capture, adjust: impl FnOnce(&mut PrometheusConfig)) -> (Capture, BackendCheck) {
    let mut config = PrometheusConfig { url: url.to_owned(), settle_timeout_ms: 2000, ..PrometheusConfig::default() };
    adjust(&mut config);
    let client = Client::new(&config).unwrap().unwrap();
    let taken = snapshot(&client, local, &|_| ControlFlow::Continue(())).unwrap();
    let check = taken.provenance.backend.clone().unwrap();
    (taken, check)
}

fn assert_verified(prometheus: &Prometheus, local: &Capture) {
    let (taken, check) = take(prometheus.url(), local, |_| {});
    assert_eq!(check.outcome, BackendOutcome::Verified, "{} {:#?}", check.reason, check.differences);
    assert_eq!(taken.provenance.source, Source::Prometheus);
}

/// The local recording stays, and exactly these steps are named.
fn assert_steps_named(url: &str, local: &Capture, missing: &[SystemTime]) {
    let (taken, check) = take(url, local, |_| {});
    assert_eq!((check.outcome, taken.provenance.source), (BackendOutcome::Differs, Source::Local), "{}", check.reason);
    assert_eq!(taken.samples, local.samples);
    let named: Vec<u64> = check.differences.iter().filter_map(|difference| difference.step_unix_ms).collect();
    assert!(missing.iter().any(|at| named.contains(&unix_ms(*at))), "{named:?} without any of {missing:?}");
}

fn unix_ms(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn a_prometheus_that_is_down_at_the_start_gets_everything_when_it_comes_up() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    prometheus.kill();
    let played = played(1);
    let feed = Feed::start(&prometheus.otlp_url(), HOST, Limits::default());
    for snapshot in played.snapshots {
        feed.give(snapshot);
    }
    feed.until("it has been tried", |health| health.retried > 0);
    prometheus.restart();
    let (in_time, health) = feed.end();
    assert!(in_time && health.failed == 0, "{health:?}");
    assert_verified(&prometheus, &played.capture);
}

#[test]
fn a_prometheus_that_is_killed_mid_capture_and_comes_back_has_every_step() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let played = played(2);
    let feed = Feed::start(&prometheus.otlp_url(), HOST, Limits::default());
    for (index, snapshot) in played.snapshots.into_iter().enumerate() {
        feed.give(snapshot);
        match index {
            4 => {
                feed.until("the first are there", |health| health.exported >= 4);
                prometheus.kill();
            }
            8 => {
                feed.until("the backend is missed", |health| health.retried > 0);
                prometheus.restart();
            }
            _ => {}
        }
    }
    let (in_time, health) = feed.end();
    assert!(in_time && health.failed == 0, "{health:?}");
    assert_verified(&prometheus, &played.capture);
}

#[test]
fn steps_that_no_longer_fitted_into_the_backlog_are_named() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    prometheus.kill();
    let played = played(3);
    let stamps: Vec<SystemTime> = played.snapshots.iter().map(|snapshot| snapshot.at).collect();
    // Room for a few of a dozen.
    let feed = Feed::start(&prometheus.otlp_url(), HOST, Limits { backlog_bytes: 16 << 10, ..Limits::default() });
    for snapshot in played.snapshots {
        feed.give(snapshot);
    }
    feed.until("the oldest were given up", |health| health.dropped_backlog > 0);
    prometheus.restart();
    let (_, health) = feed.end();
    assert!(health.dropped_backlog > 0 && health.exported > 0, "{health:?}");
    assert_steps_named(prometheus.url(), &played.capture, &stamps);
}

#[test]
fn steps_that_the_backend_no_longer_keeps_are_named() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions { admin_api: true, ..PrometheusOptions::default() });
    let played = played(4);
    let early: Vec<SystemTime> = played.snapshots.iter().take(4).map(|snapshot| snapshot.at).collect();
    export(&prometheus.otlp_url(), HOST, played.snapshots);
    // Retention works on blocks of two hours; deleting the early samples leaves the same gap at once.
    let between = |at: SystemTime| (unix_ms(at) as f64 / 1e3).to_string();
    prometheus.delete_range("{__name__=~\"punktfunk_.+\"}", &between(early[0]), &between(early[3]));
    assert_steps_named(prometheus.url(), &played.capture, &early);
}

#[test]
fn a_prometheus_that_takes_nothing_out_of_order_refuses_and_is_counted() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let edit = ("out_of_order_time_window: 30m".to_owned(), "out_of_order_time_window: 0s".to_owned());
    let prometheus = Prometheus::start(&PrometheusOptions { config_edits: vec![edit], ..PrometheusOptions::default() });
    let mut played = played(5);
    // One is held up on the way, past its successor.
    played.snapshots.swap(5, 6);
    let late = played.snapshots[6].at;
    let feed = Feed::start(&prometheus.otlp_url(), HOST, Limits::default());
    for snapshot in played.snapshots {
        feed.give(snapshot);
    }
    let (in_time, health) = feed.end();
    assert!(in_time && health.failed == 1, "{health:?}");
    assert!(health.last_error.as_deref().is_some_and(|error| error.contains("out of order")), "{health:?}");
    assert_steps_named(prometheus.url(), &played.capture, &[late]);
}

/// What a Prometheus before 3.8 answers unless it was started with `--enable-feature=native-histograms`.
#[test]
fn an_older_prometheus_that_takes_no_native_histograms_says_so_and_the_recording_stays_local() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let older = Misbehaving::start(Behaviour::status(500, "native histograms are disabled"));
    let played = played(4);
    let feed = Feed::start(&format!("{}/api/v1/otlp/v1/metrics", older.url()), HOST, Limits::default());
    let exports = played.snapshots.len() as u64;
    played.snapshots.into_iter().for_each(|snapshot| feed.give(snapshot));
    let (settled, health) = feed.end();
    assert!(settled && (health.exported, health.retried) == (0, 0) && health.failed >= exports, "{health:?}");
    assert_eq!(health.last_error.as_deref(), Some("500 Internal Server Error: native histograms are disabled"));
    let (kept, check) = take(prometheus.url(), &played.capture, |config| config.settle_timeout_ms = 300);
    assert_eq!((check.outcome, kept.provenance.source), (BackendOutcome::Incomplete, Source::Local));
    assert_eq!(kept.samples, played.capture.samples);
}

#[test]
fn an_export_answered_with_400_is_counted_and_its_step_is_named() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let between = Misbehaving::start(Behaviour::pass_through(prometheus.url()));
    let played = played(6);
    let lost = played.snapshots[5].at;
    let feed = Feed::start(&format!("{}/api/v1/otlp/v1/metrics", between.url()), HOST, Limits::default());
    for (index, snapshot) in played.snapshots.into_iter().enumerate() {
        if index == 5 {
            between.set(Behaviour::status(400, "bad sample"));
        }
        feed.give(snapshot);
        feed.until("each is settled", |health| health.exported + health.failed > index as u64);
        between.set(Behaviour::pass_through(prometheus.url()));
    }
    let (_, health) = feed.end();
    assert!(health.failed == 1 && health.last_error.as_deref().unwrap().contains("bad sample"), "{health:?}");
    assert_steps_named(prometheus.url(), &played.capture, &[lost]);
}

#[test]
fn queries_over_tls_trust_the_authority_that_is_configured_and_no_other() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let dir = tempfile::tempdir().unwrap();
    let issue = |name: &str| {
        let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (dir.path().join(format!("{name}.pem")), dir.path().join(format!("{name}.key")));
        std::fs::write(&certificate, signed.cert.pem()).unwrap();
        std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    };
    let ((right, key), (wrong, _)) = (issue("right"), issue("wrong"));
    let web = dir.path().join("web.yml");
    let text = format!("tls_server_config:\n  cert_file: {}\n  key_file: {}\n", right.display(), key.display());
    std::fs::write(&web, text).unwrap();
    let flags = vec![format!("--web.config.file={}", web.display())];
    let prometheus = Prometheus::start(&PrometheusOptions { flags, ..PrometheusOptions::default() });
    let url = prometheus.url().replace("http://", "https://");
    let local = played(7).capture;
    for (ca_file, reason) in
        [(Some(right), "never held every count"), (Some(wrong), "certificate"), (None, "certificate")]
    {
        let (_, check) = take(&url, &local, |config| {
            config.ca_file = ca_file;
            config.settle_timeout_ms = 300;
        });
        assert!(check.reason.contains(reason), "{reason}: {}", check.reason);
    }
}
