//! Who may stream: what the pairing of every path has in common.
//!
//! [`Requests`] holds those that ask to be let in, with every limit on them; [`ClientStore`] those that were, and ends their
//! connections when they are revoked. How a client proves that it was given the PIN is its path's own, and not known here.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod answer;
pub mod clients;
pub mod private_file;
pub mod requests;

mod fingerprint;
mod name;
mod pin;

pub use answer::{Expired, answered};
pub use clients::{ClientStore, PairedClient, RevokeError, StoreError};
pub use fingerprint::{Fingerprint, ParseFingerprintError, as_text};
pub use name::{MAX_NAME_BYTES, clean_name};
pub use pin::{InvalidPin, MAX_PIN_DIGITS, MIN_PIN_DIGITS, NoRandomness, Pin};
pub use requests::{ApproveError, PairRequest, PairingConfig, Requests};
