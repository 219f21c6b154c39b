//! The export threads: one takes, stamps and encodes snapshots, the other sends them.

mod back_off;
mod backlog;
mod encoder;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender as Signal, bounded};
use parking_lot::Mutex;
use punktfunk_stats::MetricSnapshot;

pub(crate) use self::back_off::BackOff;
use self::backlog::Backlog;
use self::encoder::Encoder;
use self::sender::Shared;
use crate::config::Resolved;
use crate::convert::Converter;
use crate::health::Health;
use crate::identity::Identity;
use crate::transport::{self, StartError, Transport};

/// The running export of metric snapshots. Dropping it gives up what waits; [`shutdown`](Self::shutdown) sends it.
#[derive(Debug)]
pub struct Exporter {
    shared: Arc<Shared>,
    /// Dropped to tell the encoding thread that the end has begun.
    stop: Mutex<Option<Signal<()>>>,
    /// Disconnected when the sending thread has ended.
    ended: Receiver<()>,
}

impl Exporter {
    /// Starts the export of what `snapshots` yields, to `resolved.metrics`; `None` if that says nowhere.
    ///
    /// Nothing is sent before the first snapshot, so a backend that is down is no error here.
    ///
    /// # Errors
    /// When the certificate file cannot be used or a thread cannot be started.
    pub fn start(
        resolved: &Resolved,
        identity: &Identity,
        snapshots: Receiver<MetricSnapshot>,
    ) -> Result<Option<Self>, StartError> {
        let Some(target) = &resolved.metrics else { return Ok(None) };
        let limits = resolved.limits;
        let transport = Transport::new(target, transport::Service::Metrics, &limits)?;
        let compress = transport::compresses(target);
        let converter = Converter::new(identity.resource(resolved));
        let shared = Arc::new(Shared::new(Backlog::new(limits.backlog_bytes)));
        let (stop, stopped) = bounded(0);
        let (alive, ended) = bounded::<()>(0);
        let encoder = Encoder::new(Arc::clone(&shared), converter, compress, limits.sample_interval);
        spawn("otlp-encode", move || encoder.run(&snapshots, &stopped))?;
        // From here on a failure drops `stop`, which ends the encoding thread.
        let for_sender = Arc::clone(&shared);
        spawn("otlp-send", move || {
            // Held by the thread for its whole life.
            let _alive = alive;
            sender::Sender::new(&for_sender, transport, limits).run();
        })?;
        Ok(Some(Self { shared, stop: Mutex::new(Some(stop)), ended }))
    }

    /// The exporter's figures at this moment.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Sends what is queued and waits for it, at most for `deadline`. Whether all of it was settled: taken by the backend or
    /// refused. What was not is counted as dropped; a request under way may outlive the call by its time-out. It blocks: call it
    /// off any async runtime, and after the capture's report has come, whose last snapshot is then in the queue.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        self.stop.lock().take();
        // Nobody sends: either the thread ends or the time is up.
        let in_time = self.ended.recv_timeout(deadline).is_err_and(|error| error.is_disconnected());
        let settled = self.shared.backlog.level().requests == 0;
        self.shared.backlog.abandon();
        in_time && settled
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.backlog.abandon();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop).map_err(StartError::Thread)
}
