//! The capture service: arm, collect, journal, stop, save.
//!
//! One state machine that every front drives (the management API, `ctl`, signals):
//!
//! ```text
//!          start            (delay over)            stop, limit, session gone           written
//!   idle ────────▶ scheduled ────────▶ armed ───────────────────────────▶ saving ─────────────▶ idle
//!     ▲                │ stop                                               │ write failed
//!     └────────────────┘                                                    ▼
//!     ▲                                                                  unsaved ── stop ──▶ saving
//!     └── the run stays in memory, and in its journal, until a write succeeds
//! ```
//!
//! With a metrics backend configured, a saved recording is then held against it ([`Snapshotter`]), behind the stop, and
//! replaced by one with the backend's figures if every count agrees.
//!
//! It knows no HTTP and no video: events come from the recorder, recordings go to the store.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod convert;
mod feed;
mod journal;
mod run;
mod service;
mod snapshots;
mod status;

pub use feed::{Cursor, Feed};
pub use run::assemble;
pub use service::CaptureService;
pub use snapshots::{SnapshotError, SnapshotPhase, SnapshotStatus, Snapshotter, Watch};
pub use status::{
    CaptureState, LiveCapture, LiveEvent, LiveSession, MarkerError, StartError, StartRequest, Started, StatsStatus,
    StopError,
};
