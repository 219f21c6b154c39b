//! OTLP over gRPC: <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>.
//!
//! The calling thread owns the runtime and drives it while a request is under way, so that no other thread is needed.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tokio::runtime::Runtime;
use tonic::client::Grpc as Client;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Extensions, Request, Status};
use ureq::http::HeaderMap;
use ureq::http::uri::PathAndQuery;

use super::answer::{self, plain, refused};
use super::authorities::Authorities;
use super::{Failure, Service, StartError};
use crate::config::{Compression, Limits, Target};

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// How tonic begins what it says of an answer over the limit; a test holds it to that.
const TOO_LARGE: &str = "Error, decoded message length too large";

/// The gRPC side of a target.
pub(crate) struct Grpc {
    runtime: Runtime,
    client: Client<Channel>,
    service: Service,
    headers: HeaderMap,
    timeout: Duration,
    shown: String,
}

impl Grpc {
    pub(super) fn new(target: &Target, service: Service, limits: &Limits) -> Result<Self, StartError> {
        let failed = |error: tonic::transport::Error| StartError::Grpc(error.into());
        let endpoint = Endpoint::from(target.url.clone())
            .connect_timeout(target.timeout)
            .user_agent(concat!("punktfunk/", env!("CARGO_PKG_VERSION")))
            .map_err(failed)?;
        let endpoint = if target.url.scheme_str() == Some("https") {
            let tls = ClientTlsConfig::new();
            match &target.ca_file {
                Some(path) => {
                    let authorities = Authorities::read(path)?;
                    endpoint.tls_config(tls.ca_certificate(Certificate::from_pem(authorities.pem))).map_err(failed)?
                }
                None => endpoint.tls_config(tls.with_native_roots()).map_err(|_| StartError::NoAuthorities)?,
            }
        } else {
            endpoint
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StartError::Grpc(error.into()))?;
        let channel = {
            // The channel spawns its task on the runtime that is entered.
            let _entered = runtime.enter();
            endpoint.connect_lazy()
        };
        let most = usize::try_from(limits.answer_bytes).unwrap_or(usize::MAX);
        let mut client = Client::new(channel).max_decoding_message_size(most);
        if target.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        let (headers, timeout, shown) = (target.headers.clone(), target.timeout, target.shown());
        Ok(Self { runtime, client, service, headers, timeout, shown })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn send(&mut self, body: &Bytes) -> Result<(), Failure> {
        let path = PathAndQuery::from_static(match self.service {
            Service::Metrics => METRICS,
            Service::Traces => TRACES,
        });
        let metadata = MetadataMap::from_headers(self.headers.clone());
        let request = Request::from_parts(metadata, Extensions::default(), body.clone());
        let client = &mut self.client;
        let call = async {
            client.ready().await.map_err(|error| Status::from_error(error.into()))?;
            client.unary(request, path, Whole).await
        };
        match self.runtime.block_on(async { tokio::time::timeout(self.timeout, call).await }) {
            Ok(Ok(answer)) => answer::taken(self.service, &answer.into_inner()),
            Ok(Err(status)) => Err(failure(&status)),
            Err(_) => Err(Failure::Unavailable { message: "no answer in time".to_owned(), asked: None }),
        }
    }
}

/// What a status other than success means: <https://opentelemetry.io/docs/specs/otlp/#failures>.
fn failure(status: &Status) -> Failure {
    let details = answer::Status::decode(status.details()).unwrap_or_default();
    let asked = details.retry_info();
    let message = match root_cause(status) {
        Some(cause) => format!("{:?}: {}", status.code(), plain(&cause)),
        None => format!("{:?}: {}", status.code(), plain(status.message())),
    };
    match status.code() {
        // The client's own verdict on an answer over the limit; a repetition would only bring it again.
        Code::OutOfRange if status.message().starts_with(TOO_LARGE) => refused(message),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Failure::Unavailable { message, asked },
        // Only the backend knows whether it will have room again.
        Code::ResourceExhausted if asked.is_some() => Failure::Unavailable { message, asked },
        // The client's own: the connection broke.
        Code::Unknown | Code::Internal if status.source().is_some() => Failure::Unavailable { message, asked },
        _ => refused(message),
    }
}

/// The innermost error under a status that the client itself made.
fn root_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(cause.to_string())
}

/// Hands encoded messages through as they are: they were encoded when they were put into the backlog.
#[derive(Debug, Clone, Copy)]
struct Whole;

impl Codec for Whole {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Whole {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Whole {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
