//! What the exporter of metrics says of itself, as the host hands it in.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

/// Asked for the exporter's figures at any moment.
pub type Export = Arc<dyn Fn() -> ExportFigures + Send + Sync>;

/// The exporter's figures since the start of the host. Requests: one a second while a capture is armed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExportFigures {
    /// Requests that the backend took whole.
    pub exported: u64,
    /// Requests that it refused, in whole or in part.
    pub refused: u64,
    /// Requests given up because the backlog was full.
    pub dropped: u64,
    /// Snapshots lost before they were encoded.
    pub lost: u64,
    /// Repetitions.
    pub retried: u64,
    /// Bytes that wait.
    pub backlog_bytes: u64,
    /// Whether the backend answered the last request; `null` before the first.
    pub up: Option<bool>,
    /// What the last failure was.
    pub last_error: Option<String>,
}
