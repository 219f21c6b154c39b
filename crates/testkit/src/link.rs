//! A link that loses, delays, reorders and doubles what is sent over it. Time is what the test says it is.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// How the link treats datagrams. Probabilities are 0–1; the default is a perfect link without delay.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LinkConfig {
    /// Two links with one seed do the same to the same traffic.
    pub seed: u64,
    /// Probability that a datagram never arrives.
    pub loss: f64,
    /// Probability that it arrives twice.
    pub duplicate: f64,
    /// Probability that it is held back by up to `jitter`, so that later ones overtake it.
    pub reorder: f64,
    /// Time on the way of every datagram.
    pub delay: Duration,
    /// Longest extra delay of one that is held back.
    pub jitter: Duration,
}

/// What the link did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkTally {
    /// Datagrams handed to the link.
    pub sent: u64,
    /// Datagrams that it lost.
    pub lost: u64,
    /// Datagrams that it delivered twice.
    pub duplicated: u64,
    /// Datagrams that it held back.
    pub held_back: u64,
}

/// The link. `T` is a datagram.
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    rng: Pcg64Mcg,
    /// What is on the way, by arrival; the counter keeps the order of sending among equals.
    on_the_way: BTreeMap<(Duration, u64), T>,
    counter: u64,
    tally: LinkTally,
}

impl<T: Clone> Link<T> {
    /// A link with nothing on it.
    pub fn new(config: LinkConfig) -> Self {
        Self {
            config,
            rng: Pcg64Mcg::seed_from_u64(config.seed),
            on_the_way: BTreeMap::new(),
            counter: 0,
            tally: LinkTally::default(),
        }
    }

    /// Sends `datagram` at `now`.
    pub fn send(&mut self, now: Duration, datagram: T) {
        self.tally.sent += 1;
        if self.rng.random_bool(self.config.loss) {
            self.tally.lost += 1;
            return;
        }
        if self.rng.random_bool(self.config.duplicate) {
            self.tally.duplicated += 1;
            self.put(now, datagram.clone());
        }
        self.put(now, datagram);
    }

    fn put(&mut self, now: Duration, datagram: T) {
        let mut arrives = now + self.config.delay;
        if self.rng.random_bool(self.config.reorder) {
            self.tally.held_back += 1;
            arrives += self.config.jitter.mul_f64(self.rng.random());
        }
        self.counter += 1;
        self.on_the_way.insert((arrives, self.counter), datagram);
    }

    /// The next datagram that has arrived by `now`, with the moment it did.
    pub fn receive(&mut self, now: Duration) -> Option<(Duration, T)> {
        let entry = self.on_the_way.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let ((at, _), datagram) = entry.remove_entry();
        Some((at, datagram))
    }

    /// When the next datagram arrives.
    pub fn next_at(&self) -> Option<Duration> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    /// What the link did so far.
    pub fn tally(&self) -> LinkTally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(config: LinkConfig) -> (Vec<(Duration, u32)>, LinkTally) {
        let mut link = Link::new(config);
        let mut got = Vec::new();
        for i in 0..2000 {
            let now = Duration::from_millis(u64::from(i));
            link.send(now, i);
            while let Some(arrival) = link.receive(now) {
                got.push(arrival);
            }
        }
        while let Some(at) = link.next_at() {
            got.extend(link.receive(at));
        }
        (got, link.tally())
    }

    #[test]
    fn a_perfect_link_keeps_everything_in_order() {
        let (got, tally) = run(LinkConfig::default());
        assert_eq!(got.iter().map(|(_, i)| *i).collect::<Vec<_>>(), (0..2000).collect::<Vec<_>>());
        assert_eq!(tally.lost + tally.duplicated + tally.held_back, 0);
    }

    #[test]
    fn one_seed_gives_one_history_and_the_tally_adds_up() {
        let config = LinkConfig {
            seed: 7,
            loss: 0.03,
            duplicate: 0.02,
            reorder: 0.1,
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(20),
        };
        let (got, tally) = run(config);
        assert_eq!((got.clone(), tally), run(config));
        assert_eq!(got.len() as u64, tally.sent - tally.lost + tally.duplicated);
        assert!((30..100).contains(&tally.lost), "{tally:?}");
        assert!(got.windows(2).any(|pair| pair[0].1 > pair[1].1), "something was overtaken");
        assert!(got.windows(2).all(|pair| pair[0].0 <= pair[1].0), "arrivals are in order of time");
    }
}
