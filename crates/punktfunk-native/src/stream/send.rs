//! The send thread: packets, parity, sealing, pacing, the kernel; then the frame's record.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use punktfunk_media::{DelayStage, Delays, EncodedFrame};
use punktfunk_net::batch::BatchSender;
use punktfunk_net::pacer::{self, PaceConfig};
use punktfunk_stats::{Counter, DropReason, FrameInfo, FrameSink, SessionCounters};

use crate::packet::{FIRST_FRAME, FrameHeader};
use crate::packetize::{FramePackets, PacketizeError, Packetizer};
use crate::stream::SEND;
use crate::stream::encode::Job;
use crate::stream::policy::ReferenceChain;
use crate::stream::shared::{EndReason, Shared};

pub(super) struct Send {
    pub(super) shared: Arc<Shared>,
    pub(super) packetizer: Packetizer,
    pub(super) sender: BatchSender,
    pub(super) socket: UdpSocket,
    pub(super) pace: PaceConfig,
    pub(super) interval: Duration,
    pub(super) delays: Delays,
    pub(super) delays_from: Instant,
    pub(super) chain: ReferenceChain,
    pub(super) sink: FrameSink,
    pub(super) counters: SessionCounters,
    pub(super) jobs: Receiver<Job>,
    pub(super) room: Sender<EncodedFrame>,
}

/// What became of a frame's packets.
struct Outcome {
    paced: Duration,
    refused: usize,
    /// Whether the client can put the frame together from what was sent.
    arrived: bool,
}

impl Send {
    pub(super) fn run(mut self) {
        while let Ok(mut job) = self.jobs.recv() {
            if let Err(reason) = self.frame(&mut job) {
                self.counters.drop_frame(&job.trace, reason);
                if !self.chain.is_broken() || reason == DropReason::SendFailed {
                    self.chain.break_off();
                    self.counters.add(Counter::IdrRequests, 1);
                }
                self.shared.ask_idr();
            }
            if self.shared.is_over() || self.room.send(job.encoded).is_err() {
                return;
            }
        }
    }

    fn frame(&mut self, job: &mut Job) -> Result<(), DropReason> {
        self.delay(DelayStage::Queue, job);
        job.trace.enter(SEND);
        let idr = job.encoded.idr;
        let client = self.shared.client().filter(|_| !self.shared.stalled.load(Ordering::Relaxed));
        let Some(client) = client else { return Err(DropReason::Stale) };
        if !self.chain.admits(idr) {
            return Err(DropReason::Stale);
        }
        self.delay(DelayStage::Packetizer, job);
        let captured_us = u64::try_from(job.due.as_micros()).unwrap_or(u64::MAX);
        let header = FrameHeader { number: job.number, captured_us, idr, repeat: job.repeat };
        self.delay(DelayStage::Sender, job);
        let packets = match self.packetizer.packetize(header, &job.encoded.data) {
            Ok(packets) => packets,
            Err(error) => {
                tracing::warn!(%error, frame = job.number, "a frame could not be sent");
                if matches!(error, PacketizeError::Key(_)) {
                    self.shared.end(EndReason::KeyExhausted);
                }
                return Err(DropReason::SendFailed);
            }
        };
        let plan = self.pace.plan(Instant::now(), self.interval, packets.count());
        let outcome = hand_over(&mut self.sender, &self.socket, client, packets, plan);
        job.trace.add_pace(outcome.paced);
        if outcome.refused > 0 {
            self.counters.add(Counter::SendDropped, outcome.refused as u64);
        }
        if !outcome.arrived {
            return Err(DropReason::SendFailed);
        }
        job.trace.leave(SEND);
        self.sink.record(&job.trace, frame_info(job, &packets, outcome.refused));
        Ok(())
    }

    fn delay(&self, stage: DelayStage, job: &Job) {
        if !self.delays.is_none() {
            pacer::sleep(self.delays.delay(stage, self.delays_from.elapsed(), job.number - FIRST_FRAME));
        }
    }
}

/// Hands a frame's packets to the kernel, burst by burst, until it is clear that the frame will not arrive.
fn hand_over(
    sender: &mut BatchSender,
    socket: &UdpSocket,
    to: SocketAddr,
    packets: FramePackets<'_>,
    plan: pacer::PacePlan,
) -> Outcome {
    let mut outcome = Outcome { paced: Duration::ZERO, refused: 0, arrived: true };
    for (index, burst) in packets.datagrams.chunks(plan.burst() * packets.size).enumerate() {
        if index > 0 {
            outcome.paced += pacer::sleep(plan.wait(index, Instant::now()));
        }
        let sent = sender.send(socket, to, burst, packets.size);
        if sent.dropped > 0 {
            tracing::debug!(dropped = sent.dropped, error = ?sent.error, "the kernel did not take all packets");
            outcome.refused += sent.dropped;
        }
        if outcome.refused > packets.spare {
            outcome.arrived = false;
            break;
        }
    }
    outcome
}

fn frame_info(job: &Job, packets: &FramePackets<'_>, refused: usize) -> FrameInfo {
    // A frame has at most 4 MiB and a few thousand packets: everything fits.
    let small = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    FrameInfo {
        number: job.number,
        media_bytes: small(packets.layout.frame_bytes()),
        fec_bytes: small(packets.fec_bytes()),
        overhead_bytes: small(packets.overhead_bytes()),
        packets: small(packets.count() - refused),
        idr: job.encoded.idr,
        repeat: job.repeat,
    }
}

#[cfg(test)]
mod tests {
    use punktfunk_net::batch::SendMode;
    use punktfunk_net::seal::DirectionKey;

    use super::*;

    fn packetizer(fec_percent: u8) -> Packetizer {
        Packetizer::new(1, DirectionKey::from_secret(&[1; DirectionKey::BYTES]), fec_percent)
    }

    const FRAME: FrameHeader = FrameHeader { number: 1, captured_us: 0, idr: true, repeat: false };

    #[test]
    fn a_frame_that_the_kernel_refuses_is_given_up_after_its_first_burst() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut packetizer = packetizer(5);
        let packets = packetizer.packetize(FRAME, &vec![1; 100_000]).unwrap();
        let pace = PaceConfig { spread: 0.25, burst: 16 };
        let plan = pace.plan(Instant::now(), Duration::from_secs(10), packets.count());
        // An IPv6 address cannot be reached from an IPv4 socket.
        let mut sender = BatchSender::new(SendMode::Segmented);
        let outcome = hand_over(&mut sender, &socket, "[::1]:9".parse().unwrap(), packets, plan);
        assert!(!outcome.arrived);
        assert_eq!((outcome.refused, outcome.paced), (16, Duration::ZERO));
    }

    #[test]
    fn a_paced_frame_reports_how_long_it_waited_on_purpose() {
        let (socket, client) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut packetizer = packetizer(0);
        let packets = packetizer.packetize(FRAME, &vec![1; 40_000]).unwrap();
        assert_eq!(packets.count(), 32);
        let plan = PaceConfig { spread: 1.0, burst: 16 }.plan(Instant::now(), Duration::from_millis(8), 32);
        let to = client.local_addr().unwrap();
        let outcome = hand_over(&mut BatchSender::new(SendMode::Segmented), &socket, to, packets, plan);
        assert!(outcome.arrived && outcome.refused == 0);
        assert!(outcome.paced >= Duration::from_millis(3), "{:?}", outcome.paced);
    }
}
