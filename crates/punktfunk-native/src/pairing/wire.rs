//! What the two ends of a pairing say to each other.

use serde::{Deserialize, Serialize};

use crate::message::Hello;

/// What the client says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromClient {
    /// First, and once.
    Hello(Hello),
    /// Its share of an exchange; begins an attempt.
    Share(Vec<u8>),
    /// Its proof.
    Confirm(Vec<u8>),
}

/// What the host says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromHost {
    /// The request is listed under this id.
    Waiting {
        /// Id of the request.
        request: String,
    },
    /// The operator has answered: the user may type the PIN.
    EnterPin,
    /// Its share of the exchange.
    Share(Vec<u8>),
    /// Its proof: both have pinned each other.
    Confirm(Vec<u8>),
    /// The PINs do not agree.
    WrongPin {
        /// How often it may be tried again.
        attempts_left: u32,
    },
    /// It will not be.
    Refused {
        /// For the user.
        reason: String,
    },
}
