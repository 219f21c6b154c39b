//! Waiting for the operator.

use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::requests::{Progress, Requests};

/// The request is gone: it expired, or was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired;

/// Waits until the operator has answered a request. Whoever answers one wakes `changed`.
///
/// # Errors
/// [`Expired`].
pub async fn answered(requests: &Mutex<Requests>, changed: &Notify, id: &str) -> Result<(), Expired> {
    loop {
        // Before looking, so that an answer in between is not missed.
        let change = changed.notified();
        let left = match requests.lock().progress(Instant::now(), id) {
            Progress::Approved { .. } => return Ok(()),
            Progress::Gone => return Err(Expired),
            Progress::Open { expires_in } => expires_in,
        };
        // Looked at again when it has expired, too.
        if tokio::time::timeout(left, change).await.is_err() {
            tracing::debug!(id, "a pairing request was not answered");
        }
    }
}
