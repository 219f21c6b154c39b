//! The sending thread: one request after another, repeated while the backend cannot take it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::back_off::BackOff;
use super::backlog::{Backlog, Request};
use crate::config::Limits;
use crate::health::Health;
use crate::transport::{Failure, Transport};
use parking_lot::Mutex;

/// Captures whose refusal is remembered as said: more than can be under way at once.
const MOST_CAPTURES: usize = 16;

/// What the two threads and the handle share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backlog: Backlog,
    health: Mutex<Health>,
}

impl Shared {
    pub(super) fn new(backlog: Backlog) -> Self {
        Self { backlog, health: Mutex::default() }
    }

    pub(super) fn health(&self) -> Health {
        let level = self.backlog.level();
        let mut health = self.health.lock().clone();
        health.dropped_backlog = level.dropped;
        // Counts of things in memory fit.
        (health.backlog_bytes, health.backlog_requests) = (level.bytes as u64, level.requests as u64);
        health
    }
}

/// The body of the sending thread.
pub(super) struct Sender<'a> {
    shared: &'a Shared,
    transport: Transport,
    back_off: BackOff,
    /// The last captures whose refusal has been said: the end of one may follow the beginning of the next.
    refused: VecDeque<Arc<str>>,
    /// Requests given up by the time the backend went away.
    dropped_before: u64,
}

impl<'a> Sender<'a> {
    pub(super) fn new(shared: &'a Shared, transport: Transport, limits: Limits) -> Self {
        Self { shared, transport, back_off: BackOff::new(limits), refused: VecDeque::new(), dropped_before: 0 }
    }

    /// Sends until the backlog ends.
    pub(super) fn run(mut self) {
        while let Some(request) = self.shared.backlog.take() {
            match self.transport.send(&request.body) {
                Ok(()) => self.taken(&request),
                Err(Failure::Refused { message, rejected }) => self.refused(&request, message, rejected),
                Err(Failure::Unavailable { message, asked }) => {
                    self.unavailable(message);
                    self.shared.backlog.put_back(request);
                    let pause = self.back_off.pause(asked);
                    self.shared.backlog.pause(pause);
                }
            }
        }
    }

    fn taken(&mut self, request: &Request) {
        self.answered();
        self.shared.backlog.done();
        let mut health = self.shared.health.lock();
        health.exported += 1;
        health.exported_points += request.points;
        health.last_success = Some(SystemTime::now());
    }

    fn refused(&mut self, request: &Request, message: String, rejected: Option<u64>) {
        self.answered();
        self.shared.backlog.done();
        if !self.refused.contains(&request.capture_id) {
            let (target, capture_id) = (self.transport.shown(), &request.capture_id);
            tracing::warn!(
                %target, %capture_id, rejected,
                "the OTLP backend refuses metrics, which are lost there: {message}; said once a capture"
            );
            self.refused.push_back(Arc::clone(&request.capture_id));
            if self.refused.len() > MOST_CAPTURES {
                self.refused.pop_front();
            }
        }
        let mut health = self.shared.health.lock();
        health.failed += 1;
        health.last_error = Some(message);
    }

    fn unavailable(&mut self, message: String) {
        let was_up = self.shared.health.lock().up;
        if was_up != Some(false) {
            self.dropped_before = self.shared.backlog.level().dropped;
            let target = self.transport.shown();
            tracing::warn!(%target, "the OTLP backend is away, metrics wait for it: {message}; said once");
        }
        let mut health = self.shared.health.lock();
        health.retried += 1;
        health.up = Some(false);
        health.last_error = Some(message);
    }

    /// The backend gave an answer that settles a request.
    fn answered(&mut self) {
        self.back_off.reset();
        let was_up = self.shared.health.lock().up.replace(true);
        if was_up == Some(false) {
            let lost = self.shared.backlog.level().dropped - self.dropped_before;
            let target = self.transport.shown();
            tracing::info!(%target, lost, "the OTLP backend is back");
        }
    }
}
