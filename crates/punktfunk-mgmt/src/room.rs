//! Room for recordings in memory. One of three hours and several sessions takes some hundred megabytes there, and the host is
//! no place to run out of it: answers about recordings wait for their turn.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use punktfunk_recordings::compare::MAX_RUNS;
use tokio::sync::{Semaphore, mpsc};

use crate::error::{ApiError, blocking_under};

/// Recordings at a time: one comparison of as many as can be compared.
const HELD: usize = MAX_RUNS;

/// Recordings beside those that are written for somebody at this moment. They last as long as whoever takes them wants, and
/// keep nobody waiting but each other.
const DOWNLOADS: usize = 2;

/// How much is written before somebody takes it, bytes, and in how many pieces.
const PIECE: usize = 64 << 10;
const PIECES: usize = 4;

/// Room for [`HELD`] recordings, and for [`DOWNLOADS`] more.
pub(crate) struct Room {
    held: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        let [held, downloads] = [HELD, DOWNLOADS].map(|places| Arc::new(Semaphore::new(places)));
        Self { held, downloads }
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
        let permit = Arc::clone(&self.held).acquire_many_owned(wanted).await.map_err(ApiError::internal)?;
        blocking_under(permit, work).await
    }

    /// A body that `write` makes of what `load` has read while it is taken, so that it is never whole in memory. A body that
    /// could not be written to its end breaks off: nobody takes it for a whole one.
    pub(crate) async fn written<T, E, L, W>(&self, load: L, write: W) -> Result<Body, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
        L: FnOnce() -> Result<T, E> + Send + 'static,
        W: FnOnce(&T, &mut BufWriter<Pieces>) -> io::Result<()> + Send + 'static,
    {
        let permit = Arc::clone(&self.downloads).acquire_owned().await.map_err(ApiError::internal)?;
        let loaded = self.holding(1, load).await?;
        let (sender, mut taken) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            let mut out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
            // Whoever has gone hears nothing of it.
            if let Err(error) = write(&loaded, &mut out).and_then(|()| out.flush()) {
                sender.blocking_send(Err(error)).ok();
            }
            drop((loaded, permit));
        });
        Ok(Body::from_stream(stream::poll_fn(move |context| taken.poll_recv(context))))
    }
}

/// Takes what is written to whoever reads the body; waits while there is enough of it.
pub(crate) struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        assert_eq!(room.held.available_permits(), HELD);
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
        assert_eq!(room.held.available_permits(), 0);
        end.send(()).unwrap();
        room.holding(HELD, || Ok::<_, ApiError>(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_body_is_written_as_it_is_taken_and_breaks_off_where_it_cannot_go_on() {
        let room = Room::default();
        let load = || Ok::<_, ApiError>(1_000_000_u32);
        let lines = |count: &u32, out: &mut BufWriter<Pieces>| (0..*count).try_for_each(|at| writeln!(out, "{at:07}"));
        let body = room.written(load, lines).await.unwrap();
        let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!((whole.len(), &whole[whole.len() - 8..]), (8_000_000, &b"0999999\n"[..]));

        let fails = |_: &u32, out: &mut BufWriter<Pieces>| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        };
        let body = room.written(load, fails).await.unwrap();
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());

        // Nobody takes these: they wait, and end when they are dropped.
        let endless = |_: &u32, out: &mut BufWriter<Pieces>| loop {
            out.write_all(&[0; 1000])?;
        };
        let untaken = (room.written(load, endless).await.unwrap(), room.written(load, endless).await.unwrap());
        assert_eq!(room.downloads.available_permits(), 0);
        assert_eq!(room.held.available_permits(), HELD, "pages go on");
        drop(untaken);
        drop(room.written(load, lines).await.unwrap());
    }
}
