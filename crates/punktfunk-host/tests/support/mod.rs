//! The two binaries as processes of their own.

// Each test crate uses a part of this.
#![allow(dead_code, reason = "shared by several test crates")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use tempfile::TempDir;

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A host process on ports of its own.
pub struct Host {
    pub directory: PathBuf,
    pub process: Child,
    log: Arc<Log>,
    pub management: String,
    pub native: String,
}

/// What a process has logged so far, taken off its hands by a thread.
#[derive(Default)]
pub struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    grown: Condvar,
}

impl Log {
    fn follow(source: impl std::io::Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                writer.lines.lock().0.push(line);
                writer.grown.notify_all();
            }
            writer.lines.lock().1 = true;
            writer.grown.notify_all();
        });
        log
    }

    /// The first line that contains `text`, now or later.
    pub fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock();
        loop {
            if let Some(line) = lines.0.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let late = lines.1 || self.grown.wait_until(&mut lines, deadline).timed_out();
            assert!(!late, "nobody said {text:?}:\n{}", lines.0.join("\n"));
        }
    }

    /// Everything, once the process has ended.
    pub fn whole(&self) -> String {
        let mut lines = self.lines.lock();
        while !lines.1 {
            self.grown.wait(&mut lines);
        }
        lines.0.join("\n")
    }

    /// What there is at this moment.
    pub fn text(&self) -> String {
        self.lines.lock().0.join("\n")
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Host {
    /// Runs one, 320x180 at 30 frames a second, and waits until it is there.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// With further variables.
    pub fn start_with(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let mut host = Self::spawn(directory, environment);
        let line = host.log.wait_for("the host runs");
        let native = line.split("native=").nth(1).unwrap().split_whitespace().next().unwrap();
        host.native = native.to_owned();
        host
    }

    /// Does not wait: it may not come up.
    pub fn spawn(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let management = format!("127.0.0.1:{}", free_port());
        let mut process = Command::new(env!("CARGO_BIN_EXE_punktfunk-host"))
            .args(["serve", "--mgmt-bind", &management, "--native-bind", "127.0.0.1:0"])
            .args(["--source-width", "320", "--source-height", "180", "--source-fps", "30"])
            .env("PUNKTFUNK_CONFIG_DIR", directory)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::follow(process.stderr.take().unwrap());
        Self { directory: directory.to_owned(), process, log, management, native: String::new() }
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The text behind a path of the API, with a token of the directory.
    pub fn get(&self, path: &str, token: &str) -> String {
        let token = std::fs::read_to_string(self.directory.join(token)).unwrap();
        let url = format!("http://{}{path}", self.management);
        let request = ureq::get(url).header("authorization", format!("Bearer {}", token.trim()));
        request.call().unwrap().into_body().read_to_string().unwrap()
    }

    pub fn ctl(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_punktfunk-host"))
            .arg("ctl")
            .args(arguments)
            .args(["--mgmt-bind", &self.management])
            .env("PUNKTFUNK_CONFIG_DIR", &self.directory)
            .output()
            .unwrap()
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.ctl(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asks again and again until `done` says so.
    pub fn until(&self, arguments: &[&str], done: impl Fn(&Value) -> bool) -> Value {
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
    pub fn pair(&self, probe: &Path) {
        let mut asking = self.probe(probe, &["pair", &self.native, "--pin", "246810"]).spawn().unwrap();
        let requests = self.until(&["pair"], |requests| !requests.as_array().unwrap().is_empty());
        let id = requests[0]["id"].as_str().unwrap();
        assert_eq!(self.json(&["pair", id, "--pin", "246810", "--name", "Deck"])["pin"], "246810");
        assert!(asking.wait().unwrap().success());
    }

    pub fn probe(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(probe());
        command.args(arguments).env("PUNKTFUNK_CONFIG_DIR", directory).stdout(Stdio::piped());
        command
    }

    pub fn terminate(mut self) -> bool {
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
pub fn probe() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_punktfunk-host")).with_file_name("punktfunk-probe");
    assert!(path.exists(), "{} is missing: cargo build --release -p punktfunk-probe", path.display());
    path
}

/// Two directories: the host's and the probe's.
pub fn directories() -> (TempDir, TempDir) {
    (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
}
