//! UDP in batches: one system call hands over many datagrams.
//!
//! Sending tries segmentation offload (`UDP_SEGMENT`: the kernel cuts one buffer), else `sendmmsg`, else one call per
//! datagram. Which of them works depends on kernel, driver and container, and may change while running, so the fallback
//! is taken at run time and kept. What the kernel does not take in a bounded time is dropped and counted.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg, setsockopt, sockopt,
};

/// Datagrams of one segmented send: the kernel's `UDP_MAX_SEGMENTS` before 6.9.
const MAX_SEGMENTS: usize = 64;

/// Bytes of one segmented send: what an IP packet of 64 KiB can carry, with room for its headers.
const MAX_SEGMENTED_BYTES: usize = 65_000;

/// Datagrams of one `sendmmsg` or `recvmmsg`.
const MAX_BATCH: usize = 32;

/// Longest wait for room in the socket's buffer in one call; then the rest of the batch is dropped.
const MAX_WAIT: Duration = Duration::from_millis(4);

/// Largest datagram that is received whole. Longer ones arrive cut, and are then refused as forged.
pub const MAX_DATAGRAM_BYTES: usize = 2048;

/// How datagrams are handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    /// One buffer that the kernel or the network card cuts into datagrams.
    Segmented,
    /// Many datagrams in one call.
    Batched,
    /// A call per datagram.
    Single,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub packets: usize,
    /// Datagrams that it did not take.
    pub dropped: usize,
    /// Why it did not, if an error said so.
    pub error: Option<Errno>,
}

/// Sends batches of datagrams of one size.
#[derive(Debug)]
pub struct BatchSender {
    mode: SendMode,
}

impl BatchSender {
    /// A sender that begins with `mode` and falls back from there when the kernel refuses it.
    pub fn new(mode: SendMode) -> Self {
        Self { mode }
    }

    /// The mode in use.
    pub fn mode(&self) -> SendMode {
        self.mode
    }

    /// Sends `datagrams`, which lie one after another, `size` bytes each (the last one may be shorter), in order.
    ///
    /// Waits at most a few milliseconds for the socket; the socket may be blocking or not.
    ///
    /// # Panics
    /// When `size` is 0.
    pub fn send(&mut self, socket: &UdpSocket, to: SocketAddr, datagrams: &[u8], size: usize) -> Sent {
        let to = SockaddrStorage::from(to);
        let (mut rest, mut sent, mut give_up) = (datagrams, Sent::default(), None);
        while !rest.is_empty() {
            let result = match self.mode {
                SendMode::Segmented => send_segmented(socket, &to, rest, size),
                SendMode::Batched => send_batched(socket, to, rest, size),
                SendMode::Single => send_single(socket, &to, rest, size),
            };
            match result {
                Ok(packets) => {
                    sent.packets += packets;
                    rest = rest.get(packets * size..).unwrap_or_default();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN)
                    if wait_for_room(socket, *give_up.get_or_insert_with(|| Instant::now() + MAX_WAIT)) => {}
                Err(error) => match self.fallback(error) {
                    Some(mode) => {
                        tracing::debug!(?error, from = ?self.mode, to = ?mode, "the kernel refused this way of sending");
                        self.mode = mode;
                    }
                    None => {
                        sent.dropped = rest.len().div_ceil(size);
                        sent.error = Some(error);
                        break;
                    }
                },
            }
        }
        sent
    }

    /// The mode to try next when `error` says that this one is not to be had, rather than that sending failed.
    fn fallback(&self, error: Errno) -> Option<SendMode> {
        match (self.mode, error) {
            // EIO: the driver cannot checksum segments. EMSGSIZE: a segment exceeds the path's MTU.
            (
                SendMode::Segmented,
                Errno::EIO | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT | Errno::EMSGSIZE | Errno::ENOSYS,
            ) => Some(SendMode::Batched),
            (SendMode::Batched, Errno::ENOSYS | Errno::EINVAL | Errno::EOPNOTSUPP) => Some(SendMode::Single),
            _ => None,
        }
    }
}

const FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT;

fn send_segmented(socket: &UdpSocket, to: &SockaddrStorage, datagrams: &[u8], size: usize) -> nix::Result<usize> {
    let packets = MAX_SEGMENTS.min(MAX_SEGMENTED_BYTES / size).max(1).min(datagrams.len().div_ceil(size));
    let chunk = &datagrams[..(packets * size).min(datagrams.len())];
    let segment = u16::try_from(size).map_err(|_too_large| Errno::EINVAL)?;
    let control = [ControlMessage::UdpGsoSegments(&segment)];
    // A single datagram needs no cutting, and some kernels refuse to.
    let control = if packets > 1 { &control[..] } else { &[] };
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(chunk)], control, FLAGS, Some(to)).map(|_bytes| packets)
}

fn send_batched(socket: &UdpSocket, to: SockaddrStorage, datagrams: &[u8], size: usize) -> nix::Result<usize> {
    let mut chunks = datagrams.chunks(size);
    let slices: [[IoSlice<'_>; 1]; MAX_BATCH] =
        std::array::from_fn(|_| [IoSlice::new(chunks.next().unwrap_or_default())]);
    let count = datagrams.len().div_ceil(size).min(MAX_BATCH);
    let mut headers = MultiHeaders::preallocate(count, None);
    sendmmsg(socket.as_raw_fd(), &mut headers, &slices[..count], [Some(to); MAX_BATCH], [], FLAGS).map(Iterator::count)
}

fn send_single(socket: &UdpSocket, to: &SockaddrStorage, datagrams: &[u8], size: usize) -> nix::Result<usize> {
    let first = &datagrams[..size.min(datagrams.len())];
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(first)], &[], FLAGS, Some(to)).map(|_bytes| 1)
}

/// Waits until the socket takes more, at most until `give_up`. Whether it is worth another try.
fn wait_for_room(socket: &UdpSocket, give_up: Instant) -> bool {
    let left = give_up.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return false;
    }
    // Rounded up to the millisecond that poll counts in.
    let timeout = PollTimeout::from((left.as_millis() as u16).saturating_add(1));
    matches!(poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], timeout), Ok(1..) | Err(Errno::EINTR))
}

/// Asks the kernel for socket buffers of `send` and `receive` bytes. It grants what `net.core.[rw]mem_max` allows, or all
/// of it to a privileged process; less than asked for is no error, since a stream works with less and counts what it loses.
///
/// # Errors
/// When the socket does not accept the option at all.
pub fn size_buffers(socket: &UdpSocket, send: usize, receive: usize) -> std::io::Result<()> {
    setsockopt(socket, sockopt::SndBuf, &send)?;
    setsockopt(socket, sockopt::RcvBufForce, &receive).or_else(|_| setsockopt(socket, sockopt::RcvBuf, &receive))?;
    Ok(())
}

/// Receives batches of datagrams. Made on the thread that uses it.
#[derive(Debug)]
pub struct BatchReceiver {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<u8>,
}

impl Default for BatchReceiver {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchReceiver {
    /// A receiver with buffers for one batch.
    pub fn new() -> Self {
        Self { headers: MultiHeaders::preallocate(MAX_BATCH, None), buffers: vec![0; MAX_BATCH * MAX_DATAGRAM_BYTES] }
    }

    /// Waits for a datagram, as long as the socket's read timeout says, and calls `each` for it and those that are there
    /// with it. Returns how many came; 0 after the timeout.
    ///
    /// # Errors
    /// What the kernel reports for the socket.
    pub fn receive(&mut self, socket: &UdpSocket, mut each: impl FnMut(&mut [u8])) -> std::io::Result<usize> {
        let mut lengths = [0; MAX_BATCH];
        let mut count = 0;
        {
            let mut buffers = self.buffers.chunks_exact_mut(MAX_DATAGRAM_BYTES);
            let mut slices: [[IoSliceMut<'_>; 1]; MAX_BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
            match recvmmsg(socket.as_raw_fd(), &mut self.headers, &mut slices, MsgFlags::MSG_WAITFORONE, None) {
                Ok(messages) => {
                    for (length, message) in lengths.iter_mut().zip(messages) {
                        *length = message.bytes;
                        count += 1;
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for (buffer, length) in self.buffers.chunks_exact_mut(MAX_DATAGRAM_BYTES).zip(&lengths[..count]) {
            each(&mut buffer[..*length]);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1200;

    fn pair() -> (UdpSocket, UdpSocket, SocketAddr) {
        let (from, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        size_buffers(&from, 1 << 20, 1 << 20).unwrap();
        size_buffers(&to, 1 << 20, 1 << 20).unwrap();
        to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let address = to.local_addr().unwrap();
        (from, to, address)
    }

    fn datagrams(count: usize, last: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count).flat_map(|i| std::iter::repeat_n(i as u8, SIZE)).collect();
        bytes.truncate((count - 1) * SIZE + last);
        bytes
    }

    #[test]
    fn every_mode_delivers_the_same_datagrams_in_order() {
        for mode in [SendMode::Segmented, SendMode::Batched, SendMode::Single] {
            let (from, to, address) = pair();
            let mut sender = BatchSender::new(mode);
            let sent = sender.send(&from, address, &datagrams(70, 7), SIZE);
            assert_eq!((sent.packets, sent.dropped), (70, 0), "{mode:?}");
            let (mut receiver, mut got) = (BatchReceiver::new(), Vec::new());
            while got.len() < 70 {
                assert!(receiver.receive(&to, |bytes| got.push((bytes.len(), bytes[0]))).unwrap() > 0);
            }
            let expected: Vec<_> = (0..70).map(|i| (if i == 69 { 7 } else { SIZE }, i as u8)).collect();
            assert_eq!(got, expected, "{mode:?}");
        }
    }

    #[test]
    fn a_refused_mode_falls_back_and_the_batch_still_arrives() {
        let (from, to, address) = pair();
        let mut sender = BatchSender::new(SendMode::Segmented);
        // Datagrams larger than the kernel lets a segment be: refused as segments, sent (as fragments) one by one.
        let big = vec![1; 2 * 65_000];
        let sent = sender.send(&from, address, &big[..], 65_000);
        assert_eq!((sent.packets, sent.dropped), (2, 0));
        let segmented_refused = BatchSender::new(SendMode::Segmented).fallback(Errno::EIO);
        assert_eq!(segmented_refused, Some(SendMode::Batched));
        assert_eq!(BatchSender::new(SendMode::Single).fallback(Errno::EIO), None);
        let mut receiver = BatchReceiver::new();
        assert!(receiver.receive(&to, |bytes| assert_eq!(bytes.len(), MAX_DATAGRAM_BYTES)).unwrap() > 0);
    }

    #[test]
    fn what_cannot_be_sent_is_counted_with_its_reason() {
        let (from, _to, _) = pair();
        // An IPv6 destination from an IPv4 socket can never be reached.
        let sent =
            BatchSender::new(SendMode::Segmented).send(&from, "[::1]:9".parse().unwrap(), &datagrams(5, SIZE), SIZE);
        assert_eq!((sent.packets, sent.dropped), (0, 5));
        assert!(sent.error.is_some());
    }

    #[test]
    fn receiving_nothing_returns_after_the_read_timeout() {
        let (_, to, _) = pair();
        to.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert_eq!(BatchReceiver::new().receive(&to, |_| ()).unwrap(), 0);
    }
}
