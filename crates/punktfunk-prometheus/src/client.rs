//! Prometheus' HTTP API, as far as a snapshot needs it: instant and range queries by POST, and the build's version.
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::config::{ConfigError, PrometheusConfig};

/// Largest answer that is read, bytes: an hour of one session is some 3 MB.
const MAX_ANSWER: u64 = 64 << 20;

/// Characters of a server's own words that an error repeats.
const MAX_MESSAGE: usize = 300;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No connection, a wrong certificate, or no answer in time.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The base URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// The base URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// It answered something that is not the query API's.
    #[error("{url} does not answer as Prometheus' query API does ({reason}); is prometheus.url right?")]
    Foreign {
        /// The base URL.
        url: String,
        /// What came.
        reason: String,
    },
    /// The answer is larger than is read.
    #[error("{url} sent more than {limit} bytes")]
    TooLarge {
        /// The base URL.
        url: String,
        /// The limit.
        limit: u64,
    },
}

impl QueryError {
    /// Whether asking the same again later is in vain.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Foreign { .. } => false,
            Self::TooLarge { .. } => true,
            Self::Status { status, .. } => matches!(status, 300..=404),
        }
    }
}

/// What a query gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The series, in the server's order.
    pub series: Vec<Series>,
    /// What the server remarked, warnings and notes.
    pub warnings: Vec<String>,
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Time, ms since 1970, and value.
    pub points: Vec<(u64, f64)>,
}

impl Series {
    /// The value of a label; empty if it has none, as PromQL sees it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// A client of one backend; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    /// Without a slash at the end.
    base: String,
    config: PrometheusConfig,
}

impl Client {
    /// A client, or `None` if no URL is configured. Does not connect.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting.
    pub fn new(config: &PrometheusConfig) -> Result<Option<Self>, ConfigError> {
        let Some(base) = config.api() else { return Ok(None) };
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://")).unwrap_or_default();
        // Credentials in a URL would stand in every error and in every recording's provenance.
        if host.is_empty() || host.starts_with('/') || host.contains(['@', '?', '#', ' ']) {
            return Err(ConfigError::Url { url: config.url.clone() });
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(if base.starts_with("https") { roots(config)? } else { Vec::new() }))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(config.query_timeout()))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("punktfunk/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Some(Self { agent, base, config: config.clone() }))
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &PrometheusConfig {
        &self.config
    }

    /// One value a series, at `time_ms`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn instant(&self, query: &str, time_ms: u64) -> Result<Answer, QueryError> {
        self.query("query", &[("query", query), ("time", &seconds(time_ms))])
    }

    /// A value a series and step, from `from_ms` to `to_ms`, both included. At most 11,000 steps.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn range(&self, query: &str, from_ms: u64, to_ms: u64, step_ms: u64) -> Result<Answer, QueryError> {
        let (start, end, step) = (seconds(from_ms), seconds(to_ms), seconds(step_ms));
        self.query("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)])
    }

    /// Version of the server, if it says.
    pub fn version(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct BuildInfo {
            version: String,
        }
        let mut request = self.agent.get(format!("{}/status/buildinfo", self.base));
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        let answer = request.call().map_err(|error| self.unreachable(&error)).and_then(|answer| self.read(answer));
        answer.ok().map(|envelope: Envelope<BuildInfo>| envelope.data.version)
    }

    fn query(&self, endpoint: &str, form: &[(&str, &str)]) -> Result<Answer, QueryError> {
        let _query = tracing::info_span!("query", endpoint, query = form[0].1, otel.kind = "client").entered();
        let mut request = self.agent.post(format!("{}/{endpoint}", self.base));
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        let timeout = seconds(self.config.query_timeout_ms);
        let form = form.iter().copied().chain([("timeout", timeout.as_str())]);
        let answer = request.send_form(form).map_err(|error| self.unreachable(&error))?;
        let Envelope { data, warnings, infos }: Envelope<QueryData> = self.read(answer)?;
        let foreign = |reason: String| QueryError::Foreign { url: self.base.clone(), reason };
        let series = data.result.into_iter().map(|series| series.parse().map_err(foreign)).collect::<Result<_, _>>()?;
        Ok(Answer { series, warnings: warnings.into_iter().chain(infos).collect() })
    }

    /// Those of the configuration, and the trace that this is part of (W3C Trace Context), if there is one.
    fn headers(&self) -> Vec<(String, String)> {
        let mut trace = HashMap::new();
        let context = tracing::Span::current().context();
        opentelemetry::global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut trace));
        let configured = self.config.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        configured.chain(trace).collect()
    }

    /// Reads an answer within the limits, whatever came.
    fn read<T: DeserializeOwned>(
        &self,
        mut answer: ureq::http::Response<ureq::Body>,
    ) -> Result<Envelope<T>, QueryError> {
        let status = answer.status().as_u16();
        if answer.status().is_redirection() {
            let message = "a redirect, which is not followed; set prometheus.url to where it leads".to_owned();
            return Err(QueryError::Status { url: self.base.clone(), status, message });
        }
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(limit) => QueryError::TooLarge { url: self.base.clone(), limit },
            error => self.unreachable(&error),
        })?;
        if status != 200 {
            let message = match serde_json::from_slice::<Failure>(&body) {
                Ok(failure) => plain(&failure.error),
                Err(_) => plain(&String::from_utf8_lossy(&body)),
            };
            return Err(QueryError::Status { url: self.base.clone(), status, message });
        }
        serde_json::from_slice(&body).map_err(|error| {
            let reason =
                if body.trim_ascii_start().starts_with(b"<") { "an HTML page".to_owned() } else { error.to_string() };
            QueryError::Foreign { url: self.base.clone(), reason }
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> QueryError {
        QueryError::Unreachable { url: self.base.clone(), reason: plain(&error.to_string()) }
    }
}

fn roots(config: &PrometheusConfig) -> Result<Vec<Certificate<'static>>, ConfigError> {
    let Some(path) = &config.ca_file else {
        let native = rustls_native_certs::load_native_certs().certs;
        return Ok(native.iter().map(|der| Certificate::from_der(der).to_owned()).collect());
    };
    let failed = |reason: String| ConfigError::CaFile { path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(failed(error.to_string()))),
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() { Err(failed("it holds no certificate (PEM)".to_owned())) } else { Ok(certificates) }
}

/// A server's words, fit for a log line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect::<String>().trim().to_owned()
}

/// Milliseconds as the API's seconds.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

#[derive(Deserialize)]
struct QueryData {
    result: Vec<WireSeries>,
}

/// A time in seconds, and a value as text.
type WirePoint = (f64, String);

#[derive(Deserialize)]
struct WireSeries {
    metric: BTreeMap<String, String>,
    /// Of a range query.
    #[serde(default)]
    values: Vec<WirePoint>,
    /// Of an instant query.
    value: Option<WirePoint>,
}

impl WireSeries {
    fn parse(self) -> Result<Series, String> {
        let point = |(time, value): WirePoint| {
            let value: f64 = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
            // Exact: Prometheus' times are whole milliseconds.
            Ok(((time * 1e3).round() as u64, value))
        };
        let points = self.values.into_iter().chain(self.value).map(point).collect::<Result<_, String>>()?;
        Ok(Series { labels: self.metric, points })
    }
}
