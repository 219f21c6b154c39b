//! The way out for whole snapshots: what an exporter is given once a window.
//!
//! The queue is bounded and never makes the collector wait: a snapshot that finds it full takes the place of the oldest
//! one, which cumulative figures forgive. So the last snapshot of a capture always gets in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use opentelemetry_sdk::metrics::data::ResourceMetrics;

/// The cumulative state of a capture's instruments at the end of a window.
#[derive(Debug)]
pub struct MetricSnapshot {
    /// The capture.
    pub capture_id: String,
    /// The moment that the figures stand for, on the capture's own clock: what an exporter stamps every point with. A step
    /// of the wall clock during the capture does not move it. Strictly later than the snapshot before, by a millisecond or
    /// more.
    pub at: SystemTime,
    /// End of the window's step: a multiple of the sample interval, not before `at`. Later than `at` only in the last
    /// snapshot, when the capture was stopped inside a step.
    pub step_end: SystemTime,
    /// Whether the capture has ended: these are its totals.
    pub last: bool,
    /// What the reader collected.
    pub metrics: ResourceMetrics,
}

/// The collector's end of the queue.
#[derive(Debug, Clone)]
pub struct SnapshotSender {
    queue: Sender<MetricSnapshot>,
    oldest: Receiver<MetricSnapshot>,
    lost: Arc<AtomicU64>,
}

impl SnapshotSender {
    /// Makes a queue of `capacity` snapshots, at least one. The second half is for the exporter's thread.
    pub fn bounded(capacity: usize) -> (Self, Receiver<MetricSnapshot>) {
        let (queue, receiver) = crossbeam_channel::bounded(capacity.max(1));
        (Self { queue, oldest: receiver.clone(), lost: Arc::default() }, receiver)
    }

    /// Snapshots that nobody took in time.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn send(&self, mut snapshot: MetricSnapshot) {
        // The collector is the only one that sends, so one place freed is one place to use.
        while let Err(error) = self.queue.try_send(snapshot) {
            let TrySendError::Full(back) = error else { return };
            snapshot = back;
            if self.oldest.try_recv().is_ok() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(capture_id: &str) -> MetricSnapshot {
        let at = SystemTime::UNIX_EPOCH;
        MetricSnapshot {
            capture_id: capture_id.to_owned(),
            at,
            step_end: at,
            last: false,
            metrics: ResourceMetrics::default(),
        }
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest_and_counts_it() {
        let (sender, receiver) = SnapshotSender::bounded(2);
        for id in ["a", "b", "c", "d"] {
            sender.send(snapshot(id));
        }
        let left: Vec<String> = receiver.try_iter().map(|snapshot| snapshot.capture_id).collect();
        assert_eq!((left, sender.lost()), (vec!["c".to_owned(), "d".to_owned()], 2));
    }
}
