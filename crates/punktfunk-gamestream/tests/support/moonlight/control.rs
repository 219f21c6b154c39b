//! The client's end of control: an ENet connection on a thread of its own, messages sealed by the session's key.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rusty_enet::{EventNoRef, Host, HostSettings, Packet};

use super::PATIENCE;
use super::rtsp::Agreed;

/// What the thread is to do.
enum Order {
    Send(Packet),
    /// Take no datagram for so long.
    Lag(Duration),
    /// Say no more, not even ENet's own words.
    FallSilent,
    Leave,
}

/// What became of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Connected,
    /// The host's message: type and payload.
    Message(u16, Vec<u8>),
    Gone,
}

pub struct Control {
    key: LessSafeKey,
    next: u32,
    orders: Sender<Order>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<()>>,
}

fn nonce(number: u32, sender: u8) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    nonce[10] = sender;
    nonce[11] = b'C';
    Nonce::assume_unique_for_key(nonce)
}

fn key_of(key: &[u8; 16]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).unwrap())
}

impl Control {
    /// Connects with the session's data; whether that came to be is told.
    pub fn connect(agreed: &Agreed, key: &[u8; 16]) -> Self {
        let (orders, taken) = channel();
        let (tell, told) = channel();
        let (to, data, opener) = (agreed.control, agreed.connect_data, key_of(key));
        let thread = std::thread::spawn(move || run(to, data, &opener, &taken, &tell));
        Self { key: key_of(key), next: 0, orders, told, thread: Some(thread) }
    }

    /// What is told next, within the time that anything should take.
    pub fn told(&self) -> Told {
        self.told.recv_timeout(PATIENCE).unwrap()
    }

    /// What is told within this time, if anything.
    pub fn try_told(&self, patience: Duration) -> Option<Told> {
        self.told.recv_timeout(patience).ok()
    }

    pub fn connected(self) -> Self {
        assert_eq!(self.told(), Told::Connected);
        self
    }

    /// A message as it is sealed.
    pub fn sealed(&mut self, kind: u16, payload: &[u8]) -> Vec<u8> {
        let number = self.next;
        self.next += 1;
        let length = u16::try_from(payload.len()).unwrap().to_le_bytes();
        let mut plain = [&kind.to_le_bytes()[..], &length, payload].concat();
        let tag = self.key.seal_in_place_separate_tag(nonce(number, b'C'), Aad::empty(), &mut plain).unwrap();
        let length = u16::try_from(20 + plain.len()).unwrap().to_le_bytes();
        [&[1, 0][..], &length, &number.to_le_bytes(), tag.as_ref(), &plain].concat()
    }

    pub fn send(&mut self, kind: u16, payload: &[u8]) {
        let bytes = self.sealed(kind, payload);
        self.send_raw(bytes);
    }

    pub fn send_raw(&mut self, bytes: Vec<u8>) {
        self.orders.send(Order::Send(Packet::reliable(bytes))).ok();
    }

    /// As stock clients send reports on repair: they may be lost.
    pub fn report(&mut self, status: &[u8]) {
        let bytes = self.sealed(0x5502, status);
        self.orders.send(Order::Send(Packet::unreliable_unsequenced(bytes))).ok();
    }

    /// As on a line that stalls.
    pub fn lag(&self, time: Duration) {
        self.orders.send(Order::Lag(time)).unwrap();
    }

    /// As a client whose network is gone.
    pub fn fall_silent(&self) {
        self.orders.send(Order::FallSilent).unwrap();
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.orders.send(Order::Leave).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(to: SocketAddr, data: u32, key: &LessSafeKey, orders: &Receiver<Order>, tell: &Sender<Told>) {
    let socket = UdpSocket::bind((to.ip(), 0)).unwrap();
    let settings = HostSettings { peer_limit: 1, channel_limit: 0x30, ..HostSettings::default() };
    let mut host = Host::new(socket, settings).unwrap();
    let peer = host.connect(to, 0x30, data).unwrap().id();
    // A line of some milliseconds: what ENet does when it stalls, it never does on a faster one.
    host.flush();
    std::thread::sleep(Duration::from_millis(10));
    let mut leaving: Option<Instant> = None;
    loop {
        while let Ok(order) = orders.try_recv() {
            match order {
                Order::Send(packet) => host.peer_mut(peer).send(0, &packet).unwrap_or(()),
                Order::Lag(time) => {
                    host.flush();
                    std::thread::sleep(time);
                    break;
                }
                Order::FallSilent => {
                    // Until it is dropped.
                    while !matches!(orders.recv(), Ok(Order::Leave) | Err(_)) {}
                    return;
                }
                Order::Leave => {
                    host.peer_mut(peer).disconnect_later(0);
                    leaving = Some(Instant::now());
                }
            }
        }
        while let Some(event) = host.service().unwrap() {
            let told = match event.no_ref() {
                EventNoRef::Connect { .. } => Told::Connected,
                EventNoRef::Disconnect { .. } => Told::Gone,
                EventNoRef::Receive { packet, .. } => open(key, packet.data()),
            };
            let gone = told == Told::Gone;
            tell.send(told).ok();
            if gone {
                return;
            }
        }
        if leaving.is_some_and(|since| since.elapsed() > Duration::from_secs(1)) {
            return;
        }
        // ENet has no way to wait for a socket.
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn open(key: &LessSafeKey, message: &[u8]) -> Told {
    let number = u32::from_le_bytes(message[4..8].try_into().unwrap());
    let mut sealed = [&message[24..], &message[8..24]].concat();
    let plain = key.open_in_place(nonce(number, b'H'), Aad::empty(), &mut sealed).unwrap();
    Told::Message(u16::from_le_bytes([plain[0], plain[1]]), plain[4..].to_vec())
}
