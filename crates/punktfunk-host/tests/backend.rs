//! The host with a real Prometheus behind it: what was stopped is safe at once, and verified when the backend can say so.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Behaviour, Collector, Misbehaving, Prometheus, PrometheusOptions, SmallDisk, ToolSet, tools};

use self::support::{Host, PATIENCE, directories};

/// A stop that waits for a backend takes longer than this.
const PROMPT: Duration = Duration::from_secs(3);

fn with_prometheus(directory: &Path, prometheus: &Prometheus) -> Host {
    Host::start_with(directory, &[("PUNKTFUNK_PROMETHEUS_URL", prometheus.url())])
}

fn stream(host: &Host, probe: &Path) -> Child {
    let arguments = ["connect", &host.native, "--bitrate-kbps", "1500", "--json"];
    host.probe(probe, &arguments).stderr(Stdio::null()).spawn().unwrap()
}

fn end(mut client: Child) {
    client.kill().unwrap();
    client.wait().unwrap();
}

fn until_samples(host: &Host, samples: u64) {
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= samples);
}

/// Streams a few seconds of a capture, and stops. Its id.
fn capture(host: &Host, probe: &Path) -> String {
    let client = stream(host, probe);
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start"]);
    until_samples(host, 3);
    let meta = host.json(&["stop"]);
    end(client);
    assert_eq!(meta["snapshot"], "pending");
    meta["id"].as_str().unwrap().to_owned()
}

/// The recording once no snapshot is under way.
fn settled(host: &Host, id: &str) -> Value {
    host.until(&["status"], |status| status["snapshot"].is_null());
    host.json(&["recordings", "show", id])
}

fn assert_verified(recording: &Value) {
    let check = &recording["provenance"]["backend"];
    assert_eq!(check["outcome"], "verified", "{check:#}");
    assert_eq!(
        (&recording["provenance"]["source"], &recording["meta"]["snapshot"]),
        (&json!("prometheus"), &json!("verified"))
    );
    assert!(check["compared"].as_u64().unwrap() > 50, "{check:#}");
}

#[test]
fn sessions_that_come_and_go_are_verified_count_for_count() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let (own, theirs) = directories();
    let host = with_prometheus(own.path(), &prometheus);
    host.pair(theirs.path());
    let sessions = |n: usize| move |sessions: &Value| sessions.as_array().unwrap().len() == n;
    let staying = stream(&host, theirs.path());
    let leaving = stream(&host, theirs.path());
    host.until(&["sessions"], sessions(2));
    host.json(&["start", "--label", "three of them"]);
    until_samples(&host, 4);
    let joining = stream(&host, theirs.path());
    host.until(&["sessions"], sessions(3));
    until_samples(&host, 8);
    end(leaving);
    host.until(&["sessions"], sessions(2));
    let before = host.json(&["status"])["sample_count"].as_u64().unwrap();
    until_samples(&host, before + 4);
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    let recording = settled(&host, &id);
    end(staying);
    end(joining);
    assert_verified(&recording);
    assert_eq!(recording["meta"]["sessions"].as_array().unwrap().len(), 3);
    // Counts of the recording, of Prometheus and of the collector, for the whole window.
    for check in recording["provenance"]["counts"].as_array().unwrap() {
        let (session, stage) = (check["session_id"].as_str().unwrap(), check["stage"].as_str().unwrap());
        let series = match stage {
            "host" => format!("punktfunk_frame_host_duration_seconds{{session_id=\"{session}\"}}"),
            stage => format!("punktfunk_frame_stage_duration_seconds{{session_id=\"{session}\",stage=\"{stage}\"}}"),
        };
        let end = recording["provenance"]["backend"]["to_unix_ms"].as_f64().unwrap() / 1e3;
        let held = prometheus.query(&format!("histogram_count({series})"), Some(end));
        let held: u64 = held["data"]["result"][0]["value"][1].as_str().unwrap().parse().unwrap();
        assert_eq!((check["samples"].as_u64(), check["histogram"].as_u64()), (Some(held), Some(held)), "{series}");
    }

    let metrics = host.get("/metrics", "read-token");
    assert!(metrics.contains("punktfunk_recording_snapshots_total{outcome=\"verified\"} 1"), "{metrics}");
    let mut promtool = prometheus.promtool();
    let mut check = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    assert!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
    let export: Value = serde_json::from_str(&host.get("/api/v1/export", "mgmt-token")).unwrap();
    assert_eq!(
        (&export["configured"], &export["figures"]["up"], &export["figures"]["refused"]),
        (&json!(true), &json!(true), &json!(0))
    );
    // What is verified is not asked again.
    assert!(!host.ctl(&["recordings", "resnapshot", &id]).status.success());
}

#[test]
fn through_a_collector_by_grpc_it_is_verified_and_traced() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let collector = Collector::start(prometheus.url());
    let (own, theirs) = directories();
    let host = Host::start_with(
        own.path(),
        &[
            ("PUNKTFUNK_PROMETHEUS_URL", prometheus.url()),
            ("PUNKTFUNK_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.grpc_url()),
        ],
    );
    host.pair(theirs.path());
    let id = capture(&host, theirs.path());
    assert_verified(&settled(&host, &id));
    // The last spans are sent at the end.
    assert!(host.terminate());
    let spans = spans(&collector.output());
    let one = |name: &str| {
        let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
        found[0]
    };
    let nested = [
        ("capture", "POST /api/v1/stats/capture/start"),
        ("save", "capture"),
        ("snapshot", "capture"),
        ("settle", "snapshot"),
        ("fetch", "snapshot"),
        ("store", "snapshot"),
    ];
    for (inner, outer) in nested {
        let (inner, outer) = (one(inner), one(outer));
        assert_eq!((&inner.parent, &inner.trace), (&outer.id, &outer.trace), "{inner:?} in {outer:?}");
    }
    let queries: Vec<&Span> = spans.iter().filter(|span| span.name == "query").collect();
    let parents = [&one("settle").id, &one("fetch").id];
    assert!(queries.len() >= 5 && queries.iter().all(|span| parents.contains(&&span.parent)), "{queries:?}");
    assert!(one("session").parent.is_empty());
}

#[test]
fn a_trace_that_a_caller_began_goes_on_in_the_host_and_to_prometheus() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let collector = Collector::start(prometheus.url());
    let between = Misbehaving::start(Behaviour::pass_through(prometheus.url()));
    let (own, theirs) = directories();
    let host = Host::start_with(
        own.path(),
        &[
            ("PUNKTFUNK_PROMETHEUS_URL", &between.url()),
            ("PUNKTFUNK_OTLP_TRACES_ENDPOINT", &format!("{}/v1/traces", collector.http_url())),
        ],
    );
    host.pair(theirs.path());
    let client = stream(&host, theirs.path());
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    let token = std::fs::read_to_string(own.path().join("mgmt-token")).unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let start = ureq::post(format!("http://{}/api/v1/stats/capture/start", host.management))
        .header("authorization", format!("Bearer {}", token.trim()))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(start.send_empty().unwrap().status(), 200);
    until_samples(&host, 2);
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    assert_verified(&settled(&host, &id));
    end(client);
    let queries: Vec<_> = between.requests().into_iter().filter(|request| request.path.contains("query")).collect();
    assert!(!queries.is_empty());
    for query in queries {
        assert!(query.header("traceparent").is_some_and(|parent| parent.contains(trace)), "{query:?}");
    }
    assert!(host.terminate());
    let spans = spans(&collector.output());
    let request = spans.iter().find(|span| span.name == "POST /api/v1/stats/capture/start").unwrap();
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (trace, "00f067aa0ba902b7"));
}

#[test]
fn a_stop_waits_for_no_backend_and_edits_meanwhile_are_kept() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let (own, theirs) = directories();
    let host = with_prometheus(own.path(), &prometheus);
    host.pair(theirs.path());
    let client = stream(&host, theirs.path());
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start", "--label", "before"]);
    until_samples(&host, 3);
    prometheus.stop_signal();
    let stopping = Instant::now();
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    assert!(stopping.elapsed() < PROMPT, "{:?}", stopping.elapsed());
    end(client);
    let pending = host.json(&["recordings", "show", &id]);
    assert_eq!((&pending["provenance"]["source"], &pending["meta"]["snapshot"]), (&json!("local"), &json!("pending")));
    assert_eq!(host.json(&["status"])["snapshot"]["id"], id.as_str());

    // Changed while its snapshot is under way.
    let token = std::fs::read_to_string(own.path().join("mgmt-token")).unwrap();
    let edit = ureq::patch(format!("http://{}/api/v1/stats/recordings/{id}", host.management))
        .header("authorization", format!("Bearer {}", token.trim()))
        .content_type("application/json");
    assert_eq!(edit.send(r#"{"label": "meanwhile", "pinned": true}"#).unwrap().status(), 200);
    prometheus.cont_signal();
    let recording = settled(&host, &id);
    assert_verified(&recording);
    assert_eq!((&recording["meta"]["label"], &recording["meta"]["pinned"]), (&json!("meanwhile"), &json!(true)));

    // Deleted while its snapshot is under way.
    let client = stream(&host, theirs.path());
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start"]);
    until_samples(&host, 2);
    prometheus.stop_signal();
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    end(client);
    assert!(host.ctl(&["recordings", "delete", &id]).status.success());
    prometheus.cont_signal();
    host.until(&["status"], |status| status["snapshot"].is_null());
    assert!(!host.ctl(&["recordings", "show", &id]).status.success());
}

#[test]
fn a_host_killed_before_the_replacement_takes_the_snapshot_at_its_next_start() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    // It takes what is exported, and answers no question.
    let silent = Misbehaving::start(Behaviour::Silence);
    let (own, theirs) = directories();
    let environment = [("PUNKTFUNK_OTLP_ENDPOINT", prometheus.otlp_url()), ("PUNKTFUNK_PROMETHEUS_URL", silent.url())];
    let mut host = Host::start_with(own.path(), &environment.each_ref().map(|(name, value)| (*name, value.as_str())));
    host.pair(theirs.path());
    let id = capture(&host, theirs.path());
    let pending = host.json(&["recordings", "show", &id]);
    assert_eq!(pending["meta"]["snapshot"], "pending");
    let total: u64 = pending["provenance"]["counts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["stage"] == "host")
        .map(|check| check["histogram"].as_u64().unwrap())
        .sum();
    let total = Value::from(total.to_string());
    let deadline = Instant::now() + PATIENCE;
    while prometheus.query("sum(histogram_count(last_over_time(punktfunk_frame_host_duration_seconds[1h])))", None)["data"]
        ["result"][0]["value"][1]
        != total
    {
        assert!(Instant::now() < deadline, "the last snapshot is not exported");
    }
    host.process.kill().unwrap();
    host.process.wait().unwrap();
    drop(host);

    let host = with_prometheus(own.path(), &prometheus);
    host.log().wait_for("snapshots that an earlier host left are taken now");
    assert_verified(&settled(&host, &id));
}

#[test]
fn a_full_disk_at_the_replacement_leaves_the_local_recording() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let (_, theirs) = directories();
    let host = with_prometheus(disk.path(), &prometheus);
    host.pair(theirs.path());
    let client = stream(&host, theirs.path());
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start"]);
    until_samples(&host, 3);
    prometheus.stop_signal();
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    end(client);
    disk.fill();
    prometheus.cont_signal();
    host.log().wait_for("the snapshot could not be stored");
    let recording = settled(&host, &id);
    assert_eq!(
        (&recording["provenance"]["source"], &recording["meta"]["snapshot"]),
        (&json!("local"), &json!("pending"))
    );
    disk.empty();
    assert!(host.ctl(&["recordings", "resnapshot", &id]).status.success());
    assert_verified(&settled(&host, &id));
}

#[test]
fn without_a_backend_nothing_is_pending_and_a_snapshot_is_refused() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair(theirs.path());
    let client = stream(&host, theirs.path());
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start"]);
    until_samples(&host, 2);
    let meta = host.json(&["stop"]);
    end(client);
    assert!(meta["snapshot"].is_null());
    let refused = host.ctl(&["recordings", "resnapshot", meta["id"].as_str().unwrap()]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("prometheus.url"));
}

/// A span as the Collector wrote it.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    /// Empty for a root.
    parent: String,
    name: String,
}

/// The spans in the output of the Collector's debug exporter.
fn spans(output: &str) -> Vec<Span> {
    let field = |block: &str, name: &str| -> String {
        let line = block.lines().find(|line| line.trim_start().starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let block = |block: &str| Span {
        trace: field(block, "Trace ID"),
        parent: field(block, "Parent ID"),
        id: field(block, "ID "),
        name: field(block, "Name"),
    };
    output.split("\nSpan #").skip(1).map(block).collect()
}
