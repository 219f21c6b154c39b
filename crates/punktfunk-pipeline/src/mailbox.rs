//! One slot between two threads: the newest value replaces the one that nobody took.

use parking_lot::{Condvar, Mutex};

/// The slot.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    slot: Option<T>,
    closed: bool,
}

/// What became of a value that was put.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put<T> {
    /// The slot was free.
    Stored,
    /// An older value was in it; here it is.
    Replaced(T),
    /// Nobody will take anything any more; here is the value.
    Closed(T),
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { slot: None, closed: false }), filled: Condvar::new() }
    }
}

impl<T> Mailbox<T> {
    /// Puts a value; never waits for the taker. `inherit` lets it take over what is still true of the one it replaces.
    pub(crate) fn put(&self, mut value: T, inherit: impl FnOnce(&T, &mut T)) -> Put<T> {
        let mut state = self.state.lock();
        if state.closed {
            return Put::Closed(value);
        }
        if let Some(older) = &state.slot {
            inherit(older, &mut value);
        }
        let older = state.slot.replace(value);
        drop(state);
        self.filled.notify_one();
        older.map_or(Put::Stored, Put::Replaced)
    }

    /// Waits for a value and takes it; `None` once the mailbox is closed.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        while state.slot.is_none() && !state.closed {
            self.filled.wait(&mut state);
        }
        state.slot.take()
    }

    /// Wakes the taker for the last time. A value that is still in the slot is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.slot = None;
        drop(state);
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_is_taken_and_the_older_one_comes_back() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.put((1, true), |_, _| ()), Put::Stored);
        assert_eq!(mailbox.put((2, false), |older, newer| newer.1 |= older.1), Put::Replaced((1, true)));
        assert_eq!(mailbox.take(), Some((2, true)));
    }

    #[test]
    fn closing_wakes_the_taker_and_refuses_more() {
        let mailbox = Mailbox::<u8>::default();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| mailbox.take());
            mailbox.close();
            assert_eq!(taker.join().unwrap(), None);
        });
        assert_eq!(mailbox.put(3, |_, _| ()), Put::Closed(3));
    }

    #[test]
    fn every_value_is_either_taken_or_given_back() {
        let mailbox = Mailbox::default();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| std::iter::from_fn(|| mailbox.take()).count());
            let mut given_back = 0;
            for i in 0..10_000 {
                given_back += usize::from(matches!(mailbox.put(i, |_, _| ()), Put::Replaced(_)));
            }
            // The last value may still be in the slot; wait for it by putting nothing more until it is gone.
            while mailbox.state.lock().slot.is_some() {
                std::thread::yield_now();
            }
            mailbox.close();
            assert_eq!(taker.join().unwrap() + given_back, 10_000);
        });
    }
}
