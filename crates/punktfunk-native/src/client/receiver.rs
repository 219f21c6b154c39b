//! The client's side of the data plane without socket, thread or clock: datagrams go in, events come out.

use std::time::{Duration, Instant};

use punktfunk_net::seal::{OpenError, Opener};

use crate::client::loss::SeededLoss;
use crate::client::outcomes::{Outcome, OutcomeLog};
use crate::keys::DataKeys;
use crate::message::ClientReport;
use crate::packet::{HEADER_BYTES, Header, Kind, PacketError, ShardHeader};
use crate::reassembly::{Delivery, Frame, Inserted, Reassembler};
use punktfunk_pipeline::policy::ReferenceChain;

/// How a client receives.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// How long after the first shard of a later frame an incomplete one is given up; default 15 ms. Longer forgives more
    /// reordering and shows a loss later.
    pub grace: Duration,
    /// Length of a report window; default 1 s.
    pub report_every: Duration,
    /// Shortest time between two requests for an IDR; default 150 ms. Below the round-trip time, the second is in vain.
    pub idr_every: Duration,
    /// Loss on purpose.
    pub loss: Option<SeededLoss>,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            grace: Duration::from_millis(15),
            report_every: Duration::from_secs(1),
            idr_every: Duration::from_millis(150),
            loss: None,
        }
    }
}

/// What the client learns.
#[derive(Debug, PartialEq)]
pub enum ClientEvent {
    /// A frame came, whole. `decodable` says whether everything that it refers to came too.
    Frame {
        /// The frame. Give its buffer back with [`Receiver::recycle`].
        frame: Frame,
        /// Whether it can be decoded.
        decodable: bool,
    },
    /// Frames are lost for good.
    Lost {
        /// Number of the first.
        first: u64,
        /// How many.
        count: u64,
    },
    /// The host should send an IDR.
    AskIdr,
    /// A window is over.
    Report(ClientReport),
}

/// Datagrams that were refused, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// Of another protocol, version or stream, or too short.
    pub foreign: u64,
    /// Not sealed with the stream's key, cut, or changed on the way.
    pub forged: u64,
    /// Received before.
    pub replayed: u64,
    /// Older than the replay window.
    pub too_old: u64,
    /// Genuine, but contradicting themselves or earlier ones.
    pub contradictory: u64,
}

impl Refused {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.foreign + self.forged + self.replayed + self.too_old + self.contradictory
    }
}

/// Everything since the stream began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Genuine packets received.
    pub packets: u64,
    /// Packets that were sent before the newest one received, and did not come.
    pub packets_lost: u64,
    /// Packets dropped on purpose on arrival; they count as lost, too.
    pub packets_dropped_on_purpose: u64,
    /// Data shards rebuilt from parity.
    pub shards_recovered: u64,
    /// Datagrams refused.
    pub refused: Refused,
    /// Frames that came whole and can be decoded.
    pub frames_complete: u64,
    /// Of those, frames that repeat the picture before them.
    pub frames_repeated: u64,
    /// Frames that came whole after one that they refer to was lost.
    pub frames_undecodable: u64,
    /// Frames that did not come whole.
    pub frames_lost: u64,
    /// IDRs among the complete frames.
    pub idrs: u64,
    /// Times that an IDR was asked for.
    pub idr_requests: u64,
    /// Bytes of complete frames.
    pub media_bytes: u64,
    /// Newest frame number that came out, complete or lost.
    pub last_frame: u64,
}

/// The receiving side of one stream.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    stream: u32,
    opener: Opener,
    reassembler: Reassembler,
    chain: ReferenceChain,
    outcomes: OutcomeLog,
    tally: Tally,
    /// One more than the newest packet number.
    packets_sent: u64,
    started: Instant,
    asked: Option<Instant>,
    window: Window,
    /// Smallest difference between arrival and capture, µs: the clocks' offset and the shortest way.
    least_way_us: Option<i64>,
    rtt: Option<Duration>,
    last_heard: Option<Instant>,
}

/// Figures of the report window.
#[derive(Debug)]
struct Window {
    since: Instant,
    before: Tally,
    /// Difference between arrival and capture of each frame, µs.
    ways_us: Vec<i64>,
    decodes: Vec<Duration>,
}

impl Receiver {
    /// A receiver for `stream`, beginning at `now`.
    pub fn new(config: ReceiverConfig, stream: u32, keys: &DataKeys, now: Instant) -> Self {
        // Nothing can be decoded before the first IDR.
        let mut chain = ReferenceChain::default();
        chain.break_off();
        Self {
            opener: Opener::new(keys.from_host.clone()),
            reassembler: Reassembler::new(config.grace),
            config,
            stream,
            chain,
            outcomes: OutcomeLog::default(),
            tally: Tally::default(),
            packets_sent: 0,
            started: now,
            asked: None,
            window: Window { since: now, before: Tally::default(), ways_us: Vec::new(), decodes: Vec::new() },
            least_way_us: None,
            rtt: None,
            last_heard: None,
        }
    }

    /// Takes a datagram that came at `now`. It is opened in place.
    pub fn datagram(&mut self, now: Instant, datagram: &mut [u8]) {
        if self.config.loss.as_mut().is_some_and(SeededLoss::strikes) {
            self.tally.packets_dropped_on_purpose += 1;
            return;
        }
        let number = match Header::parse(datagram) {
            Ok(Header { kind: Kind::Shard, stream, number }) if stream == self.stream => number,
            Ok(_) | Err(PacketError::Foreign | PacketError::Truncated | PacketError::Contradictory) => {
                self.tally.refused.foreign += 1;
                return;
            }
        };
        let body = match self.opener.open(number, datagram, HEADER_BYTES) {
            Ok(body) => body,
            Err(error) => {
                *match error {
                    OpenError::Replayed => &mut self.tally.refused.replayed,
                    OpenError::TooOld => &mut self.tally.refused.too_old,
                    OpenError::Forged => &mut self.tally.refused.forged,
                } += 1;
                return;
            }
        };
        self.last_heard = Some(now);
        self.tally.packets += 1;
        self.packets_sent = self.packets_sent.max(number + 1);
        let inserted = ShardHeader::parse(body).map(|(header, bytes)| self.reassembler.insert(now, &header, bytes));
        if matches!(inserted, Ok(Inserted::Contradictory) | Err(_)) {
            self.tally.refused.contradictory += 1;
        }
    }

    /// What is to be done or known at `now`. Call until it gives nothing.
    pub fn poll(&mut self, now: Instant) -> Option<ClientEvent> {
        if let Some(delivery) = self.reassembler.poll(now) {
            return Some(self.deliver(now, delivery));
        }
        let broken = self.tally.last_frame > 0 && self.chain.is_broken();
        let due = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= self.config.idr_every);
        if broken && due {
            self.asked = Some(now);
            self.tally.idr_requests += 1;
            return Some(ClientEvent::AskIdr);
        }
        if now.saturating_duration_since(self.window.since) >= self.config.report_every {
            return Some(ClientEvent::Report(self.report(now)));
        }
        None
    }

    /// What is left when the stream has ended. Call until it gives nothing.
    pub fn finish(&mut self, now: Instant) -> Option<ClientEvent> {
        let delivery = self.reassembler.flush()?;
        Some(self.deliver(now, delivery))
    }

    /// How long decoding a frame took.
    pub fn decoded(&mut self, took: Duration) {
        self.window.decodes.push(took);
    }

    /// The picture is broken whatever the packets say: the decoder failed, or a frame was not taken in time.
    pub fn broke_off(&mut self) {
        self.chain.break_off();
    }

    /// The newest round-trip time, for the report.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
    }

    /// Takes a frame's buffer back.
    pub fn recycle(&mut self, data: Vec<u8>) {
        self.reassembler.recycle(data);
    }

    /// Everything since the stream began.
    pub fn tally(&self) -> Tally {
        Tally {
            packets_lost: self.packets_sent.saturating_sub(self.tally.packets),
            shards_recovered: self.reassembler.recovered(),
            ..self.tally
        }
    }

    /// What became of each frame.
    pub fn outcomes(&self) -> &OutcomeLog {
        &self.outcomes
    }

    /// When a genuine packet came last; the stream's beginning before the first.
    pub fn last_heard(&self) -> Instant {
        self.last_heard.unwrap_or(self.started)
    }

    /// Whether anything came yet.
    pub fn has_heard(&self) -> bool {
        self.last_heard.is_some()
    }

    fn deliver(&mut self, now: Instant, delivery: Delivery) -> ClientEvent {
        match delivery {
            Delivery::Complete(frame) => {
                let header = frame.header;
                let decodable = self.chain.admits(header.idr);
                let outcome = if decodable { Outcome::Complete } else { Outcome::Undecodable };
                self.outcomes.add(header.number, 1, outcome);
                self.tally.last_frame = header.number;
                if decodable {
                    self.tally.frames_complete += 1;
                    self.tally.frames_repeated += u64::from(header.repeat);
                    self.tally.idrs += u64::from(header.idr);
                } else {
                    self.tally.frames_undecodable += 1;
                }
                self.tally.media_bytes += frame.data.len() as u64;
                let arrived =
                    i64::try_from(now.saturating_duration_since(self.started).as_micros()).unwrap_or(i64::MAX);
                let way = arrived.saturating_sub_unsigned(header.captured_us);
                self.least_way_us = Some(self.least_way_us.map_or(way, |least| least.min(way)));
                self.window.ways_us.push(way);
                ClientEvent::Frame { frame, decodable }
            }
            Delivery::Lost { first, count } => {
                self.chain.break_off();
                self.outcomes.add(first, count, Outcome::Lost);
                self.tally.frames_lost += count;
                self.tally.last_frame = first + count - 1;
                ClientEvent::Lost { first, count }
            }
        }
    }

    fn report(&mut self, now: Instant) -> ClientReport {
        let (tally, window) = (self.tally(), &mut self.window);
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        window.ways_us.sort_unstable();
        window.decodes.sort_unstable();
        let least = self.least_way_us.unwrap_or_default();
        let report = ClientReport {
            window_us: u64::try_from(now.saturating_duration_since(window.since).as_micros()).unwrap_or(u64::MAX),
            received: tally.packets - window.before.packets,
            // Late packets un-lose what an earlier window reported; a window never reports less than nothing.
            lost: tally.packets_lost.saturating_sub(window.before.packets_lost),
            recovered: tally.shards_recovered - window.before.shards_recovered,
            frames_complete: tally.frames_complete - window.before.frames_complete,
            frames_lost: (tally.frames_lost + tally.frames_undecodable)
                - (window.before.frames_lost + window.before.frames_undecodable),
            rtt_us: self.rtt.map(micros),
            one_way_us: quantile(&window.ways_us, 0.5).map(|way| (way - least) as f64),
            decode_p50_us: quantile(&window.decodes, 0.5).map(micros),
            decode_p99_us: quantile(&window.decodes, 0.99).map(micros),
        };
        window.since = now;
        // Keep what was reported as lost, so that a late packet does not make the next window report it again.
        window.before = Tally { packets_lost: tally.packets_lost.max(window.before.packets_lost), ..tally };
        window.ways_us.clear();
        window.decodes.clear();
        report
    }
}

/// The smallest value that at least `q` of the sorted values do not exceed.
fn quantile<T: Copy>(sorted: &[T], q: f64) -> Option<T> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}
