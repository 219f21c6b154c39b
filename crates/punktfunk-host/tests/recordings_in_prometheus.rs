//! Saved recordings through a real Prometheus' remote read: the same PromQL gives the same numbers as over the live window.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Prometheus, PrometheusOptions, ToolSet, tools};

use self::support::{Host, PATIENCE, directories, free_port};

/// Label sets and their values, without what tells a recording from what was live.
type Answer = BTreeMap<String, f64>;

fn answer(prometheus: &Prometheus, promql: &str, at: f64) -> Answer {
    let said = prometheus.query(promql, Some(at));
    assert_eq!(said["status"], "success", "{promql}: {said}");
    assert!(said["warnings"].is_null(), "{promql}: {said}");
    let series = said["data"]["result"].as_array().unwrap().iter().map(|series| {
        let mut labels = series["metric"].as_object().unwrap().clone();
        for own in ["source", "recording", "job", "instance", "run_id"] {
            labels.remove(own);
        }
        let value: f64 = series["value"][1].as_str().unwrap_or_else(|| panic!("{promql}: {said}")).parse().unwrap();
        (Value::from(labels).to_string(), value)
    });
    series.collect()
}

/// `S` stands for the selector of one capture.
const QUERIES: [(&str, f64); 20] = [
    ("histogram_count(punktfunk_frame_stage_duration_seconds{S})", 0.0),
    ("histogram_count(punktfunk_frame_host_duration_seconds{S})", 0.0),
    ("histogram_count(punktfunk_frame_interval_seconds{S,point=\"sent\"})", 0.0),
    ("histogram_quantile(0.5, sum by (stage) (punktfunk_frame_stage_duration_seconds{S}))", 1e-12),
    ("histogram_quantile(0.99, sum by (stage) (rate(punktfunk_frame_stage_duration_seconds{S}[3s])))", 1e-9),
    // Means in a recording are whole nanoseconds.
    ("histogram_avg(sum by (stage) (rate(punktfunk_frame_stage_duration_seconds{S}[3s])))", 1e-3),
    ("histogram_quantile(0.99, sum(rate(punktfunk_frame_host_duration_seconds{S}[4s])))", 1e-9),
    ("histogram_fraction(0, 0.01, sum(rate(punktfunk_frame_host_duration_seconds{S}[4s])))", 1e-9),
    ("punktfunk_frame_host_duration_max_seconds{S}", 1e-9),
    ("punktfunk_frame_sent_total{S}", 0.0),
    ("sum by (frame_origin) (rate(punktfunk_frame_sent_total{S}[3s]))", 1e-9),
    ("punktfunk_frame_late_total{S}", 0.0),
    ("punktfunk_frame_stutter_total{S}", 0.0),
    ("punktfunk_frame_dropped_total{S}", 0.0),
    ("punktfunk_packet_sent_total{S}", 0.0),
    ("{__name__=~\"punktfunk_(packet_lost|packet_send_dropped|fec_recovered|recovery_requested)_total\",S}", 0.0),
    ("punktfunk_network_io_bytes_total{S}", 0.0),
    ("punktfunk_encoder_target_rate_bytes_per_second{S}", 1e-9),
    ("punktfunk_session_rtt_seconds{S}", 1e-6),
    ("{__name__=~\"punktfunk_session_(info|.*_(budget|target)_seconds)|punktfunk_capture_info\",S}", 1e-6),
];

#[test]
fn the_same_promql_gives_the_same_numbers_live_and_saved() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let (own, theirs) = directories();
    // The token is there before the host, as compose's init service makes it.
    let token = "reader-0123456789abcdef0123456789abcdef";
    support::write_private(&own.path().join("read-token"), token);
    let management = format!("127.0.0.1:{}", free_port());
    let prometheus = Prometheus::start(&PrometheusOptions {
        scrape: Some((management.clone(), token.into())),
        config_edits: vec![("scrape_interval: 15s".into(), "scrape_interval: 1s".into())],
        ..Default::default()
    });
    let environment = [
        ("PUNKTFUNK_PROMETHEUS_URL", prometheus.url()),
        ("PUNKTFUNK_MGMT_BIND", &management),
        // The name that the configuration says: compose's.
        ("PUNKTFUNK_MGMT_ALLOWED_HOSTS", "host"),
    ];
    let host = Host::start_with(own.path(), &environment);
    host.pair(theirs.path());
    let arguments = ["connect", &host.native, "--bitrate-kbps", "1500", "--json"];
    let mut client = host.probe(theirs.path(), &arguments).stderr(Stdio::null()).spawn().unwrap();
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start", "--label", "a \"wild\" \\ label\nof two lines"]);
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= 8);
    host.json(&["mark", "half way"]);
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    client.kill().unwrap();
    client.wait().unwrap();
    host.until(&["status"], |status| status["snapshot"].is_null());
    let recording = host.json(&["recordings", "show", &id]);
    assert_eq!(recording["provenance"]["backend"]["outcome"], "verified", "{:#}", recording["provenance"]);

    let samples = recording["samples"].as_array().unwrap();
    let steps: Vec<f64> = samples.iter().map(|sample| sample["step_unix_ms"].as_f64().unwrap() / 1e3).collect();
    let live = format!("capture_id=\"{id}\",source=\"\"");
    let saved = format!("recording=\"{id}\",source=\"recording\"");
    let mut compared = 0;
    for (query, tolerance) in QUERIES {
        for (index, &at) in steps.iter().enumerate() {
            // Rates in a recording have three decimals: of megabits, that is 63 bytes a second.
            let rounding = if query.contains("io_bytes") { 63.0 * (index + 1) as f64 } else { 0.0 };
            let one = answer(&prometheus, &query.replace('S', &live), at);
            let other = answer(&prometheus, &query.replace('S', &saved), at);
            assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{query} at step {index}");
            for (labels, value) in &one {
                let saved = other[labels];
                let same = (value - saved).abs() <= tolerance * value.abs().max(1e-9) + rounding
                    || value.is_nan() && saved.is_nan();
                assert!(same, "{query} {labels} at step {index}: {value} live, {saved} saved");
                compared += 1;
            }
        }
    }
    assert!(compared > 400, "{compared}");

    // Both end, and neither lingers.
    let after = steps.last().unwrap() + 2.0;
    for selector in [&live, &saved] {
        // The live end is sent when it is due.
        let deadline = Instant::now() + PATIENCE;
        while !answer(&prometheus, &format!("punktfunk_frame_sent_total{{{selector}}}"), after).is_empty() {
            assert!(Instant::now() < deadline, "{selector} lingers");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    // A marker is there at its time.
    let marked = recording["markers"].as_array().unwrap().iter().find(|marker| marker["text"] == "half way").unwrap();
    let at = recording["meta"]["started_unix_ms"].as_f64().unwrap() + marked["t_ms"].as_f64().unwrap();
    let query = format!("punktfunk_recording_marker_timestamp_seconds{{{saved},text=\"half way\"}} * 1000");
    assert_eq!(answer(&prometheus, &query, at / 1e3 + 1.0).values().copied().collect::<Vec<_>>(), [at]);
    // Grafana's variable.
    let series = prometheus.get(&format!(
        "/api/v1/series?match[]=punktfunk_capture_info{{source=%22recording%22,recording!=%22%22}}&start={}&end={after}",
        steps[0]
    ));
    assert_eq!(series["data"][0]["recording"], id.as_str(), "{series}");
    assert!(series["warnings"].is_null(), "{series}");

    // The scrape, under compose's name.
    let deadline = Instant::now() + PATIENCE;
    let up = loop {
        let up = prometheus.query("up{job=\"punktfunk-host\"} == 1 and on (instance) punktfunk_recordings > 0", None);
        if up["data"]["result"].as_array().is_some_and(|found| !found.is_empty()) {
            break up;
        }
        assert!(Instant::now() < deadline, "the host is not scraped: {}", prometheus.query("up", None));
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(up["data"]["result"][0]["metric"]["instance"], "host:47990");
    let shown =
        prometheus.query("punktfunk_recording_info * on (recording) punktfunk_recording_duration_seconds", None);
    assert_eq!(shown["data"]["result"][0]["metric"]["recording"], id.as_str(), "{shown}");

    // Deleted: nothing, and no complaint.
    assert!(host.ctl(&["recordings", "delete", &id]).status.success());
    assert!(answer(&prometheus, &format!("punktfunk_frame_sent_total{{{saved}}}"), steps[2]).is_empty());
}
