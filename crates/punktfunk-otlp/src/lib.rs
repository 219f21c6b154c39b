//! OTLP out: a capture's metric snapshots and the host's spans, to whatever takes OTLP.
//!
//! [`Exporter`] takes [`MetricSnapshot`](punktfunk_stats::MetricSnapshot)s from the collector's bounded queue at once,
//! stamps every point with the moment that the snapshot stands for, and sends them in order on a thread of its own. The
//! collector never waits for it, and nothing in it grows without bound: encoded requests wait in a backlog of so many
//! bytes, and what does not fit is counted. A backend that goes away is said once.
//!
//! ```text
//! MetricSnapshot ─▶ stamp, encode, compress ─▶ backlog ─▶ send, retry ─▶ HTTP/protobuf or gRPC
//!                          one thread                     one thread
//! ```
//!
//! [`tracer_provider`] makes what spans are recorded with, when a place for them is configured; they leave by the same
//! transports, on the thread of the SDK's own batch processor.
//!
//! What is configured comes from [`OtlpConfig`] and the `OTEL_*` variables, in that order of precedence
//! ([`OtlpConfig::with_environment`]). Without an endpoint there is no exporter and no thread.
//!
//! What this crate does not know: disk (except the certificate file that the configuration names), video, recordings, the
//! management API.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod config;
mod convert;
mod environment;
mod exporter;
mod headers;
mod health;
mod identity;
mod traces;
mod transport;

pub use config::{Compression, ConfigError, Limits, OtlpConfig, Protocol, Resolved, Target};
pub use exporter::Exporter;
pub use headers::Header;
pub use health::Health;
pub use identity::Identity;
pub use traces::{SpanExporter, tracer_provider};
pub use transport::StartError;
