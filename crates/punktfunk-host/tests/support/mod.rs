//! The two binaries as processes of their own.

// Each test crate uses a part of this.
#![allow(dead_code, reason = "shared by several test crates")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
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
    pub process: Process,
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
    pub fn follow(source: impl std::io::Read + Send + 'static) -> Arc<Self> {
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

    /// What there is at this moment, after the first `from` lines.
    pub fn lines_from(&self, from: usize) -> Vec<String> {
        self.lines.lock().0.iter().skip(from).cloned().collect()
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.lines.lock().0.len()
    }
}

/// A child process that does not outlive its test.
pub struct Process(Child);

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// `TERM`, `INT`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(kill.unwrap().success(), "{name} could not be sent");
    }

    /// Waits until it ends by itself, with patience.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "process {} does not end", self.id());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl std::ops::Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.kill().ok();
        self.wait().ok();
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
        let given = environment.iter().find(|(name, _)| *name == "PUNKTFUNK_MGMT_BIND");
        let management = given.map_or_else(|| format!("127.0.0.1:{}", free_port()), |(_, bind)| (*bind).to_owned());
        let mut command = Command::new(env!("CARGO_BIN_EXE_punktfunk-host"));
        command
            .arg("serve")
            .envs([("PUNKTFUNK_MGMT_BIND", management.as_str()), ("PUNKTFUNK_NATIVE_BIND", "127.0.0.1:0")])
            .envs([("PUNKTFUNK_SOURCE_WIDTH", "320"), ("PUNKTFUNK_SOURCE_HEIGHT", "180")])
            .env("PUNKTFUNK_SOURCE_FPS", "30")
            .env("PUNKTFUNK_CONFIG_DIR", directory)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command);
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
        self.pair_as(probe, "Deck");
    }

    /// Lets a probe in under this name.
    pub fn pair_as(&self, probe: &Path, name: &str) {
        let mut asking = Process::spawn(&mut self.probe(probe, &["pair", &self.native, "--pin", "246810"]));
        let requests = self.until(&["pair"], |requests| !requests.as_array().unwrap().is_empty());
        let id = requests[0]["id"].as_str().unwrap();
        assert_eq!(self.json(&["pair", id, "--pin", "246810", "--name", name])["pin"], "246810");
        assert!(asking.ended().success());
    }

    pub fn probe(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(probe());
        command.args(arguments).env("PUNKTFUNK_CONFIG_DIR", directory).stdout(Stdio::piped());
        command
    }

    /// SIGTERM; whether it ended well.
    pub fn terminate(mut self) -> bool {
        self.process.signal("TERM");
        self.process.ended().success()
    }
}

/// Writes a secret that only this user reads.
pub fn write_private(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A probe that streams, and reports when it ends.
pub struct Client {
    process: Process,
    report: Arc<Log>,
}

impl Client {
    /// `directory` is that of a paired probe.
    pub fn connect(host: &Host, directory: &Path, arguments: &[&str]) -> Self {
        let all = [&["connect", &host.native, "--json"], arguments].concat();
        let mut process = Process::spawn(host.probe(directory, &all).stderr(Stdio::null()));
        let report = Log::follow(process.stdout.take().unwrap());
        Self { process, report }
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Its report, once it has ended, and whether that was well.
    pub fn ended(mut self) -> (Value, bool) {
        let well = self.process.ended().success();
        (serde_json::from_str(&self.report.whole()).unwrap(), well)
    }

    /// Ends it, as Ctrl-C does, and gives its report.
    pub fn interrupt(self) -> Value {
        self.signal("INT");
        let (report, well) = self.ended();
        assert!(well, "{report}");
        report
    }
}

/// The frames of a probe's only stream whose number is in `first..=last`: complete, undecodable, lost.
pub fn outcomes(report: &Value, first: u64, last: u64) -> [u64; 3] {
    let streams = report["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 1, "{report}");
    let runs = streams[0]["outcomes"]["runs"].as_array().unwrap();
    let inside = |run: &Value| {
        let from = run["first"].as_u64().unwrap().max(first);
        let to = run["last"].as_u64().unwrap().min(last);
        (to + 1).saturating_sub(from)
    };
    ["complete", "undecodable", "lost"]
        .map(|outcome| runs.iter().filter(|run| run["outcome"] == outcome).map(inside).sum())
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
