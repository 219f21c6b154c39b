//! The recorder's handle: registers sessions, arms and disarms. All state lives with the [`Collector`]; this sends to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::collector::Collector;
use crate::counters::CounterState;
use crate::report::{CaptureEvent, LiveSession};
use crate::session::{FrameRecord, Session, SessionError, SessionShared, SessionSpec};
use crate::snapshot::SnapshotSender;
use crate::trace::{GateState, PERF_BIT};
use crate::{MAX_SAMPLES, MAX_SESSIONS};

/// How the recorder measures. `Default` is right for a host; the limits are lowered by tests.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// Stable id of the installation, an attribute of every data point.
    pub host_id: String,
    /// Length of a window. Windows end on multiples of it in wall time. Default 1 s; shorter windows cost samples, longer
    /// ones hide when something happened.
    pub sample_interval: Duration,
    /// How often the rings are drained. Default 100 ms; `ring_capacity` frames must not fit into less.
    pub drain_interval: Duration,
    /// Frames that fit into one session's ring. Default 1024, some 270 KB a session: ten drains missed at 100 frames a
    /// second, or a whole second at 1000.
    pub ring_capacity: usize,
    /// Log each window's stage figures, armed or not.
    pub perf: bool,
    /// Samples kept per session, at most [`MAX_SAMPLES`].
    pub max_samples: usize,
    /// Sessions measured in one capture, at most [`MAX_SESSIONS`].
    pub max_sessions: usize,
    /// Where the cumulative figures go at the end of each window, for an exporter. Default: nowhere.
    pub snapshots: Option<SnapshotSender>,
    /// Random for each start of the host, an attribute of `punktfunk.capture.info`: two hosts that were given one `host_id`
    /// by mistake can be told apart by it.
    pub run_id: String,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            host_id: String::from("unnamed"),
            sample_interval: Duration::from_secs(1),
            drain_interval: Duration::from_millis(100),
            ring_capacity: 1024,
            perf: false,
            max_samples: MAX_SAMPLES,
            max_sessions: MAX_SESSIONS,
            snapshots: None,
            run_id: String::from("unnamed"),
        }
    }
}

/// One instant on both clocks: what turns monotonic time into wall time during a capture. Taken once, so that a step of
/// the wall clock moves nothing.
#[derive(Debug, Clone, Copy)]
pub struct Anchor {
    /// The monotonic side.
    pub monotonic: Instant,
    /// The wall side.
    pub wall: SystemTime,
}

impl Anchor {
    /// This moment.
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

/// What a capture is to be.
#[derive(Debug, Clone)]
pub struct ArmOptions {
    /// Its id: an attribute of every data point.
    pub capture_id: String,
    /// What the operator calls it.
    pub label: String,
    /// When it starts, on both clocks.
    pub anchor: Anchor,
    /// Host duration above which a frame is late. Default (`None`): two frame times of each session.
    pub latency_target: Option<Duration>,
}

/// A capture is armed already: there is one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a capture is armed already")]
pub struct AlreadyArmed;

/// The collector thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the collector thread could not be started")]
pub struct SpawnError(#[from] std::io::Error);

pub(crate) enum Command {
    Session(Arc<SessionShared>, rtrb::Consumer<FrameRecord>),
    Arm { options: ArmOptions, events: Sender<CaptureEvent> },
    Disarm { at: Instant },
}

/// What the handles and the collector share.
#[derive(Debug)]
pub(crate) struct RecorderShared {
    pub(crate) config: RecorderConfig,
    /// True from a successful `arm` until the collector has handed over that capture's report.
    pub(crate) armed: AtomicBool,
    next_session: AtomicU64,
    /// The sessions that stream now, for lists.
    pub(crate) live: Mutex<Vec<Arc<SessionShared>>>,
}

/// Handle to the recorder; clones share it. When the last one and every session are gone the collector ends.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<RecorderShared>,
    commands: Sender<Command>,
}

impl Recorder {
    /// Makes a recorder whose collector the caller drives, in real or virtual time.
    pub fn new(config: RecorderConfig) -> (Self, Collector) {
        let config = RecorderConfig {
            max_samples: config.max_samples.min(MAX_SAMPLES),
            max_sessions: config.max_sessions.min(MAX_SESSIONS),
            ring_capacity: config.ring_capacity.max(2),
            ..config
        };
        let (commands, inbox) = mpsc::channel();
        let shared = Arc::new(RecorderShared {
            config,
            armed: AtomicBool::new(false),
            next_session: AtomicU64::new(1),
            live: Mutex::default(),
        });
        (Self { shared: Arc::clone(&shared), commands }, Collector::new(shared, inbox))
    }

    /// Makes a recorder with a collector thread of its own.
    ///
    /// # Errors
    /// When the operating system refuses the thread.
    pub fn spawn(config: RecorderConfig) -> Result<Self, SpawnError> {
        let (recorder, collector) = Self::new(config);
        std::thread::Builder::new().name("stats-collector".into()).spawn(move || collector.run())?;
        Ok(recorder)
    }

    /// Registers a session. Its ring is allocated here, once.
    ///
    /// # Errors
    /// When the spec has a frame rate of 0, or the collector is gone.
    pub fn session(&self, spec: SessionSpec) -> Result<Session, SessionError> {
        if spec.info.fps == 0 {
            return Err(SessionError::FrameRate);
        }
        let config = &self.shared.config;
        let (producer, consumer) = rtrb::RingBuffer::new(config.ring_capacity);
        let gate = Arc::new(GateState::default());
        if config.perf {
            gate.word.store(PERF_BIT, Ordering::Relaxed);
        }
        let number = self.shared.next_session.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(SessionShared {
            id: format!("s{number}"),
            spec,
            gate,
            counters: CounterState::default(),
            ended: AtomicBool::new(false),
            rare: Mutex::default(),
        });
        self.commands.send(Command::Session(Arc::clone(&shared), consumer)).map_err(|_| SessionError::RecorderGone)?;
        self.shared.live.lock().push(Arc::clone(&shared));
        Ok(Session { shared, producer })
    }

    /// Opens the gate. The receiver yields the capture's events, ending with
    /// [`CaptureEvent::Finished`]; it closes without one only if the collector died.
    ///
    /// # Errors
    /// When a capture is armed, or its report is not handed over yet.
    pub fn arm(&self, options: ArmOptions) -> Result<Receiver<CaptureEvent>, AlreadyArmed> {
        // AcqRel: the collector's Release store at the end of a capture happens before the next one begins.
        if self.shared.armed.swap(true, Ordering::AcqRel) {
            return Err(AlreadyArmed);
        }
        let (events, receiver) = mpsc::channel();
        if self.commands.send(Command::Arm { options, events }).is_err() {
            // The collector is gone: the receiver is closed, which is how the caller learns of it.
            self.shared.armed.store(false, Ordering::Release);
        }
        Ok(receiver)
    }

    /// Closes the gate. The report follows on the receiver that [`arm`](Self::arm) gave. Does nothing when disarmed.
    pub fn disarm(&self) {
        self.disarm_at(Instant::now());
    }

    /// Like [`disarm`](Self::disarm), for a clock that the caller drives.
    pub fn disarm_at(&self, at: Instant) {
        if self.commands.send(Command::Disarm { at }).is_err() {
            tracing::debug!("the collector is gone; nothing to disarm");
        }
    }

    /// Whether a capture is armed or its report is still to come.
    pub fn is_armed(&self) -> bool {
        self.shared.armed.load(Ordering::Acquire)
    }

    /// The sessions that stream at this moment.
    pub fn sessions(&self) -> Vec<LiveSession> {
        let mut live = self.shared.live.lock();
        live.retain(|session| !session.ended.load(Ordering::Relaxed));
        live.iter()
            .map(|session| LiveSession {
                session_id: session.id.clone(),
                spec: session.spec.clone(),
                target_rate_bps: session.counters.target_rate_bps(),
                rtt: session.counters.rtt(),
            })
            .collect()
    }
}
