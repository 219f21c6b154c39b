//! Spans that are recorded with `tracing` arrive, nested as they were.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::let_underscore_must_use, reason = "a helper that outlives its test has nobody to tell")]

mod support;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use punktfunk_otlp::{OtlpConfig, Protocol, Resolved, tracer_provider};
use tracing_subscriber::layer::SubscriberExt;

use support::{Answer, Backend, MS, answer, grpc_server, identity, ok};

fn to(url: &str, protocol: Protocol) -> Resolved {
    let config = OtlpConfig { traces_endpoint: Some(url.into()), protocol: Some(protocol), ..OtlpConfig::default() };
    let mut resolved = config.with_environment(|_| None).unwrap();
    resolved.limits.first_pause = MS;
    resolved
}

/// Records a capture with two phases and sends what was recorded. Whether all of it was taken.
fn record(resolved: &Resolved) -> bool {
    let provider = tracer_provider(resolved, &identity()).unwrap().unwrap();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("punktfunk"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let _capture = tracing::info_span!("capture", capture.id = "c1").entered();
        tracing::info_span!("save").in_scope(|| ());
        tracing::info_span!("verify").in_scope(|| ());
    });
    let taken = provider.force_flush().is_ok();
    // After a failed flush nothing is left to send.
    let _ = provider.shutdown();
    taken
}

fn check(body: &[u8]) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    let names: Vec<_> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    for name in ["service.name", "service.instance.id", "service.version"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    let find = |name: &str| -> &Span { spans.iter().find(|span| span.name == name).unwrap() };
    let capture = find("capture");
    assert_eq!((spans.len(), capture.parent_span_id.is_empty()), (3, true));
    assert!(capture.attributes.iter().any(|attribute| attribute.key == "capture.id"));
    for phase in ["save", "verify"] {
        let phase = find(phase);
        assert_eq!((&phase.parent_span_id, &phase.trace_id), (&capture.span_id, &capture.trace_id));
    }
}

#[test]
fn spans_arrive_over_http() {
    let backend = Backend::start(|_| ok());
    assert!(record(&to(&format!("http://{}/v1/traces", backend.address), Protocol::HttpProtobuf)));
    let request = backend.next();
    assert_eq!((request.path.as_str(), request.headers["content-encoding"].as_str()), ("/v1/traces", "gzip"));
    check(&request.body);
}

#[test]
fn spans_arrive_over_grpc() {
    let server = grpc_server::Server::start(None, |_| grpc_server::ok());
    assert!(record(&to(&format!("http://{}", server.address), Protocol::Grpc)));
    let call = server.calls.recv().unwrap();
    assert_eq!(call.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    check(&call.message);
}

#[test]
fn a_batch_is_repeated_while_the_backend_is_unavailable() {
    let backend = Backend::start(|n| if n < 3 { answer("503 Service Unavailable", "text/plain", "") } else { ok() });
    assert!(record(&to(&format!("http://{}/v1/traces", backend.address), Protocol::HttpProtobuf)));
    assert_eq!(backend.arrived.try_iter().count(), 4);
}

#[test]
fn a_batch_that_is_refused_or_hangs_is_an_error_and_no_hang() {
    let refusals: [fn(usize) -> Answer; 3] = [
        |_| answer("400 Bad Request", "text/plain", "no"),
        // partial_success { rejected_spans: 1 }
        |_| answer("200 OK", "application/x-protobuf", "\x0a\x02\x08\x01"),
        |_| Answer::Hang,
    ];
    for refusal in refusals {
        let backend = Backend::start(refusal);
        let mut resolved = to(&format!("http://{}/v1/traces", backend.address), Protocol::HttpProtobuf);
        resolved.traces.as_mut().unwrap().timeout = 50 * MS;
        assert!(!record(&resolved));
    }
}

#[test]
fn without_an_endpoint_nothing_is_built() {
    assert!(tracer_provider(&Resolved::default(), &identity()).unwrap().is_none());
}
