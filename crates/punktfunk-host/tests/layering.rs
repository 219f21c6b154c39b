//! What each crate must not know, held against everything that it links, directly or through others.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const HTTP: &[&str] = &["axum", "hyper", "reqwest", "ureq", "tonic", "http"];
const OTLP: &[&str] = &["opentelemetry-otlp", "opentelemetry-proto"];
/// The wire of OTLP and of remote read.
const PROTOBUF: &[&str] = &["prost", "snap"];
const OPENTELEMETRY: &[&str] = &["opentelemetry", "opentelemetry_sdk"];
const RUNTIME: &[&str] = &["tokio", "async-std", "smol"];
const DISK: &[&str] = &["tempfile", "punktfunk-recordings"];
const VIDEO: &[&str] = &["openh264", "openh264-sys2", "x11rb", "yuv", "punktfunk-media"];
const NETWORK: &[&str] = &["quinn", "rustls", "tokio", "nix", "punktfunk-net", "punktfunk-native"];
const STREAMING: &[&str] =
    &["punktfunk-media", "punktfunk-net", "punktfunk-pipeline", "punktfunk-native", "punktfunk-gamestream"];

/// A crate, what it must not know, and the only crates of ours that it may name.
type Rule = (&'static str, &'static [&'static [&'static str]], &'static [&'static str]);

const RULES: &[Rule] = &[
    ("punktfunk-stats", &[HTTP, OTLP, PROTOBUF, DISK, VIDEO, RUNTIME, STREAMING], &[]),
    ("punktfunk-recordings", &[HTTP, OTLP, PROTOBUF, OPENTELEMETRY, VIDEO, RUNTIME, STREAMING], &[]),
    ("punktfunk-captures", &[HTTP, OTLP, PROTOBUF, VIDEO, STREAMING], &["punktfunk-recordings", "punktfunk-stats"]),
    ("punktfunk-media", &[HTTP, OTLP, OPENTELEMETRY, NETWORK], &[]),
    ("punktfunk-net", &[HTTP, OTLP, OPENTELEMETRY, VIDEO, RUNTIME], &[]),
    ("punktfunk-pipeline", &[HTTP, OTLP, DISK, NETWORK], &["punktfunk-media", "punktfunk-stats"]),
    ("punktfunk-pairing", &[HTTP, OTLP, OPENTELEMETRY, VIDEO, STREAMING, &["punktfunk-recordings"]], &[]),
    (
        "punktfunk-native",
        &[HTTP, OTLP, &["punktfunk-recordings", "punktfunk-captures", "punktfunk-gamestream"]],
        &["punktfunk-media", "punktfunk-net", "punktfunk-pairing", "punktfunk-pipeline", "punktfunk-stats"],
    ),
    (
        "punktfunk-gamestream",
        &[OTLP, &["punktfunk-recordings", "punktfunk-captures", "punktfunk-native"]],
        &["punktfunk-media", "punktfunk-net", "punktfunk-pairing", "punktfunk-pipeline", "punktfunk-stats"],
    ),
    (
        "punktfunk-prometheus",
        &[OTLP, VIDEO, STREAMING, &["axum", "hyper", "tokio", "punktfunk-captures"]],
        &["punktfunk-recordings", "punktfunk-stats"],
    ),
    (
        "punktfunk-mgmt",
        &[OTLP, VIDEO, STREAMING],
        &["punktfunk-captures", "punktfunk-prometheus", "punktfunk-recordings", "punktfunk-stats"],
    ),
    (
        "punktfunk-otlp",
        &[&["axum"], VIDEO, DISK, STREAMING, &["punktfunk-captures", "punktfunk-mgmt"]],
        &["punktfunk-stats"],
    ),
    (
        "punktfunk-probe",
        &[HTTP, OTLP, &["punktfunk-recordings", "punktfunk-captures"]],
        &["punktfunk-media", "punktfunk-native"],
    ),
];

struct Graph {
    /// Direct dependencies that are linked into the crate: neither for its tests nor for its build script.
    linked: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn load() -> Self {
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version=1",
                "--locked",
                "--offline",
                "--filter-platform=x86_64-unknown-linux-gnu",
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let names: BTreeMap<String, String> =
            list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let linked = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let normal = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
                let deps = list(&node["deps"]);
                let deps = deps.iter().filter(normal).map(|dep| names[&text(&dep["pkg"])].clone()).collect();
                (names[&text(&node["id"])].clone(), deps)
            })
            .collect();
        Self { linked }
    }

    /// Everything that a crate links, through whomever.
    fn reach(&self, name: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            for dependency in self.linked.get(&name).into_iter().flatten() {
                if seen.insert(dependency.clone()) {
                    open.push(dependency.clone());
                }
            }
        }
        seen
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn no_crate_links_what_it_must_not_know() {
    let graph = Graph::load();
    for (name, forbidden, _) in RULES {
        let reach = graph.reach(name);
        assert!(!reach.is_empty(), "{name} is not in the workspace");
        for stranger in forbidden.iter().copied().flatten() {
            assert!(!reach.contains(*stranger), "{name} must not know {stranger}");
        }
    }
}

#[test]
fn our_crates_stand_on_each_other_as_the_figure_shows() {
    let graph = Graph::load();
    for (name, _, allowed) in RULES {
        let ours = graph.linked[*name].iter().filter(|dependency| dependency.starts_with("punktfunk-"));
        for dependency in ours {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} names {dependency}; ARCHITECTURE.md does not show that"
            );
        }
    }
}

#[test]
fn every_crate_has_its_rule() {
    let free = ["punktfunk-host", "testkit"];
    let graph = Graph::load();
    let ours = graph.linked.keys().filter(|name| name.starts_with("punktfunk-") || *name == "testkit");
    for name in ours {
        assert!(free.contains(&name.as_str()) || RULES.iter().any(|(rule, ..)| rule == name), "{name} has no rule");
    }
}
