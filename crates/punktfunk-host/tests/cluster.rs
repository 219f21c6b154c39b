//! The host in front of a Thanos cluster, by configuration alone. Run by `make test-cluster`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::process::Stdio;

use testkit::{Thanos, ToolSet, tools};

use self::support::{Host, directories};

#[test]
#[ignore = "make test-cluster: Thanos takes minutes to build"]
fn a_cluster_that_loses_a_node_while_a_capture_runs_verifies_the_recording() {
    let Some(_) = tools(ToolSet::Thanos) else { return };
    let thanos = Thanos::start();
    let (own, theirs) = directories();
    let environment =
        [("PUNKTFUNK_OTLP_ENDPOINT", thanos.otlp_url(0)), ("PUNKTFUNK_PROMETHEUS_URL", thanos.query_url())];
    let host = Host::start_with(own.path(), &environment.each_ref().map(|(name, value)| (*name, value.as_str())));
    host.pair(theirs.path());
    let arguments = ["connect", &host.native, "--bitrate-kbps", "1500", "--json"];
    let mut client = host.probe(theirs.path(), &arguments).stderr(Stdio::null()).spawn().unwrap();
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    host.json(&["start"]);
    let until_samples = |samples| host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= samples);
    until_samples(4);
    thanos.kill(1);
    until_samples(9);
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    client.kill().unwrap();
    client.wait().unwrap();
    host.until(&["status"], |status| status["snapshot"].is_null());
    let recording = host.json(&["recordings", "show", &id]);
    let check = &recording["provenance"]["backend"];
    assert_eq!((&check["outcome"], &check["differing"]), (&"verified".into(), &0.into()), "{check:#}");
    assert_eq!(recording["provenance"]["source"], "prometheus");
}
