//! Somebody sets the clock while a capture is armed. A recording has one clock from its start to its end, whatever the
//! wall clock does meanwhile.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use serde_json::Value;
use testkit::{Prometheus, PrometheusOptions, ToolSet, tools};

use self::support::{Client, Host, directories};

const HOUR_MS: i64 = 3_600_000;

/// Slack of moments that two processes take for themselves, ms.
const SLACK_MS: i64 = 60_000;

/// The library that fakes a process' wall clock; `None`, said loudly, where it is not installed.
///
/// # Panics
/// Under `CI=true` if it is not: there no test is left out.
fn libfaketime() -> Option<PathBuf> {
    let machines = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = machines.map(|machine| machine.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    if found.is_none() {
        let line = "NOT RUN: clock steps while armed: libfaketime is missing: apt-get install libfaketime";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{line}");
        // Past the test harness, which keeps what a passing test prints to itself.
        std::io::Write::write_all(&mut std::io::stderr(), format!("\n{line}\n").as_bytes()).unwrap();
    }
    found
}

/// The wall clock of a host.
struct Clock(PathBuf);

impl Clock {
    /// Sets it this far from ours.
    fn set(&self, offset_ms: i64) {
        // The host reads it whenever it looks at the clock: it must never find half a line.
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{:+}\n", offset_ms / 1000)).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }
}

fn start(directory: &Path, library: &Path, prometheus: Option<&Prometheus>) -> (Host, Clock) {
    let clock = Clock(directory.join("clock"));
    clock.set(0);
    let mut environment = vec![
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.0.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    environment.extend(prometheus.map(|prometheus| ("PUNKTFUNK_PROMETHEUS_URL", prometheus.url())));
    (Host::start_with(directory, &environment), clock)
}

fn unix_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Asserts that a moment that the host noted is this far from our clock.
fn assert_offset(noted: &Value, offset_ms: i64) {
    let off_by = noted.as_i64().unwrap() - unix_ms() - offset_ms;
    assert!(off_by.abs() < SLACK_MS, "the host's clock is {off_by} ms from where it was set");
}

#[test]
fn a_clock_that_is_set_an_hour_on_and_an_hour_back_leaves_no_trace_in_the_capture_that_runs() {
    let Some(library) = libfaketime() else { return };
    let (own, theirs) = directories();
    // Its clock is not touched: what is exported carries the capture's own.
    let prometheus = tools(ToolSet::Prometheus).map(|_| Prometheus::start(&PrometheusOptions::default()));
    let (host, clock) = start(own.path(), &library, prometheus.as_ref());
    host.pair(theirs.path());
    let client = Client::connect(&host, theirs.path(), &["--bitrate-kbps", "1500"]);
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    let until_samples = |count: u64| {
        host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= count);
    };

    let before_start = Instant::now();
    host.json(&["start"]);
    let after_start = Instant::now();
    until_samples(2);
    clock.set(HOUR_MS);
    let other = tempfile::tempdir().unwrap();
    host.pair_as(other.path(), "paired in an hour");
    assert_offset(&host.json(&["clients", "list"])[1]["added_unix_ms"], HOUR_MS);
    until_samples(5);
    clock.set(-HOUR_MS);
    until_samples(8);
    let before_stop = Instant::now();
    let meta = host.json(&["stop"]);
    let after_stop = Instant::now();
    assert_offset(&host.json(&["start"])["started_unix_ms"], -HOUR_MS);
    host.json(&["stop"]);
    let report = client.interrupt();

    assert_offset(&meta["started_unix_ms"], 0);
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap();
    let millis = |from: Instant, to: Instant| u64::try_from((to - from).as_millis()).unwrap();
    let duration = number(&meta, "duration_ms");
    assert!(
        (millis(after_start, before_stop)..=millis(before_start, after_stop)).contains(&duration),
        "the capture ran {duration} ms"
    );

    host.until(&["status"], |status| status["snapshot"].is_null());
    let recording = host.json(&["recordings", "show", meta["id"].as_str().unwrap()]);
    if prometheus.is_some() {
        assert_eq!(recording["provenance"]["source"], "prometheus", "{:#}", recording["provenance"]["backend"]);
    }
    assert_eq!(recording["provenance"]["verified"], true);
    let samples = recording["samples"].as_array().unwrap();
    let (step, started) = (number(&recording["meta"], "step_ms"), number(&meta, "started_unix_ms"));
    let ends = |name: &str| samples.iter().map(|sample| number(sample, name)).collect::<Vec<_>>();
    let (t_ms, grid) = (ends("t_ms"), ends("step_unix_ms"));
    assert!(samples.len() >= 8 && t_ms.is_sorted_by(|a, b| a < b), "{t_ms:?}");
    assert!(t_ms.windows(2).rev().skip(1).all(|pair| (pair[1] - pair[0]).abs_diff(step) <= 1), "{t_ms:?}");
    assert_eq!(*t_ms.last().unwrap(), duration);
    assert!(
        grid.iter().all(|end| end % step == 0) && grid.windows(2).all(|pair| pair[1] - pair[0] == step),
        "{grid:?}"
    );
    for (t_ms, end) in t_ms.iter().zip(&grid) {
        assert!((started + t_ms..=started + t_ms + step).contains(end), "{end} is not the step of {t_ms} ms");
    }
    assert!(duration.div_ceil(step).abs_diff(samples.len() as u64) <= 1, "{} samples", samples.len());

    let whole = samples.iter().filter(|sample| sample["window_ms"].as_f64().unwrap() > 0.9 * step as f64);
    assert!(whole.map(|sample| sample["fps"].as_f64().unwrap()).all(|fps| (20.0..=40.0).contains(&fps)), "{recording}");
    let session = &recording["meta"]["sessions"][0];
    assert_eq!(samples.iter().map(|sample| number(sample, "frames")).sum::<u64>(), number(session, "records"));
    let (first, last) = (number(session, "first_frame"), number(session, "last_frame"));
    assert_eq!(support::outcomes(&report, first, last).iter().sum::<u64>(), last - first + 1, "{session}");
}
