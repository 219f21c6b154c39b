//! How long the snapshot of a long window takes, and how much memory: windows of the past, written by OTLP into a fresh
//! Prometheus. Prints the table that the README quotes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed benchmark")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use punktfunk_prometheus::{Client, PrometheusConfig, snapshot};
use testkit::{Prometheus, PrometheusOptions, ToolSet, memory_kb, tools};

use self::support::{Player, Times, export, play_with, scattered, steady};

/// Peak resident memory of this process, MB.
fn peak_mb() -> u64 {
    memory_kb("VmHWM") / 1024
}

/// Lets the peak start anew from here.
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn main() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    println!("snapshot of a window, 1 s steps, 60 fps, four stages and queue (peak: beyond the recording itself)");
    println!("{:<20} {:>10} {:>12} {:>10} {:>10} {:>10}", "window", "times", "functions", "took", "counts", "peak");
    let shapes: [(&str, Times); 2] = [("steady", steady), ("scattered", scattered)];
    for ((hours, sessions), (shape, times)) in [(1, 1), (3, 4)].into_iter().flat_map(|w| shapes.map(|s| (w, s))) {
        for experimental_functions in [true, false] {
            let players =
                vec![Player { fps: 60, joins: Duration::ZERO, leaves: Duration::from_secs(1 << 20) }; sessions];
            let length = Duration::from_secs(hours * 3600);
            let mut played = play_with("2026-06-26T20-14-03Z_1280x720", "bench", length, &players, 1, times);
            let prometheus =
                Prometheus::start(&PrometheusOptions { experimental_functions, ..PrometheusOptions::default() });
            export(&prometheus.otlp_url(), "bench", std::mem::take(&mut played.snapshots));
            let config = PrometheusConfig { url: prometheus.url().to_owned(), ..PrometheusConfig::default() };
            let client = Client::new(&config).unwrap().unwrap();
            reset_peak();
            let before = peak_mb();
            let started = Instant::now();
            let taken = snapshot(&client, &played.capture, &|_| ControlFlow::Continue(())).unwrap();
            let took = started.elapsed();
            let check = taken.provenance.backend.unwrap();
            assert_eq!(check.differing, 0, "{}", check.reason);
            println!(
                "{:<20} {shape:>10} {:>12} {:>8.2} s {:>10} {:>7} MB",
                format!("{hours} h, {sessions} sessions"),
                if experimental_functions { "experimental" } else { "stable" },
                took.as_secs_f64(),
                check.compared,
                peak_mb() - before
            );
        }
    }
}
