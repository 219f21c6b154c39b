//! The real servers start with the configuration of `deploy/`, do what they are for, and end.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::{Collector, Prometheus, PrometheusOptions, Thanos, ToolSet, promtool, tools};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// One gauge by OTLP over HTTP, as JSON; gives the status.
fn write_gauge(url: &str, name: &str, value: f64, at: Duration) -> u16 {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let point =
        json!({"timeUnixNano": at.as_nanos().to_string(), "asDouble": value, "attributes": [text("host_id", "h1")]});
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": [text("service.name", "punktfunk-host"), text("service.instance.id", "h1")]},
        "scopeMetrics": [{"metrics": [{"name": name, "gauge": {"dataPoints": [point]}}]}],
    }]});
    post_json(url, &request)
}

fn post_json(url: &str, request: &Value) -> u16 {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let post = ureq::Agent::new_with_config(config).post(url).content_type("application/json");
    post.send(request.to_string()).unwrap().status().as_u16()
}

fn values(answer: &Value) -> Vec<&str> {
    assert_eq!(answer["status"], "success", "{answer}");
    answer["data"]["result"].as_array().unwrap().iter().map(|series| series["value"][1].as_str().unwrap()).collect()
}

fn listens(url: &str) -> bool {
    TcpStream::connect(url.strip_prefix("http://").unwrap()).is_ok()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_prometheus_that_is_killed_comes_back_with_what_it_took() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let at = now();
    assert_eq!(write_gauge(&prometheus.otlp_url(), "punktfunk.test.level", 7.0, at), 200);
    let query = || prometheus.query("punktfunk_test_level", Some(at.as_secs_f64() + 1.0));
    let before = query();
    assert_eq!(values(&before), ["7"]);
    let labels = json!({
        "__name__": "punktfunk_test_level", "host_id": "h1", "instance": "h1", "job": "punktfunk-host"
    });
    assert_eq!(before["data"]["result"][0]["metric"], labels);

    assert!(listens(prometheus.url()));
    prometheus.kill();
    assert!(!listens(prometheus.url()));
    prometheus.restart();
    assert_eq!(query(), before);
}

#[test]
fn a_stopped_prometheus_does_not_answer_until_it_goes_on() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let answers = || {
        let call = ureq::get(format!("{}/-/healthy", prometheus.url())).config();
        call.timeout_global(Some(Duration::from_millis(200))).build().call().is_ok()
    };
    assert!(answers());
    prometheus.stop_signal();
    assert!(!answers());
    prometheus.cont_signal();
    eventually("it answers again", answers);
}

#[test]
fn options_reach_the_prometheus() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions {
        experimental_functions: true,
        admin_api: true,
        retention: Some(Duration::from_secs(7200)),
        scrape: Some(("127.0.0.1:9".to_owned(), "secret".to_owned())),
        alertmanager: Some("127.0.0.1:8".to_owned()),
        flags: vec!["--query.lookback-delta=1m".to_owned()],
        config_edits: vec![("out_of_order_time_window: 30m".to_owned(), "out_of_order_time_window: 5m".to_owned())],
    });
    let get = |path: &str| {
        let body =
            ureq::get(format!("{}/api/v1/{path}", prometheus.url())).call().unwrap().into_body().read_to_string();
        serde_json::from_str::<Value>(&body.unwrap()).unwrap()
    };
    let flags = get("status/flags");
    assert_eq!(flags["data"]["storage.tsdb.retention.time"], "2h");
    assert_eq!(flags["data"]["query.lookback-delta"], "1m");
    let config = get("status/config");
    let config = config["data"]["yaml"].as_str().unwrap();
    for line in ["out_of_order_time_window: 5m", "proxy_url: http://127.0.0.1:9", "- 127.0.0.1:8\n"] {
        assert!(config.contains(line), "{line} in {config}");
    }
    assert_eq!(fs::read_to_string(prometheus.dir().join("secrets/read-token")).unwrap(), "secret");

    assert_eq!(write_gauge(&prometheus.otlp_url(), "punktfunk.test.kept", 1.0, now()), 200);
    assert_eq!(write_gauge(&prometheus.otlp_url(), "punktfunk.test.deleted", 1.0, now()), 200);
    prometheus.delete_series("punktfunk_test_deleted");
    assert_eq!(values(&prometheus.query(r#"count({__name__=~"punktfunk_test_.*"})"#, None)), ["1"]);
    // A float is not what it wants; that it knows the name is what counts.
    let answer = prometheus.query(r#"histogram_quantiles(punktfunk_test_kept, "q", 0.5)"#, None);
    assert_eq!(answer["status"], "success", "{answer}");
}

#[test]
fn promtool_accepts_the_configuration_for_production() {
    let Some(mut promtool) = promtool() else { return };
    // Beside it stands the token, or the check fails.
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    fs::copy(format!("{DEPLOY}/prometheus/prometheus.yml"), &config).unwrap();
    for folder in ["secrets", "rules"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("secrets/read-token"), "secret").unwrap();
    let output = promtool.args(["check", "config", "--lint=all", "--lint-fatal"]).arg(&config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_collector_hands_metrics_on_and_shows_traces() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let collector = Collector::start(prometheus.url());
    assert!(collector.grpc_url().starts_with("http://127.0.0.1:"));

    let at = now();
    assert_eq!(write_gauge(&format!("{}/v1/metrics", collector.http_url()), "punktfunk.test.level", 3.0, at), 200);
    eventually("the metric arrives", || {
        values(&prometheus.query("punktfunk_test_level", Some(at.as_secs_f64() + 1.0))) == ["3"]
    });

    let span = json!({
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "snapshot of a window",
        "kind": 1, "startTimeUnixNano": "1", "endTimeUnixNano": "2",
    });
    let spans = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
    assert_eq!(post_json(&format!("{}/v1/traces", collector.http_url()), &spans), 200);
    eventually("the span is written", || collector.output().contains("snapshot of a window"));
}

/// Not a test by itself: what `a_server_ends_with_the_process_that_started_it` runs and kills.
#[test]
#[ignore = "helper: runs until it is killed"]
fn helper_that_is_killed() {
    let Some(file) = std::env::var_os("TESTKIT_URL_FILE") else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    fs::write(file, prometheus.url()).unwrap();
    loop {
        thread::park();
    }
}

#[test]
fn a_server_ends_with_the_process_that_started_it() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper.args(["--ignored", "--exact", "helper_that_is_killed"]).env("TESTKIT_URL_FILE", &file);
    // Its servers' directory is left behind, so it gets one that goes with this test.
    helper.env("TMPDIR", dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut helper = helper.spawn().unwrap();
    let url = || fs::read_to_string(&file).ok().filter(|url| !url.is_empty());
    eventually("the helper's server is ready", || url().is_some());
    let url = url().unwrap();
    assert!(listens(&url));
    helper.kill().unwrap();
    helper.wait().unwrap();
    eventually("nobody listens", || !listens(&url));
}

#[test]
#[ignore = "make test-cluster: Thanos takes minutes to build"]
fn a_cluster_answers_after_one_of_three_nodes_is_killed() {
    let Some(_) = tools(ToolSet::Thanos) else { return };
    let thanos = Thanos::start();
    let at = now();
    assert_eq!(write_gauge(&thanos.otlp_url(0), "punktfunk.test.before", 1.0, at), 200);
    thanos.kill(1);
    assert_eq!(write_gauge(&thanos.otlp_url(0), "punktfunk.test.after", 1.0, at), 200);
    eventually("both samples are there, once each", || {
        let answer = thanos.query(r#"{__name__=~"punktfunk_test_.*"}"#, Some(at.as_secs_f64() + 1.0));
        answer["status"] == "success" && values(&answer) == ["1", "1"]
    });
}
