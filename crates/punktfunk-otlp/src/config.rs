//! What can be configured, and what becomes of it together with the environment.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, Uri};

use crate::environment;
use crate::headers::Header;

/// The settings of ours; each that is set wins over the `OTEL_*` variable of the same meaning.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct OtlpConfig {
    /// Where metrics go: for HTTP the whole URL, used as it stands (`http://localhost:9090/api/v1/otlp/v1/metrics`); for
    /// gRPC scheme and authority (`http://localhost:4317`). Default: nowhere.
    pub endpoint: Option<String>,
    /// Where spans go, likewise. Default: nowhere.
    pub traces_endpoint: Option<String>,
    /// `http/protobuf` or `grpc`. Default `http/protobuf`.
    pub protocol: Option<Protocol>,
    /// Sent with every request, for both endpoints: `name=value`, the value percent-encoded where it holds a comma, a
    /// percent sign or what is not ASCII. Default: none.
    pub headers: Vec<Header>,
    /// `gzip` or `none`. Default `gzip`: a third of the bytes for 0.1 ms of the export thread a
    /// snapshot of eight sessions.
    pub compression: Option<Compression>,
    /// Longest that one request may take from connecting to the end of the answer, ms, 1 to 600000. Default 10000.
    pub timeout_ms: Option<u64>,
    /// PEM file of the authorities that may vouch for the backend, in place of the system's. Default: the system's.
    pub ca_file: Option<PathBuf>,
}

impl OtlpConfig {
    /// Joins these settings with the `OTEL_*` variables that `variable` looks up. Ours win over those of one signal
    /// (`OTEL_EXPORTER_OTLP_METRICS_…`, `OTEL_EXPORTER_OTLP_TRACES_…`), which win over the general ones
    /// (`OTEL_EXPORTER_OTLP_…`). An empty variable counts as not set.
    ///
    /// # Errors
    /// When a value cannot be used; the error names the setting or variable as it was written, and never shows a secret.
    pub fn with_environment(self, variable: impl Fn(&str) -> Option<String>) -> Result<Resolved, ConfigError> {
        environment::resolve(&self, &variable)
    }
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |url: &Option<String>| url.as_deref().map(redacted);
        f.debug_struct("OtlpConfig")
            .field("endpoint", &shown(&self.endpoint))
            .field("traces_endpoint", &shown(&self.traces_endpoint))
            .field("protocol", &self.protocol)
            .field("headers", &self.headers)
            .field("compression", &self.compression)
            .field("timeout_ms", &self.timeout_ms)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Protocol {
    /// Protobuf in HTTP/1.1 POST requests.
    #[default]
    HttpProtobuf,
    /// gRPC over HTTP/2.
    Grpc,
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "grpc" => Ok(Self::Grpc),
            "http/json" => {
                Err("http/json is not spoken here: take http/protobuf, which every OTLP receiver takes".into())
            }
            _ => Err(format!("{text:?} is neither http/protobuf nor grpc")),
        }
    }
}

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What is done to a request's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Compression {
    /// Deflated, at the fastest level.
    #[default]
    Gzip,
    /// Nothing.
    None,
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            _ => Err(format!("{text:?} is neither gzip nor none")),
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Where one signal goes, and how.
#[derive(Clone, PartialEq)]
pub struct Target {
    /// The whole URL for HTTP; scheme and authority for gRPC.
    pub url: Uri,
    /// How OTLP is spoken.
    pub protocol: Protocol,
    /// Sent with every request. Their values are secrets.
    pub headers: HeaderMap,
    /// What is done to a request's bytes.
    pub compression: Compression,
    /// Longest that one request may take.
    pub timeout: Duration,
    /// PEM file of authorities in place of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// The URL without what may be secret in it.
    pub fn shown(&self) -> String {
        redacted(&self.url.to_string())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.shown())
            .field("protocol", &self.protocol)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("compression", &self.compression)
            .field("timeout", &self.timeout)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// A URL without its query, its fragment and a user's name and password.
pub(crate) fn redacted(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

/// What bounds the export thread. `Default` is right for a host; tests lower it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of encoded requests that wait while the backend is slow or away. Default 4 MiB: three minutes of eight
    /// sessions, twenty of one. A longer backlog bridges longer outages and costs memory.
    pub backlog_bytes: usize,
    /// Pause before the first repetition of a request; doubled each time. Default 200 ms.
    pub first_pause: Duration,
    /// Longest pause between repetitions. Default 5 s.
    pub longest_pause: Duration,
    /// Longest pause that a backend may ask for (`Retry-After`). Default 60 s.
    pub longest_asked_pause: Duration,
    /// Most of an answer that is read. Default 64 KiB.
    pub answer_bytes: u64,
    /// The recorder's sample interval: a capture's series are ended this long after its last step, when that moment has
    /// come. Default 1 s.
    pub sample_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            backlog_bytes: 4 << 20,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
            longest_asked_pause: Duration::from_secs(60),
            answer_bytes: 64 << 10,
            sample_interval: Duration::from_secs(1),
        }
    }
}

/// The configuration, checked: what is exported where.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resolved {
    /// Where metrics go; `None` is nowhere.
    pub metrics: Option<Target>,
    /// Where spans go; `None` is nowhere.
    pub traces: Option<Target>,
    /// Attributes of the resource from `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.
    pub attributes: Vec<(String, String)>,
    /// What bounds the export thread.
    pub limits: Limits,
}

/// Why there is no usable configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A URL that cannot be used.
    #[error("{name}: {url}: {reason}")]
    Url {
        /// The setting or variable.
        name: String,
        /// The URL without what may be secret in it.
        url: String,
        /// What is wrong and what would be right.
        reason: &'static str,
    },
    /// A list of headers or attributes with an entry that cannot be used. Values are not shown.
    #[error("{name}: entry {position}: {reason}")]
    Entry {
        /// The setting or variable.
        name: String,
        /// Which entry, from 1.
        position: usize,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Any other value that cannot be read or is out of its limits.
    #[error("{name}: {reason}")]
    Value {
        /// The setting or variable.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}
