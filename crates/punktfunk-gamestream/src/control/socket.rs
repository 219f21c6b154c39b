//! The control port as ENet sees it: the launched client's address and nobody else's. What strangers send never gets into
//! the protocol's state.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rusty_enet::{MTU_MAX, PacketReceived, Socket, SocketOptions};

use super::round_trips::RoundTrips;
use crate::listen;

/// How long a look at the socket waits: so long a host's own message may wait, too.
const WAIT: Duration = Duration::from_millis(5);

/// Strangers' datagrams that one look passes over, so that a flood cannot hold up what is due.
const PASSED_OVER: usize = 64;

pub(super) struct ClientSocket {
    pub(super) socket: UdpSocket,
    pub(super) client: IpAddr,
    pub(super) round_trips: RoundTrips,
    /// Datagrams of other addresses.
    strangers: u64,
}

impl ClientSocket {
    pub(super) fn new(socket: UdpSocket, client: IpAddr) -> Self {
        Self { socket, client, round_trips: RoundTrips::default(), strangers: 0 }
    }

    /// One line in the log for a session, however many come.
    fn pass_over(&mut self, from: SocketAddr) {
        self.strangers += 1;
        if self.strangers == 1 {
            tracing::warn!(peer = %from, "a control datagram that is not the client's was passed over; further ones are not logged");
        }
    }
}

impl Socket for ClientSocket {
    type Address = SocketAddr;
    type Error = io::Error;

    fn init(&mut self, _options: SocketOptions) -> io::Result<()> {
        listen::discard(&self.socket)?;
        self.socket.set_read_timeout(Some(WAIT))
    }

    fn send(&mut self, address: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
        self.round_trips.sent(bytes, Instant::now());
        // A datagram that cannot be sent is a lost one: ENet sends what matters again, and gives up in time.
        if let Err(error) = self.socket.send_to(bytes, address) {
            tracing::debug!(%error, "a control datagram could not be sent");
        }
        Ok(bytes.len())
    }

    fn receive(&mut self, buffer: &mut [u8; MTU_MAX]) -> io::Result<Option<(SocketAddr, PacketReceived)>> {
        for _ in 0..PASSED_OVER {
            match self.socket.recv_from(buffer) {
                Ok((bytes, from)) if listen::canonical(from).ip() == self.client => {
                    self.round_trips.received(&buffer[..bytes], Instant::now());
                    return Ok(Some((from, PacketReceived::Complete(bytes))));
                }
                Ok((_, from)) => self.pass_over(from),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) => {
                    tracing::debug!(%error, "the control port could not be read");
                    std::thread::sleep(WAIT);
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }
}
