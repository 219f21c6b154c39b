//! Frame sources and video encoders.
//!
//! A [`FrameSource`] fills a [`RawFrame`] once a frame interval; an [`Encoder`] turns it into one H.264 access unit.
//! Neither keeps time, owns a thread, or knows a network: the loop that drives them does.
//!
//! The encoder is [`OpenH264`]; the feature `x264` adds `X264`, on the system's libx264 (GPL).
//!
//! Any of them can be slowed on a known schedule ([`Delays`]), so that an instrument that claims to find the slow
//! stage can be tested against stages that are known to be slow.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod convert;
pub mod decode;
mod delay;
mod encoder;
mod fingerprint;
mod frame;
mod openh264;
mod source;
mod synthetic;
mod x11;
#[cfg(feature = "x264")]
mod x264;
mod y4m;

pub use delay::{DelaySchedule, DelayStage, DelayedEncoder, DelayedSource, Delays};
pub use encoder::{EncodeError, EncodedFrame, Encoder, OpenEncoderError};
pub use frame::{ModeError, PixelFormat, Planes, PlanesMut, RawFrame, VideoMode};
pub use openh264::OpenH264;
pub use source::{FrameOrigin, FrameSource, SourceError};
pub use synthetic::Synthetic;
pub use x11::{OpenX11Error, X11};
#[cfg(feature = "x264")]
pub use x264::X264;
pub use y4m::{HeaderError, OpenY4mError, Y4m};
