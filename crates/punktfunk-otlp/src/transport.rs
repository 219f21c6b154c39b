//! One way to send a request, whichever protocol is spoken.

mod answer;
mod authorities;
mod grpc;
mod http;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use prost::Message;

use crate::config::{Compression, Limits, Protocol, Target};

/// Why an exporter could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate file cannot be read.
    #[error("the certificate file {path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate file is not one.
    #[error("{path} holds no certificate in PEM form that can be used", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// The system's own authorities are not to be had.
    #[error("this system has no certificate authorities: install ca-certificates or name a file in otlp.ca_file")]
    NoAuthorities,
    /// The runtime or the TLS of the gRPC client cannot be set up.
    #[error("the gRPC client could not be set up")]
    Grpc(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system refused a thread.
    #[error("an export thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Metrics,
    Traces,
}

/// Whether requests are encoded compressed. gRPC compresses each message itself, when it sends it.
pub(crate) fn compresses(target: &Target) -> bool {
    target.protocol == Protocol::HttpProtobuf && target.compression == Compression::Gzip
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Not now: it is to be repeated, no sooner than `asked`.
    Unavailable { message: String, asked: Option<Duration> },
    /// Never: `rejected` data points or spans of it, or all.
    Refused { message: String, rejected: Option<u64> },
}

/// The transport of one signal.
pub(crate) enum Transport {
    Http(http::Http),
    Grpc(grpc::Grpc),
}

impl Transport {
    pub(crate) fn new(target: &Target, service: Service, limits: &Limits) -> Result<Self, StartError> {
        match target.protocol {
            Protocol::HttpProtobuf => http::Http::new(target, service, limits).map(Self::Http),
            Protocol::Grpc => grpc::Grpc::new(target, service, limits).map(Self::Grpc),
        }
    }

    /// Sends one encoded request and waits for its answer, at most for the target's time-out.
    pub(crate) fn send(&mut self, body: &Bytes) -> Result<(), Failure> {
        match self {
            Self::Http(http) => http.send(body),
            Self::Grpc(grpc) => grpc.send(body),
        }
    }

    /// Where it sends to, without secrets.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Http(http) => http.shown(),
            Self::Grpc(grpc) => grpc.shown(),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.shown()).finish()
    }
}

/// The bytes of a request as they go out, or as gRPC takes them.
pub(crate) fn encode(request: &impl Message, compress: bool) -> Bytes {
    let plain = request.encode_to_vec();
    if !compress {
        return plain.into();
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), flate2::Compression::fast());
    let written = encoder.write_all(&plain).and_then(|()| encoder.finish());
    written.expect("a Vec takes every byte").into()
}
