//! ENet as a launched client's address may talk to it, without a network and in virtual time.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rusty_enet::{EventNoRef, HostSettings, MTU_MAX, PacketReceived, Socket, SocketOptions};

use super::round_trips::RoundTrips;
pub(crate) use super::seal::fuzz as message;
use super::{PEERS, enet_host};

/// Datagrams of one input.
const MOST: usize = 64;

/// Where all of them come from.
const CLIENT: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 47_999));

/// Gives the datagram that is put there, once. Round trips are timed as on the real socket.
struct Given {
    next: Rc<Cell<Option<Vec<u8>>>>,
    round_trips: RoundTrips,
    start: Instant,
    now: Rc<Cell<Duration>>,
}

impl Given {
    fn now(&self) -> Instant {
        self.start + self.now.get()
    }
}

impl Socket for Given {
    type Address = SocketAddr;
    type Error = Infallible;

    fn init(&mut self, _options: SocketOptions) -> Result<(), Infallible> {
        Ok(())
    }

    fn send(&mut self, _address: SocketAddr, bytes: &[u8]) -> Result<usize, Infallible> {
        self.round_trips.sent(bytes, self.now());
        Ok(bytes.len())
    }

    fn receive(&mut self, buffer: &mut [u8; MTU_MAX]) -> Result<Option<(SocketAddr, PacketReceived)>, Infallible> {
        Ok(self.next.take().map(|datagram| {
            let bytes = datagram.len().min(MTU_MAX);
            self.round_trips.received(&datagram[..bytes], self.now());
            assert!(self.round_trips.newest().is_none_or(|newest| newest <= self.now.get()));
            buffer[..bytes].copy_from_slice(&datagram[..bytes]);
            (CLIENT, PacketReceived::Complete(bytes))
        }))
    }
}

/// Datagrams, each behind its length (LE16) and a time step (units of 4 ms).
pub(crate) fn datagrams(mut bytes: &[u8]) {
    let (next, now) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(Duration::from_secs(1))));
    let clock = Rc::clone(&now);
    let (start, round_trips) = (Instant::now(), RoundTrips::default());
    let socket = Given { next: Rc::clone(&next), round_trips, start, now: Rc::clone(&now) };
    let settings = HostSettings { time: Box::new(move || clock.get()), seed: Some(7), ..HostSettings::default() };
    let Ok(mut enet) = enet_host(socket, settings) else { return };
    let mut connected = 0;
    for _ in 0..MOST {
        let Some((&[low, high, step], rest)) = bytes.split_first_chunk::<3>() else { break };
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        bytes = rest;
        now.set(now.get() + Duration::from_millis(4) * u32::from(step));
        next.set(Some(datagram.to_vec()));
        while let Ok(Some(event)) = enet.service() {
            match event.no_ref() {
                EventNoRef::Connect { peer, .. } => {
                    connected += 1;
                    enet.peer_mut(peer).set_timeout(0, 5000, 5000);
                }
                EventNoRef::Disconnect { .. } => connected -= 1,
                EventNoRef::Receive { packet, .. } => assert!(packet.data().len() <= super::MAX_BYTES),
            }
            assert!((0..=PEERS).contains(&usize::try_from(connected).unwrap_or(usize::MAX)));
        }
    }
}
