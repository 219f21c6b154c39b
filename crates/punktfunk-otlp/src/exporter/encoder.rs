//! The encoding thread: takes snapshots at once, stamps and encodes them, and ends each capture's series.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, at, never, select};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use punktfunk_stats::MetricSnapshot;

use super::backlog::Request;
use super::sender::Shared;
use crate::convert::{Converter, end, points};
use crate::transport;

/// Ends that wait to become due. With more captures than this within two intervals the oldest is sent early.
const MOST_ENDS: usize = 8;

/// The end of a capture's series, stamped with a moment that is still to come.
struct End {
    stamp: SystemTime,
    /// The same moment on the clock that nobody steps.
    due: Instant,
    capture_id: Arc<str>,
    request: ExportMetricsServiceRequest,
}

/// The body of the encoding thread.
pub(super) struct Encoder {
    shared: Arc<Shared>,
    converter: Converter,
    compress: bool,
    sample_interval: Duration,
    /// In the order of their stamps, as captures end one after another.
    ///
    /// They wait so that requests leave in the order of their stamps: Prometheus keeps one series a resource
    /// (`target_info`), and with a stamp from the future in it would refuse the next capture's first snapshots whole, as out
    /// of order.
    ends: VecDeque<End>,
}

impl Encoder {
    pub(super) fn new(shared: Arc<Shared>, converter: Converter, compress: bool, sample_interval: Duration) -> Self {
        Self { shared, converter, compress, sample_interval, ends: VecDeque::new() }
    }

    /// Encodes until nobody sends any more or the end has begun.
    pub(super) fn run(mut self, snapshots: &Receiver<MetricSnapshot>, stopped: &Receiver<()>) {
        loop {
            let due = self.ends.front().map_or_else(never, |end| at(end.due));
            select! {
                recv(snapshots) -> snapshot => match snapshot {
                    Ok(snapshot) => self.take(&snapshot),
                    Err(_) => break,
                },
                recv(stopped) -> _ => {
                    snapshots.try_iter().for_each(|snapshot| self.take(&snapshot));
                    break;
                }
                recv(due) -> _ => {
                    let now = Instant::now();
                    self.push_ends(|end| end.due <= now);
                }
            }
        }
        self.push_ends(|_| true);
    }

    fn take(&mut self, snapshot: &MetricSnapshot) {
        self.push_ends(|end| end.stamp <= snapshot.at);
        let request = self.converter.convert(snapshot);
        let capture_id: Arc<str> = snapshot.capture_id.as_str().into();
        self.push(&capture_id, &request);
        if snapshot.last {
            let stamp = snapshot.step_end + self.sample_interval;
            let due = Instant::now() + stamp.duration_since(snapshot.at).unwrap_or_default();
            self.ends.push_back(End { stamp, due, capture_id, request: end(request, stamp) });
            if self.ends.len() > MOST_ENDS {
                self.push_first_end();
            }
        }
    }

    fn push_ends(&mut self, is_due: impl Fn(&End) -> bool) {
        while self.ends.front().is_some_and(&is_due) {
            self.push_first_end();
        }
    }

    fn push_first_end(&mut self) {
        if let Some(end) = self.ends.pop_front() {
            self.push(&end.capture_id, &end.request);
        }
    }

    fn push(&self, capture_id: &Arc<str>, request: &ExportMetricsServiceRequest) {
        let (body, points) = (transport::encode(request, self.compress), points(request));
        self.shared.backlog.push(Request { capture_id: Arc::clone(capture_id), body, points });
    }
}

impl Drop for Encoder {
    /// However the thread ends, the sending one learns that nothing follows.
    fn drop(&mut self) {
        self.shared.backlog.close();
    }
}
