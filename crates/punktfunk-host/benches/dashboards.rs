//! How long Prometheus takes for all queries of each dashboard, over one hour: of one session that was streaming, and of the
//! same hour as a saved recording. Prints the table that `deploy/README.md` quotes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed benchmark")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/support/grafana.rs"]
mod grafana;

#[path = "../../punktfunk-prometheus/tests/support/mod.rs"]
mod played;

use std::time::Duration;

use punktfunk_recordings::{Store, StoreOptions};
use testkit::{Prometheus, PrometheusOptions, ToolSet, tools};

use self::grafana::Dashboard;
use self::played::{Player, Times, export, play_with, scattered, steady};
use self::support::{Host, directories, free_port, write_private};

/// The window, and how long a session is that streams through all of it.
const HOUR: Duration = Duration::from_secs(3600);

/// Each dashboard is opened so often; the quickest counts.
const ROUNDS: usize = 3;

fn main() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    println!("{:<24} {:>9} {:>8} {:>10}", "one hour", "times", "queries", "took");
    run("steady", steady);
    run("scattered", scattered);
}

fn run(shape: &str, times: Times) {
    let (own, _) = directories();
    let token = "reader-0123456789abcdef0123456789abcdef";
    write_private(&own.path().join("read-token"), token);
    let id = "2026-06-26T20-14-03Z_1280x720";
    let player = Player { fps: 60, joins: Duration::ZERO, leaves: 2 * HOUR };
    let mut played = play_with(id, "bench", HOUR, &[player], 1, times);
    let store = Store::open(own.path().join("captures"), StoreOptions::default()).unwrap();
    store.save(&played.capture).unwrap();
    drop(store);
    let management = format!("127.0.0.1:{}", free_port());
    let environment = [("PUNKTFUNK_MGMT_BIND", management.as_str()), ("PUNKTFUNK_MGMT_ALLOWED_HOSTS", "host")];
    let _host = Host::start_with(own.path(), &environment);
    let prometheus = Prometheus::start(&PrometheusOptions {
        scrape: Some((management.clone(), token.to_owned())),
        config_edits: vec![("scrape_interval: 15s".to_owned(), "scrape_interval: 1s".to_owned())],
        experimental_functions: true,
        ..PrometheusOptions::default()
    });
    export(&prometheus.otlp_url(), "bench", std::mem::take(&mut played.snapshots));
    while prometheus.query("punktfunk_recording_info", None)["data"]["result"].as_array().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let start = played.capture.meta.started_unix_ms as f64 / 1e3;
    let end = start + HOUR.as_secs_f64();
    for uid in ["punktfunk-overview", "punktfunk-live", "punktfunk-recordings", "punktfunk-recording"] {
        let given = if uid == "punktfunk-recording" { vec![("recording", id)] } else { Vec::new() };
        let rounds = (0..ROUNDS).map(|_| Dashboard::open(uid, start, end + 5.0, &given).ask(&prometheus));
        let seen = rounds.min_by_key(|seen| seen.took).unwrap();
        println!("{uid:<24} {shape:>9} {:>8} {:>7.0} ms", seen.queries, seen.took.as_secs_f64() * 1e3);
    }
}
