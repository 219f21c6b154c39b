//! What can go wrong, one type per operation.

use std::io;
use std::path::PathBuf;

use crate::head::Unreadable;
use crate::id::RecordingId;
use crate::listing::Revision;

/// The directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another host has it open.
    #[error("another host already uses {}; stop it, or set PUNKTFUNK_CONFIG_DIR to another directory", .dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The system refused.
    #[error("cannot use {} for recordings", .path.display())]
    Io {
        /// What could not be created, locked or read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A recording could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The disk is full, read-only, or gone.
    #[error("cannot save {}: {source}", .path.display())]
    Io {
        /// The file that should have been written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It would be too large to be read again.
    #[error("the recording has {bytes} bytes, more than the {limit} that are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It has no JSON form.
    #[error("cannot write the recording as JSON")]
    Serialize {
        /// Why.
        source: serde_json::Error,
    },
}

/// A recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// There is none of this id.
    #[error("there is no recording {id}")]
    NotFound {
        /// The id.
        id: RecordingId,
    },
    /// Its file is not a recording that this build can read.
    #[error("the recording {id} cannot be read: {reason}")]
    Unreadable {
        /// The id.
        id: RecordingId,
        /// Why.
        reason: Unreadable,
    },
    /// The system refused.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A recording's metadata could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// It was changed meanwhile.
    #[error("the recording was changed meanwhile; its revision is {current}")]
    Conflict {
        /// The revision as it is now.
        current: Revision,
    },
    /// It would be larger than a recording, or its metadata larger than a head, may be.
    #[error("the change would leave {bytes} bytes where at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It could not be read.
    #[error(transparent)]
    Get(#[from] GetError),
    /// The disk is full, read-only, or gone.
    #[error("cannot save {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A recording could not be deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is none of this id.
    #[error("there is no recording {id}")]
    NotFound {
        /// The id.
        id: RecordingId,
    },
    /// It was changed meanwhile.
    #[error("the recording was changed meanwhile; its revision is {current}")]
    Conflict {
        /// The revision as it is now.
        current: Revision,
    },
    /// The system refused.
    #[error("cannot delete {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
