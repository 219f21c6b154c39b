//! The GameStream path: a stock Moonlight client pairs with this host and streams from it.
//!
//! One module a protocol, in the order a client meets them; [`server`] ties them together:
//!
//! | module | port | what |
//! |---|---|---|
//! | `discovery` | mDNS | the host announces itself, if it is to |
//! | `nvhttp` | TCP 47989, 47984 | what the host is, pairing, the list with its picture, launch, cancel |
//! | [`pairing`] | | who is let in: a PIN, and four phases that prove it |
//! | `rtsp` | TCP 48010 | what the client wants, and where it finds it |
//! | `control` | UDP 47999 | ENet: IDR requests, reports on repair, the end |
//! | `audio` | UDP 48000 | silence |
//! | [`stream`], [`video`] | UDP 47998 | the session's pictures, and what their datagrams look like |
//!
//! [`identity`] is who the host is, `grant` what a client gets of what it wants, `session` the one session there is at a time. Nothing here knows the native path,
//! recordings or the management API.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod certificate;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod identity;
pub mod pairing;
pub mod server;
pub mod stream;
pub mod video;

mod audio;
mod control;
mod discovery;
mod grant;
mod hex;
mod listen;
mod nvhttp;
mod ping;
mod rtsp;
mod session;

pub use discovery::DiscoveryError;
pub use grant::SessionLimits;
pub use server::{BindError, Server, ServerConfig};
