//! Encoded requests on their way from one thread to the other: in order, bounded in bytes, oldest given up first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

/// An encoded request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) capture_id: Arc<str>,
    pub(super) body: Bytes,
    pub(super) points: u64,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Of everything waiting and of the request under way.
    bytes: usize,
    under_way: Option<usize>,
    /// Nothing more will be pushed.
    closed: bool,
    /// What waits is given up.
    abandoned: bool,
    dropped: u64,
}

/// The queue between the two threads.
#[derive(Debug)]
pub(super) struct Backlog {
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// What a backlog holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) bytes: usize,
    pub(super) requests: usize,
    /// Given up so far.
    pub(super) dropped: u64,
}

impl Backlog {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds the newest request, giving up the oldest waiting ones until it fits. Never waits.
    pub(super) fn push(&self, request: Request) {
        let mut state = self.state.lock();
        if state.abandoned {
            state.dropped += 1;
            return;
        }
        while state.bytes + request.body.len() > self.limit {
            let Some(oldest) = state.waiting.pop_front() else { break };
            state.bytes -= oldest.body.len();
            state.dropped += 1;
        }
        if state.bytes + request.body.len() > self.limit {
            // It does not fit even beside the one under way.
            state.dropped += 1;
            return;
        }
        state.bytes += request.body.len();
        state.waiting.push_back(request);
        self.changed.notify_all();
    }

    /// Takes the oldest request; waits for one. `None` when there will be none.
    pub(super) fn take(&self) -> Option<Request> {
        let mut state = self.state.lock();
        loop {
            if state.abandoned {
                return None;
            }
            if let Some(request) = state.waiting.pop_front() {
                state.under_way = Some(request.body.len());
                return Some(request);
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// The request under way is done with.
    pub(super) fn done(&self) {
        let mut state = self.state.lock();
        let size = state.under_way.take().unwrap_or(0);
        state.bytes -= size;
    }

    /// The request under way goes back to be the oldest.
    pub(super) fn put_back(&self, request: Request) {
        let mut state = self.state.lock();
        state.under_way = None;
        state.waiting.push_front(request);
    }

    /// Waits for `pause`, less if the end begins meanwhile.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.state.lock();
        let closed = state.closed;
        while !state.abandoned && state.closed == closed {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Nothing more will be pushed: `take` ends once all is sent.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Gives up what waits and counts it. The request under way is not interrupted.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.abandoned = true;
        while let Some(request) = state.waiting.pop_front() {
            state.bytes -= request.body.len();
            state.dropped += 1;
        }
        self.changed.notify_all();
    }

    pub(super) fn level(&self) -> Level {
        let state = self.state.lock();
        Level {
            bytes: state.bytes,
            requests: state.waiting.len() + usize::from(state.under_way.is_some()),
            dropped: state.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, size: usize) -> Request {
        Request { capture_id: name.into(), body: Bytes::from(vec![0; size]), points: 1 }
    }

    fn take(backlog: &Backlog) -> String {
        let request = backlog.take().unwrap();
        backlog.done();
        request.capture_id.to_string()
    }

    #[test]
    fn the_oldest_waiting_requests_make_room_and_are_counted() {
        let backlog = Backlog::new(100);
        for name in ["a", "b", "c"] {
            backlog.push(request(name, 40));
        }
        assert_eq!(backlog.level(), Level { bytes: 80, requests: 2, dropped: 1 });
        assert_eq!((take(&backlog), take(&backlog)), ("b".into(), "c".into()));
        assert_eq!(backlog.level(), Level { bytes: 0, requests: 0, dropped: 1 });
    }

    #[test]
    fn a_request_under_way_counts_and_is_never_torn_out() {
        let backlog = Backlog::new(100);
        backlog.push(request("a", 60));
        let under_way = backlog.take().unwrap();
        backlog.push(request("b", 50));
        assert_eq!(backlog.level(), Level { bytes: 60, requests: 1, dropped: 1 });
        backlog.push(request("c", 40));
        backlog.put_back(under_way);
        assert_eq!((take(&backlog), take(&backlog)), ("a".into(), "c".into()));
    }

    #[test]
    fn what_is_put_back_makes_room_first() {
        let backlog = Backlog::new(100);
        backlog.push(request("a", 60));
        let under_way = backlog.take().unwrap();
        backlog.put_back(under_way);
        backlog.push(request("b", 60));
        assert_eq!(take(&backlog), "b");
        assert_eq!(backlog.level().dropped, 1);
    }

    #[test]
    fn a_closed_backlog_gives_what_it_has_and_then_ends() {
        let backlog = Backlog::new(100);
        backlog.push(request("a", 1));
        backlog.close();
        assert_eq!(take(&backlog), "a");
        assert!(backlog.take().is_none());
    }

    #[test]
    fn an_abandoned_backlog_counts_what_it_gave_up() {
        let backlog = Backlog::new(100);
        backlog.push(request("a", 1));
        backlog.push(request("b", 1));
        backlog.abandon();
        backlog.push(request("c", 1));
        assert!(backlog.take().is_none());
        assert_eq!(backlog.level(), Level { bytes: 0, requests: 0, dropped: 3 });
    }
}
