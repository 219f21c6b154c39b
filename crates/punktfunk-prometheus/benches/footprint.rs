//! What an hour of one armed session costs in Prometheus: series, and bytes of the block that is kept on its disk.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed benchmark")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use testkit::{Prometheus, PrometheusOptions, ToolSet, tools};

use self::support::{Player, Times, export, play_with, scattered, steady};

fn bytes(path: &Path) -> u64 {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path).unwrap().map(|entry| bytes(&entry.unwrap().path())).sum()
}

fn main() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    run("steady times", steady);
    run("times scattered over three decades", scattered);
}

fn run(shape: &str, times: Times) {
    let player = Player { fps: 60, joins: Duration::ZERO, leaves: Duration::from_secs(1 << 20) };
    let length = Duration::from_secs(3600);
    let mut played = play_with("2026-06-26T20-14-03Z_1280x720", "bench", length, &[player], 1, times);
    let prometheus = Prometheus::start(&PrometheusOptions { admin_api: true, ..PrometheusOptions::default() });
    export(&prometheus.otlp_url(), "bench", std::mem::take(&mut played.snapshots));
    let count = |query: &str| prometheus.query(query, None)["data"]["result"][0]["value"][1].to_string();
    let series = count("count(last_over_time({capture_id!=\"\"}[2h]))");
    let url = format!("{}/api/v1/admin/tsdb/snapshot", prometheus.url());
    let answer = ureq::post(url).send_empty().unwrap().into_body().read_to_string().unwrap();
    assert!(answer.contains("success"), "{answer}");
    let block = bytes(&prometheus.dir().join("data/snapshots"));
    println!(
        "an hour of one armed session, 60 frames a second, {shape}: {series} series, {:.1} MB in a block",
        block as f64 / 1e6
    );
}
