//! What the threads of one stream share: whether it is over and why, what is wished of it, and the mailbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use punktfunk_media::RawFrame;
use punktfunk_stats::FrameTrace;

use crate::mailbox::Mailbox;
use crate::policy::IdrLimiter;

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The host stopped it.
    #[error("stopped by the host")]
    HostStopped,
    /// The client said so.
    #[error("stopped by the client")]
    ClientStopped,
    /// The control connection is closed.
    #[error("the client's control connection is closed")]
    ControlClosed,
    /// Nothing was heard of the client for too long.
    #[error("the client fell silent")]
    ClientGone,
    /// The source has no more pictures, or cannot recover.
    #[error("the source failed: {0}")]
    SourceFailed(String),
    /// The encoder failed again and again.
    #[error("the encoder failed: {0}")]
    EncoderFailed(String),
    /// The stream lasted too long for its key.
    #[error("the stream needs new keys")]
    KeyExhausted,
    /// A thread ended unexpectedly.
    #[error("a thread of the stream ended unexpectedly")]
    ThreadLost,
}

/// A picture on its way to the encoder.
pub(crate) struct Picture {
    pub(crate) raw: RawFrame,
    pub(crate) trace: FrameTrace,
    pub(crate) repeat: bool,
    pub(crate) due: Instant,
    /// The same, counted from the stream's beginning.
    pub(crate) since_start: Duration,
}

/// No bit rate to set.
const NONE: u64 = 0;

/// Ends a stream and says what it should do; every thread of it has a clone.
#[derive(Clone)]
pub struct StreamControl(Arc<Shared>);

struct Shared {
    over: AtomicBool,
    reason: Mutex<Option<EndReason>>,
    mailbox: Mailbox<Picture>,
    idr: Mutex<IdrLimiter>,
    /// An IDR is waited for: repeats are welcome.
    idr_wanted: AtomicBool,
    bitrate_bps: AtomicU64,
}

impl std::fmt::Debug for StreamControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamControl").field("reason", &self.0.reason).finish_non_exhaustive()
    }
}

// Orderings: each atomic here is a fact or a wish on its own. Nothing is published through one, so all are relaxed.
impl StreamControl {
    /// For a stream that gives out at most one IDR each `idr_every`.
    pub fn new(idr_every: Duration) -> Self {
        Self(Arc::new(Shared {
            over: AtomicBool::new(false),
            reason: Mutex::new(None),
            mailbox: Mailbox::default(),
            idr: Mutex::new(IdrLimiter::new(idr_every)),
            idr_wanted: AtomicBool::new(false),
            bitrate_bps: AtomicU64::new(NONE),
        }))
    }

    /// Ends the stream; the first reason stands.
    pub fn end(&self, reason: EndReason) {
        self.0.reason.lock().get_or_insert(reason);
        self.0.over.store(true, Ordering::Relaxed);
        self.0.mailbox.close();
    }

    /// Whether the stream is over, and why.
    pub fn ended(&self) -> Option<EndReason> {
        self.0.reason.lock().clone()
    }

    /// Whether the stream is over.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    /// Makes an early frame an IDR: the next one, or the first that the shortest time between two allows.
    pub fn ask_idr(&self) {
        self.0.idr.lock().ask();
        self.0.idr_wanted.store(true, Ordering::Relaxed);
    }

    /// Sets the encoder's bit rate from the next frame on; 0 changes nothing.
    pub fn ask_bitrate(&self, bps: u64) {
        self.0.bitrate_bps.store(bps, Ordering::Relaxed);
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<Picture> {
        &self.0.mailbox
    }

    pub(crate) fn grant_idr(&self, now: Instant) -> bool {
        let granted = self.idr_wanted() && self.0.idr.lock().grant(now);
        if granted {
            self.0.idr_wanted.store(false, Ordering::Relaxed);
        }
        granted
    }

    pub(crate) fn idr_wanted(&self) -> bool {
        self.0.idr_wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn take_bitrate(&self) -> Option<u64> {
        match self.0.bitrate_bps.load(Ordering::Relaxed) {
            NONE => None,
            _ => Some(self.0.bitrate_bps.swap(NONE, Ordering::Relaxed)).filter(|&bps| bps != NONE),
        }
    }
}

/// Ends the stream when a thread ends, also by a panic, so that the others are never left waiting.
pub(crate) struct EndOnDrop(pub(crate) StreamControl);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(EndReason::ThreadLost);
    }
}
