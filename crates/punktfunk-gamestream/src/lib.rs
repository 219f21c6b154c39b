//! The GameStream path: a stock Moonlight client streams from this host.
//!
//! [`stream`] is the loop of a session's video, [`video`] what its datagrams look like. Nothing here knows the native path,
//! recordings or the management API.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod certificate;
pub mod identity;
pub mod stream;
pub mod video;

mod hex;
