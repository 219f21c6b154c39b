//! First contact: how a host and a client that have never met come to pin each other's certificate.
//!
//! ```text
//!  client                                   host                                operator
//!  connects, says its name ───────────────▶ lists a request ──────────────────▶ sees name, address, fingerprint
//!                                           takes or makes a PIN ◀───────────── approves this request
//!  asks its user for the PIN ◀───────────── "enter the PIN"
//!  SPAKE2 share ──────────────────────────▶ (counts an attempt)
//!               ◀────────────────────────── SPAKE2 share
//!  confirmation ──────────────────────────▶ checks; pins the client
//!  checks; pins the host ◀───────────────── confirmation
//! ```
//!
//! The PIN is never sent, and a guess can be checked only by taking part: the exchange is a PAKE ([`pake`]). Its
//! confirmations cover both certificates and the TLS session, so somebody in the middle cannot pass them on. A PIN
//! answers one request; attempts, requests and their age are limited ([`punktfunk_pairing`]).
//!
//! [`ClientStore`] and [`known_hosts`] keep what came of it, on either side.

pub mod client;
pub(crate) mod host;
pub mod known_hosts;
pub mod pake;
mod wire;

use std::time::Duration;

use crate::control::CloseCode;
use crate::control::wire::MessageWriter;

pub use client::{Ask, PairError, pair};
pub use host::Pairing;
pub use known_hosts::{KnownHosts, KnownHostsError};
pub use punktfunk_pairing::{
    ApproveError, ClientStore, PairRequest, PairedClient, PairingConfig, Pin, RevokeError, StoreError,
};

/// Label of the bytes that tie an exchange to its TLS session.
const PAIRING_LABEL: &[u8] = b"EXPORTER-punktfunk-pair-1";

/// Time that the other end has to hang up by itself.
const GOODBYE: Duration = Duration::from_secs(1);

/// Says no more, waits until the other end has heard everything, and hangs up.
async fn finish(connection: &quinn::Connection, writer: MessageWriter) {
    if tokio::time::timeout(GOODBYE, writer.finish()).await.is_err() {
        tracing::debug!("the other end did not acknowledge the last message");
    }
    connection.close(CloseCode::Done.code(), b"");
}
