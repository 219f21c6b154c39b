//! The `punktfunk/1` path: a picture is captured, encoded, cut into packets, protected, sealed, sent over UDP, and put
//! together again by a client.
//!
//! Two halves that meet only in plain channels and a pair of keys:
//!
//! - **Data plane** (no async): [`stream`] is the host's loop, [`client`] the receiving side; [`packet`] is what they say
//!   to each other, [`packetize`] and [`reassembly`] turn frames into datagrams and back.
//! - **Control**: [`identity`], [`pairing`] and the [`message`]s of a session over QUIC ([`control`]).
//!
//! Nothing here knows the GameStream protocols, recordings or HTTP.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod client;
pub mod control;
pub mod identity;
pub mod keys;
pub mod message;
pub mod packet;
pub mod packetize;
pub mod pairing;
pub mod reassembly;
pub mod stream;

pub use keys::DataKeys;
