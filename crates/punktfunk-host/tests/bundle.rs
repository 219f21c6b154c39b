//! The bundle without containers: the files of `deploy/` and `dashboards/` with a real Prometheus, a real Alertmanager and the
//! demo's host, client and fault. Every query of every dashboard is asked, live and over the recording; an alert is delivered.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "`make bundle` shows what it found")]

mod support;

#[path = "support/grafana.rs"]
mod grafana;

#[path = "support/figures.rs"]
mod figures;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use punktfunk_recordings::Capture;
use serde_json::Value;
use testkit::{Alertmanager, Behaviour, Misbehaving, Prometheus, PrometheusOptions, ToolSet, tools};

use self::figures::Figures;
use self::grafana::{Dashboard, Seen};
use self::support::{Log, PATIENCE, Process, directories, free_port, write_private};

/// Length of the demo's capture; its middle third has a slow encoder.
const SECONDS: u64 = 45;

/// What the fault adds to stage `encode`.
const DELAY_S: f64 = 0.040;

/// What may be empty here, and why.
const MAY_BE_EMPTY: [(&str, &str); 4] = [
    ("packetize", "the native path has no such stage"),
    ("quota", "the demo's host has none"),
    ("ALERTS", "no alert is good news"),
    ("late:ratio_rate1m", "known a while after a capture began, and not after it ended"),
];

fn until<T>(what: &str, check: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Values of the first series of an answer.
fn values(answer: &Value) -> Vec<f64> {
    let points = answer["data"]["result"][0]["values"].as_array().unwrap_or_else(|| panic!("{answer}"));
    points.iter().map(|point| point[1].as_str().unwrap().parse().unwrap()).collect()
}

fn complete(uid: &str, seen: &Seen) {
    let missing: Vec<_> =
        seen.empty.iter().filter(|empty| !MAY_BE_EMPTY.iter().any(|(part, _)| empty.contains(part))).collect();
    assert!(missing.is_empty(), "{uid}: no data: {missing:#?}");
    println!("  {uid:<22} {:>3} queries in {:>5.0} ms", seen.queries, seen.took.as_secs_f64() * 1e3);
}

/// Every query that stands in a page below `deploy/`.
fn written_queries() -> Vec<(String, String)> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let runbooks = std::fs::read_dir(deploy.join("runbooks")).unwrap().map(|entry| entry.unwrap().path());
    let mut queries = Vec::new();
    for page in runbooks.chain([deploy.join("PROMQL.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```promql\n").skip(1) {
            queries.push((page.display().to_string(), block.split("\n```").next().unwrap().to_owned()));
        }
    }
    assert!(queries.len() >= 35, "{}", queries.len());
    queries
}

#[test]
fn every_query_of_every_dashboard_is_answered_and_an_alert_is_delivered() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let webhook = Misbehaving::start(Behaviour::status(200, ""));
    let Some(alertmanager) = Alertmanager::start(&webhook.url()) else { return };
    let (own, _) = directories();
    let token = "reader-0123456789abcdef0123456789abcdef";
    write_private(&own.path().join("read-token"), token);
    let management = format!("127.0.0.1:{}", free_port());
    let faster = ["scrape_interval", "evaluation_interval"].map(|key| (format!("{key}: 15s"), format!("{key}: 2s")));
    let prometheus = Prometheus::start(&PrometheusOptions {
        scrape: Some((management.clone(), token.to_owned())),
        alertmanager: Some(alertmanager.address()),
        config_edits: faster.to_vec(),
        experimental_functions: true,
        ..PrometheusOptions::default()
    });
    let mut demo = Command::new(env!("CARGO_BIN_EXE_punktfunk-host"));
    demo.args(["demo", "--seconds", &SECONDS.to_string(), "--mgmt-bind", &management])
        .args(["--source-width", "320", "--source-height", "180", "--mgmt-allowed-hosts", "host"])
        .args(["--delay-ms", &format!("{}", DELAY_S * 1e3), "--prometheus-url", prometheus.url()])
        .env("PUNKTFUNK_CONFIG_DIR", own.path())
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped());
    let mut demo = Process::spawn(&mut demo);
    let said = Log::follow(demo.stdout.take().unwrap());

    // Live, in the last third of the capture.
    let late = SECONDS * 3 / 4;
    until("the capture runs", || said.text().contains(&format!("capturing {late}/{SECONDS} s")).then_some(()));
    let looked = now();
    let end = looked;
    println!("live, while the capture runs:");
    let mut live = None;
    for uid in ["punktfunk-overview", "punktfunk-live"] {
        let seen = Dashboard::open(uid, end - 300.0, end, &[]).ask(&prometheus);
        complete(uid, &seen);
        if uid == "punktfunk-live" {
            let encode = values(&seen.answers["4C"]).into_iter().fold(0.0, f64::max);
            assert!(encode >= DELAY_S, "the fault is not seen: encode's p99 is {encode} s at most");
            live = Some(seen);
        }
    }

    // What people and runbooks ask.
    for (page, query) in written_queries() {
        let answer = prometheus.query(&query, None);
        assert_eq!(answer["status"], "success", "{page}: {query}: {answer}");
        assert!(answer["warnings"].is_null() && answer["infos"].is_null(), "{page}: {query}: {answer}");
        let found = !answer["data"]["result"].as_array().unwrap().is_empty();
        assert!(found || !page.ends_with("PROMQL.md"), "{page}: no data: {query}");
    }
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_punktfunk-host"));
    let asked = ctl.args(["ctl", "query", "stages", "--run", prometheus.url()]).output().unwrap();
    let asked = String::from_utf8(asked.stdout).unwrap();
    assert!(asked.contains("stage=encode"), "{asked}");

    // An alert, through Prometheus and Alertmanager.
    let delivered = until("an alert is delivered", || {
        let bodies =
            webhook.requests().into_iter().filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok());
        let mut alerts = bodies.flat_map(|body| body["alerts"].as_array().cloned().unwrap_or_default());
        alerts.find(|alert| {
            alert["labels"]["alertname"] == "PunktfunkStageOverShare" && alert["labels"]["stage"] == "encode"
        })
    });
    assert_eq!(delivered["status"], "firing");
    println!("alert delivered: {}", delivered["annotations"]["summary"]);

    // Saved.
    let line = said.wait_for("Recording: ");
    let path = line.split_once("Recording: ").unwrap().1;
    let bytes = std::fs::read(path).unwrap();
    let recording: Value = serde_json::from_slice(&bytes).unwrap();
    let capture: Capture = serde_json::from_slice(&bytes).unwrap();
    let id = recording["meta"]["id"].as_str().unwrap();
    let start = recording["meta"]["started_unix_ms"].as_f64().unwrap() / 1e3;
    let end = start + recording["meta"]["duration_ms"].as_f64().unwrap() / 1e3;
    let listed = format!("punktfunk_recording_info{{recording=\"{id}\"}}");
    until("the recording is scraped", || {
        (!prometheus.query(&listed, None)["data"]["result"].as_array().unwrap().is_empty()).then_some(())
    });
    println!("saved, over {id}:");
    let list = Dashboard::open("punktfunk-recordings", now() - 3600.0, now(), &[]).ask(&prometheus);
    complete("punktfunk-recordings", &list);
    let shown = |reference: &str| -> f64 {
        list.answers[reference]["data"]["result"][0]["value"][1].as_str().unwrap().parse().unwrap()
    };
    // Times by which a row's link opens the next dashboard.
    assert!((shown("1B") / 1e3 - start).abs() < 1e-3 && (shown("1C") / 1e3 - end).abs() < 1e-3);
    assert_eq!(shown("1E"), recording["meta"]["host_p99_us"].as_f64().unwrap() / 1e6);

    let seen = Dashboard::open("punktfunk-recording", start, end + 1.0, &[("recording", id)]).ask(&prometheus);
    complete("punktfunk-recording", &seen);
    assert_eq!((seen.variables["compare"].as_str(), seen.variables["shift"].as_str()), (id, "0"));
    // Whatever a panel shows, live or saved, is the recording's own.
    let compared = [(&live.unwrap(), looked - 3.0), (&seen, f64::INFINITY)]
        .map(|(seen, until)| Figures::new(&capture, until).hold(seen));
    println!("points that show what the recording says: {} live, {} saved", compared[0], compared[1]);
    assert!(compared[0] > 500 && compared[1] > 700, "{compared:?}");
    // Beside itself, a recording looks as it does.
    assert_eq!(values(&seen.answers["14A"]), values(&seen.answers["14B"]));
    for check in recording["provenance"]["counts"].as_array().unwrap().iter().filter(|check| check["stage"] != "host") {
        let series = seen.answers["13E"]["data"]["result"].as_array().unwrap().iter();
        let shown = series.clone().find(|series| series["metric"]["stage"] == check["stage"]).unwrap();
        assert_eq!(shown["value"][1], check["samples"].to_string(), "{check}");
    }
    let p99 = recording["summary"]["all"]["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "encode");
    let p99 = p99.unwrap()["p99_us"].as_f64().unwrap() / 1e6;
    let series = seen.answers["13C"]["data"]["result"].as_array().unwrap().iter();
    let shown = series.clone().find(|series| series["metric"]["stage"] == "encode").unwrap();
    let shown: f64 = shown["value"][1].as_str().unwrap().parse().unwrap();
    assert!((shown / p99 - 1.0).abs() < 0.015, "encode's p99: {shown} shown, {p99} in the recording");
    let encode = values(&seen.answers["4C"]);
    let slow = encode.iter().filter(|p99| **p99 >= DELAY_S).count();
    assert!(slow > 5 && slow < encode.len(), "the fault is in a part of the run: {encode:?}");
    for seconds in [&seen, &list].map(|seen| seen.took.as_secs_f64()) {
        assert!(seconds < 10.0, "{seconds}");
    }

    demo.signal("TERM");
    assert!(demo.ended().success());
}
