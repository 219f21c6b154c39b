//! What goes between Prometheus and recordings. What comes back from it: PromQL with the catalogue's names, a client for range queries, and the snapshot of a
//! capture window, held count for count against what the collector measured.
//!
//! ```text
//! saved recording ─▶ snapshot: wait for the totals ─▶ range queries ─▶ compare every step ─▶ recording with its check
//! ```
//!
//! And what it asks for: [`remote_read`] answers its remote-read requests out of saved recordings.
//!
//! It writes nothing: whoever asked for the snapshot stores it. Everything blocks, and is meant for a thread of its own.
//! Any backend with Prometheus' query API and native histograms will do.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod answers;
mod client;
mod compare;
mod config;
pub mod query;
pub mod remote_read;
mod snapshot;

pub use client::{Answer, Client, QueryError, Series};
pub use config::{ConfigError, Headers, PrometheusConfig};
pub use snapshot::{Progress, snapshot};
