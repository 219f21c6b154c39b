//! Round-trip times of the control stream, taken from ENet's own datagrams as they pass the socket.
//!
//! ENet's smoothed figure is made of whole milliseconds and rounds its steps towards nothing: it stays up to 7 ms above a
//! round trip that is shorter than when it began. So the datagrams are timed here instead.
//!
//! ```text
//!  datagram:    BE16 peer and flags (0x8000 stamped, 0x4000 compressed) · BE16 stamp, if stamped · commands
//!  acknowledge: kind 1 in the low 4 bits · channel · BE16 · BE16 number · BE16 stamp of the datagram that is acknowledged
//! ```
//!
//! ENet puts acknowledgements first (`enet_protocol_send_outgoing_commands`). Of two datagrams with one stamp nobody can say
//! which was acknowledged, so those give no time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Flag of a datagram that names when it was sent.
const STAMPED: u16 = 0x8000;

/// Flag of a datagram whose commands are compressed; this host's never are, nor the stock clients'.
const COMPRESSED: u16 = 0x4000;

/// The command that acknowledges another one, and its length.
const ACKNOWLEDGE: u8 = 1;
const ACKNOWLEDGE_BYTES: usize = 8;

/// Stamped datagrams that are remembered. The host sends two a second, and ENet gives up far below this many.
const REMEMBERED: usize = 64;

#[derive(Debug, Default)]
pub(super) struct RoundTrips {
    /// Stamps and when they left; no time for one that was used twice or is answered.
    sent: VecDeque<(u16, Option<Instant>)>,
    newest: Option<Duration>,
}

impl RoundTrips {
    /// The newest round trip, once there was one.
    pub(super) fn newest(&self) -> Option<Duration> {
        self.newest
    }

    /// A datagram leaves.
    pub(super) fn sent(&mut self, datagram: &[u8], now: Instant) {
        let Some((stamp, _)) = stamped(datagram) else { return };
        if let Some((_, at)) = self.sent.iter_mut().find(|(other, _)| *other == stamp) {
            *at = None;
            return;
        }
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((stamp, Some(now)));
    }

    /// A datagram of the client's has come.
    pub(super) fn received(&mut self, datagram: &[u8], now: Instant) {
        for stamp in acknowledged(datagram) {
            let found = self.sent.iter_mut().find(|(other, _)| *other == stamp);
            if let Some(at) = found.and_then(|(_, at)| at.take()) {
                self.newest = Some(now.saturating_duration_since(at));
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// A datagram's stamp and its commands.
fn stamped(datagram: &[u8]) -> Option<(u16, &[u8])> {
    (word(datagram, 0)? & STAMPED != 0).then_some(())?;
    Some((word(datagram, 2)?, &datagram[4..]))
}

/// The stamps that a datagram acknowledges.
fn acknowledged(datagram: &[u8]) -> impl Iterator<Item = u16> {
    let commands = match word(datagram, 0) {
        Some(flags) if flags & COMPRESSED != 0 => &[],
        Some(flags) if flags & STAMPED != 0 => datagram.get(4..).unwrap_or_default(),
        Some(_) => &datagram[2..],
        None => &[],
    };
    commands
        .chunks_exact(ACKNOWLEDGE_BYTES)
        .take_while(|command| command[0] & 0xf == ACKNOWLEDGE)
        .filter_map(|command| word(command, 6))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent(stamp: u16) -> Vec<u8> {
        [&[0x80, 0][..], &stamp.to_be_bytes(), &[0x85, 0xff, 0, 1]].concat()
    }

    /// Acknowledgements of these, and a ping behind them.
    fn reply(stamps: &[u16]) -> Vec<u8> {
        let acknowledgements =
            stamps.iter().flat_map(|stamp| [&[1, 0xff, 0, 9, 0, 1][..], &stamp.to_be_bytes()].concat());
        [0x90, 0, 7, 7].into_iter().chain(acknowledgements).chain([0x85, 0xff, 0, 2]).collect()
    }

    #[test]
    fn a_round_trip_lasts_from_a_datagram_to_its_first_acknowledgement() {
        let (mut trips, start) = (RoundTrips::default(), Instant::now());
        assert_eq!(trips.newest(), None);
        trips.sent(&sent(500), start);
        trips.sent(&[0, 0, 1, 0xff, 0, 1, 0, 1, 2, 2], start);
        trips.sent(&sent(0x8000), start + 4 * MS);
        trips.received(&reply(&[7]), start + 5 * MS);
        assert_eq!(trips.newest(), None, "of a datagram that nobody sent");
        trips.received(&reply(&[500, 0x8000]), start + 6 * MS);
        assert_eq!(trips.newest(), Some(2 * MS));
        trips.received(&reply(&[0x8000]), start + 9 * MS);
        assert_eq!(trips.newest(), Some(2 * MS), "an acknowledgement that comes again says nothing");
        let unstamped = [&[0x10, 0][..], &[1, 0xff, 0, 9, 0, 1, 1, 244]].concat();
        trips.sent(&sent(600), start);
        trips.received(&unstamped, start + 10 * MS);
        trips.received(&[&[0x50, 0][..], &[1, 0xff, 0, 9, 0, 1, 2, 88]].concat(), start + 10 * MS);
        assert_eq!(trips.newest(), Some(2 * MS), "neither 500 again nor what is compressed");
    }

    #[test]
    fn two_datagrams_of_one_stamp_give_no_time() {
        let (mut trips, start) = (RoundTrips::default(), Instant::now());
        trips.sent(&sent(1), start);
        trips.sent(&sent(1), start + 3 * MS);
        trips.received(&reply(&[1]), start + 4 * MS);
        assert_eq!(trips.newest(), None);
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_memory_stays_bounded(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..200)) {
            let (mut trips, now) = (RoundTrips::default(), Instant::now());
            for datagram in datagrams {
                trips.sent(&datagram, now);
                trips.received(&datagram, now + MS);
                prop_assert!(trips.sent.len() <= REMEMBERED);
                prop_assert!(trips.newest().is_none_or(|newest| newest == MS));
            }
        }
    }
}
