//! The metrics backend: Prometheus, as the capture service sees it.

use std::ops::ControlFlow;
use std::sync::Arc;

use punktfunk_captures::{SnapshotPhase, Snapshotter, Watch};
use punktfunk_prometheus::{Client, ConfigError, Progress, PrometheusConfig};
use punktfunk_recordings::Capture;

struct Prometheus(Client);

impl Snapshotter for Prometheus {
    fn snapshot(&self, local: &Capture, watch: Watch<'_>) -> Option<Capture> {
        let watch = |progress| -> ControlFlow<()> {
            match progress {
                Progress::Waiting { held, expected } => watch(SnapshotPhase::Waiting, held, expected),
                Progress::Querying { done, total } => watch(SnapshotPhase::Querying, done as u64, total as u64),
            }
        };
        punktfunk_prometheus::snapshot(&self.0, local, &watch)
    }
}

/// The backend of the configuration, if it names one.
///
/// # Errors
/// When its settings cannot be used; it is not connected to here.
pub fn connect(config: &PrometheusConfig) -> Result<Option<Arc<dyn Snapshotter>>, ConfigError> {
    Ok(Client::new(config)?.map(|client| Arc::new(Prometheus(client)) as Arc<dyn Snapshotter>))
}
