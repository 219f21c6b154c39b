//! The control connection: QUIC between two ends that have pinned each other's certificate.
//!
//! [`ControlServer`] lets paired clients ask for streams and strangers ask to be paired (see [`crate::pairing`]); [`Dialer`]
//! asks for streams on behalf of the blocking [`client`](crate::client). What a stream *is* lies behind [`SessionHandler`]:
//! this module carries messages and keys, and knows no pictures.
//!
//! - TLS 1.3 with a certificate on both sides. The handshake proves who has which key; whether that key is welcome is
//!   decided right after it, by the protocol (ALPN) that the client chose: [`ALPN`] is for paired clients only,
//!   [`PAIRING_ALPN`] for anybody. A client knows that it is welcome by the host's `Welcome`, not by the handshake.
//! - One connection carries one stream at a time. Its data-plane keys come from the TLS exporter, with the stream's id as
//!   context, so both ends have them without sending them, and no two streams share one.
//! - A connection is one task with bounded queues. A client that does not read, or says too much, harms itself only.

pub(crate) mod dialer;
mod server;
mod session;
pub(crate) mod tls;
pub(crate) mod wire;

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::sync::oneshot;

use crate::keys::DataKeys;
use crate::message::{ClientMessage, StreamGrant, StreamRequest};
use crate::pairing::{PairedClient, PairingConfig};

pub use dialer::{DialError, Dialer, DialerConfig};
pub use server::{BindError, ControlServer};
pub use tls::pinned_client;

/// Protocol of paired clients.
pub const ALPN: &[u8] = b"punktfunk/1";

/// Protocol of first contact.
pub const PAIRING_ALPN: &[u8] = b"punktfunk-pair/1";

/// Why one end closed a connection, as the QUIC application error code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum CloseCode {
    /// All was said.
    Done = 0,
    /// The certificate is not pinned, or no longer.
    NotPaired = 1,
    /// A message was malformed, too long, out of turn, or did not come in time.
    BadMessage = 2,
    /// The host goes down.
    Shutdown = 3,
    /// The host has as many connections as it takes.
    Busy = 4,
}

impl CloseCode {
    /// The code on the wire.
    pub fn code(self) -> quinn::VarInt {
        quinn::VarInt::from_u32(self as u32)
    }
}

/// Limits of the control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlConfig {
    /// What the host calls itself.
    pub name: String,
    /// Connections of paired clients at once; default 32.
    pub max_clients: usize,
    /// Connections that are not (yet) known to be paired ones; default 32. They cannot keep paired clients' streams out.
    pub max_strangers: usize,
    /// Silence after which a connection is given up; default 10 s. Ends send keep-alives at a quarter of it.
    pub idle_timeout: Duration,
    /// Longest wait for the handshake, for the hello, and for a client to take a message; default 5 s.
    pub patience: Duration,
    /// Messages that may wait for the stream; default 64. More are dropped: a stream takes them at once unless it hangs.
    pub waiting_messages: usize,
    /// Limits of pairing.
    pub pairing: PairingConfig,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            name: "punktfunk".to_owned(),
            max_clients: 32,
            max_strangers: 32,
            idle_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(5),
            waiting_messages: 64,
            pairing: PairingConfig::default(),
        }
    }
}

/// Starts streams. The host implements it.
pub trait SessionHandler: Send + Sync + 'static {
    /// Starts a stream for a paired client, or says why not. May block: it is called off the async threads, and only the
    /// client that asked waits for it.
    ///
    /// The stream must end when `messages` is closed: the client went away then, or was revoked.
    ///
    /// # Errors
    /// [`Refusal`], which is told to the client.
    fn start(&self, start: SessionStart) -> Result<StreamGrant, Refusal>;
}

/// A stream that a client asks for, and what it needs.
#[derive(Debug)]
pub struct SessionStart {
    /// Who asks.
    pub client: PairedClient,
    /// For what. Not checked: the client chose every number in it.
    pub request: StreamRequest,
    /// The stream's id on the wire.
    pub stream_id: u32,
    /// The stream's keys.
    pub keys: DataKeys,
    /// Where the client's control connection comes from.
    pub peer: SocketAddr,
    /// What the client says while the stream runs. Reports carry the round-trip time that the host measured.
    pub messages: Receiver<ClientMessage>,
    /// Tells the client that the stream is over.
    pub out: HostSender,
}

/// Why a stream was not granted, in words for the client's user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The words.
    pub reason: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: impl Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// The host's side of a running stream. Dropping it ends the stream for the client, too.
pub struct HostSender(oneshot::Sender<String>);

impl HostSender {
    pub(crate) fn new() -> (Self, oneshot::Receiver<String>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Says that the stream is over, and why. Never blocks.
    pub fn ended(self, reason: impl Display) {
        if self.0.send(reason.to_string()).is_err() {
            tracing::debug!("the client went away before it could be told that its stream is over");
        }
    }
}

impl fmt::Debug for HostSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostSender")
    }
}
