//! The files of `deploy/` held against the tools of those who read them: promtool, amtool, the Compose project's loader; and
//! the dashboards against house rules of the kind that Grafana's own linter checks.
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
        let dashboard = fs::read_to_string(format!("{DEPLOY}/../dashboards/json/{uid}.json")).unwrap();
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

/// What `docker compose --profile … up` would start.
fn compose(profiles: &[&str]) -> Option<Value> {
    compose_with(profiles, &[])
}

/// Likewise, with variables.
fn compose_with(profiles: &[&str], variables: &[(&str, &str)]) -> Option<Value> {
    let loader = tools(ToolSet::Prometheus)?.join("compose");
    let file = Path::new(DEPLOY).join("../docker-compose.yml").canonicalize().unwrap();
    let mut command = Command::new(loader);
    command.arg(file).args(profiles).env_remove("COMPOSE_PROFILES").envs(variables.iter().copied());
    let output = command.output().unwrap();
    succeeded(&output);
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_profile_of_compose_loads_and_publishes_only_what_it_says() {
    let all = ["alertmanager", "grafana", "init", "prometheus"];
    let profiles: [(&[&str], &[&str]); 5] = [
        (&[], &["host"]),
        (&["local"], &["host"]),
        (&["lan"], &["host-lan"]),
        (&["local", "demo"], &["demo", "host"]),
        (&["local", "collector"], &["collector", "host"]),
    ];
    for (profiles, own) in profiles {
        let Some(project) = compose(profiles) else { return };
        let services = project["services"].as_object().unwrap();
        let mut expected: Vec<&str> = all.iter().chain(own).copied().collect();
        expected.sort_unstable();
        assert_eq!(services.keys().collect::<Vec<_>>(), expected, "{profiles:?}");
        for (name, service) in services {
            let (_, tag) = service["image"].as_str().unwrap().rsplit_once(':').unwrap();
            assert_ne!(tag, "latest", "{name}");
            assert_eq!(service["read_only"], true, "{name}");
            assert!(!service["mem_limit"].is_null(), "{name} has no limit of memory");
            assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
            for port in service["ports"].as_array().into_iter().flatten() {
                let on_loopback = port["host_ip"] == "127.0.0.1";
                let streams = name == "host-lan" && port["protocol"] == "udp";
                assert!(on_loopback || streams, "{name} publishes {port}");
            }
            for volume in service["volumes"].as_array().into_iter().flatten() {
                let source = volume["source"].as_str().unwrap();
                assert!(
                    volume["type"] != "bind" || Path::new(source).exists(),
                    "{name} mounts {source}, which is not there"
                );
            }
        }
    }
}

#[test]
fn what_is_said_of_the_collector_reaches_the_host_and_nothing_else_does() {
    let page = fs::read_to_string(format!("{DEPLOY}/README.md")).unwrap();
    let settings: Vec<(&str, &str)> = page
        .lines()
        .filter(|line| line.starts_with("PUNKTFUNK_OTLP_"))
        .map(|line| line.split_once('=').unwrap())
        .collect();
    assert_eq!(settings.len(), 3);
    let Some(project) = compose_with(&["local", "collector"], &settings) else { return };
    for (name, value) in &settings {
        assert_eq!(project["services"]["host"]["environment"][*name], *value, "{name}");
    }
    // The port that the Collector's command line sets.
    let command = project["services"]["collector"]["command"].to_string();
    assert!(command.contains("grpc::endpoint=0.0.0.0:4317"), "{command}");
    let project = compose(&[]).unwrap();
    for (name, _) in &settings {
        assert!(project["services"]["host"]["environment"][*name].is_null(), "{name} is not set");
    }
}

#[test]
fn the_init_service_makes_secrets_once_and_for_nobody_else() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let owner = fs::metadata(dir.path()).map(|found| format!("{}:{}", found.uid(), found.gid())).unwrap();
    let run = || {
        let mut init = Command::new("sh");
        init.arg(format!("{DEPLOY}/compose/init.sh"));
        let output =
            init.env("CONFIG", at("config")).env("SECRETS", at("secrets")).env("OWNER", &owner).output().unwrap();
        succeeded(&output);
        let secrets = ["config/read-token", "secrets/read-token", "secrets/grafana-password"];
        let texts = secrets.map(|name| fs::read_to_string(at(name)).unwrap());
        for text in &texts {
            assert!(text.len() == 64 && !String::from_utf8_lossy(&output.stdout).contains(text), "{text}");
        }
        let modes = secrets.map(|name| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777);
        assert_eq!(modes, [0o600, 0o440, 0o440]);
        texts
    };
    fs::create_dir(at("config")).unwrap();
    fs::create_dir(at("secrets")).unwrap();
    let first = run();
    assert_eq!((&first[0], &run()), (&first[1], &first));
    assert_ne!(first[1], first[2]);
}

#[test]
fn dashboards_keep_the_house_rules() {
    let mut uids = Vec::new();
    for path in files("../dashboards/json") {
        let text = fs::read_to_string(&path).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let uid = dashboard["uid"].as_str().unwrap().to_owned();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(uid.as_str()));
        assert!(dashboard["id"].is_null() && dashboard["schemaVersion"] == 39, "{uid}");
        let first = &dashboard["templating"]["list"][0];
        assert_eq!((&first["name"], &first["type"]), (&Value::from("datasource"), &Value::from("datasource")), "{uid}");
        let mut ids = Vec::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(!title.is_empty() && panel["description"].as_str().unwrap().len() > 20, "{uid}: {title:?}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{uid}: {title} has no unit");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{uid}: {title}");
            ids.push(panel["id"].as_u64().unwrap());
            for target in panel["targets"].as_array().unwrap() {
                let expr = target["expr"].as_str().unwrap();
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{uid}: {title}");
                for rate in ["rate(", "increase("] {
                    assert!(!expr.contains(rate) || expr.contains("[$__rate_interval]"), "{uid}: {title}: {expr}");
                }
                // Series of stages are named, or the legend would be their labels.
                let named = !target["legendFormat"].as_str().unwrap_or_default().is_empty();
                assert!(named || target["instant"] == true, "{uid}: {title}: {expr} has no legend");
            }
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24 && at("w") >= 12, "{uid}: {title} is too narrow to be read at 1280");
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{uid}: two panels have one id");
        uids.push((uid, text));
    }
    assert_eq!(uids.len(), 4);
    // Links lead to dashboards that exist.
    for (uid, text) in &uids {
        for to in text.split("\"/d/").skip(1) {
            let to = to.split(['"', '?']).next().unwrap();
            assert!(uids.iter().any(|(known, _)| known == to), "{uid} links to {to}");
        }
    }
}
