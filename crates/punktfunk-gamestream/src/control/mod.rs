//! One session while it plays: control messages over ENet, and the stream that they steer. Runs on a thread of its own,
//! which owns the stream: when the thread ends, nothing of the session is left.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod round_trips;
mod seal;
mod socket;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusty_enet::consts::{PEER_PACKET_THROTTLE_INTERVAL, PEER_PACKET_THROTTLE_SCALE};
use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PeerID, Socket};

use crate::ping::{PAYLOAD_BYTES, Pings};
use crate::stream::{Stream, StreamConfig, StreamHost};
use crate::video::FecStatus;
use seal::{MAX_BYTES, Seal};
use socket::ClientSocket;

/// Channels that clients open.
const CHANNELS: usize = 0x30;

/// Connections that ENet keeps at a time: the client's, an older one of it, and room to refuse others.
const PEERS: usize = 4;

/// How often the round-trip time is passed on.
const RTT_EVERY: Duration = Duration::from_millis(100);

/// Time for the last message to arrive.
const FAREWELL: Duration = Duration::from_millis(200);

// Types of messages (`ControlStream.c` of moonlight-common-c, the encrypted seventh generation).
const REQUEST_IDR: u16 = 0x0302;
const BEGIN: u16 = 0x0307;
const FEC_STATUS: u16 = 0x5502;
const TERMINATION: u16 = 0x0109;

/// What the termination message says: the host ends it, and it is no fault.
const GRACEFUL: u32 = 0x8003_0023;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// The client hung up.
    Left,
    /// The client was not heard of for too long, on the video or the control port.
    Silent,
    /// The client asked for it, over HTTPS.
    Cancelled,
    /// The client launched again.
    Replaced,
    /// The client launched and never began.
    NotBegun,
    /// The client is paired no more.
    Revoked,
    /// The stream could not be started, or failed.
    Failed,
    /// The host ends.
    HostStopped,
}

impl SessionEnd {
    fn text(self) -> &'static str {
        match self {
            Self::Left => "the client left",
            Self::Silent => "the client was silent for too long",
            Self::Cancelled => "the client cancelled it",
            Self::Replaced => "the client launched again",
            Self::NotBegun => "the client launched and did not begin",
            Self::Revoked => "the client was revoked",
            Self::Failed => "the stream failed",
            Self::HostStopped => "the host stopped",
        }
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A connection from the client's address does not know what SETUP told the client.
#[derive(Debug, thiserror::Error)]
#[error("a control connection is not the launched client's")]
struct NotLaunched;

/// What a session is made of when it begins to play.
pub(crate) struct Play {
    pub(crate) host: Arc<StreamHost>,
    pub(crate) config: StreamConfig,
    pub(crate) key: [u8; 16],
    pub(crate) client: IpAddr,
    pub(crate) control: UdpSocket,
    pub(crate) video: UdpSocket,
    pub(crate) ping_payload: [u8; PAYLOAD_BYTES],
    pub(crate) connect_data: u32,
    /// Silence after which the client is gone.
    pub(crate) patience: Duration,
}

impl Play {
    /// Plays until the client is gone or `ending` says why not longer.
    pub(crate) fn run(self, ending: impl Fn() -> Option<SessionEnd>) -> SessionEnd {
        match Playing::new(self) {
            Ok(mut playing) => playing.run(ending),
            Err(error) => {
                tracing::error!(%error, "a GameStream session could not be set up");
                SessionEnd::Failed
            }
        }
    }
}

/// ENet within this path's limits.
fn enet_host<S: Socket>(socket: S, settings: HostSettings) -> io::Result<Host<S>> {
    let settings = HostSettings { peer_limit: PEERS, channel_limit: CHANNELS, ..settings };
    let mut enet = Host::new(socket, settings).map_err(|error| io::Error::other(error.to_string()))?;
    for set in [enet.set_maximum_packet_size(MAX_BYTES), enet.set_maximum_waiting_data(16 * MAX_BYTES)] {
        set.map_err(io::Error::other)?;
    }
    Ok(enet)
}

struct Playing {
    play: Play,
    enet: Host<ClientSocket>,
    seal: Seal,
    pings: Pings,
    peer: Option<PeerID>,
    stream: Option<(Stream, SocketAddr)>,
    /// The client has said that it is ready. What it asks for before is part of its greeting.
    begun: bool,
    refused: u64,
    since: Instant,
    rtt_at: Instant,
}

impl Playing {
    fn new(play: Play) -> io::Result<Self> {
        let socket = ClientSocket::new(play.control.try_clone()?, play.client);
        let enet = enet_host(socket, HostSettings::default())?;
        let pings = Pings::listen(play.video.try_clone()?, play.client, play.ping_payload)?;
        let (seal, now) = (Seal::new(&play.key), Instant::now());
        Ok(Self {
            play,
            enet,
            seal,
            pings,
            peer: None,
            stream: None,
            begun: false,
            refused: 0,
            since: now,
            rtt_at: now,
        })
    }

    fn run(&mut self, ending: impl Fn() -> Option<SessionEnd>) -> SessionEnd {
        loop {
            if let Some(end) = ending() {
                self.farewell();
                return end;
            }
            // Waits a little for the first datagram; then takes what there is.
            match self.enet.service() {
                Ok(Some(event)) => {
                    let event = event.no_ref();
                    if let Some(end) = self.handle(event) {
                        return end;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "the control port failed");
                    return SessionEnd::Failed;
                }
            }
            if let Some(end) = self.look_after(Instant::now()) {
                self.farewell();
                return end;
            }
        }
    }

    fn handle(&mut self, event: EventNoRef) -> Option<SessionEnd> {
        match event {
            EventNoRef::Connect { peer, data } if data == self.play.connect_data => {
                let patience = u32::try_from(self.play.patience.as_millis()).unwrap_or(u32::MAX);
                let connected = self.enet.peer_mut(peer);
                connected.set_timeout(0, patience, patience);
                // Told to the client, too: when round trips grow longer, its ENet would drop what may be lost, which is the
                // reports on repair.
                connected.set_throttle(PEER_PACKET_THROTTLE_INTERVAL, PEER_PACKET_THROTTLE_SCALE, 0);
                if let Some(older) = self.peer.replace(peer) {
                    self.enet.peer_mut(older).reset();
                }
                None
            }
            EventNoRef::Connect { peer, .. } => {
                self.enet.peer_mut(peer).reset();
                self.refuse(&NotLaunched);
                None
            }
            EventNoRef::Disconnect { peer, .. } => (self.peer == Some(peer)).then_some(SessionEnd::Left),
            EventNoRef::Receive { peer, packet, .. } => {
                if self.peer == Some(peer) {
                    self.message(packet.data());
                }
                None
            }
        }
    }

    fn message(&mut self, bytes: &[u8]) {
        let message = match self.seal.open(bytes) {
            Ok(message) => message,
            Err(error) => return self.refuse(&error),
        };
        let stream = self.stream.as_ref().map(|(stream, _)| stream);
        match (message.kind, stream) {
            (BEGIN, _) => self.begun = true,
            // The first picture is an IDR anyway.
            (REQUEST_IDR, Some(stream)) if self.begun => stream.request_idr(),
            (FEC_STATUS, Some(stream)) => match FecStatus::parse(&message.payload) {
                Ok(status) => stream.fec_status(status),
                Err(error) => self.refuse(&error),
            },
            // Input, pings, and what later clients may say.
            _ => {}
        }
    }

    /// One line in the log for a session; the rest is for those who look closer.
    fn refuse(&mut self, error: &dyn std::error::Error) {
        self.refused += 1;
        if self.refused == 1 {
            tracing::warn!(client = %self.play.client, %error, "something was refused on the control port; the rest is not logged");
        } else {
            tracing::debug!(client = %self.play.client, %error, refused = self.refused, "something was refused on the control port");
        }
    }

    /// What is due without a message.
    fn look_after(&mut self, now: Instant) -> Option<SessionEnd> {
        let newest = self.pings.newest();
        let heard = newest.map_or(self.since, |(_, at)| at);
        let unheard = now.saturating_duration_since(heard) > self.play.patience;
        let unconnected = self.peer.is_none() && now.saturating_duration_since(self.since) > self.play.patience;
        if unheard || unconnected {
            return Some(SessionEnd::Silent);
        }
        match (&mut self.stream, newest) {
            (None, Some((peer, _))) => return self.start(peer),
            (Some((stream, to)), Some((peer, _))) => {
                if *to != peer {
                    stream.set_peer(peer);
                    *to = peer;
                }
                if !stream.is_running() {
                    return Some(SessionEnd::Failed);
                }
            }
            _ => {}
        }
        if now.saturating_duration_since(self.rtt_at) >= RTT_EVERY {
            self.rtt_at = now;
            if let (Some((stream, _)), Some(rtt)) = (&self.stream, self.enet.socket().round_trips.newest()) {
                stream.set_rtt(rtt);
            }
        }
        None
    }

    fn start(&mut self, peer: SocketAddr) -> Option<SessionEnd> {
        let socket = match self.play.video.try_clone() {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "the video port cannot be used");
                return Some(SessionEnd::Failed);
            }
        };
        match Stream::start(&self.play.host, self.play.config.clone(), socket, peer) {
            Ok(stream) => {
                tracing::info!(session = stream.session_id(), client = %self.play.config.client, %peer, "GameStream video starts");
                self.stream = Some((stream, peer));
                None
            }
            Err(error) => {
                tracing::error!(%error, "a GameStream stream could not be started");
                Some(SessionEnd::Failed)
            }
        }
    }

    /// Tells the client that it is over, if it is there.
    fn farewell(&mut self) {
        // No more pictures while the client reads it.
        self.stream = None;
        let Some(peer) = self.peer.take() else { return };
        let message = self.seal.seal(TERMINATION, &GRACEFUL.to_be_bytes());
        let peer = self.enet.peer_mut(peer);
        if peer.send(0, &Packet::reliable(message)).is_err() {
            tracing::debug!("the client is gone already");
        }
        peer.disconnect_later(0);
        let until = Instant::now() + FAREWELL;
        while Instant::now() < until {
            match self.enet.service() {
                Ok(Some(event)) => {
                    if let EventNoRef::Disconnect { .. } = event.no_ref() {
                        return;
                    }
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }
}
