//! What the threads of one stream share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use punktfunk_media::RawFrame;
use punktfunk_stats::FrameTrace;

use crate::stream::mailbox::Mailbox;
use crate::stream::policy::IdrLimiter;

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
pub(super) struct Picture {
    pub(super) raw: RawFrame,
    pub(super) trace: FrameTrace,
    pub(super) repeat: bool,
    /// When it was due, since the stream began.
    pub(super) due: Duration,
}

/// No bit rate to set.
const NONE: u64 = 0;

pub(super) struct Shared {
    over: AtomicBool,
    reason: Mutex<Option<EndReason>>,
    pub(super) mailbox: Mailbox<Picture>,
    idr: Mutex<IdrLimiter>,
    /// An IDR is waited for: repeats are welcome.
    idr_wanted: AtomicBool,
    bitrate_bps: AtomicU64,
    client: Mutex<Option<SocketAddr>>,
    /// The client is silent: frames would go nowhere.
    pub(super) stalled: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("reason", &self.reason).finish_non_exhaustive()
    }
}

// Orderings: each atomic here is a fact or a wish on its own. Nothing is published through one, so all are relaxed.
impl Shared {
    pub(super) fn new(idr_every: Duration) -> Self {
        Self {
            over: AtomicBool::new(false),
            reason: Mutex::new(None),
            mailbox: Mailbox::default(),
            idr: Mutex::new(IdrLimiter::new(idr_every)),
            idr_wanted: AtomicBool::new(false),
            bitrate_bps: AtomicU64::new(NONE),
            client: Mutex::new(None),
            stalled: AtomicBool::new(false),
        }
    }

    /// Ends the stream; the first reason stands.
    pub(super) fn end(&self, reason: EndReason) {
        self.reason.lock().get_or_insert(reason);
        self.over.store(true, Ordering::Relaxed);
        self.mailbox.close();
    }

    pub(super) fn ended(&self) -> Option<EndReason> {
        self.reason.lock().clone()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn ask_idr(&self) {
        self.idr.lock().ask();
        self.idr_wanted.store(true, Ordering::Relaxed);
    }

    pub(super) fn grant_idr(&self, now: Instant) -> bool {
        let granted = self.idr_wanted() && self.idr.lock().grant(now);
        if granted {
            self.idr_wanted.store(false, Ordering::Relaxed);
        }
        granted
    }

    pub(super) fn idr_wanted(&self) -> bool {
        self.idr_wanted.load(Ordering::Relaxed)
    }

    pub(super) fn ask_bitrate(&self, bps: u64) {
        self.bitrate_bps.store(bps, Ordering::Relaxed);
    }

    pub(super) fn take_bitrate(&self) -> Option<u64> {
        match self.bitrate_bps.load(Ordering::Relaxed) {
            NONE => None,
            _ => Some(self.bitrate_bps.swap(NONE, Ordering::Relaxed)).filter(|&bps| bps != NONE),
        }
    }

    /// The client is here now. It may move: the newest genuine contact counts.
    pub(super) fn set_client(&self, address: SocketAddr) {
        *self.client.lock() = Some(address);
    }

    pub(super) fn client(&self) -> Option<SocketAddr> {
        *self.client.lock()
    }
}

/// Ends the stream when a thread ends, also by a panic, so that the others are never left waiting.
pub(super) struct EndOnDrop(pub(super) Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(EndReason::ThreadLost);
    }
}
