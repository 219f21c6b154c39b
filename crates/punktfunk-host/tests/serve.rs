//! The two binaries as a person runs them: pair, stream, capture, stop; signals, kills, and a second host.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host process on ports of its own.
struct Host {
    directory: PathBuf,
    process: Child,
    log: Option<BufReader<ChildStderr>>,
    management: String,
    native: String,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Host {
    fn start(directory: &Path) -> Self {
        let (mut host, log) = Self::spawn(directory);
        host.log = Some(log);
        let line = host.wait_for("the host runs");
        let native = line.split("native=").nth(1).unwrap().split_whitespace().next().unwrap();
        host.native = native.to_owned();
        host
    }

    fn spawn(directory: &Path) -> (Self, BufReader<ChildStderr>) {
        let management = format!("127.0.0.1:{}", free_port());
        let mut process = Command::new(env!("CARGO_BIN_EXE_punktfunk-host"))
            .args(["serve", "--mgmt-bind", &management, "--native-bind", "127.0.0.1:0"])
            .args(["--source-width", "320", "--source-height", "180", "--source-fps", "30"])
            .env("PUNKTFUNK_CONFIG_DIR", directory)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let directory = directory.to_owned();
        (Self { directory, process, log: None, management, native: String::new() }, log)
    }

    /// The next line of the log that contains `text`.
    fn wait_for(&mut self, text: &str) -> String {
        let log = self.log.as_mut().unwrap();
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the host ended without {text:?}:\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    fn ctl(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_punktfunk-host"))
            .arg("ctl")
            .args(arguments)
            .args(["--mgmt-bind", &self.management])
            .env("PUNKTFUNK_CONFIG_DIR", &self.directory)
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.ctl(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asks again and again until `done` says so.
    fn until(&self, arguments: &[&str], done: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.json(arguments);
            if done(&value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{arguments:?} stays {value}");
        }
    }

    /// A probe that has been paired with this host.
    fn pair(&self, probe: &Path) {
        let mut asking = self.probe(probe, &["pair", &self.native, "--pin", "246810"]).spawn().unwrap();
        let requests = self.until(&["pair"], |requests| !requests.as_array().unwrap().is_empty());
        let id = requests[0]["id"].as_str().unwrap();
        assert_eq!(self.json(&["pair", id, "--pin", "246810", "--name", "Deck"])["pin"], "246810");
        assert!(asking.wait().unwrap().success());
    }

    fn probe(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(probe());
        command.args(arguments).env("PUNKTFUNK_CONFIG_DIR", directory).stdout(Stdio::piped());
        command
    }

    fn terminate(mut self) -> bool {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        self.process.wait().unwrap().success()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The probe's binary lies beside the host's; the workspace's tests build both.
fn probe() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_punktfunk-host")).with_file_name("punktfunk-probe");
    assert!(path.exists(), "{} is missing: cargo build --release -p punktfunk-probe", path.display());
    path
}

/// Two directories: the host's and the probe's.
fn directories() -> (TempDir, TempDir) {
    (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
}

#[test]
fn a_paired_client_streams_and_a_capture_counts_what_it_received() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair(theirs.path());
    let dump = theirs.path().join("dump.h264");
    let arguments =
        ["connect", &host.native, "--seconds", "6", "--json", "--decode", "--bitrate-kbps", "1500", "--dump"];
    let mut connect = host.probe(theirs.path(), &arguments);
    let client = connect.arg(&dump).spawn().unwrap();
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    let started = host.json(&["start", "--label", "evening"]);
    assert_eq!((started["armed"].as_bool(), host.json(&["start"])["id"].clone()), (Some(true), started["id"].clone()));
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= 3);
    assert!(host.ctl(&["mark", "here"]).status.success());
    let meta = host.json(&["stop"]);

    let report: Value = serde_json::from_slice(&client.wait_with_output().unwrap().stdout).unwrap();
    assert!(std::fs::metadata(&dump).unwrap().len() > 10_000);
    assert!(report["consumer"]["pictures"].as_u64().unwrap() > 60, "{report}");

    let id = meta["id"].as_str().unwrap();
    let recording = host.json(&["recordings", "show", id]);
    assert_eq!(recording["provenance"]["verified"], true);
    let session = &recording["meta"]["sessions"][0];
    assert_eq!(session["client"], "Deck");
    let (first, last) = (session["first_frame"].as_u64().unwrap(), session["last_frame"].as_u64().unwrap());
    let counted = |outcome: &str| -> u64 {
        let runs = report["streams"][0]["outcomes"]["runs"].as_array().unwrap();
        let inside = |run: &Value| {
            let from = run["first"].as_u64().unwrap().max(first);
            let to = run["last"].as_u64().unwrap().min(last);
            (to + 1).saturating_sub(from)
        };
        runs.iter().filter(|run| run["outcome"] == outcome).map(inside).sum()
    };
    let received = counted("complete") + counted("undecodable") + counted("lost");
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
    let mut client = host.probe(theirs.path(), &["connect", &host.native, "--bitrate-kbps", "1500"]).spawn().unwrap();
    let id = host.json(&["start"])["id"].as_str().unwrap().to_owned();
    host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= 3);
    host.process.kill().unwrap();
    host.process.wait().unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
    drop(host);

    let host = Host::start(own.path());
    let recording = host.json(&["recordings", "show", &id]);
    assert_eq!(recording["meta"]["interrupted"], true);
    assert!(recording["samples"].as_array().unwrap().len() >= 2, "{}", recording["samples"]);
}

#[test]
fn a_second_host_on_the_same_directory_says_so() {
    let (own, _) = directories();
    let first = Host::start(own.path());
    let (mut second, mut log) = Host::spawn(own.path());
    assert!(!second.process.wait().unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut log, &mut said).unwrap();
    assert!(said.contains("captures") && said.contains("host"), "{said}");
    assert!(first.ctl(&["status"]).status.success());
}

#[test]
fn a_revoked_client_is_cut_off_and_not_let_in_again() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    host.pair(theirs.path());
    let client = host.probe(theirs.path(), &["connect", &host.native, "--bitrate-kbps", "1500"]).spawn().unwrap();
    host.until(&["sessions"], |sessions| sessions.as_array().unwrap().len() == 1);
    let clients = host.json(&["clients", "list"]);
    assert_eq!((clients[0]["name"].as_str(), clients[0]["connected"].as_bool()), (Some("Deck"), Some(true)));
    assert!(host.ctl(&["clients", "revoke", clients[0]["id"].as_str().unwrap()]).status.success());
    let ended = client.wait_with_output().unwrap();
    assert!(!ended.status.success());
    assert!(host.json(&["sessions"]).as_array().unwrap().is_empty());
}

#[test]
fn a_wrong_pin_pairs_nobody() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    let mut asking = host.probe(theirs.path(), &["pair", &host.native, "--pin", "1111"]).spawn().unwrap();
    let requests = host.until(&["pair"], |requests| !requests.as_array().unwrap().is_empty());
    host.json(&["pair", requests[0]["id"].as_str().unwrap(), "--pin", "2222"]);
    assert_eq!(asking.wait().unwrap().code(), Some(5));
    assert!(host.json(&["clients", "list"]).as_array().unwrap().is_empty());
    let refused = host.probe(theirs.path(), &["connect", &host.native]).stderr(Stdio::null()).status().unwrap();
    assert_eq!(refused.code(), Some(3));
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
