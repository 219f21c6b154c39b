//! The metrics backend: where figures go by OTLP, and where recordings are held against them.

use std::ops::ControlFlow;
use std::sync::Arc;

use punktfunk_captures::{SnapshotPhase, Snapshotter, Watch};
use punktfunk_mgmt::{Export, ExportFigures};
use punktfunk_otlp::{Exporter, OtlpConfig, Protocol, Resolved};
use punktfunk_prometheus::{Client, Progress, PrometheusConfig};
use punktfunk_recordings::Capture;
use punktfunk_stats::SnapshotSender;

/// Below the URL of a Prometheus: where it takes metrics, beside its query API.
const OTLP_PATH: &str = "otlp/v1/metrics";

struct Prometheus(Client);

impl Snapshotter for Prometheus {
    fn snapshot(&self, local: &Capture, watch: Watch<'_>) -> Option<Capture> {
        let watch = |progress| -> ControlFlow<()> {
            match progress {
                Progress::Waiting { held, expected } => watch(SnapshotPhase::Waiting, held, expected),
                Progress::Querying { done, total } => watch(SnapshotPhase::Querying, done as u64, total as u64),
            }
        };
        punktfunk_prometheus::snapshot(&self.0, local, &watch)
    }
}

/// What recordings are held against, if the configuration names it.
///
/// # Errors
/// When its settings cannot be used; it is not connected to here.
pub fn connect(config: &PrometheusConfig) -> Result<Option<Arc<dyn Snapshotter>>, punktfunk_prometheus::ConfigError> {
    Ok(Client::new(config)?.map(|client| Arc::new(Prometheus(client)) as Arc<dyn Snapshotter>))
}

/// Where metrics and traces go: `otlp.*`, or else the `OTEL_*` variables, or else, for metrics, the Prometheus that
/// recordings are held against.
///
/// # Errors
/// When a setting or variable cannot be used.
pub fn export_targets(
    otlp: &OtlpConfig,
    prometheus: &PrometheusConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Resolved, punktfunk_otlp::ConfigError> {
    let mut resolved = otlp.clone().with_environment(&variable)?;
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if resolved.metrics.is_some() || disabled {
        return Ok(resolved);
    }
    let Some(api) = prometheus.api() else { return Ok(resolved) };
    let beside = OtlpConfig {
        endpoint: Some(format!("{api}/{OTLP_PATH}")),
        protocol: Some(Protocol::HttpProtobuf),
        headers: if otlp.headers.is_empty() {
            prometheus.headers.iter().map(|(name, value)| punktfunk_otlp::Header::new(name, value)).collect()
        } else {
            otlp.headers.clone()
        },
        ca_file: otlp.ca_file.clone().or_else(|| prometheus.ca_file.clone()),
        ..otlp.clone()
    };
    resolved.metrics = beside.with_environment(&variable)?.metrics;
    Ok(resolved)
}

/// The exporter's figures for the API.
pub fn figures(exporter: &Arc<Exporter>, queue: SnapshotSender) -> Export {
    let exporter = Arc::clone(exporter);
    Arc::new(move || {
        let health = exporter.health();
        ExportFigures {
            exported: health.exported,
            refused: health.failed,
            dropped: health.dropped_backlog,
            lost: queue.lost(),
            retried: health.retried,
            backlog_bytes: health.backlog_bytes,
            up: health.up,
            last_error: health.last_error,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(otlp: &str, prometheus: &str, variables: &[(&str, &str)]) -> Option<String> {
        let otlp = OtlpConfig { endpoint: (!otlp.is_empty()).then(|| otlp.to_owned()), ..OtlpConfig::default() };
        let prometheus = PrometheusConfig { url: prometheus.to_owned(), ..PrometheusConfig::default() };
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        export_targets(&otlp, &prometheus, variable).unwrap().metrics.map(|target| target.url.to_string())
    }

    #[test]
    fn metrics_go_where_ours_say_then_where_otel_says_then_to_prometheus() {
        let otel = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318")];
        let to = |url: &str| Some(url.to_owned());
        assert_eq!(metrics("", "", &[]), None);
        assert_eq!(metrics("", "http://prom:9090/", &[]), to("http://prom:9090/api/v1/otlp/v1/metrics"));
        assert_eq!(metrics("", "http://prom:9090", &otel), to("http://otel:4318/v1/metrics"));
        assert_eq!(metrics("http://own/x", "http://prom:9090", &otel), to("http://own/x"));
        assert_eq!(metrics("", "http://prom:9090", &[("OTEL_SDK_DISABLED", "true")]), None);
        // A protocol for somebody else's endpoint is not one for Prometheus, which speaks only HTTP.
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert_eq!(metrics("", "http://prom:9090", &grpc), to("http://prom:9090/api/v1/otlp/v1/metrics"));
    }

    #[test]
    fn a_token_for_queries_goes_with_the_export_to_the_same_server() {
        let headers = vec!["Authorization=Bearer a,b%".to_owned()].try_into().unwrap();
        let prometheus = PrometheusConfig { url: "http://prom:9090".into(), headers, ..PrometheusConfig::default() };
        let target = export_targets(&OtlpConfig::default(), &prometheus, |_| None).unwrap().metrics.unwrap();
        assert_eq!(target.headers["authorization"], "Bearer a,b%");
    }
}
