//! Pings on the video port: they tell where video is to go, and that somebody is there.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::listen;

/// Characters of a session's payload; the protocol has exactly these.
pub(crate) const PAYLOAD_BYTES: usize = 16;

/// Payload and BE32 count.
const PING_BYTES: usize = PAYLOAD_BYTES + 4;

/// How often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a datagram is a ping with this payload. The count is not looked at: pings overtake each other.
fn is_ping(datagram: &[u8], payload: &[u8; PAYLOAD_BYTES]) -> bool {
    datagram.len() == PING_BYTES && datagram[..PAYLOAD_BYTES] == *payload
}

/// Listens for one session's pings. Dropping it ends its thread.
pub(crate) struct Pings {
    newest: Arc<Mutex<Option<(SocketAddr, Instant)>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pings {
    pub(crate) fn listen(socket: UdpSocket, from: IpAddr, payload: [u8; PAYLOAD_BYTES]) -> io::Result<Self> {
        listen::discard(&socket)?;
        socket.set_read_timeout(Some(LOOK))?;
        let newest = Arc::new(Mutex::new(None));
        let over = Arc::new(AtomicBool::new(false));
        let (noted, ended) = (Arc::clone(&newest), Arc::clone(&over));
        let thread = std::thread::Builder::new().name("gs-pings".to_owned()).spawn(move || {
            // One more than a ping, so that longer datagrams are told apart.
            let mut datagram = [0; PING_BYTES + 1];
            let mut others = 0_u64;
            // Relaxed: nothing else is passed on with it.
            while !ended.load(Ordering::Relaxed) {
                match socket.recv_from(&mut datagram) {
                    Ok((bytes, peer)) => {
                        if listen::canonical(peer).ip() == from && is_ping(&datagram[..bytes], &payload) {
                            *noted.lock() = Some((peer, Instant::now()));
                            continue;
                        }
                        // One line in the log for a session, however many come.
                        others += 1;
                        if others == 1 {
                            tracing::warn!(%peer, "a ping that is not the client's was passed over; further ones are not logged");
                        }
                    }
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the video port could not be read");
                        std::thread::sleep(LOOK);
                    }
                }
            }
        })?;
        Ok(Self { newest, over, thread: Some(thread) })
    }

    /// The newest ping: where it came from, and when.
    pub(crate) fn newest(&self) -> Option<(SocketAddr, Instant)> {
        *self.newest.lock()
    }
}

impl Drop for Pings {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that takes pings failed");
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let payload = b"0123456789abcdef";
    assert_eq!(is_ping(bytes, payload), bytes.len() == PING_BYTES && bytes.starts_with(payload));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_the_sessions_payload_is_a_ping(bytes in proptest::collection::vec(any::<u8>(), 0..40), count: u32) {
            let payload = *b"0123456789abcdef";
            prop_assert!(!is_ping(&bytes, &payload));
            let ping = [&payload[..], &count.to_be_bytes()].concat();
            prop_assert!(is_ping(&ping, &payload));
            prop_assert!(!is_ping(&[&ping[..], &[0]].concat(), &payload));
        }
    }
}
