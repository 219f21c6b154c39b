//! `demo` as a person runs it: what it says, whom it lets in, and how it ends.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use testkit::{Prometheus, PrometheusOptions, ToolSet};

use self::support::{Host, Log, Process, directories, free_port};

/// The demo with a small picture and no fault, and what it says.
fn demo(directory: &Path, arguments: &[&str]) -> (Process, Arc<Log>) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_punktfunk-host"));
    process
        .args(["demo", "--fault", "none", "--mgmt-bind", &format!("127.0.0.1:{}", free_port())])
        .args(["--source-width", "320", "--source-height", "180", "--source-fps", "30"])
        .args(arguments)
        .env("PUNKTFUNK_CONFIG_DIR", directory)
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped());
    let mut process = Process::spawn(&mut process);
    let log = Log::follow(process.stdout.take().unwrap());
    (process, log)
}

/// What stands behind the words "Recording:".
fn recording(said: &Log) -> Value {
    let line = said.wait_for("Recording: ");
    let path = line.split_once("Recording: ").unwrap().1;
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn clients(directory: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("clients.json")).unwrap()).unwrap()
}

#[test]
fn one_signal_during_the_capture_ends_the_demo_and_saves_what_there_is() {
    let (own, _) = directories();
    let (mut process, said) = demo(own.path(), &["--seconds", "600"]);
    said.wait_for("capturing 3/600 s");
    process.signal("INT");
    assert!(process.ended().success());
    let said_all = said.whole();
    assert!(said_all.contains("interrupted") && !said_all.contains("stays up"), "{said_all}");
    let recording = recording(&said);
    assert!(recording["samples"].as_array().unwrap().len() >= 2, "{recording}");
    assert_eq!(recording["meta"]["sessions"][0]["left_ms"], Value::Null, "it was saved while the client streamed");
}

#[test]
fn the_demo_stays_up_until_a_signal_and_lets_nobody_in_for_longer() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair_as(theirs.path(), "demo");
    assert!(host.terminate());
    let before = clients(own.path());

    let (mut process, said) = demo(own.path(), &["--seconds", "3"]);
    said.wait_for("Ctrl-C ends it.");
    assert_eq!(clients(own.path())["clients"].as_array().unwrap().len(), 2);
    process.signal("TERM");
    assert!(process.ended().success());
    assert_eq!(clients(own.path()), before, "a client that is called like the demo's is none of it");
}

#[test]
fn with_a_metrics_backend_the_demo_shows_figures_that_were_held_against_it() {
    let Some(_) = testkit::tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let (own, _) = directories();
    let (mut process, said) = demo(own.path(), &["--seconds", "3", "--exit", "--prometheus-url", prometheus.url()]);
    assert!(process.ended().success());
    let said_all = said.whole();
    assert!(said_all.contains("\nsaved; "), "{said_all}");
    assert!(said_all.contains("held against the collector: "), "{said_all}");
    assert_eq!(recording(&said)["meta"]["snapshot"], "verified");
}
