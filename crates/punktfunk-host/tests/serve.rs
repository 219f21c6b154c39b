//! The two binaries as a person runs them: pair, stream, capture, stop; signals, kills, and a second host.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use self::support::{Client, Host, Process, directories, free_port, outcomes};

#[test]
fn a_paired_client_streams_and_a_capture_counts_what_it_received() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair(theirs.path());
    let dump = theirs.path().join("dump.h264");
    let arguments = ["--seconds", "6", "--decode", "--bitrate-kbps", "1500", "--dump", dump.to_str().unwrap()];
    let client = Client::connect(&host, theirs.path(), &arguments);
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    let started = host.json(&["start", "--label", "evening"]);
    assert_eq!((started["armed"].as_bool(), host.json(&["start"])["id"].clone()), (Some(true), started["id"].clone()));
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= 3);
    assert!(host.ctl(&["mark", "here"]).status.success());
    let meta = host.json(&["stop"]);

    let (report, _) = client.ended();
    assert!(std::fs::metadata(&dump).unwrap().len() > 10_000);
    assert!(report["consumer"]["pictures"].as_u64().unwrap() > 60, "{report}");

    let id = meta["id"].as_str().unwrap();
    let recording = host.json(&["recordings", "show", id]);
    assert_eq!(recording["provenance"]["verified"], true);
    let session = &recording["meta"]["sessions"][0];
    assert_eq!(session["client"], "Deck");
    let (first, last) = (session["first_frame"].as_u64().unwrap(), session["last_frame"].as_u64().unwrap());
    let received: u64 = outcomes(&report, first, last).iter().sum();
    assert_eq!(received, last - first + 1, "the probe knows of every frame in the recording's range");
    assert_eq!(session["records"].as_u64().unwrap() + session["gaps"].as_u64().unwrap(), received);
    let text = host.ctl(&["recordings", "list"]);
    assert!(String::from_utf8(text.stdout).unwrap().contains(id));
    assert!(host.ctl(&["recordings", "delete", id]).status.success());
    assert!(!host.ctl(&["recordings", "show", id]).status.success());
}

#[test]
fn a_signal_saves_the_capture_that_runs() {
    let (own, _) = directories();
    let host = Host::start(own.path());
    let id = host.json(&["start"])["id"].as_str().unwrap().to_owned();
    assert!(host.terminate());
    assert!(own.path().join(format!("captures/{id}.json")).exists());
}

#[test]
fn a_killed_host_offers_its_capture_as_interrupted() {
    let (own, theirs) = directories();
    let mut host = Host::start(own.path());
    host.pair(theirs.path());
    let client = Client::connect(&host, theirs.path(), &["--bitrate-kbps", "1500"]);
    let id = host.json(&["start"])["id"].as_str().unwrap().to_owned();
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= 3);
    host.process.kill().unwrap();
    host.process.wait().unwrap();
    drop((client, host));

    let host = Host::start(own.path());
    let recording = host.json(&["recordings", "show", &id]);
    assert_eq!(recording["meta"]["interrupted"], true);
    assert!(recording["samples"].as_array().unwrap().len() >= 2, "{}", recording["samples"]);
}

#[test]
fn a_second_host_on_the_same_directory_says_so() {
    let (own, _) = directories();
    let first = Host::start(own.path());
    let mut second = Host::spawn(own.path(), &[]);
    assert!(!second.process.ended().success());
    let said = second.log().whole();
    assert!(said.contains("captures") && said.contains("host"), "{said}");
    assert!(first.ctl(&["status"]).status.success());
}

#[test]
fn a_revoked_client_is_cut_off_and_not_let_in_again() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair(theirs.path());
    let client = Client::connect(&host, theirs.path(), &["--bitrate-kbps", "1500"]);
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    let clients = host.json(&["clients", "list"]);
    assert_eq!((clients[0]["name"].as_str(), clients[0]["connected"].as_bool()), (Some("Deck"), Some(true)));
    assert!(host.ctl(&["clients", "revoke", clients[0]["id"].as_str().unwrap()]).status.success());
    let (report, well) = client.ended();
    assert!(!well, "{report}");
    assert!(host.json(&["sessions"]).as_array().unwrap().is_empty());
}

#[test]
fn a_pin_that_is_typed_lets_the_client_in() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    let mut asking = Process::spawn(host.probe(theirs.path(), &["pair", &host.native]).stdin(Stdio::piped()));
    let requests = host.until(&["pair"], |requests| !requests.as_array().unwrap().is_empty());
    let answer = host.json(&["pair", requests[0]["id"].as_str().unwrap(), "--name", "Deck"]);
    let pin = answer["pin"].as_str().unwrap();
    let typed = format!("no pin\n {} {}\r\n", &pin[..3], &pin[3..]);
    asking.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    assert!(asking.ended().success());
    assert_eq!(host.json(&["clients", "list"])[0]["name"], "Deck");
}

#[test]
fn a_wrong_pin_pairs_nobody() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    let mut asking = Process::spawn(&mut host.probe(theirs.path(), &["pair", &host.native, "--pin", "1111"]));
    let requests = host.until(&["pair"], |requests| !requests.as_array().unwrap().is_empty());
    host.json(&["pair", requests[0]["id"].as_str().unwrap(), "--pin", "2222"]);
    assert_eq!(asking.ended().code(), Some(5));
    assert!(host.json(&["clients", "list"]).as_array().unwrap().is_empty());
    let refused = host.probe(theirs.path(), &["connect", &host.native]).stderr(Stdio::null()).status().unwrap();
    assert_eq!(refused.code(), Some(3));
}

#[test]
fn on_a_network_address_ctl_talks_tls_to_the_one_host_whose_certificate_it_has() {
    let (own, other) = directories();
    assert!(Host::start(other.path()).terminate());
    let bind = format!("0.0.0.0:{}", free_port());
    let mut host = Host::start_with(own.path(), &[("PUNKTFUNK_MGMT_BIND", &bind)]);
    host.management = bind;
    assert_eq!(host.json(&["status"])["state"], "idle");

    std::fs::copy(other.path().join("host.pem"), own.path().join("host.pem")).unwrap();
    let refused = host.ctl(&["status"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("does not show its certificate"), "{said}");
}

#[test]
fn a_wrong_setting_names_the_right_one() {
    let (own, _) = directories();
    std::fs::write(own.path().join("config.toml"), "[mgmt]\nbnid = \"127.0.0.1:1\"").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_punktfunk-host"))
        .arg("serve")
        .env("PUNKTFUNK_CONFIG_DIR", own.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("mgmt.bnid") && said.contains("mgmt.bind"), "{said}");
}

#[test]
fn a_recording_is_taken_in_compared_checked_and_reported_from_a_terminal() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair(theirs.path());
    let _client = Client::connect(&host, theirs.path(), &["--bitrate-kbps", "1500"]);
    host.json(&["start"]);
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= 9);
    let id = host.json(&["stop"])["id"].as_str().unwrap().to_owned();
    let file = theirs.path().join("run.json");
    assert!(host.ctl(&["recordings", "export", &id, "-o", file.to_str().unwrap()]).status.success());
    let copy = host.json(&["recordings", "import", file.to_str().unwrap()])["id"].as_str().unwrap().to_owned();
    assert_eq!(copy, format!("{id}-2"));
    assert_eq!(host.json(&["compare", &id, &copy])["differences"][0]["outcome"], "no_change");

    let none = host.ctl(&["check", &copy]);
    assert!(String::from_utf8(none.stderr).unwrap().contains("no baseline"));
    assert!(host.ctl(&["baseline", &id]).status.success());
    let passed = host.ctl(&["check", &copy, "--max-regression", "5%"]);
    assert_eq!(passed.status.code(), Some(0), "{}", String::from_utf8_lossy(&passed.stdout));

    // The same run with every encode 30 ms longer, and one of another resolution.
    let mut run: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    run["meta"]["sessions"][0]["height"] = 1.into();
    std::fs::write(&file, run.to_string()).unwrap();
    let other = host.json(&["recordings", "import", file.to_str().unwrap()])["id"].as_str().unwrap().to_owned();
    assert_eq!(host.ctl(&["check", &other]).status.code(), Some(4), "not comparable");
    run["meta"]["sessions"][0]["height"] =
        host.json(&["recordings", "show", &id])["meta"]["sessions"][0]["height"].clone();
    for sample in run["samples"].as_array_mut().unwrap() {
        for stage in sample["stages"].as_array_mut().unwrap().iter_mut().filter(|stage| stage["name"] == "encode") {
            for figure in ["p50_us", "p95_us", "p99_us", "max_us", "mean_us"] {
                stage[figure] = 90_000.0.into();
            }
            // 90 ms lies in bucket -223.
            stage["hist"] = serde_json::json!([-223, stage["count"]]);
        }
    }
    std::fs::write(&file, run.to_string()).unwrap();
    let slow = host.json(&["recordings", "import", file.to_str().unwrap()])["id"].as_str().unwrap().to_owned();
    let failed = host.ctl(&["check", &slow]);
    let said = String::from_utf8(failed.stdout).unwrap();
    assert_eq!(failed.status.code(), Some(3), "{said}");
    assert!(said.contains("FAILED") && said.contains("encode p99"), "{said}");

    for ids in [&[id.as_str()][..], &[&id, &slow]] {
        let page = theirs.path().join("report.html");
        let arguments = [&["report"], ids, &["-o", page.to_str().unwrap()]].concat();
        assert!(host.ctl(&arguments).status.success());
        assert!(std::fs::read_to_string(&page).unwrap().contains("<svg"));
    }
}

#[test]
fn what_lets_in_is_in_no_log() {
    let (own, _) = directories();
    let mut host = Host::start_with(own.path(), &[("RUST_LOG", "trace")]);
    let url = host.json(&["console"])["url"].as_str().unwrap().to_owned();
    let link = url.split_once("#signin=").unwrap().1.to_owned();
    let session = format!("http://{}/api/v1/auth/session", host.management);
    let body = format!("{{\"one_time_token\":\"{link}\"}}");
    let answer = ureq::post(&session).header("content-type", "application/json").send(body).unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let mut me = ureq::get(&session).header("cookie", &cookie).call().unwrap();
    let me: serde_json::Value = serde_json::from_str(&me.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(me["role"], "operator");
    let secrets = [
        link,
        cookie.split_once('=').unwrap().1.to_owned(),
        me["csrf_token"].as_str().unwrap().to_owned(),
        std::fs::read_to_string(own.path().join("mgmt-token")).unwrap().trim().to_owned(),
    ];
    host.process.signal("TERM");
    assert!(host.process.ended().success());
    let said = host.log().whole();
    assert!(said.contains("shutting down"), "the log is there to be looked at: {said}");
    for secret in secrets {
        assert!(!secret.is_empty() && !said.contains(&secret));
    }
}
