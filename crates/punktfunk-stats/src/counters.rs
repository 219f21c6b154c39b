//! Rare figures of a session: counters, gauges, the client's own report, events. Relaxed atomics and one short lock that
//! no frame takes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::session::SessionShared;
use crate::trace::FrameTrace;

/// A figure that a path may or may not be able to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Packets that the client reported missing.
    PacketsLost,
    /// Packets that the kernel did not take.
    SendDropped,
    /// Shards that the client rebuilt from parity.
    FecRecovered,
    /// Times that an IDR was asked for.
    IdrRequests,
    /// Times that reference frames were reported invalid.
    RfiRequests,
}

impl Counter {
    pub(crate) const COUNT: usize = 5;
}

/// Why a frame that was begun never reached the client's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// A newer picture took its place before it was encoded.
    Replaced,
    /// It was encoded, but could not be decoded any more: dropped until the next IDR.
    Stale,
    /// The source failed to deliver it.
    CaptureFailed,
    /// The encoder failed or skipped it.
    EncodeFailed,
    /// It could not be sent.
    SendFailed,
}

impl DropReason {
    /// Every reason, in the order of their labels' documentation.
    pub const ALL: [Self; 5] = [Self::Replaced, Self::Stale, Self::CaptureFailed, Self::EncodeFailed, Self::SendFailed];

    /// The reason as a label value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Stale => "stale",
            Self::CaptureFailed => "capture_failed",
            Self::EncodeFailed => "encode_failed",
            Self::SendFailed => "send_failed",
        }
    }
}

/// What a client last said about its own side. A figure that it cannot know stays `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClientFigures {
    /// Packets received in the client's report window.
    pub received: Option<u64>,
    /// Packets missing in it.
    pub lost: Option<u64>,
    /// Shards rebuilt in it.
    pub recovered: Option<u64>,
    /// One-way delay above the smallest one seen, µs.
    pub one_way_us: Option<f64>,
    /// Median time to decode a frame, µs.
    pub decode_p50_us: Option<f64>,
    /// 99th percentile of the time to decode a frame, µs.
    pub decode_p99_us: Option<f64>,
}

/// Something worth a marker on the graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// The client asked for an IDR.
    IdrRequested,
    /// The encoder's target changed.
    BitrateChanged {
        /// Before, bits a second.
        from_bps: u64,
        /// From now on, bits a second.
        to_bps: u64,
    },
    /// Many packets were lost at once.
    LossBurst {
        /// How many.
        packets: u64,
    },
}

/// Events kept between two windows; more are counted, not kept.
const MAX_EVENTS: usize = 64;

/// No value yet, in a gauge that a path may never set.
const ABSENT: u64 = u64::MAX;

/// A relaxed counter: a figure on its own, publishing nothing else.
#[derive(Debug, Default)]
pub(crate) struct Relaxed(AtomicU64);

impl Relaxed {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct CounterState {
    pub(crate) counts: [Relaxed; Counter::COUNT],
    pub(crate) dropped: [Relaxed; DropReason::ALL.len()],
    pub(crate) ring_overflow: Relaxed,
    pub(crate) events_lost: Relaxed,
    target_rate_bps: AtomicU64,
    rtt_ns: AtomicU64,
}

impl Default for CounterState {
    fn default() -> Self {
        Self {
            counts: Default::default(),
            dropped: Default::default(),
            ring_overflow: Relaxed::default(),
            events_lost: Relaxed::default(),
            target_rate_bps: AtomicU64::new(ABSENT),
            rtt_ns: AtomicU64::new(ABSENT),
        }
    }
}

impl CounterState {
    pub(crate) fn target_rate_bps(&self) -> Option<u64> {
        Some(self.target_rate_bps.load(Ordering::Relaxed)).filter(|&bps| bps != ABSENT)
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        Some(self.rtt_ns.load(Ordering::Relaxed)).filter(|&ns| ns != ABSENT).map(Duration::from_nanos)
    }
}

/// The part of a session's rare figures that needs a lock: no frame takes it.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) client: Option<ClientFigures>,
    pub(crate) events: VecDeque<(Instant, SessionEvent)>,
}

/// A session's counters and gauges, for any thread.
#[derive(Clone)]
pub struct SessionCounters {
    pub(crate) shared: Arc<SessionShared>,
}

impl fmt::Debug for SessionCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCounters").field("session", &self.shared.id).finish_non_exhaustive()
    }
}

impl SessionCounters {
    /// The session's id.
    pub fn session_id(&self) -> &str {
        &self.shared.id
    }

    /// Counts `n` more. A counter that the session did not declare as known stays absent whatever is added.
    pub fn add(&self, counter: Counter, n: u64) {
        self.shared.counters.counts[counter as usize].add(n);
    }

    /// Counts a frame that was begun and will never be sent. Counts only frames of the capture that is armed now: a frame
    /// from before it belongs to nobody.
    pub fn drop_frame(&self, trace: &FrameTrace, reason: DropReason) {
        if let Some(stamps) = &trace.stamps
            && stamps.word == self.shared.gate.word.load(Ordering::Relaxed)
        {
            self.shared.counters.dropped[reason as usize].add(1);
        }
    }

    /// The bit rate that the encoder aims at from now on.
    pub fn set_target_rate_bps(&self, bps: u64) {
        self.shared.counters.target_rate_bps.store(bps.min(ABSENT - 1), Ordering::Relaxed);
    }

    /// The newest round-trip time.
    pub fn set_rtt(&self, rtt: Duration) {
        let ns = u64::try_from(rtt.as_nanos()).unwrap_or(ABSENT - 1);
        self.shared.counters.rtt_ns.store(ns, Ordering::Relaxed);
    }

    /// The client's newest report. It stands in the sample of the window in which it came.
    pub fn set_client(&self, figures: ClientFigures) {
        self.shared.rare.lock().client = Some(figures);
    }

    /// Something happened that deserves a marker. At most a few dozen are kept a window; more are counted.
    pub fn event(&self, event: SessionEvent) {
        let mut rare = self.shared.rare.lock();
        if rare.events.len() < MAX_EVENTS {
            rare.events.push_back((Instant::now(), event));
        } else {
            self.shared.counters.events_lost.add(1);
        }
    }
}
