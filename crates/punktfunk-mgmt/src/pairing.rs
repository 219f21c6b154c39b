//! Who may connect, as the API sees it. The host implements it on top of the paths' own pairing; plain types keep this
//! crate free of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A client that asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "r1", "protocol": "native", "address": "192.168.1.20:50312", "fingerprint": "9f:86:d0:81:88:4c:7d:65:9a:2f:ea:a0",
    "name": "Living room", "age_s": 12
}))]
pub struct PairRequestInfo {
    /// Id of the request.
    pub id: String,
    /// The path: `native`, `gamestream`.
    pub protocol: String,
    /// Where it comes from.
    pub address: String,
    /// Fingerprint of its certificate, to be compared with what the client shows.
    pub fingerprint: String,
    /// What it calls itself; a stranger chose it.
    pub name: String,
    /// How long ago it asked, seconds.
    pub age_s: u64,
}

/// A client that was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "9f86d081884c7d65", "protocol": "native", "name": "Living room", "fingerprint": "9f:86:d0:81:88:4c:7d:65:9a:2f:ea:a0",
    "added_unix_ms": 1_782_504_843_000_u64, "last_seen_unix_ms": 1_782_591_243_000_u64, "connected": true
}))]
pub struct PairedClientInfo {
    /// Id of the client.
    pub id: String,
    /// The path that it was paired on: `native`, `gamestream`.
    pub protocol: String,
    /// What the operator, or else the client, called it.
    pub name: String,
    /// Fingerprint of its certificate.
    pub fingerprint: String,
    /// When it was paired, ms since 1970.
    pub added_unix_ms: u64,
    /// When it last connected, ms since 1970; `null` if it never did.
    pub last_seen_unix_ms: Option<u64>,
    /// Whether it streams or is connected now.
    pub connected: bool,
}

/// Why a client was not let in.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The request is unknown, was answered, or has expired.
    #[error("there is no pairing request {id}: it was answered, or has expired; ask again at the client")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// The PIN or the name cannot be one.
    #[error("{0}")]
    Invalid(String),
    /// Another answer to it is under way.
    #[error("the pairing request {id} is being answered already")]
    Busy {
        /// Its id.
        id: String,
    },
    /// Too many wrong PINs.
    #[error("too many attempts: wait a minute, then ask again at the client")]
    TooManyAttempts,
    /// The list of clients could not be written.
    #[error("the paired clients could not be saved: {0}")]
    Store(#[source] std::io::Error),
}

/// Why a client was not shut out.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is none of this id.
    #[error("there is no client {id}")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// The list of clients could not be written: it is still let in.
    #[error("the paired clients could not be saved: {0}")]
    Store(#[source] std::io::Error),
}

/// Pairing, as the host does it. Calls may block on the disk.
pub trait Pairing: Send + Sync {
    /// Clients that ask now, oldest first.
    fn requests(&self) -> Vec<PairRequestInfo>;

    /// Answers a request with the PIN that the client shows, or with a new one to be typed there, where the path has that.
    /// Returns the PIN.
    ///
    /// # Errors
    /// When there is no such request, or it cannot be answered.
    fn approve(&self, id: &str, pin: Option<&str>, name: Option<&str>) -> Result<String, PairError>;

    /// Clients that were let in.
    fn clients(&self) -> Vec<PairedClientInfo>;

    /// Lets a client in no more, and ends its sessions.
    ///
    /// # Errors
    /// When there is no such client, or the list cannot be written.
    fn revoke(&self, id: &str) -> Result<(), RevokeError>;
}
