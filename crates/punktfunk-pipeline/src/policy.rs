//! Decisions of a stream that depend on time or history, as pure functions of `now`: which encoded frames may go, when an
//! IDR is due, whether the client is still there, when a repeated picture is worth sending.

use std::time::{Duration, Instant};

/// Which frames the client can still use. After one that it will never get, nothing helps it before the next IDR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReferenceChain {
    broken: bool,
}

impl ReferenceChain {
    /// Whether a frame may be sent; an IDR mends the chain.
    pub fn admits(&mut self, idr: bool) -> bool {
        self.broken &= !idr;
        !self.broken
    }

    /// Whether only an IDR can be used.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// A frame was lost: to the host, it did not reach the network; to the client, it did not arrive.
    pub fn break_off(&mut self) {
        self.broken = true;
    }
}

/// Gives out IDRs no faster than one an interval. Asking too early is not forgotten: it is granted when the interval is
/// over, since the picture of the client that asked stays broken until then.
#[derive(Debug, Clone)]
pub struct IdrLimiter {
    interval: Duration,
    last: Option<Instant>,
    wanted: bool,
}

impl IdrLimiter {
    /// At most one IDR each `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, last: None, wanted: false }
    }

    /// Somebody wants an IDR.
    pub fn ask(&mut self) {
        self.wanted = true;
    }

    /// Whether the encoder should make one now.
    pub fn grant(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if !(self.wanted && due) {
            return false;
        }
        (self.wanted, self.last) = (false, Some(now));
        true
    }
}

/// Whether the client is there, judged by when it was last heard of on the data plane or the control connection.
#[derive(Debug, Clone)]
pub struct Liveness {
    stalled_after: Duration,
    gone_after: Duration,
    last: Instant,
}

/// What [`Liveness`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Heard of lately.
    Here,
    /// Silent for a while: frames would go nowhere.
    Stalled,
    /// Silent for so long that the session ends.
    Gone,
}

impl Liveness {
    /// Heard of at `now`; silent clients stall, then are gone.
    pub fn new(now: Instant, stalled_after: Duration, gone_after: Duration) -> Self {
        Self { stalled_after, gone_after, last: now }
    }

    /// The client was heard of.
    pub fn heard(&mut self, now: Instant) {
        self.last = self.last.max(now);
    }

    /// What the silence until `now` means.
    pub fn presence(&self, now: Instant) -> Presence {
        match now.saturating_duration_since(self.last) {
            silent if silent >= self.gone_after => Presence::Gone,
            silent if silent >= self.stalled_after => Presence::Stalled,
            _ => Presence::Here,
        }
    }
}

/// Whether a picture that repeats the one before is sent: rarely, so that a still screen costs little and the client still
/// sees the stream alive and its quality settle.
#[derive(Debug, Clone)]
pub struct KeepAlive {
    interval: Duration,
    last: Option<Instant>,
}

impl KeepAlive {
    /// A repeated picture is sent when nothing else was for `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether the picture that was due at `due` goes on. `wanted` lets a repeat pass at once: an IDR is waited for.
    pub fn admits(&mut self, due: Instant, repeat: bool, wanted: bool) -> bool {
        let quiet = self.last.is_none_or(|last| due.saturating_duration_since(last) >= self.interval);
        let admitted = !repeat || wanted || quiet;
        if admitted {
            self.last = Some(due);
        }
        admitted
    }
}

/// Whether a client's report of `lost` among `received` packets is a burst worth a marker: at least 20, and one in twenty.
/// Fewer is what parity is for.
pub fn is_loss_burst(lost: u64, received: u64) -> bool {
    lost >= 20 && lost.saturating_mul(20) >= received.saturating_add(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn after_a_break_only_an_idr_mends_the_chain() {
        let mut chain = ReferenceChain::default();
        assert!(chain.admits(false));
        chain.break_off();
        assert!(!chain.admits(false));
        assert!(!chain.admits(false));
        assert!(chain.admits(true));
        assert!(chain.admits(false));
    }

    #[test]
    fn idrs_are_spaced_and_none_is_forgotten() {
        let (mut limiter, start) = (IdrLimiter::new(250 * MS), Instant::now());
        assert!(!limiter.grant(start), "nobody asked");
        limiter.ask();
        assert!(limiter.grant(start));
        limiter.ask();
        limiter.ask();
        assert!(!limiter.grant(start + 100 * MS));
        assert!(limiter.grant(start + 250 * MS));
        assert!(!limiter.grant(start + 900 * MS), "two requests were one wish");
    }

    #[test]
    fn silence_first_stalls_and_then_ends() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, 1500 * MS, 5000 * MS);
        assert_eq!(liveness.presence(start + 1499 * MS), Presence::Here);
        assert_eq!(liveness.presence(start + 1500 * MS), Presence::Stalled);
        liveness.heard(start + 2000 * MS);
        assert_eq!(liveness.presence(start + 3000 * MS), Presence::Here);
        assert_eq!(liveness.presence(start + 7000 * MS), Presence::Gone);
    }

    #[test]
    fn a_still_screen_is_kept_alive_rarely_and_an_idr_does_not_wait() {
        let (mut alive, start) = (KeepAlive::new(100 * MS), Instant::now());
        let sent = (0..60).filter(|k| alive.admits(start + *k * 16 * MS, true, false)).count();
        assert_eq!(sent, 9, "960 ms at one each 112 ms, which is the seventh frame");
        assert!(alive.admits(start + 961 * MS, false, false));
        assert!(!alive.admits(start + 977 * MS, true, false));
        assert!(alive.admits(start + 978 * MS, true, true));
    }

    #[test]
    fn a_few_lost_packets_are_no_burst() {
        assert!(!is_loss_burst(19, 0));
        assert!(!is_loss_burst(20, 1000));
        assert!(is_loss_burst(60, 1000));
    }
}
