//! A real OpenTelemetry Collector with the configuration of `deploy/otel-collector`.

use tempfile::TempDir;

use crate::process::{Process, arguments, free_port, listens, path_argument};
use crate::tools::{ToolSet, deployed, tool};

/// The server, on loopback ports of its own; ends when dropped, or with the process that started it.
#[derive(Debug)]
pub struct Collector {
    process: Process,
    grpc_port: u16,
    http_port: u16,
    _dir: TempDir,
}

impl Collector {
    /// Starts one that hands metrics on to a Prometheus and writes traces out; waits until it listens.
    ///
    /// # Panics
    ///
    /// If it is not built ([`tools`](crate::tools) tells), or does not take the configuration.
    pub fn start(prometheus_url: &str) -> Self {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let (grpc_port, http_port) = (free_port(), free_port());
        let mut flags = vec![path_argument("config", &deployed("otel-collector/config.yaml"))];
        let settings = [
            format!("--set=receivers::otlp::protocols::grpc::endpoint=127.0.0.1:{grpc_port}"),
            format!("--set=receivers::otlp::protocols::http::endpoint=127.0.0.1:{http_port}"),
            format!("--set=exporters::otlp_http/prometheus::endpoint={prometheus_url}/api/v1/otlp"),
            // Its own metrics would want a fixed port.
            "--set=service::telemetry::metrics::level=none".to_owned(),
        ];
        flags.extend(arguments(settings.iter().map(String::as_str)));
        let ready = || listens(grpc_port) && listens(http_port);
        let process = Process::start(tool(ToolSet::Prometheus, "otelcol"), flags, dir.path().join("log"), ready);
        Self { process, grpc_port, http_port, _dir: dir }
    }

    /// `http://127.0.0.1:PORT`: OTLP over gRPC.
    pub fn grpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// `http://127.0.0.1:PORT`: OTLP over HTTP, below `/v1/metrics` and `/v1/traces`.
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// What it has written so far: every span that it got, and its log.
    pub fn output(&self) -> String {
        self.process.log()
    }
}
