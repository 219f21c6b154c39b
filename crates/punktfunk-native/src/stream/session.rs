//! The session thread: what the client says over its control connection, where it is, and whether it is still there.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use punktfunk_net::seal::Opener;
use punktfunk_pipeline::policy::{Liveness, Presence, is_loss_burst};
use punktfunk_pipeline::{EndReason, StreamControl};
use punktfunk_stats::{ClientFigures, Counter, SessionCounters, SessionEvent};

use crate::message::{ClientMessage, ClientReport};
use crate::packet::{HEADER_BYTES, Header, Kind};
use crate::stream::send::Whereabouts;

/// How often contacts are looked for. Messages are taken at once.
const TICK: Duration = Duration::from_millis(20);

/// Contacts read in one go, so that a flood of strangers' datagrams cannot hold the thread.
const MAX_CONTACTS: usize = 1024;

pub(super) struct Session {
    pub(super) control: StreamControl,
    pub(super) whereabouts: Whereabouts,
    pub(super) stream: u32,
    pub(super) opener: Opener,
    pub(super) socket: UdpSocket,
    pub(super) messages: Receiver<ClientMessage>,
    pub(super) counters: SessionCounters,
    pub(super) liveness: Liveness,
    pub(super) bitrate_bps: u64,
    pub(super) bitrate_range_bps: (u64, u64),
    /// Gone once the stream has begun.
    pub(super) go: Option<Sender<Instant>>,
    pub(super) refused: u64,
}

impl Session {
    pub(super) fn run(mut self) {
        while !self.control.is_over() {
            match self.messages.recv_timeout(TICK) {
                Ok(message) => self.message(Instant::now(), message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.control.end(EndReason::ControlClosed),
            }
            let now = Instant::now();
            self.contacts(now);
            self.presence(now);
        }
        if self.refused > 0 {
            tracing::info!(
                session = self.counters.session_id(),
                refused = self.refused,
                "datagrams of strangers were refused"
            );
        }
    }

    fn message(&mut self, now: Instant, message: ClientMessage) {
        self.liveness.heard(now);
        match message {
            ClientMessage::RequestIdr => {
                self.counters.add(Counter::IdrRequests, 1);
                self.counters.event(SessionEvent::IdrRequested);
                self.control.ask_idr();
            }
            ClientMessage::SetBitrate { bps } => {
                let (lowest, highest) = self.bitrate_range_bps;
                let (from_bps, to_bps) = (self.bitrate_bps, bps.clamp(lowest, highest));
                if from_bps != to_bps {
                    self.bitrate_bps = to_bps;
                    self.control.ask_bitrate(to_bps);
                    self.counters.set_target_rate_bps(to_bps);
                    self.counters.event(SessionEvent::BitrateChanged { from_bps, to_bps });
                }
            }
            ClientMessage::Report(report) => self.report(&report),
            ClientMessage::Stop => self.control.end(EndReason::ClientStopped),
        }
    }

    fn report(&self, report: &ClientReport) {
        self.counters.add(Counter::PacketsLost, report.lost);
        self.counters.add(Counter::FecRecovered, report.recovered);
        if let Some(rtt_us) = report.rtt_us
            && let Ok(rtt) = Duration::try_from_secs_f64(rtt_us / 1e6)
        {
            self.counters.set_rtt(rtt);
        }
        if is_loss_burst(report.lost, report.received) {
            self.counters.event(SessionEvent::LossBurst { packets: report.lost });
        }
        self.counters.set_client(ClientFigures {
            received: Some(report.received),
            lost: Some(report.lost),
            recovered: Some(report.recovered),
            one_way_us: report.one_way_us,
            decode_p50_us: report.decode_p50_us,
            decode_p99_us: report.decode_p99_us,
        });
    }

    fn contacts(&mut self, now: Instant) {
        let mut buffer = [0; 256];
        for _ in 0..MAX_CONTACTS {
            match self.socket.recv_from(&mut buffer) {
                Ok((bytes, from)) => self.contact(now, &mut buffer[..bytes], from),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An ICMP answer to an earlier packet. The client's silence will tell whether it matters.
                Err(error) => tracing::trace!(%error, "the data socket reports"),
            }
        }
    }

    fn contact(&mut self, now: Instant, datagram: &mut [u8], from: SocketAddr) {
        let genuine = match Header::parse(datagram) {
            Ok(Header { kind: Kind::Contact, stream, number }) if stream == self.stream => {
                self.opener.open(number, datagram, HEADER_BYTES).is_ok()
            }
            _ => false,
        };
        if !genuine {
            self.refused += 1;
            return;
        }
        self.liveness.heard(now);
        self.whereabouts.set_client(from);
        if let Some(go) = self.go.take()
            && go.send(now).is_err()
        {
            tracing::debug!("the capture thread ended before the stream began");
        }
    }

    fn presence(&mut self, now: Instant) {
        let stalled = match self.liveness.presence(now) {
            Presence::Here => false,
            Presence::Stalled => true,
            Presence::Gone => return self.control.end(EndReason::ClientGone),
        };
        if self.whereabouts.set_stalled(stalled) != stalled {
            tracing::info!(session = self.counters.session_id(), stalled, "the client's presence changed");
        }
    }
}
