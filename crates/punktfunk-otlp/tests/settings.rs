//! Which setting wins, and what is said of one that cannot be used.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use proptest::prelude::*;
use punktfunk_otlp::{Compression, ConfigError, Header, OtlpConfig, Protocol, Resolved, Target};

fn resolve(config: &OtlpConfig, variables: Variables) -> Result<Resolved, ConfigError> {
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    config.clone().with_environment(find)
}

fn own(endpoint: &str) -> OtlpConfig {
    OtlpConfig { endpoint: Some(endpoint.into()), ..OtlpConfig::default() }
}

fn metrics(config: &OtlpConfig, variables: Variables) -> Target {
    resolve(config, variables).unwrap().metrics.unwrap()
}

/// What is set in the environment.
type Variables<'a> = &'a [(&'a str, &'a str)];
/// Settings, variables, and the endpoints of metrics and traces that come of them.
type Endpoints<'a> = (&'a OtlpConfig, Variables<'a>, Option<&'a str>, Option<&'a str>);
/// Settings, variables, and what the error names and advises.
type Refused<'a> = (&'a OtlpConfig, Variables<'a>, &'a str, &'a str);

const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

#[test]
fn endpoints_follow_their_order_of_precedence() {
    let ours = own("http://own/x");
    let none = OtlpConfig::default();
    let both = OtlpConfig { traces_endpoint: Some("http://own/t".into()), ..ours.clone() };
    let table: &[Endpoints] = &[
        (&none, &[], None, None),
        (&none, &[(GENERAL, ""), (METRICS, " ")], None, None),
        (&none, &[(GENERAL, "http://g:1")], Some("http://g:1/v1/metrics"), Some("http://g:1/v1/traces")),
        (&none, &[(GENERAL, "http://g/a/b/")], Some("http://g/a/b/v1/metrics"), Some("http://g/a/b/v1/traces")),
        (&none, &[(GENERAL, "http://g/a?k=v")], Some("http://g/a/v1/metrics?k=v"), Some("http://g/a/v1/traces?k=v")),
        (&none, &[(METRICS, "http://m/as/it/stands/")], Some("http://m/as/it/stands/"), None),
        (&none, &[(METRICS, "http://m"), (GENERAL, "http://g")], Some("http://m/"), Some("http://g/v1/traces")),
        (&none, &[(TRACES, "http://t/x")], None, Some("http://t/x")),
        (&ours, &[(METRICS, "http://m"), (GENERAL, "http://g")], Some("http://own/x"), Some("http://g/v1/traces")),
        (&both, &[(METRICS, "http://m"), (TRACES, "http://t")], Some("http://own/x"), Some("http://own/t")),
        (&none, &[(GENERAL, "http://g:4317"), (PROTOCOL, "grpc")], Some("http://g:4317/"), Some("http://g:4317/")),
        (&both, &[("OTEL_SDK_DISABLED", "TRUE")], None, None),
        (&both, &[("OTEL_SDK_DISABLED", "false")], Some("http://own/x"), Some("http://own/t")),
        (&none, &[(GENERAL, "http://g"), ("OTEL_TRACES_EXPORTER", "none")], Some("http://g/v1/metrics"), None),
        (&none, &[(GENERAL, "http://g"), ("OTEL_METRICS_EXPORTER", "prometheus")], None, Some("http://g/v1/traces")),
        (&none, &[(METRICS, "http://m"), ("OTEL_METRICS_EXPORTER", "console,otlp")], Some("http://m/"), None),
        (&ours, &[("OTEL_METRICS_EXPORTER", "none")], Some("http://own/x"), None),
    ];
    for (config, variables, metrics, traces) in table {
        let resolved = resolve(config, variables).unwrap();
        let url = |target: &Option<Target>| target.as_ref().map(|target| target.url.to_string());
        let expected = (metrics.map(str::to_owned), traces.map(str::to_owned));
        assert_eq!((url(&resolved.metrics), url(&resolved.traces)), expected, "{variables:?}");
    }
}

#[test]
fn every_other_setting_follows_the_same_order() {
    let ours = OtlpConfig {
        protocol: Some(Protocol::HttpProtobuf),
        headers: vec!["x=own".into()],
        compression: Some(Compression::Gzip),
        timeout_ms: Some(1),
        ca_file: Some("/own".into()),
        ..own("http://own")
    };
    let general = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x=general,y=1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/general"),
    ];
    let specific = [
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x=specific"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/specific"),
    ];
    let all: Vec<_> = general.iter().chain(&specific).copied().collect();
    let seen = |target: &Target| {
        let header = |name| target.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let file = target.ca_file.as_ref().map(|path| path.display().to_string());
        (target.protocol, target.compression, target.timeout.as_millis(), header("x"), header("y"), file)
    };
    let text = |text: &str| Some(text.to_owned());
    let (http, gzip) = (Protocol::HttpProtobuf, Compression::Gzip);
    assert_eq!(seen(&metrics(&own("http://own"), &[])), (http, gzip, 10_000, None, None, None));
    let expected = (Protocol::Grpc, Compression::None, 3, text("general"), text("1"), text("/general"));
    assert_eq!(seen(&metrics(&own("http://own"), &general)), expected);
    let expected = (http, gzip, 2, text("specific"), None, text("/specific"));
    assert_eq!(seen(&metrics(&own("http://own"), &all)), expected);
    assert_eq!(seen(&metrics(&ours, &all)), (http, gzip, 1, text("own"), None, text("/own")));

    // The other signal does not see them.
    let traces = resolve(&OtlpConfig { traces_endpoint: Some("http://t".into()), ..OtlpConfig::default() }, &specific);
    assert_eq!(seen(&traces.unwrap().traces.unwrap()), (http, gzip, 10_000, None, None, None));
}

#[test]
fn headers_are_read_as_baggage_is() {
    let variable = ("OTEL_EXPORTER_OTLP_HEADERS", " Authorization = Basic%20YQ== ,, x-list=a%2Cb,empty=,x-list=last");
    let target = metrics(&own("http://h"), &[variable]);
    let mut headers: Vec<_> = target.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
    headers.sort_unstable();
    assert_eq!(headers, [("authorization", "Basic YQ=="), ("empty", ""), ("x-list", "last")]);
}

#[test]
fn resource_attributes_are_read_and_the_service_name_stands_above_them() {
    let variables = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=x%2Cy,region=eu"), ("OTEL_SERVICE_NAME", "b")];
    let attributes = resolve(&OtlpConfig::default(), &variables).unwrap().attributes;
    let pairs: Vec<_> = attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(pairs, [("service.name", "a"), ("team", "x,y"), ("region", "eu"), ("service.name", "b")]);
}

#[test]
fn what_cannot_be_used_is_named_and_says_what_would_be_right() {
    let timeout = OtlpConfig { timeout_ms: Some(0), ..own("http://h") };
    let header = OtlpConfig { headers: vec!["authorization".into()], ..own("http://h") };
    let grpc = OtlpConfig { protocol: Some(Protocol::Grpc), ..own("http://h/path") };
    let ok = own("http://h");
    let table: &[Refused] = &[
        (&own("localhost:9090"), &[], "otlp.endpoint", "http://"),
        (&own("ftp://h/x"), &[], "otlp.endpoint", "http://"),
        (&own("http:///x"), &[], "otlp.endpoint", "URL"),
        (&own("http://user:pw@h/x"), &[], "otlp.endpoint", "as a header"),
        (&OtlpConfig::default(), &[(TRACES, "nowhere")], TRACES, "http://"),
        (&grpc, &[], "otlp.endpoint", "gRPC has no path"),
        (&timeout, &[], "otlp.timeout_ms", "1 to 600000"),
        (&ok, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], "OTEL_EXPORTER_OTLP_TIMEOUT", "milliseconds"),
        (&ok, &[(PROTOCOL, "http/json")], PROTOCOL, "take http/protobuf"),
        (&ok, &[(PROTOCOL, "udp")], PROTOCOL, "neither http/protobuf nor grpc"),
        (&ok, &[("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")], "COMPRESSION", "neither gzip nor none"),
        (&header, &[], "otlp.headers: entry 1", "name=value"),
        (&ok, &[("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b")], "HEADERS: entry 2", "name=value"),
        (&ok, &[("OTEL_EXPORTER_OTLP_HEADERS", "=1")], "HEADERS: entry 1", "empty"),
        (&ok, &[("OTEL_EXPORTER_OTLP_HEADERS", "a=%FF")], "HEADERS: entry 1", "UTF-8"),
        (&ok, &[("OTEL_EXPORTER_OTLP_HEADERS", "a=%0A")], "HEADERS: entry 1", "cannot carry"),
        (&ok, &[("OTEL_EXPORTER_OTLP_HEADERS", "Content-Type=x")], "HEADERS: entry 1", "leave it out"),
        (&ok, &[("OTEL_RESOURCE_ATTRIBUTES", "team")], "OTEL_RESOURCE_ATTRIBUTES: entry 1", "name=value"),
    ];
    for (config, variables, name, hint) in table {
        let error = resolve(config, variables).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(hint), "{variables:?}: {error}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let secret = "s3cr3t";
    let config = OtlpConfig {
        headers: vec![Header::from("authorization=s3cr3t"), Header::from("s3cr3t")],
        ..own("http://s3cr3t:s3cr3t@h/x?key=s3cr3t")
    };
    let mut shown = format!("{config:?}");
    shown.push_str(&resolve(&config, &[]).unwrap_err().to_string());
    let config = OtlpConfig { headers: vec![Header::from("authorization=s3cr3t")], ..own("http://h/x?key=s3cr3t") };
    let resolved = resolve(&config, &[]).unwrap();
    shown.push_str(&format!("{resolved:?} {}", resolved.metrics.as_ref().unwrap().shown()));
    for list in ["a=1,s3cr3t", "a=s3cr3t%0A", "a=s3cr3t%FF"] {
        shown.push_str(&resolve(&own("http://h"), &[("OTEL_EXPORTER_OTLP_HEADERS", list)]).unwrap_err().to_string());
    }
    assert!(!shown.contains(secret), "{shown}");
    assert!(shown.contains("authorization") && shown.contains("http://h/x"), "{shown}");
}

#[test]
fn limits_have_their_documented_defaults() {
    let limits = resolve(&OtlpConfig::default(), &[]).unwrap().limits;
    assert_eq!(limits.backlog_bytes, 4 * 1024 * 1024);
    assert_eq!((limits.first_pause, limits.longest_pause), (Duration::from_millis(200), Duration::from_secs(5)));
    assert_eq!(limits.sample_interval, Duration::from_secs(1));
}

proptest! {
    #[test]
    fn no_text_makes_a_setting_panic(text in "\\PC*", name in 0..9_usize) {
        let names = [
            GENERAL, METRICS, PROTOCOL, "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_METRICS_EXPORTER",
        ];
        // What comes of it does not matter here.
        drop(resolve(&OtlpConfig::default(), &[(GENERAL, "http://h"), (names[name], &text)]));
        drop(resolve(&own(&text), &[(PROTOCOL, "grpc")]));
    }
}
