//! Spans out, over the same transports.

use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData};
use parking_lot::Mutex;

use crate::config::{Limits, Resolved, Target};
use crate::exporter::BackOff;
use crate::identity::Identity;
use crate::transport::{self, Failure, Service, StartError, Transport};

/// The provider whose spans go to `resolved.traces`; `None`, and no thread, if that says nowhere. From then on the process
/// reads and passes on W3C Trace Context.
///
/// Spans wait in the SDK's bounded queue (2048, `OTEL_BSP_MAX_QUEUE_SIZE`) and are dropped when it is full. Shut it down
/// with a deadline of your own (`shutdown_with_timeout`), off any async runtime.
///
/// # Errors
/// When the certificate file cannot be used.
pub fn tracer_provider(resolved: &Resolved, identity: &Identity) -> Result<Option<SdkTracerProvider>, StartError> {
    let Some(target) = &resolved.traces else { return Ok(None) };
    let exporter = SpanExporter::new(target, &resolved.limits)?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder()
        .with_resource(identity.sdk_resource(resolved))
        .with_span_processor(BatchSpanProcessor::builder(exporter).build());
    Ok(Some(provider.build()))
}

/// Exports spans to one target. It blocks the thread that calls it: it is for the batch processor, which has its own.
#[derive(Debug)]
pub struct SpanExporter {
    transport: Mutex<Transport>,
    said: Mutex<Said>,
    resource: ResourceAttributesWithSchema,
    compress: bool,
    target: Target,
    limits: Limits,
}

/// What has been said of the backend, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    away: bool,
    refused: bool,
    lost: usize,
}

impl SpanExporter {
    /// Makes the exporter; nothing is sent yet.
    ///
    /// # Errors
    /// When the certificate file cannot be used.
    pub fn new(target: &Target, limits: &Limits) -> Result<Self, StartError> {
        Ok(Self {
            transport: Mutex::new(Transport::new(target, Service::Traces, limits)?),
            said: Mutex::default(),
            resource: ResourceAttributesWithSchema::default(),
            compress: transport::compresses(target),
            target: target.clone(),
            limits: *limits,
        })
    }

    /// Sends one batch, again while the backend is unavailable, at most for the target's time-out and one request more.
    fn send(&self, batch: Vec<SpanData>) -> Result<(), Failure> {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = transport::encode(&ExportTraceServiceRequest { resource_spans }, self.compress);
        let mut back_off = BackOff::new(self.limits);
        let end = Instant::now() + self.target.timeout;
        loop {
            let failure = match self.transport.lock().send(&body) {
                Err(Failure::Unavailable { message, asked }) => Failure::Unavailable { message, asked },
                settled => return settled,
            };
            let Failure::Unavailable { asked, .. } = &failure else { return Err(failure) };
            let pause = back_off.pause(*asked);
            if Instant::now() + pause > end {
                return Err(failure);
            }
            std::thread::sleep(pause);
        }
    }

    fn say(&self, spans: usize, result: &Result<(), Failure>) {
        let mut said = self.said.lock();
        let target = self.target.shown();
        if let Err(Failure::Unavailable { message, .. }) = result {
            if !said.away {
                tracing::warn!(%target, "the OTLP backend for traces is away, spans are lost: {message}; said once");
            }
            said.away = true;
            said.lost += spans;
            return;
        }
        if std::mem::take(&mut said.away) {
            let lost = std::mem::take(&mut said.lost);
            tracing::info!(%target, lost, "the OTLP backend for traces is back");
        }
        match result {
            Err(Failure::Refused { message, .. }) => {
                if !said.refused {
                    tracing::warn!(%target, "the OTLP backend refuses spans: {message}; said once");
                }
                said.refused = true;
            }
            _ => said.refused = false,
        }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for SpanExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.send(batch);
        self.say(spans, &result);
        result.map_err(|failure| match failure {
            Failure::Unavailable { message, .. } | Failure::Refused { message, .. } => {
                OTelSdkError::InternalFailure(message)
            }
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
