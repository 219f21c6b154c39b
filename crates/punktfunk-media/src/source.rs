//! Where pictures come from: the trait that every source implements and the errors a capture can end with.
//!
//! A source does not keep time. The capture loop owns the schedule and asks once a frame interval.

use std::path::PathBuf;

use crate::frame::{RawFrame, VideoMode};

/// Whether a captured picture differs from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameOrigin {
    /// The picture changed since the last capture.
    New,
    /// The picture is the same as the last one.
    Repeat,
}

/// A supplier of pictures.
pub trait FrameSource: Send {
    /// Size and rate of every picture this source gives. It does not change while the source lives.
    fn mode(&self) -> VideoMode;

    /// A short fixed name for reports: `synthetic`, `x11`, `y4m`.
    fn kind(&self) -> &'static str;

    /// Fills `into` with the current picture; called once a frame interval. A repeat is filled in as well.
    ///
    /// # Errors
    /// [`SourceError`]. The content of `into` is unspecified then; the source is not used again.
    fn capture(&mut self, into: &mut RawFrame) -> Result<FrameOrigin, SourceError>;
}

impl<S: FrameSource + ?Sized> FrameSource for Box<S> {
    fn mode(&self) -> VideoMode {
        (**self).mode()
    }

    fn kind(&self) -> &'static str {
        (**self).kind()
    }

    fn capture(&mut self, into: &mut RawFrame) -> Result<FrameOrigin, SourceError> {
        (**self).capture(into)
    }
}

/// Why a capture failed. Each ends the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The connection to the display broke: the server ended or dropped us.
    #[error("the display {display} is gone")]
    DisplayLost {
        /// The display as it was opened, for example `:0`.
        display: String,
        /// What the connection reported.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The display answered, but refused to hand over a picture.
    #[error("the display {display} refused a capture")]
    DisplayRefused {
        /// The display as it was opened, for example `:0`.
        display: String,
        /// The refusal.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A replayed file could not be read on.
    #[error("{path}: cannot read frame {frame}", path = path.display())]
    Replay {
        /// The file that is replayed.
        path: PathBuf,
        /// Which frame of the file, from 0.
        frame: u64,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
