//! The control port as ENet sees it: the launched client's address and nobody else's. What strangers send never gets into
//! the protocol's state.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use rusty_enet::{MTU_MAX, PacketReceived, Socket, SocketOptions};

use crate::listen;

/// How long a look at the socket waits: so long a host's own message may wait, too.
const WAIT: Duration = Duration::from_millis(5);

/// Strangers' datagrams that one look passes over, so that a flood cannot hold up what is due.
const PASSED_OVER: usize = 64;

pub(super) struct ClientSocket {
    pub(super) socket: UdpSocket,
    pub(super) client: IpAddr,
}

impl Socket for ClientSocket {
    type Address = SocketAddr;
    type Error = io::Error;

    fn init(&mut self, _options: SocketOptions) -> io::Result<()> {
        // What an earlier session left in the socket's queue is not this one's.
        self.socket.set_nonblocking(true)?;
        let mut datagram = [0; MTU_MAX];
        while self.socket.recv_from(&mut datagram).is_ok() {}
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(WAIT))
    }

    fn send(&mut self, address: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
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
                    return Ok(Some((from, PacketReceived::Complete(bytes))));
                }
                Ok(_stranger) => {}
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
