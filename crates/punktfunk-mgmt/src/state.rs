//! What the routes stand on: everything that the host puts in, and nothing else.

use std::ops::Deref;
use std::sync::Arc;

use punktfunk_captures::CaptureService;
use punktfunk_prometheus::remote_read::{Limits, RemoteRead};
use tokio::sync::{Semaphore, watch};

use crate::auth::sign_in::SignIn;
use crate::export::Export;
use crate::limits::RequestLimits;
use crate::metrics::RequestCounts;
use crate::pairing::Pairing;
use crate::room::Room;
use crate::tokens::Tokens;

/// The parts of the API, put together by the host.
#[derive(Clone)]
pub struct AppState {
    /// The capture service, and through it the recordings.
    pub captures: CaptureService,
    /// Who may connect.
    pub pairing: Arc<dyn Pairing>,
    /// What the server has answered so far, for `/metrics`: the same as in its
    /// [`ServerConfig`](crate::ServerConfig).
    pub requests: RequestCounts,
    /// Who may ask.
    pub tokens: Arc<Tokens>,
    /// Browsers that are signed in, and links for others.
    pub sign_in: SignIn,
    /// Ends the event streams.
    pub shutdown: Shutdown,
    /// Version of the host, as `GET version` tells it.
    pub version: String,
    /// Limits of a request.
    pub limits: RequestLimits,
    /// The exporter of metrics, if one runs.
    pub export: Option<Export>,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("version", &self.version).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The state of all handlers.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    parts: AppState,
    /// One permit an open event stream.
    pub(crate) streams: Arc<Semaphore>,
    /// One permit: recordings are taken in one at a time, since each is held in memory.
    imports: Arc<Semaphore>,
    room: Room,
    /// One permit a remote read under way.
    reads: Arc<Semaphore>,
    remote_read: Arc<RemoteRead>,
}

/// Remote reads at a time: each may need some hundred megabytes, and the processor belongs to the stream. Others wait.
const READS: usize = 2;

impl App {
    pub(crate) fn new(parts: AppState) -> Self {
        let streams = Arc::new(Semaphore::new(parts.limits.streams));
        let remote_read = Arc::new(RemoteRead::new(parts.captures.store().clone(), Limits::default()));
        let reads = Arc::new(Semaphore::new(READS));
        let imports = Arc::new(Semaphore::new(1));
        Self(Arc::new(Inner { parts, streams, imports, room: Room::default(), reads, remote_read }))
    }

    /// One permit a remote read under way.
    pub(crate) fn reads(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.reads)
    }

    /// What answers remote reads.
    pub(crate) fn remote_read(&self) -> &Arc<RemoteRead> {
        &self.0.remote_read
    }

    /// One permit an open event stream.
    pub(crate) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.streams)
    }

    /// One permit: a recording is taken in.
    pub(crate) fn imports(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.imports)
    }

    /// Room for recordings in memory.
    pub(crate) fn room(&self) -> &Room {
        &self.0.room
    }
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0.parts
    }
}

/// Tells servers and event streams to end. Clones share it; once triggered, it stays so.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Tells everybody.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }

    /// Returns when triggered, at once if it was before.
    pub async fn triggered(&self) {
        // The sender lives in `self`, so waiting ends with the value only.
        self.0.subscribe().wait_for(|triggered| *triggered).await.ok();
    }
}
