//! A real Alertmanager (Debian's `prometheus-alertmanager`) with the configuration of `deploy/alertmanager`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use tempfile::TempDir;

use crate::http;
use crate::process::{Process, arguments, free_port, path_argument};
use crate::tools::deployed;

const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";

/// The line of the configuration below which an operator writes where alerts go.
const RECEIVER: &str = "  - name: operator\n";

/// The server, on a loopback port of its own; ends when dropped, or with the process that started it.
#[derive(Debug)]
pub struct Alertmanager {
    _process: Process,
    port: u16,
    _dir: TempDir,
}

impl Alertmanager {
    /// Starts one that tells `webhook` of the operator's alerts at once; waits until it is ready. `None`, said loudly, where
    /// it is not installed.
    ///
    /// # Panics
    ///
    /// If it does not take the configuration, or under `CI=true` if it is not installed.
    pub fn start(webhook: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!in_ci, "{PROGRAM} is missing (Debian package prometheus-alertmanager)");
            let line = "\nNOT RUN: tests with an Alertmanager (Debian package prometheus-alertmanager)\n";
            std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
            return None;
        }
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let config = fs::read_to_string(deployed("alertmanager/alertmanager.yml")).expect("it is checked in");
        assert!(config.contains(RECEIVER) && config.contains("group_wait: 15s"), "{config}");
        let receiver = format!("{RECEIVER}    webhook_configs: [{{url: {webhook:?}}}]\n");
        let config = config.replace(RECEIVER, &receiver).replace("group_wait: 15s", "group_wait: 0s");
        let path = dir.path().join("alertmanager.yml");
        fs::write(&path, config).expect("there is room for a small file");
        let port = free_port();
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let mut flags = arguments([listen.as_str(), "--cluster.listen-address="]);
        flags.push(path_argument("config.file", &path));
        flags.push(path_argument("storage.path", &dir.path().join("data")));
        let ready = || http::is_ok(&format!("http://127.0.0.1:{port}/-/ready"));
        let process = Process::start(PROGRAM.into(), flags, dir.path().join("log"), ready);
        Some(Self { _process: process, port, _dir: dir })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
