//! Our settings and the `OTEL_*` variables, joined: ours, then those of one signal, then the general ones.
//!
//! The variables are those of the OpenTelemetry specification:
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> and
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.

use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Uri;

use crate::config::{ConfigError, Limits, OtlpConfig, Protocol, Resolved, Target, redacted};
use crate::headers;

const DEFAULT_TIMEOUT_MS: u64 = 10_000;
const LONGEST_TIMEOUT_MS: u64 = 600_000;

/// One of the two things that are exported.
struct Signal {
    /// As it stands in the variables.
    name: &'static str,
    /// What is appended to a general endpoint over HTTP.
    path: &'static str,
    /// Our setting of its endpoint.
    setting: &'static str,
}

const METRICS: Signal = Signal { name: "METRICS", path: "/v1/metrics", setting: "otlp.endpoint" };
const TRACES: Signal = Signal { name: "TRACES", path: "/v1/traces", setting: "otlp.traces_endpoint" };

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(crate) fn resolve(config: &OtlpConfig, variable: Variable<'_>) -> Result<Resolved, ConfigError> {
    let variable = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let variable: Variable<'_> = &variable;
    let attributes = resource_attributes(variable)?;
    let limits = Limits::default();
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Resolved { metrics: None, traces: None, attributes, limits });
    }
    let metrics = target(config, config.endpoint.as_deref(), &METRICS, variable)?;
    let traces = target(config, config.traces_endpoint.as_deref(), &TRACES, variable)?;
    Ok(Resolved { metrics, traces, attributes, limits })
}

/// A value of the environment with the name of its variable: that of the signal, or else the general one.
fn lookup(signal: &Signal, what: &str, variable: Variable<'_>) -> Option<(String, String)> {
    let names = [format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name), format!("OTEL_EXPORTER_OTLP_{what}")];
    names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)))
}

fn target(
    config: &OtlpConfig,
    own: Option<&str>,
    signal: &Signal,
    variable: Variable<'_>,
) -> Result<Option<Target>, ConfigError> {
    let specific = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.name);
    let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    // OTEL_METRICS_EXPORTER and OTEL_TRACES_EXPORTER choose among exporters; an endpoint of ours has chosen already.
    let chosen = variable(&format!("OTEL_{}_EXPORTER", signal.name))
        .is_none_or(|exporters| headers::entries(&exporters).any(|exporter| exporter == "otlp"));
    let from_environment = |name: &str| variable(name).filter(|_| chosen);
    let (name, text, append) = if let Some(own) = own.filter(|own| !own.is_empty()) {
        (signal.setting.to_owned(), own.to_owned(), false)
    } else if let Some(text) = from_environment(&specific) {
        (specific, text, false)
    } else if let Some(text) = from_environment(general) {
        (general.to_owned(), text, true)
    } else {
        return Ok(None);
    };
    let protocol = choice(config.protocol, signal, "PROTOCOL", variable)?;
    let url = url(&name, &text, protocol, append.then_some(signal.path))?;
    let headers = match lookup(signal, "HEADERS", variable) {
        _ if !config.headers.is_empty() => headers::parse("otlp.headers", config.headers.iter().map(AsRef::as_ref))?,
        Some((name, list)) => headers::parse(&name, headers::entries(&list))?,
        None => Default::default(),
    };
    Ok(Some(Target {
        url,
        protocol,
        headers,
        compression: choice(config.compression, signal, "COMPRESSION", variable)?,
        timeout: timeout(config, signal, variable)?,
        ca_file: config
            .ca_file
            .clone()
            .filter(|path| !path.as_os_str().is_empty())
            .or_else(|| lookup(signal, "CERTIFICATE", variable).map(|(_, path)| PathBuf::from(path))),
    }))
}

/// A setting with few values: ours, or that of the environment, or the default.
fn choice<T>(own: Option<T>, signal: &Signal, what: &str, variable: Variable<'_>) -> Result<T, ConfigError>
where
    T: std::str::FromStr<Err = String> + Default,
{
    match (own, lookup(signal, what, variable)) {
        (Some(own), _) => Ok(own),
        (None, Some((name, text))) => text.parse().map_err(|reason| ConfigError::Value { name, reason }),
        (None, None) => Ok(T::default()),
    }
}

fn timeout(config: &OtlpConfig, signal: &Signal, variable: Variable<'_>) -> Result<Duration, ConfigError> {
    let (name, ms) = match (config.timeout_ms, lookup(signal, "TIMEOUT", variable)) {
        (Some(own), _) => ("otlp.timeout_ms".to_owned(), own),
        (None, Some((name, text))) => match text.parse() {
            Ok(ms) => (name, ms),
            Err(_) => {
                return Err(ConfigError::Value { name, reason: format!("{text:?} is not a number of milliseconds") });
            }
        },
        (None, None) => (String::new(), DEFAULT_TIMEOUT_MS),
    };
    if !(1..=LONGEST_TIMEOUT_MS).contains(&ms) {
        return Err(ConfigError::Value { name, reason: format!("{ms} is not within 1 to {LONGEST_TIMEOUT_MS} ms") });
    }
    Ok(Duration::from_millis(ms))
}

fn url(name: &str, text: &str, protocol: Protocol, append: Option<&str>) -> Result<Uri, ConfigError> {
    let wrong = |reason| ConfigError::Url { name: name.to_owned(), url: redacted(text), reason };
    let url: Uri = text.parse().map_err(|_| wrong("it is not a URL; write http://host:port/path"))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it has to begin with http:// or https://"));
    }
    let Some(authority) = url.authority().filter(|authority| !authority.host().is_empty()) else {
        return Err(wrong("it names no host"));
    };
    if authority.as_str().contains('@') {
        return Err(wrong("a name and password do not go into the URL; send them as a header (authorization)"));
    }
    match (protocol, append) {
        (Protocol::Grpc, _) if !matches!(url.path(), "" | "/") || url.query().is_some() => {
            Err(wrong("gRPC has no path; write http://host:port"))
        }
        (Protocol::Grpc, _) | (Protocol::HttpProtobuf, None) => Ok(url),
        (Protocol::HttpProtobuf, Some(suffix)) => {
            let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let path = format!("{}{suffix}{query}", url.path().trim_end_matches('/'));
            let mut parts = url.into_parts();
            parts.path_and_query = Some(path.parse().map_err(|_| wrong("its path cannot be extended"))?);
            Uri::from_parts(parts).map_err(|_| wrong("its path cannot be extended"))
        }
    }
}

/// `OTEL_RESOURCE_ATTRIBUTES`, and `OTEL_SERVICE_NAME` above it.
fn resource_attributes(variable: Variable<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let list = variable(name).unwrap_or_default();
    let wrong = |index: usize, reason: &str| ConfigError::Entry {
        name: name.into(),
        position: index + 1,
        reason: reason.into(),
    };
    let mut attributes: Vec<(String, String)> = headers::entries(&list)
        .enumerate()
        .map(|(index, entry)| headers::pair(entry).map_err(|reason| wrong(index, reason)))
        .collect::<Result<_, _>>()?;
    if let Some(service) = variable("OTEL_SERVICE_NAME") {
        attributes.push(("service.name".to_owned(), service));
    }
    Ok(attributes)
}
