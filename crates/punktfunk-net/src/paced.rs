//! A whole frame's datagrams to the kernel: burst by burst, paced, until it is clear that the frame cannot arrive.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::batch::BatchSender;
use crate::pacer::{self, PaceConfig, PacePlan};

/// A frame's datagrams, one after another.
#[derive(Debug, Clone, Copy)]
pub struct PacedFrame<'a> {
    /// All of them.
    pub datagrams: &'a [u8],
    /// Bytes of each.
    pub size: usize,
    /// So many of them may go missing, whichever they are.
    pub spare: usize,
}

/// What became of a frame's datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacedSend {
    /// Time that was waited on purpose.
    pub paced: Duration,
    /// Datagrams that the kernel did not take.
    pub refused: usize,
    /// Whether the client can put the frame together from what was sent.
    pub arrived: bool,
}

/// A socket that frames leave by, each paced over a part of the interval between two.
#[derive(Debug)]
pub struct PacedSender {
    /// What hands datagrams to the kernel.
    pub sender: BatchSender,
    /// Where they leave.
    pub socket: UdpSocket,
    /// How frames are spread.
    pub pace: PaceConfig,
    /// Time between two frames.
    pub interval: Duration,
}

impl PacedSender {
    /// Sends a frame, its first burst now.
    ///
    /// # Panics
    /// When the datagrams' size is 0.
    pub fn send(&mut self, to: SocketAddr, frame: PacedFrame<'_>) -> PacedSend {
        let plan = self.pace.plan(Instant::now(), self.interval, frame.datagrams.len() / frame.size);
        self.sender.send_frame(&self.socket, to, frame, plan)
    }
}

impl BatchSender {
    /// Hands a frame to the kernel by `plan`. Once more than its spare datagrams were refused, the rest is not sent.
    ///
    /// # Panics
    /// When the datagrams' size is 0.
    pub fn send_frame(
        &mut self,
        socket: &UdpSocket,
        to: SocketAddr,
        frame: PacedFrame<'_>,
        plan: PacePlan,
    ) -> PacedSend {
        let mut outcome = PacedSend { paced: Duration::ZERO, refused: 0, arrived: true };
        for (index, burst) in frame.datagrams.chunks(plan.burst() * frame.size).enumerate() {
            if index > 0 {
                outcome.paced += pacer::sleep(plan.wait(index, Instant::now()));
            }
            let sent = self.send(socket, to, burst, frame.size);
            if sent.dropped > 0 {
                tracing::debug!(dropped = sent.dropped, error = ?sent.error, "the kernel did not take all packets");
                outcome.refused += sent.dropped;
            }
            if outcome.refused > frame.spare {
                outcome.arrived = false;
                break;
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::SendMode;
    use crate::pacer::PaceConfig;

    const SIZE: usize = 1200;

    #[test]
    fn a_frame_that_the_kernel_refuses_is_given_up_after_its_first_burst() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let plan = PaceConfig { spread: 0.25, burst: 16 }.plan(Instant::now(), Duration::from_secs(10), 84);
        let frame = PacedFrame { datagrams: &vec![1; 84 * SIZE], size: SIZE, spare: 4 };
        // An IPv6 address cannot be reached from an IPv4 socket.
        let to = "[::1]:9".parse().unwrap();
        let outcome = BatchSender::new(SendMode::Segmented).send_frame(&socket, to, frame, plan);
        assert_eq!(outcome, PacedSend { paced: Duration::ZERO, refused: 16, arrived: false });
    }

    #[test]
    fn a_paced_frame_reports_how_long_it_waited_on_purpose() {
        let (socket, client) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let plan = PaceConfig { spread: 1.0, burst: 16 }.plan(Instant::now(), Duration::from_millis(8), 32);
        let frame = PacedFrame { datagrams: &vec![1; 32 * SIZE], size: SIZE, spare: 0 };
        let to = client.local_addr().unwrap();
        let outcome = BatchSender::new(SendMode::Segmented).send_frame(&socket, to, frame, plan);
        assert!(outcome.arrived && outcome.refused == 0);
        assert!(outcome.paced >= Duration::from_millis(3), "{:?}", outcome.paced);
    }
}
