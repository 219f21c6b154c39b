//! How much of anything one caller may have. Each figure is enforced; the document declares those that a caller can meet.

use std::time::Duration;

/// Limits of a request, enforced by the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Largest body, bytes. The longest legal one (a note of 10,000 characters, all escaped) has 120,000.
    pub body_bytes: usize,
    /// How long a body may take to arrive. Raising it lets a slow sender hold its connection longer.
    pub body_timeout: Duration,
    /// Largest recording that is taken in, bytes. A host keeps it in memory while it is checked: some three times over
    /// without distributions, up to five times with them.
    pub import_bytes: usize,
    /// How long a recording may take to arrive.
    pub import_timeout: Duration,
    /// Event streams at a time; each holds a connection for as long as it is watched.
    pub streams: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 128 << 10,
            body_timeout: Duration::from_secs(10),
            import_bytes: 256 << 20,
            import_timeout: Duration::from_secs(45),
            streams: 64,
        }
    }
}

/// Limits of a connection, enforced by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at a time; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// How long a TLS handshake, and then the head of each request may take; also how long a connection may idle.
    pub header_timeout: Duration,
    /// How long until a request has an answer; event streams have theirs at once. Long enough to write three hours of
    /// samples to a slow disk.
    pub request_timeout: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub write_timeout: Duration,
    /// All header fields together, bytes.
    pub header_bytes: usize,
    /// Number of header fields.
    pub headers: usize,
    /// Path and query, bytes.
    pub uri_bytes: usize,
    /// How long connections have to finish when the server shuts down.
    pub grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            header_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(20),
            header_bytes: 16 << 10,
            headers: 64,
            uri_bytes: 8 << 10,
            grace: Duration::from_secs(5),
        }
    }
}
