//! The collector: drains the rings, keeps the open window, closes it, reports it.
//!
//! It runs on a thread of its own ([`Collector::run`]) or is stepped by its owner ([`Collector::step`]), which is how tests
//! run whole captures in virtual time. While nothing is armed and the performance log is off it sleeps until it is told
//! something.

mod attribution;
mod capture;
mod instruments;
mod kept;
mod member;
mod perf;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use self::capture::Capture;
use self::perf::PerfLog;
use crate::recorder::{Command, RecorderShared};
use crate::session::{FrameRecord, SessionShared};
use crate::trace::PERF_BIT;

/// One registered session, as the collector holds it.
struct Source {
    shared: Arc<SessionShared>,
    ring: rtrb::Consumer<FrameRecord>,
    perf: Option<PerfLog>,
}

/// Owns everything that happens to a record after the ring.
pub struct Collector {
    shared: Arc<RecorderShared>,
    inbox: Receiver<Command>,
    sources: Vec<Source>,
    capture: Option<Capture>,
    generation: u64,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Collector {
    pub(crate) fn new(shared: Arc<RecorderShared>, inbox: Receiver<Command>) -> Self {
        Self { shared, inbox, sources: Vec::new(), capture: None, generation: 0 }
    }

    /// Runs until every handle is gone. A capture that is armed then is finished and reported first.
    pub fn run(mut self) {
        loop {
            let received = match self.step(Instant::now()) {
                Some(deadline) => self.inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(command) => self.apply(command, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.finish(Instant::now());
                    return;
                }
            }
        }
    }

    /// Handles what has been sent, drains the rings and closes the windows that ended by `now`. Returns when to be called
    /// next; `None` means only when something is sent.
    pub fn step(&mut self, now: Instant) -> Option<Instant> {
        while let Ok(command) = self.inbox.try_recv() {
            self.apply(command, now);
        }
        if self.capture.is_none() && !self.shared.config.perf {
            self.sources.retain(|source| !source.shared.ended.load(Ordering::Acquire));
            return None;
        }
        self.drain();
        if let Some(capture) = &mut self.capture {
            capture.close_windows(now);
        }
        self.log_performance(now);
        self.retire();
        let next = now + self.shared.config.drain_interval;
        let window_end = self.capture.as_ref().map(Capture::window_end);
        Some(window_end.map_or(next, |end| next.min(end)))
    }

    fn apply(&mut self, command: Command, now: Instant) {
        match command {
            Command::Session(shared, ring) => {
                let perf = self.shared.config.perf.then(|| PerfLog::new(&shared, now));
                if let Some(capture) = &mut self.capture
                    && capture.admit(&shared)
                {
                    open_gate(&shared, self.generation, self.shared.config.perf);
                }
                self.sources.push(Source { shared, ring, perf });
            }
            Command::Arm { options, events } => {
                // Finishes nothing: the handle lets one capture exist at a time.
                self.sources.retain(|source| !source.shared.ended.load(Ordering::Acquire) || source.ring.slots() > 0);
                self.generation += 1;
                let mut capture = Capture::begin(&self.shared.config, self.generation, options, events);
                for source in &self.sources {
                    if capture.admit(&source.shared) {
                        open_gate(&source.shared, self.generation, self.shared.config.perf);
                    }
                }
                self.capture = Some(capture);
            }
            Command::Disarm { at } => self.finish(at),
        }
    }

    /// Moves every record from the rings to the open window and the performance log.
    fn drain(&mut self) {
        for source in &mut self.sources {
            // The count is read once: a session that sends faster than this drains cannot hold it here.
            let Ok(chunk) = source.ring.read_chunk(source.ring.slots()) else { continue };
            for record in chunk {
                if let Some(perf) = &mut source.perf {
                    perf.record(&record);
                }
                if let Some(capture) = &mut self.capture
                    && record.stamps.word >> 1 == self.generation
                {
                    capture.record(&source.shared, &record);
                }
            }
        }
    }

    /// Closes the gates, takes what is in the rings, reports and drops the capture.
    fn finish(&mut self, at: Instant) {
        if self.capture.is_none() {
            return;
        }
        for source in &self.sources {
            close_gate(&source.shared, self.shared.config.perf);
        }
        self.drain();
        if let Some(capture) = self.capture.take() {
            // Release comes first: whoever reads the report may arm again at once.
            self.shared.armed.store(false, Ordering::Release);
            capture.finish(at);
        }
    }

    fn log_performance(&mut self, now: Instant) {
        for source in &mut self.sources {
            if let Some(perf) = &mut source.perf {
                perf.close_window(now);
            }
        }
    }

    /// Lets go of the sessions that have ended and whose records have all been taken.
    fn retire(&mut self) {
        let capture = &mut self.capture;
        self.sources.retain_mut(|source| {
            // Acquire: pairs with the sink's Release, so that an empty ring after it stays empty.
            let ended = source.shared.ended.load(Ordering::Acquire) && source.ring.slots() == 0;
            if ended && let Some(capture) = capture {
                capture.leave(&source.shared);
            }
            !ended
        });
    }
}

/// Frames of this session are measured under `generation` from now on.
pub(crate) fn open_gate(session: &SessionShared, generation: u64, perf: bool) {
    // Relaxed: a frame that misses the change by an instant is simply not measured.
    session.gate.word.store(generation << 1 | u64::from(perf), Ordering::Relaxed);
}

/// Frames of this session are not measured any more, except for the performance log.
pub(crate) fn close_gate(session: &SessionShared, perf: bool) {
    session.gate.word.store(if perf { PERF_BIT } else { 0 }, Ordering::Relaxed);
}
