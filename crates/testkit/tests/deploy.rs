//! The files of `deploy/` that Prometheus and Alertmanager read, held against their own tools.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Prometheus, PrometheusOptions, ToolSet, promtool, tools};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(Path::new(DEPLOY).join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn succeeded(output: &Output) {
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let Some(mut check) = promtool() else { return };
    succeeded(
        &check.args(["check", "rules", "--lint=all", "--lint-fatal"]).args(files("prometheus/rules")).output().unwrap(),
    );
    succeeded(&promtool().unwrap().args(["test", "rules"]).args(files("prometheus/tests")).output().unwrap());
}

#[test]
fn amtool_accepts_the_configuration_of_alertmanager() {
    let said =
        Command::new("amtool").arg("check-config").arg(format!("{DEPLOY}/alertmanager/alertmanager.yml")).output();
    match said {
        Ok(output) => succeeded(&output),
        Err(error) => {
            let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!in_ci, "amtool: {error} (Debian package prometheus-alertmanager)");
        }
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_tested_both_ways() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let answer = prometheus.get("/api/v1/rules?type=alert");
    let groups = answer["data"]["groups"].as_array().unwrap().iter();
    let alerts: Vec<&Value> = groups.flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(alerts.len(), 14);
    let tests: String = files("prometheus/tests").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for alert in alerts {
        let name = alert["name"].as_str().unwrap();
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let note =
            |which: &str| alert["annotations"][which].as_str().unwrap_or_else(|| panic!("{name} has no {which}"));
        assert!(!note("summary").is_empty() && !note("description").is_empty());
        let page = note("runbook_url").rsplit('/').next().unwrap();
        let page = fs::read_to_string(format!("{DEPLOY}/runbooks/{page}")).unwrap_or_else(|e| panic!("{page}: {e}"));
        assert!(page.contains(&format!("`{name}`")), "{name}'s runbook is another one's");
        // Its panel is there.
        let (uid, query) = note("panel").strip_prefix("/d/").unwrap().split_once('?').unwrap();
        let dashboard = fs::read_to_string(format!("{DEPLOY}/../dashboards/{uid}.json")).unwrap();
        let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
        let id: u64 = query.split('&').find_map(|part| part.strip_prefix("viewPanel=")).unwrap().parse().unwrap();
        assert!(
            dashboard["panels"].as_array().unwrap().iter().any(|panel| panel["id"] == id),
            "{name}: {uid} has no {id}"
        );

        let asked = format!("ALERTS{{alertname=\"{name}\"");
        let answers = tests.split("- expr:").filter(|test| test.contains(&asked));
        let (fires, silent): (Vec<_>, Vec<_>) = answers.partition(|test| test.contains("value: 1"));
        assert!(!fires.is_empty() && !silent.is_empty(), "{name}: {} and {}", fires.len(), silent.len());
    }
}
