//! How long to wait before a request is repeated.

use std::time::Duration;

use crate::config::Limits;

/// Pauses between repetitions: doubled each time up to a limit, and never shorter than the backend asked.
#[derive(Debug)]
pub(crate) struct BackOff {
    limits: Limits,
    next: Duration,
}

impl BackOff {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, next: limits.first_pause }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.limits.first_pause;
    }

    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let pause = self.next.max(asked.unwrap_or_default().min(self.limits.longest_asked_pause));
        self.next = (self.next * 2).min(self.limits.longest_pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_start_anew_after_an_answer() {
        let mut back_off = BackOff::new(Limits::default());
        let pauses: Vec<_> = (0..7).map(|_| back_off.pause(None).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000]);
        back_off.reset();
        assert_eq!(back_off.pause(None).as_millis(), 200);
    }

    #[test]
    fn a_pause_that_the_backend_asks_for_is_kept_within_a_limit() {
        let mut back_off = BackOff::new(Limits::default());
        assert_eq!(back_off.pause(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(back_off.pause(Some(Duration::from_secs(86_400))), Duration::from_secs(60));
    }
}
