//! The service: the state machine, its thread, and what fronts read from it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use punktfunk_recordings::store::SaveError;
use punktfunk_recordings::{Capture, CaptureMeta, HostMeta, JournalEntry, Marker, RecordingId, SnapshotState, Store};
use punktfunk_stats::{Anchor, ArmOptions, CaptureEvent, Recorder};
use tokio::sync::watch;
use tracing::Span;

use crate::convert;
use crate::feed::{Cursor, Feed};
use crate::journal::JournalWriter;
use crate::run::{Heard, Run};
use crate::snapshots::{SnapshotError, SnapshotStatus, Snapshots, Snapshotter};
use crate::status::{
    CaptureState, LiveCapture, LiveEvent, LiveSession, MarkerError, StartError, StartRequest, Started, StatsStatus,
    StopError,
};

/// Characters of an operator's marker.
const MAX_MARKER_TEXT: usize = 200;

/// Samples that the live view gives at once: ten minutes of one session. The stream has them all.
const LIVE_SAMPLES: usize = 600;

/// What the service holds of the present capture.
enum Phase {
    /// The last run stays readable, so that a front that was slow still gets its last samples.
    Idle {
        last: Option<Box<Run>>,
    },
    /// Until `at`.
    Scheduled {
        run: Box<Run>,
        at: Instant,
    },
    Armed {
        run: Box<Run>,
        journal: JournalWriter,
    },
    Saving {
        run: Box<Run>,
    },
    Unsaved {
        run: Box<Run>,
        capture: Box<Capture>,
        journal: JournalWriter,
        cause: Arc<SaveError>,
    },
}

struct State {
    phase: Phase,
    /// What the last run ended with, for everybody who waits for it: its number and outcome.
    ended: (u64, Result<Option<CaptureMeta>, StopReason>),
    runs: u64,
    last_recording: Option<RecordingId>,
    closed: bool,
}

/// [`StopError`] as it can be kept and given to several callers.
#[derive(Debug, Clone)]
enum StopReason {
    Unsaved { id: RecordingId, cause: Arc<SaveError> },
    RecorderGone,
}

impl From<StopReason> for StopError {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Unsaved { id, cause } => Self::Unsaved { id, cause },
            StopReason::RecorderGone => Self::RecorderGone,
        }
    }
}

struct Inner {
    recorder: Recorder,
    store: Store,
    host: HostMeta,
    latency_target: Option<Duration>,
    snapshots: Snapshots,
    state: Mutex<State>,
    /// Signalled whenever the phase changes.
    turned: Condvar,
    /// Counts changes, for fronts that wait without blocking.
    changed: watch::Sender<u64>,
}

/// The capture service; clones share it. Calls block at most on the disk (`stop`), never on a backend.
#[derive(Clone)]
pub struct CaptureService {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for CaptureService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureService").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl CaptureService {
    /// Puts the service together. `latency_target`: host duration above which a frame is late; two frame times of each
    /// session if `None`. `backend`: what saved recordings are held against, if anything.
    pub fn new(
        recorder: Recorder,
        store: Store,
        host: HostMeta,
        latency_target: Option<Duration>,
        backend: Option<Arc<dyn Snapshotter>>,
    ) -> Self {
        let state = State {
            phase: Phase::Idle { last: None },
            ended: (0, Ok(None)),
            runs: 0,
            last_recording: None,
            closed: false,
        };
        let changed = watch::Sender::new(0);
        let tell = changed.clone();
        let snapshots = Snapshots::start(store.clone(), backend, move || bump(&tell));
        let inner = Inner {
            recorder,
            store,
            host,
            latency_target,
            snapshots,
            state: Mutex::new(state),
            turned: Condvar::new(),
            changed,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The host, as every recording names it.
    pub fn host(&self) -> &HostMeta {
        &self.inner.host
    }

    /// The store that recordings go to.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Starts a capture; if one runs already, nothing changes and its status is returned.
    ///
    /// # Errors
    /// When a value is out of its limits, or the last capture is not saved yet.
    pub fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        request.check()?;
        let mut state = self.inner.state.lock();
        match &state.phase {
            Phase::Scheduled { .. } | Phase::Armed { .. } => {
                return Ok(Started { status: self.inner.status(&state), already_running: true });
            }
            Phase::Saving { run } => return Err(StartError::Saving { id: run.meta.id.clone() }),
            Phase::Unsaved { capture, .. } => return Err(StartError::Unsaved { id: capture.meta.id.clone() }),
            Phase::Idle { .. } if state.closed => return Err(StartError::ShuttingDown),
            Phase::Idle { .. } => {}
        }
        let delay = Duration::from_secs(request.delay_s.unwrap_or(0).into());
        let anchor = Anchor::now();
        let started = convert::unix_ms(anchor.wall + delay);
        let live = self.inner.recorder.sessions();
        let resolution = live.first().map(|session| (session.spec.info.width, session.spec.info.height));
        let id = self.inner.store.new_id(started, resolution);
        let run = Run::new(id, request, self.inner.host.clone(), started, self.inner.latency_target);
        state.runs += 1;
        if delay.is_zero() {
            self.inner.arm(&mut state, Box::new(run), anchor)?;
        } else {
            let inner = Arc::clone(&self.inner);
            std::thread::Builder::new().name("capture-delay".into()).spawn(move || inner.wait_for_start())?;
            state.phase = Phase::Scheduled { run: Box::new(run), at: anchor.monotonic + delay };
        }
        self.inner.turn();
        Ok(Started { status: self.inner.status(&state), already_running: false })
    }

    /// Stops the capture and waits until it is saved: the recording's meta, or `None` if nothing ran. After a failed write,
    /// stopping again repeats it.
    ///
    /// # Errors
    /// When the recording could not be written; it stays in memory.
    pub fn stop(&self) -> Result<Option<CaptureMeta>, StopError> {
        let mut state = self.inner.state.lock();
        let run = state.runs;
        match &state.phase {
            Phase::Idle { .. } => return Ok(None),
            Phase::Scheduled { .. } => {
                state.phase = Phase::Idle { last: None };
                self.inner.turn();
                return Ok(None);
            }
            Phase::Armed { .. } => self.inner.recorder.disarm(),
            Phase::Saving { .. } => {}
            Phase::Unsaved { .. } => return self.inner.save_again(state),
        }
        while state.ended.0 < run {
            self.inner.turned.wait(&mut state);
        }
        state.ended.1.clone().map_err(StopError::from)
    }

    /// Stops and saves what runs, and starts nothing any more.
    ///
    /// # Errors
    /// Like [`stop`](Self::stop).
    pub fn shut_down(&self) -> Result<Option<CaptureMeta>, StopError> {
        self.inner.state.lock().closed = true;
        self.inner.snapshots.close();
        self.stop()
    }

    /// What the service does now.
    pub fn status(&self) -> StatsStatus {
        let state = self.inner.state.lock();
        self.inner.status(&state)
    }

    /// The running capture so far: its newest samples, those of one session only if `session` is given.
    pub fn live(&self, session: Option<&str>) -> LiveCapture {
        let state = self.inner.state.lock();
        let status = self.inner.status(&state);
        let Some(run) = state.phase.run().filter(|_| !state.phase.is_idle()) else {
            return LiveCapture { status, ..LiveCapture::default() };
        };
        let wanted = run.samples.iter().rev().filter(|sample| session.is_none_or(|id| sample.session_id == id));
        let mut samples: Vec<_> = wanted.take(LIVE_SAMPLES).cloned().collect();
        samples.reverse();
        LiveCapture { status, samples, markers: run.markers.clone() }
    }

    /// Everything that came after `cursor`; all of the running capture if it belongs to another one.
    pub fn feed(&self, cursor: &Cursor) -> Feed {
        let state = self.inner.state.lock();
        let status = self.inner.status(&state);
        let Some(run) = state.phase.run() else { return Feed { status, events: Vec::new(), cursor: cursor.clone() } };
        let id = run.meta.id.to_string();
        let from = if cursor.id == id { cursor.next.min(run.log.len()) } else { 0 };
        let place = |next| Cursor { id: id.clone(), next };
        let events = run.log.iter().enumerate().skip(from).map(|(i, event)| (place(i + 1), event.clone())).collect();
        Feed { status, events, cursor: place(run.log.len()) }
    }

    /// A counter that moves with every change, for fronts that wait for one without blocking.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Asks for a snapshot of a saved recording from the metrics backend; it is taken behind this call.
    ///
    /// # Errors
    /// Without a backend, or when the recording cannot be read or is verified already.
    pub fn take_snapshot(&self, id: &RecordingId) -> Result<SnapshotStatus, SnapshotError> {
        self.inner.snapshots.request(id)
    }

    /// How many snapshots since the start were verified, and how many left the recording its own figures; `None` without a
    /// backend.
    pub fn snapshot_outcomes(&self) -> Option<(u64, u64)> {
        self.inner.snapshots.outcomes()
    }

    /// Sets a marker in the running capture.
    ///
    /// # Errors
    /// When none is armed, or the text is too long.
    pub fn add_marker(&self, text: &str) -> Result<Marker, MarkerError> {
        if text.chars().count() > MAX_MARKER_TEXT {
            return Err(MarkerError::TooLong);
        }
        let mut state = self.inner.state.lock();
        let Phase::Armed { run, journal } = &mut state.phase else { return Err(MarkerError::NotArmed) };
        let marker = run.operator_marker(text.to_owned())?;
        journal.append(JournalEntry::Marker(marker.clone()));
        self.inner.tell();
        Ok(marker)
    }

    /// The sessions that stream now, measured or not.
    pub fn sessions(&self) -> Vec<LiveSession> {
        self.inner
            .recorder
            .sessions()
            .into_iter()
            .map(|session| convert::live_session(session, self.inner.latency_target))
            .collect()
    }
}

impl Phase {
    /// The present run, or the last one.
    fn run(&self) -> Option<&Run> {
        match self {
            Self::Idle { last } => last.as_deref(),
            Self::Scheduled { run, .. }
            | Self::Armed { run, .. }
            | Self::Saving { run }
            | Self::Unsaved { run, .. } => Some(run),
        }
    }

    fn is_idle(&self) -> bool {
        matches!(self, Self::Idle { .. })
    }

    /// Leaves nothing behind, to be replaced at once.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Idle { last: None })
    }
}

impl Inner {
    /// Opens the gate and starts the thread that follows the run.
    fn arm(self: &Arc<Self>, state: &mut State, mut run: Box<Run>, anchor: Anchor) -> Result<(), StartError> {
        let options = ArmOptions {
            capture_id: run.meta.id.to_string(),
            label: run.meta.label.clone(),
            anchor,
            latency_target: self.latency_target,
        };
        // The phase was idle, so the recorder's last report has been taken; only a collector that is gone stays armed.
        let events = self.recorder.arm(options).map_err(|_| StartError::ShuttingDown)?;
        let inner = Arc::clone(self);
        // It waits for the lock that the caller holds, and then finds the capture armed.
        let follower = std::thread::Builder::new().name("capture".into()).spawn(move || inner.follow(&events));
        if let Err(error) = follower {
            self.recorder.disarm();
            return Err(error.into());
        }
        run.armed_at = anchor.monotonic;
        let journal = JournalWriter::start(&self.store, &run.meta);
        state.phase = Phase::Armed { run, journal };
        Ok(())
    }

    /// Waits for a delayed start, unless it is stopped before.
    fn wait_for_start(self: Arc<Self>) {
        let mut state = self.state.lock();
        loop {
            let Phase::Scheduled { at, .. } = &state.phase else { return };
            let at = *at;
            if Instant::now() >= at {
                break;
            }
            self.turned.wait_until(&mut state, at);
        }
        if let Phase::Scheduled { run, .. } = state.phase.take()
            && let Err(error) = self.arm(&mut state, run, Anchor::now())
        {
            tracing::error!(%error, "a delayed capture could not be started");
        }
        drop(state);
        self.turn();
    }

    /// The thread of a run: takes events until the report, then saves.
    fn follow(self: Arc<Self>, events: &Receiver<CaptureEvent>) {
        let report = loop {
            let Some(event) = self.next_event(events) else { break None };
            let mut state = self.state.lock();
            let Phase::Armed { run, journal } = &mut state.phase else { break None };
            match run.hear(event) {
                Heard::Nothing => {}
                Heard::Session(index) => journal.append(JournalEntry::Session(run.meta.sessions[index].clone())),
                Heard::Event(event) => journal.append(entry(&event)),
                Heard::LastSessionLeft(event) => {
                    journal.append(entry(&event));
                    if run.request.stop_with_session == Some(true) {
                        self.recorder.disarm();
                    }
                }
                Heard::Finished(report) => break Some(report),
            }
            self.tell();
        };
        let mut state = self.state.lock();
        let Phase::Armed { mut run, journal } = state.phase.take() else { return };
        let Some(report) = report else {
            state.ended = (state.runs, Err(StopReason::RecorderGone));
            drop(state);
            self.turn();
            return;
        };
        let mut capture = Box::new(run.finish(&report));
        if self.snapshots.has_backend() && !capture.provenance.counts.is_empty() {
            capture.meta.snapshot = Some(SnapshotState::Pending);
        }
        let span = run.span.clone();
        state.phase = Phase::Saving { run };
        drop(state);
        self.turn();
        // Whoever stopped the capture hears the outcome from `ended`.
        self.save(capture, journal, &span).ok();
    }

    /// The next event; closes the gate by itself when the limit is reached. `None` if the recorder is gone.
    fn next_event(&self, events: &Receiver<CaptureEvent>) -> Option<CaptureEvent> {
        let limit = {
            let state = self.state.lock();
            let run = state.phase.run()?;
            run.request.max_duration_s.map(|s| run.armed_at + Duration::from_secs(s.into()))
        };
        let Some(limit) = limit else { return events.recv().ok() };
        match events.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => {
                self.recorder.disarm_at(limit);
                events.recv().ok()
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Writes the recording of the run that is being saved, and turns to idle or to unsaved.
    fn save(
        &self,
        capture: Box<Capture>,
        journal: JournalWriter,
        span: &Span,
    ) -> Result<Option<CaptureMeta>, StopError> {
        let saving = tracing::info_span!(parent: span, "save").entered();
        let id = capture.meta.id.clone();
        let (outcome, unsaved) = match self.store.save(&capture) {
            Ok(_) => {
                // Only now is the journal's copy not the last one.
                journal.remove();
                tracing::info!(%id, samples = capture.meta.sample_count, "capture saved");
                (Ok(Some(capture.meta)), None)
            }
            Err(error) => {
                tracing::error!(%id, %error, "the capture could not be written; it stays in memory");
                let cause = Arc::new(error);
                (
                    Err(StopReason::Unsaved { id: id.clone(), cause: Arc::clone(&cause) }),
                    Some((capture, journal, cause)),
                )
            }
        };
        if let Ok(Some(meta)) = &outcome
            && meta.snapshot.is_some()
        {
            self.snapshots.push(id.clone(), span.clone());
        }
        drop(saving);
        let mut state = self.state.lock();
        if let Phase::Saving { mut run } = state.phase.take() {
            state.phase = match unsaved {
                Some((capture, journal, cause)) => Phase::Unsaved { run, capture, journal, cause },
                None => {
                    // The run stays readable; in the trace it ends with its snapshot.
                    run.span = Span::none();
                    Phase::Idle { last: Some(run) }
                }
            };
        }
        if outcome.is_ok() {
            state.last_recording = Some(id);
        }
        state.ended = (state.runs, outcome.clone());
        drop(state);
        self.turn();
        outcome.map_err(StopError::from)
    }

    /// Repeats a write that failed.
    fn save_again(&self, mut state: MutexGuard<'_, State>) -> Result<Option<CaptureMeta>, StopError> {
        let Phase::Unsaved { run, capture, journal, .. } = state.phase.take() else { return Ok(None) };
        let span = run.span.clone();
        state.phase = Phase::Saving { run };
        // Whoever stops meanwhile waits for this attempt, not for the last.
        state.runs += 1;
        drop(state);
        self.turn();
        self.save(capture, journal, &span)
    }

    fn status(&self, state: &State) -> StatsStatus {
        let mut status = StatsStatus {
            live_sessions: self.recorder.sessions().len(),
            last_recording: state.last_recording.clone(),
            snapshot: self.snapshots.status(),
            ..StatsStatus::default()
        };
        if let Some(run) = state.phase.run().filter(|_| !state.phase.is_idle()) {
            status.id = Some(run.meta.id.clone());
            status.label = Some(run.meta.label.clone());
            status.sample_count = run.samples.len();
            status.session_count = run.meta.sessions.len();
            status.started_unix_ms = Some(run.meta.started_unix_ms);
            status.elapsed_ms = Some(run.meta.duration_ms);
            status.max_duration_s = run.request.max_duration_s;
            status.stop_with_session = run.request.stop_with_session.unwrap_or(false);
            status.kind = run.meta.kind;
            status.records_lost = run.meta.records_lost;
        }
        status.state = match &state.phase {
            Phase::Idle { .. } => CaptureState::Idle,
            Phase::Scheduled { at, .. } => {
                status.elapsed_ms = None;
                status.starts_in_ms = Some(convert::millis(at.saturating_duration_since(Instant::now())));
                CaptureState::Scheduled
            }
            Phase::Armed { run, .. } => {
                status.armed = true;
                status.elapsed_ms = Some(convert::millis(run.armed_at.elapsed()));
                CaptureState::Armed
            }
            Phase::Saving { .. } => CaptureState::Saving,
            Phase::Unsaved { cause, .. } => {
                status.unsaved_reason = Some(cause.to_string());
                CaptureState::Unsaved
            }
        };
        status
    }

    /// Tells the fronts that something is new.
    fn tell(&self) {
        bump(&self.changed);
    }

    /// Tells everybody that the phase has changed.
    fn turn(&self) {
        self.turned.notify_all();
        self.tell();
    }
}

fn bump(changed: &watch::Sender<u64>) {
    changed.send_modify(|changes| *changes = changes.wrapping_add(1));
}

fn entry(event: &LiveEvent) -> JournalEntry {
    match event {
        LiveEvent::Sample(sample) => JournalEntry::Sample((**sample).clone()),
        LiveEvent::Marker(marker) => JournalEntry::Marker(marker.clone()),
    }
}
