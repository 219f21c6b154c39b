//! Room for recordings in memory. One of three hours and several sessions takes some hundred megabytes there, and the host is
//! no place to run out of it: answers about recordings wait for their turn.

use std::sync::Arc;

use punktfunk_recordings::compare::MAX_RUNS;
use tokio::sync::Semaphore;

use crate::error::{ApiError, blocking};

/// Recordings at a time: one comparison of as many as can be compared.
const HELD: usize = MAX_RUNS;

/// Room for [`HELD`] recordings.
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD)))
    }
}

impl Room {
    /// Runs something that blocks and holds so many recordings in memory, when there is room for them: in the order in which
    /// it was asked for. Once begun it ends, and makes room then, also if nobody waits for its answer any more.
    pub(crate) async fn holding<T, E, F>(&self, recordings: usize, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let wanted = u32::try_from(recordings.min(HELD)).expect("it is a handful");
        let permit = Arc::clone(&self.0).acquire_many_owned(wanted).await.map_err(ApiError::internal)?;
        let work = move || {
            let answer = work();
            drop(permit);
            answer
        };
        blocking(work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_is_held_than_there_is_room_for_and_everybody_has_a_turn() {
        let room = Arc::new(Room::default());
        let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut asked = Vec::new();
        for at in 0..40 {
            let (room, held, most) = (Arc::clone(&room), Arc::clone(&held), Arc::clone(&most));
            asked.push(tokio::spawn(async move {
                let recordings = 1 + at % HELD;
                let work = move || {
                    let now = held.fetch_add(recordings, Ordering::SeqCst) + recordings;
                    most.fetch_max(now, Ordering::SeqCst);
                    std::thread::yield_now();
                    held.fetch_sub(recordings, Ordering::SeqCst);
                    Ok::<_, ApiError>(at)
                };
                room.holding(recordings, work).await
            }));
        }
        for (at, answer) in asked.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap().unwrap(), at);
        }
        assert!((1..=HELD).contains(&most.load(Ordering::SeqCst)), "{most:?}");
        assert_eq!(room.0.available_permits(), HELD);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_room_until_it_ends() {
        let room = Room::default();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let work = move || {
            begun.send(()).ok();
            Ok::<_, ApiError>(ends.recv().ok())
        };
        let asked = tokio::time::timeout(std::time::Duration::from_millis(1), room.holding(HELD, work));
        assert!(asked.await.is_err(), "it was given up");
        has_begun.recv().unwrap();
        assert_eq!(room.0.available_permits(), 0);
        end.send(()).unwrap();
        room.holding(HELD, || Ok::<_, ApiError>(())).await.unwrap();
    }
}
