//! A real Prometheus with the configuration of `deploy/prometheus`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http;
use crate::process::{Process, arguments, free_port, path_argument};
use crate::tools::{ToolSet, deployed, tool};

/// What is scraped in production.
const TARGETS: &str = r#"targets: ["host:47990"]"#;

/// Where alerts go in production.
const ALERTMANAGER: &str = r#"targets: ["alertmanager:9093"]"#;

/// Lines after which a job, or a remote read, takes a proxy.
const JOB: &str = "  - job_name: punktfunk-host\n";
const READ: &str = "    url: http://host:47990/api/v1/read\n";

/// How one differs from what people run; by default in nothing but that no host is scraped and nobody told of alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrometheusOptions {
    /// `--enable-feature=promql-experimental-functions`: `histogram_quantiles`.
    pub experimental_functions: bool,
    /// `--web.enable-admin-api`: [`Prometheus::delete_series`].
    pub admin_api: bool,
    /// How long samples are kept, in whole seconds; the server's own default if there is none.
    pub retention: Option<Duration>,
    /// Address of the host that is scraped and whose recordings are read, and its read token. The host is asked as if it
    /// were a proxy, so that it still hears the name that stands in the configuration.
    pub scrape: Option<(String, String)>,
    /// Address of the Alertmanager that is told of alerts.
    pub alertmanager: Option<String>,
    /// Further flags.
    pub flags: Vec<String>,
    /// What to replace in the configuration, and by what. Each must stand there exactly once.
    pub config_edits: Vec<(String, String)>,
}

/// The server, on a loopback port and in a directory of its own; ends when dropped, or with the process that started it.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    url: String,
    dir: TempDir,
}

impl Prometheus {
    /// Starts it and waits until it is ready: some tenths of a second.
    ///
    /// # Panics
    ///
    /// If it is not built ([`tools`](crate::tools) tells), or does not take the configuration.
    pub fn start(options: &PrometheusOptions) -> Self {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let source = deployed("prometheus");
        let mut config = fs::read_to_string(source.join("prometheus.yml")).expect("the configuration is checked in");
        let token = match &options.scrape {
            Some((address, token)) => {
                let proxied = |lines: &str| format!("{lines}    proxy_url: http://{address}\n");
                config = edit(edit(config, JOB, &proxied(JOB)), READ, &proxied(READ));
                token.as_str()
            }
            None => {
                config = edit(config, TARGETS, "targets: []");
                ""
            }
        };
        let alertmanager = options.alertmanager.iter().map(|address| format!("{address:?}")).collect::<String>();
        config = edit(config, ALERTMANAGER, &format!("targets: [{alertmanager}]"));
        let config = options.config_edits.iter().fold(config, |config, (from, to)| edit(config, from, to));
        write(dir.path(), "prometheus.yml", &config);
        for folder in ["secrets", "rules"] {
            fs::create_dir(dir.path().join(folder)).expect("there is room for a directory");
        }
        write(dir.path(), "secrets/read-token", token);
        for rules in fs::read_dir(source.join("rules")).expect("the rules are checked in") {
            let rules = rules.expect("the directory can be read");
            let to = dir.path().join("rules").join(rules.file_name());
            fs::copy(rules.path(), to).expect("there is room for a small file");
        }

        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{address}");
        let listen = format!("--web.listen-address={address}");
        let mut flags = arguments([listen.as_str(), "--web.enable-otlp-receiver"]);
        flags.push(path_argument("config.file", &dir.path().join("prometheus.yml")));
        flags.push(path_argument("storage.tsdb.path", &dir.path().join("data")));
        if options.experimental_functions {
            flags.push("--enable-feature=promql-experimental-functions".into());
        }
        if options.admin_api {
            flags.push("--web.enable-admin-api".into());
        }
        if let Some(retention) = options.retention {
            flags.push(format!("--storage.tsdb.retention.time={}s", retention.as_secs()).into());
        }
        flags.extend(options.flags.iter().map(Into::into));

        let program = tool(ToolSet::Prometheus, "prometheus");
        let process = Process::start(program, flags, dir.path().join("log"), || is_ready(&url));
        Self { process, url, dir }
    }

    /// `http://127.0.0.1:PORT`; the same after a restart.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where OTLP over HTTP takes metrics, in full.
    pub fn otlp_url(&self) -> String {
        format!("{}/api/v1/otlp/v1/metrics", self.url)
    }

    /// The directory with `prometheus.yml`, `rules/`, `secrets/` and `data/`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same port and data, killing it first if it runs; ready when this returns.
    pub fn restart(&self) {
        self.process.run(|| is_ready(&self.url));
    }

    /// SIGSTOP: it takes connections and does not answer.
    pub fn stop_signal(&self) {
        self.process.stop();
    }

    /// SIGCONT.
    pub fn cont_signal(&self) {
        self.process.go_on();
    }

    /// The whole answer to an instant query, errors and warnings included; `time` in seconds since 1970, or now.
    ///
    /// # Panics
    ///
    /// If it does not answer, or not with JSON.
    pub fn query(&self, promql: &str, time: Option<f64>) -> Value {
        query(&self.url, promql, time)
    }

    /// The whole answer to a range query; times and step in seconds.
    ///
    /// # Panics
    ///
    /// If it does not answer, or not with JSON.
    pub fn query_range(&self, promql: &str, start: f64, end: f64, step: f64) -> Value {
        let [start, end, step] = [start, end, step].map(|number| number.to_string());
        let fields = [("query", promql), ("start", &start), ("end", &end), ("step", &step)];
        http::post(&format!("{}/api/v1/query_range", self.url), &fields).expect("prometheus answers").json()
    }

    /// The series that a selector names between two moments, seconds since 1970.
    ///
    /// # Panics
    ///
    /// If it does not answer, or not with JSON.
    pub fn series(&self, selector: &str, start: f64, end: f64) -> Value {
        let [start, end] = [start, end].map(|number| number.to_string());
        let fields = [("match[]", selector), ("start", &start), ("end", &end)];
        http::post(&format!("{}/api/v1/series", self.url), &fields).expect("prometheus answers").json()
    }

    /// The answer to a GET of a path of its API.
    ///
    /// # Panics
    ///
    /// If it does not answer, or not with JSON.
    pub fn get(&self, path: &str) -> Value {
        http::get(&format!("{}{path}", self.url)).expect("prometheus answers").json()
    }

    /// Deletes the series that a selector names. Needs [`PrometheusOptions::admin_api`].
    ///
    /// # Panics
    ///
    /// If it does not answer, or refuses.
    pub fn delete_series(&self, selector: &str) {
        self.delete(&[("match[]", selector)]);
    }

    /// Deletes what those series hold between two moments, both included, seconds since 1970. Needs
    /// [`PrometheusOptions::admin_api`].
    ///
    /// # Panics
    ///
    /// If it does not answer, or refuses.
    pub fn delete_range(&self, selector: &str, start: &str, end: &str) {
        self.delete(&[("match[]", selector), ("start", start), ("end", end)]);
    }

    fn delete(&self, fields: &[(&str, &str)]) {
        let answer = http::post(&format!("{}/api/v1/admin/tsdb/delete_series", self.url), fields);
        let answer = answer.expect("prometheus answers");
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// `promtool`, to be given its arguments.
    pub fn promtool(&self) -> Command {
        Command::new(tool(ToolSet::Prometheus, "promtool"))
    }
}

/// An instant query at whatever speaks Prometheus' API below `url`.
pub(crate) fn query(url: &str, promql: &str, time: Option<f64>) -> Value {
    let time = time.map(|time| time.to_string());
    let mut fields = vec![("query", promql)];
    fields.extend(time.as_deref().map(|time| ("time", time)));
    http::post(&format!("{url}/api/v1/query"), &fields).expect("the server answers").json()
}

fn is_ready(url: &str) -> bool {
    // One that speaks TLS tells a plain client so.
    http::get(&format!("{url}/-/ready"))
        .is_ok_and(|answer| answer.status == 200 || answer.body.contains("HTTP request to an HTTPS server"))
}

fn edit(config: String, from: &str, to: &str) -> String {
    assert_eq!(config.matches(from).count(), 1, "{from:?} does not stand once in the configuration:\n{config}");
    config.replace(from, to)
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("there is room for a small file");
}
