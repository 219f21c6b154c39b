//! What every stream path does alike: a picture is captured, waits in a mailbox of one, is encoded, numbered, and handed
//! to the path, which sends it; its stamps travel with it, and its record is written when it has left.
//!
//! ```text
//!  capture thread ──mailbox of one──▶ encode thread ──room for two──▶ send thread ──▶ Transmit (the path's own)
//!   owns the schedule   newest wins    waits for room,                 drops until the next IDR,
//!                                      then takes the newest           frame record
//! ```
//!
//! A frame gets its number when it has been encoded. What happens to a picture before that leaves no gap in the numbers
//! (`replaced`, `capture_failed`, `encode_failed`); what happens after it does, and the client sees the gap as a loss
//! (`stale`, `send_failed`). So over a range of numbers, what the host recorded and dropped is what the client received
//! and lost.
//!
//! A picture that repeats the one before it is sent only as a keep-alive: when nothing else was sent for a while, or when
//! an IDR is waited for. Repeats that are not sent are not begun, so they are no drops; those that are sent are recorded
//! as repeats.
//!
//! Every stream has its own threads and buffers. Nothing is shared with another stream but the recorder. Which protocol
//! carries the frames, and that there is a network at all, is the path's business: it brings a [`Transmit`] and says where
//! its stages stand ([`PathStages`]).
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod capture;
mod clock;
mod control;
mod delays;
mod encode;
mod mailbox;
mod pipeline;
pub mod policy;
mod send;

pub use control::{EndReason, StreamControl};
pub use delays::HoldUps;
pub use pipeline::{PathStages, Pipeline, PipelineConfig, PipelineParts};
pub use send::{FIRST_FRAME, OutgoingFrame, Transmit};
