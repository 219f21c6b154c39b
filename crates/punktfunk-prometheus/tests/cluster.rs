//! The same against a cluster: Thanos, three receivers that keep every sample thrice. Run by `make test-cluster`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::ops::ControlFlow;
use std::time::Duration;

use punktfunk_otlp::Limits;
use punktfunk_prometheus::{Client, PrometheusConfig, snapshot};
use punktfunk_recordings::{BackendOutcome, Capture};
use testkit::{Thanos, ToolSet, tools};

use self::support::{Feed, Player, play};

const ID: &str = "2026-06-26T20-14-03Z_1280x720";

fn players() -> [Player; 2] {
    let staying = Player { fps: 60, joins: Duration::ZERO, leaves: Duration::from_secs(1 << 20) };
    [staying, Player { fps: 30, joins: Duration::from_millis(4_310), leaves: Duration::from_millis(11_777) }]
}

fn taken(thanos: &Thanos, local: &Capture) -> Capture {
    let config = PrometheusConfig { url: thanos.query_url(), ..PrometheusConfig::default() };
    let client = Client::new(&config).unwrap().unwrap();
    let taken = snapshot(&client, local, &|_| ControlFlow::Continue(())).unwrap();
    let check = taken.provenance.backend.as_ref().unwrap();
    assert_eq!(check.outcome, BackendOutcome::Verified, "{} {:#?}", check.reason, check.differences);
    assert!(check.compared > 20 * 14, "{}", check.compared);
    taken
}

#[test]
#[ignore = "make test-cluster: Thanos takes minutes to build"]
fn a_cluster_that_loses_a_node_mid_capture_still_verifies_every_count() {
    let Some(_) = tools(ToolSet::Thanos) else { return };
    let thanos = Thanos::start();
    let played = play(ID, "host-a", Duration::from_secs(20), &players(), 1);
    let count = played.snapshots.len();
    let feed = Feed::start(&thanos.otlp_url(0), "host-a", Limits::default());
    for (index, snapshot) in played.snapshots.into_iter().enumerate() {
        feed.give(snapshot);
        feed.until("each snapshot is taken", |health| health.exported > index as u64);
        if index == count / 2 {
            thanos.kill(1);
        }
    }
    let (in_time, health) = feed.end();
    assert!(in_time && health.failed == 0 && health.dropped_backlog == 0, "{health:?}");
    taken(&thanos, &played.capture);
}

#[test]
#[ignore = "make test-cluster: Thanos takes minutes to build"]
fn two_hosts_at_once_on_a_cluster_do_not_see_each_other() {
    let Some(_) = tools(ToolSet::Thanos) else { return };
    let thanos = Thanos::start();
    // One id of a capture: both were armed in the same second.
    let ours = play(ID, "host-a", Duration::from_secs(20), &players(), 2);
    let theirs = play(ID, "host-b", Duration::from_secs(20), &players(), 3);
    let feeds = [
        Feed::start(&thanos.otlp_url(0), "host-a", Limits::default()),
        Feed::start(&thanos.otlp_url(2), "host-b", Limits::default()),
    ];
    for (a, b) in ours.snapshots.into_iter().zip(theirs.snapshots) {
        feeds[0].give(a);
        feeds[1].give(b);
    }
    for feed in feeds {
        let (in_time, health) = feed.end();
        assert!(in_time && health.failed == 0, "{health:?}");
    }
    for played in [&ours.capture, &theirs.capture] {
        let taken = taken(&thanos, played);
        assert!(taken.provenance.backend.unwrap().warnings.iter().all(|warning| !warning.contains("host.id")));
    }
}
