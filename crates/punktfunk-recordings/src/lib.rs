//! Saved performance captures: their schema, what they say, and where they are kept.
//!
//! - [`schema`]: the shape of a recording on disk and on the wire; [`histogram`] and [`id`] are its building blocks.
//! - [`summary`]: figures of a whole run, of one session, or of any range of time, from the samples alone.
//! - [`verdict`]: which stage is at fault, in one sentence with its evidence. All thresholds stand there.
//! - [`mod@compare`]: runs held against each other, and what of their differences is more than noise.
//! - [`store`]: the directory of recordings. Writes are atomic and durable, one host owns the directory, and a file that
//!   cannot be read is listed with its reason. [`journal`] keeps a running capture safe from a killed host.
//! - [`import`]: a recording from elsewhere, checked before it becomes a file.
//! - [`export`]: CSV of samples and of kept frames. [`report`]: one HTML file for somebody else, in their [`language`].
//!
//! Every call blocks on the disk; there is no async here, no HTTP and no OpenTelemetry. Which stage a single late frame is
//! charged to is decided where every frame is seen, in `punktfunk-stats`; here only counts are added.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod compare;
pub mod export;
pub mod histogram;
pub mod id;
pub mod import;
pub mod journal;
pub mod language;
pub mod listing;
pub mod report;
pub mod schema;
pub mod store;
pub mod summary;
pub mod verdict;

mod assemble;
mod fs;
mod head;

pub use head::Unreadable;
pub use histogram::SparseHistogram;
pub use id::{InvalidId, RecordingId};
pub use import::ImportError;
pub use journal::{Journal, JournalEntry, JournalError, RecoverError, Recovered};
pub use language::{InvalidLanguage, Language};
pub use listing::{InvalidRevision, ListError, ListQuery, Listed, Listing, MAX_BYTES, Revision};
pub use schema::*;
pub use store::{
    DeleteError, GetError, MetaPatch, OpenError, SaveError, Store, StoreOptions, Stored, UpdateError, Updated, Usage,
};
pub use summary::{Summary, summarize};
pub use verdict::{Verdict, VerdictKind};
