//! What a client says of its side, as counters and markers, and whether it means a new wish for an IDR.

use std::time::{Duration, Instant};

use punktfunk_pipeline::policy::is_loss_burst;
use punktfunk_stats::{Counter, SessionCounters, SessionEvent};

use crate::video::{FecStatus, Repair};

/// How far apart a client's two messages on one lost frame come: they travel apart, and one of them may be sent again.
const TWINS: Duration = Duration::from_millis(200);

/// The two ways in which a client says that it needs an IDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Request,
    LostFrame,
}

/// Tells apart what a client says twice: one that gives a frame up reports that and asks for an IDR. Two IDRs for it would
/// be one too many.
#[derive(Debug, Default)]
pub(super) struct Reports {
    last: Option<(Wish, Instant)>,
    /// The last report, without where it stands.
    reported: Option<FecStatus>,
}

impl Reports {
    /// The client asks for an IDR. Whether that is a wish of its own. Each request is counted.
    pub(super) fn idr_requested(&mut self, now: Instant, counters: &SessionCounters) -> bool {
        counters.add(Counter::IdrRequests, 1);
        counters.event(SessionEvent::IdrRequested);
        self.is_new(Wish::Request, now)
    }

    /// The client reports on a block. Whether an IDR is wished for that was not before: one that was sent after the frame
    /// mends its loss. The request for it, which the client sends as well, is what is counted.
    pub(super) fn fec_status(
        &mut self,
        now: Instant,
        status: &FecStatus,
        last_idr: u32,
        counters: &SessionCounters,
    ) -> bool {
        // Of a block of which nothing arrived the stock client knows nothing: it repeats the last one's figures under the
        // block's name. Sequence numbers tell: no two blocks have the same.
        let figures = FecStatus { frame: 0, block: 0, ..*status };
        if self.reported.replace(figures) == Some(figures) {
            return self.lost(now, status.frame, last_idr);
        }
        let missing = u64::from(status.missing);
        counters.add(Counter::PacketsLost, missing);
        if is_loss_burst(missing, u64::from(status.data_received) + u64::from(status.parity_received)) {
            counters.event(SessionEvent::LossBurst { packets: missing });
        }
        match status.repair() {
            Repair::Recovered(shards) => {
                counters.add(Counter::FecRecovered, shards);
                false
            }
            Repair::Lost => self.lost(now, status.frame, last_idr),
        }
    }

    fn lost(&mut self, now: Instant, frame: u32, last_idr: u32) -> bool {
        // Frame numbers wrap: the sign of their distance says which is older.
        let mended = (frame.wrapping_sub(last_idr) as i32) < 0;
        !mended && self.is_new(Wish::LostFrame, now)
    }

    fn is_new(&mut self, wish: Wish, now: Instant) -> bool {
        let twin = self.last.take().is_some_and(|(other, at)| other != wish && now.duration_since(at) < TWINS);
        if !twin {
            self.last = Some((wish, now));
        }
        !twin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_lost_frame_and_the_request_for_it_are_one_wish_in_either_order() {
        for [first, second] in [[Wish::Request, Wish::LostFrame], [Wish::LostFrame, Wish::Request]] {
            let (mut reports, start) = (Reports::default(), Instant::now());
            assert!(reports.is_new(first, start));
            assert!(!reports.is_new(second, start + 30 * MS));
            assert!(reports.is_new(second, start + 60 * MS), "the next frame is another wish");
            assert!(!reports.is_new(first, start + 70 * MS));
        }
    }

    #[test]
    fn what_is_said_again_or_much_later_is_a_wish_of_its_own() {
        let (mut reports, start) = (Reports::default(), Instant::now());
        assert!(reports.is_new(Wish::Request, start));
        assert!(reports.is_new(Wish::Request, start + MS));
        assert!(reports.is_new(Wish::LostFrame, start + MS + TWINS));
    }
}
