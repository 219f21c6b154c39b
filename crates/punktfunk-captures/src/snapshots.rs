//! The snapshots of saved recordings from a metrics backend: one at a time, on a thread of their own, behind every stop.
//!
//! The run is safe before a snapshot begins, and stays as it is until its replacement is durable. A recording whose snapshot
//! is still to be taken says so in its file, so that the next start of the host goes on where this one ended.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use parking_lot::Mutex;
use punktfunk_recordings::{
    Capture, GetError, ListQuery, Listed, RecordingId, SnapshotState, Source, Store, UpdateError,
};
use serde::{Deserialize, Serialize};
use tracing::Span;
use utoipa::ToSchema;

/// Told of progress; breaking gives the snapshot up.
pub type Watch<'a> = &'a (dyn Fn(SnapshotPhase, u64, u64) -> ControlFlow<()> + Sync);

/// A metrics backend that recordings are held against.
pub trait Snapshotter: Send + Sync + 'static {
    /// The recording as it is to be stored: with the backend's figures if all counts agreed, with its own otherwise, and
    /// with the check in its provenance. `None` if `watch` gave it up.
    fn snapshot(&self, local: &Capture, watch: Watch<'_>) -> Option<Capture>;
}

/// What a snapshot does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotPhase {
    /// It waits for its turn.
    Queued,
    /// The backend is to hold every count first.
    Waiting,
    /// Range queries run.
    Querying,
    /// The recording is being replaced.
    Storing,
}

/// How far the present snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotStatus {
    /// The recording.
    #[schema(value_type = String)]
    pub id: RecordingId,
    /// What it does.
    pub phase: SnapshotPhase,
    /// Counts that the backend holds, or queries answered.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// Further recordings that wait.
    pub queued: usize,
}

/// Why no snapshot will be taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// None is configured.
    #[error("no metrics backend is configured: set prometheus.url, and start the host again")]
    NoBackend,
    /// Its figures come from the backend already.
    #[error("the recording is verified against the metrics backend already")]
    Verified,
    /// It cannot be read.
    #[error(transparent)]
    Get(#[from] GetError),
    /// The host ends.
    #[error("the host is shutting down")]
    ShuttingDown,
}

/// The owner's end: the thread ends when this is gone.
pub(crate) struct Snapshots {
    shared: Arc<Shared>,
    /// None without a backend.
    queue: Option<Sender<(RecordingId, Span)>>,
}

/// What the owner and the thread share.
struct Shared {
    store: Store,
    state: Mutex<State>,
    verified: AtomicU64,
    kept: AtomicU64,
    closing: AtomicBool,
    /// Tells the fronts of a change.
    tell: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    current: Option<SnapshotStatus>,
    queued: Vec<RecordingId>,
}

impl Snapshots {
    /// Starts the thread, if there is a backend; it begins with what an earlier host left pending.
    pub(crate) fn start(
        store: Store,
        backend: Option<Arc<dyn Snapshotter>>,
        tell: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            store,
            state: Mutex::default(),
            verified: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            tell: Box::new(tell),
        });
        let Some(backend) = backend else { return Self { shared, queue: None } };
        let (queue, inbox) = mpsc::channel();
        let worker = Arc::clone(&shared);
        let run = move || worker.run(backend.as_ref(), &inbox);
        if let Err(error) = std::thread::Builder::new().name("snapshots".into()).spawn(run) {
            tracing::error!(%error, "the thread for snapshots could not be started: recordings keep their local figures");
        }
        Self { shared, queue: Some(queue) }
    }

    pub(crate) fn has_backend(&self) -> bool {
        self.queue.is_some()
    }

    /// Queues a recording, as part of `span` in a trace; it may be in the queue already.
    pub(crate) fn push(&self, id: RecordingId, span: Span) {
        let Some(queue) = &self.queue else { return };
        if self.shared.enlist(&id) {
            // Without a thread, which was said at the start, it stays pending for the next host.
            queue.send((id, span)).ok();
            (self.shared.tell)();
        }
    }

    /// Asks for a snapshot of a saved recording.
    pub(crate) fn request(&self, id: &RecordingId) -> Result<SnapshotStatus, SnapshotError> {
        if !self.has_backend() {
            return Err(SnapshotError::NoBackend);
        }
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(SnapshotError::ShuttingDown);
        }
        if self.shared.store.get(id)?.capture.provenance.source == Source::Prometheus {
            return Err(SnapshotError::Verified);
        }
        self.push(id.clone(), Span::current());
        let queued = SnapshotStatus { id: id.clone(), phase: SnapshotPhase::Queued, done: 0, total: 0, queued: 0 };
        Ok(self.status().filter(|status| status.id == *id).unwrap_or(queued))
    }

    pub(crate) fn status(&self) -> Option<SnapshotStatus> {
        self.shared.status()
    }

    /// How many were verified, and how many kept their figures; `None` without a backend.
    pub(crate) fn outcomes(&self) -> Option<(u64, u64)> {
        let shared = &self.shared;
        self.has_backend().then(|| (shared.verified.load(Ordering::Relaxed), shared.kept.load(Ordering::Relaxed)))
    }

    /// Gives up what runs, at its next step; it stays pending in its file.
    pub(crate) fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// What the thread does now, or what waits for it.
    fn status(&self) -> Option<SnapshotStatus> {
        let state = self.state.lock();
        let mut status = state.current.clone();
        let waiting = state.queued.len();
        if let Some(status) = &mut status {
            status.queued = waiting;
            return Some(status.clone());
        }
        let id = state.queued.first()?.clone();
        Some(SnapshotStatus { id, phase: SnapshotPhase::Queued, done: 0, total: 0, queued: waiting - 1 })
    }

    /// Notes that a recording waits; `false` if it does already, or is at work.
    fn enlist(&self, id: &RecordingId) -> bool {
        let mut state = self.state.lock();
        let known = state.queued.contains(id) || state.current.as_ref().is_some_and(|current| current.id == *id);
        if !known {
            state.queued.push(id.clone());
        }
        !known
    }

    fn run(&self, backend: &dyn Snapshotter, inbox: &Receiver<(RecordingId, Span)>) {
        let pending = self.pending().into_iter().map(|id| (id, Span::none()));
        for (id, cause) in pending.chain(inbox) {
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            let _snapshot = tracing::info_span!(parent: &cause, "snapshot", %id).entered();
            drop(cause);
            self.set(Some(SnapshotStatus {
                id: id.clone(),
                phase: SnapshotPhase::Waiting,
                done: 0,
                total: 0,
                queued: 0,
            }));
            self.take(backend, &id);
            self.set(None);
        }
    }

    /// What an earlier host left, oldest first.
    fn pending(&self) -> Vec<RecordingId> {
        let listing = match self.store.list(&ListQuery::default()) {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(%error, "pending snapshots could not be looked for");
                return Vec::new();
            }
        };
        let pending = listing.entries.into_iter().rev().filter_map(|entry| match entry {
            Listed::Readable { meta, .. } if meta.snapshot == Some(SnapshotState::Pending) => Some(meta.id.clone()),
            _ => None,
        });
        let pending: Vec<RecordingId> = pending.filter(|id| self.enlist(id)).collect();
        if !pending.is_empty() {
            tracing::info!(recordings = pending.len(), "snapshots that an earlier host left are taken now");
        }
        pending
    }

    fn take(&self, backend: &dyn Snapshotter, id: &RecordingId) {
        let local = match self.store.get(id) {
            Ok(stored) => stored.capture,
            Err(GetError::NotFound { .. }) => return tracing::info!(%id, "deleted before its snapshot was taken"),
            Err(error) => return tracing::warn!(%id, %error, "no snapshot: the recording cannot be read"),
        };
        let watch = |phase, done, total| {
            if self.closing.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            self.set(Some(SnapshotStatus { id: id.clone(), phase, done, total, queued: 0 }));
            ControlFlow::Continue(())
        };
        let Some(replacement) = backend.snapshot(&local, &watch) else {
            return tracing::info!(%id, "the snapshot is left for the next start");
        };
        self.set(Some(SnapshotStatus { id: id.clone(), phase: SnapshotPhase::Storing, done: 0, total: 0, queued: 0 }));
        let reason = replacement.provenance.backend.as_ref().map(|check| check.reason.clone()).unwrap_or_default();
        let verified = replacement.meta.snapshot == Some(SnapshotState::Verified);
        let _store = tracing::info_span!("store").entered();
        match self.store.replace(replacement) {
            Ok(_) if verified => {
                self.verified.fetch_add(1, Ordering::Relaxed);
                tracing::info!(%id, reason, "the recording is verified against the metrics backend");
            }
            Ok(_) => {
                self.kept.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%id, reason, "the recording keeps its local figures");
            }
            Err(UpdateError::Get(GetError::NotFound { .. })) => {
                tracing::info!(%id, "deleted while its snapshot was taken");
            }
            Err(error) => tracing::error!(%id, %error, "the snapshot could not be stored; the local recording stands"),
        }
    }

    fn set(&self, status: Option<SnapshotStatus>) {
        {
            let mut state = self.state.lock();
            if let Some(status) = &status {
                state.queued.retain(|id| *id != status.id);
            }
            if state.current == status {
                return;
            }
            state.current = status;
        }
        (self.tell)();
    }
}
