//! The audio port. This host sends no sound, and recordings say so: clients play silence when nothing comes. The port is
//! there because they are told one and send pings to it; those are left to the system, which keeps a few and drops the rest.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// The port, held.
#[derive(Debug)]
pub(crate) struct SilentAudio(UdpSocket);

impl SilentAudio {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        UdpSocket::bind(address).map(Self)
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.0.local_addr()?.port())
    }
}
