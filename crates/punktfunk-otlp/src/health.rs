//! What the export thread says of itself.

use std::time::SystemTime;

/// The exporter's own figures. Counts are of requests: one a snapshot, and one more that ends a capture's series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Requests that the backend took whole.
    pub exported: u64,
    /// Data points in them.
    pub exported_points: u64,
    /// Requests that the backend refused, in whole or in part. They are not repeated.
    pub failed: u64,
    /// Repetitions of requests that the backend could not take at the moment.
    pub retried: u64,
    /// Requests given up because the backlog was full, oldest first, or because time ran out at the end.
    pub dropped_backlog: u64,
    /// Bytes that wait to be sent, the request under way included.
    pub backlog_bytes: u64,
    /// Requests that wait to be sent, the one under way included.
    pub backlog_requests: u64,
    /// What the last failure was, at most some two hundred characters, free of secrets.
    pub last_error: Option<String>,
    /// When the backend last took a request whole.
    pub last_success: Option<SystemTime>,
    /// Whether the backend answered the last request with anything but a plea to come back; `None` before the first.
    pub up: Option<bool>,
}
