//! `PUNKTFUNK_PERF=1`: a line a second and session with each stage's figures, whether or not a capture is armed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Instant;

use self::support::{Client, Host, PATIENCE, directories};

/// The log's lines of one session: frames of the window, and per stage its name and figures.
struct Line {
    frames: u64,
    stages: Vec<(String, f64, f64)>,
}

impl Line {
    fn parse(line: &str) -> Self {
        let field = |name: &str| line.split(name).nth(1).unwrap().split_whitespace().next().unwrap();
        let figures = line.split("perf ").nth(1).unwrap().split(" session=").next().unwrap();
        let stage = |text: &str| {
            let (name, figures) = text.split_once(" p50/p99 ").unwrap();
            let (p50, p99) = figures.strip_suffix(" ms").unwrap().split_once('/').unwrap();
            (name.to_owned(), p50.parse().unwrap(), p99.parse().unwrap())
        };
        Self { frames: field("frames=").parse().unwrap(), stages: figures.split(", ").map(stage).collect() }
    }

    fn names(&self) -> Vec<&str> {
        self.stages.iter().map(|(name, _, _)| name.as_str()).collect()
    }
}

/// The next `count` lines of the performance log after the first `from` lines of everything.
fn perf_lines(host: &Host, from: usize, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines: Vec<String> =
            host.log().lines_from(from).into_iter().filter(|line| line.contains(" perf ")).collect();
        if lines.len() >= count {
            return lines;
        }
        assert!(Instant::now() < deadline, "{} lines of {count}:\n{}", lines.len(), host.log().text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn the_performance_log_has_the_same_figures_with_and_without_a_capture() {
    let (own, theirs) = directories();
    let host = Host::start_with(own.path(), &[("PUNKTFUNK_PERF", "1")]);
    host.pair(theirs.path());
    let client = Client::connect(&host, theirs.path(), &["--bitrate-kbps", "1500"]);

    let disarmed = perf_lines(&host, 0, 3);
    host.json(&["start"]);
    let armed_from = host.log().count();
    let armed = perf_lines(&host, armed_from, 4);
    let meta = host.json(&["stop"]);
    let after_from = host.log().count();
    let after = perf_lines(&host, after_from, 3);
    client.interrupt();

    for (when, lines) in [("before", &disarmed), ("armed", &armed), ("after", &after)] {
        for (index, text) in lines.iter().enumerate() {
            let line = Line::parse(text);
            assert_eq!(line.names(), ["capture", "submit", "encode", "send"], "{when}: {text}");
            assert!(text.contains(" INFO ") && text.contains("session=s1"), "{when}: {text}");
            assert!(line.stages.iter().all(|&(_, p50, p99)| 0.0 <= p50 && p50 <= p99), "{when}: {text}");
            // The first window begins with the session, before its first frame.
            let least = if when == "before" && index == 0 { 1 } else { 20 };
            assert!((least..=40).contains(&line.frames), "{when}: {text}");
        }
    }

    // The capture counted what it should beside it.
    let recording = host.json(&["recordings", "show", meta["id"].as_str().unwrap()]);
    assert_eq!(recording["provenance"]["verified"], true);
    assert_eq!(recording["meta"]["sessions"][0]["gaps"], 0);
}

#[test]
fn without_the_setting_there_is_no_performance_log() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair(theirs.path());
    let client = Client::connect(&host, theirs.path(), &["--bitrate-kbps", "1500"]);
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start"]);
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= 3);
    host.json(&["stop"]);
    client.interrupt();
    assert!(!host.log().text().contains(" perf "), "{}", host.log().text());
}
