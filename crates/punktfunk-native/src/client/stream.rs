//! A receiving thread around [`Receiver`]: socket in, frames out through a bounded channel, requests and reports to the
//! control connection.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver as ChannelReceiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use punktfunk_net::batch::{BatchReceiver, size_buffers};
use punktfunk_net::seal::{KeyExhausted, Sealer};

use crate::client::outcomes::OutcomeLog;
use crate::client::receiver::{ClientEvent, Receiver, ReceiverConfig, Tally};
use crate::keys::DataKeys;
use crate::message::ClientMessage;
use crate::packet::{CONTACT_BYTES, HEADER_BYTES, Header, Kind};
use crate::reassembly::Frame;

/// Frames that may wait for the consumer. A second at 60 frames a second; then frames are dropped and an IDR is asked for.
const WAITING_FRAMES: usize = 60;

/// Socket buffer asked for: half a second at 60 Mb/s.
const SOCKET_BYTES: usize = 4 << 20;

/// Longest wait for a datagram, so that losses and reports are noticed in time.
const TICK: Duration = Duration::from_millis(5);

/// Contacts until the first shard comes: the first may be lost, or be there before the host is ready.
const FIRST_CONTACTS: Duration = Duration::from_millis(50);

/// What a client needs to receive a stream.
#[derive(Debug, Clone)]
pub struct ClientStreamConfig {
    /// The stream, as granted.
    pub stream: u32,
    /// Its keys.
    pub keys: DataKeys,
    /// Where the host sends from.
    pub host: SocketAddr,
    /// How to receive.
    pub receiver: ReceiverConfig,
    /// Time between contacts while the stream runs; default 500 ms. The host takes three missing ones as a stall.
    pub contact_every: Duration,
    /// Silence after which the stream counts as over; default 3 s.
    pub lost_after: Duration,
}

impl ClientStreamConfig {
    /// Defaults for a granted stream.
    pub fn new(stream: u32, keys: DataKeys, host: SocketAddr) -> Self {
        Self {
            stream,
            keys,
            host,
            receiver: ReceiverConfig::default(),
            contact_every: Duration::from_millis(500),
            lost_after: Duration::from_secs(3),
        }
    }
}

/// Why a stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOver {
    /// The client stopped it.
    Stopped,
    /// Nothing came from the host for too long.
    LostContact,
    /// The socket failed, or the key was used up.
    Failed,
}

/// A frame for the consumer.
#[derive(Debug)]
pub struct ReceivedFrame {
    /// The frame.
    pub frame: Frame,
    /// Whether everything that it refers to came, too.
    pub decodable: bool,
}

/// What a stream was, once it is over.
#[derive(Debug)]
pub struct Summary {
    /// Why it is over.
    pub over: StreamOver,
    /// Its totals.
    pub tally: Tally,
    /// What became of each frame.
    pub outcomes: OutcomeLog,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    broke_off: AtomicBool,
    /// Newest round-trip time, ns; 0 before the first.
    rtt_ns: AtomicU64,
    tally: Mutex<Tally>,
}

enum Feedback {
    Recycle(Vec<u8>),
    Decoded(Duration),
}

/// A stream that is being received.
#[derive(Debug)]
pub struct ClientStream {
    shared: Arc<Shared>,
    frames: ChannelReceiver<ReceivedFrame>,
    feedback: Sender<Feedback>,
    thread: JoinHandle<Summary>,
}

impl ClientStream {
    /// Binds a socket, calls on the host and starts the receiving thread. Requests and reports go to `control`.
    ///
    /// # Errors
    /// When no socket or thread can be had.
    pub fn start(config: ClientStreamConfig, control: Sender<ClientMessage>) -> io::Result<Self> {
        let any: SocketAddr = match (config.host, config.host.ip().is_loopback()) {
            (SocketAddr::V4(_), true) => "127.0.0.1:0",
            (SocketAddr::V4(_), false) => "0.0.0.0:0",
            (SocketAddr::V6(_), true) => "[::1]:0",
            (SocketAddr::V6(_), false) => "[::]:0",
        }
        .parse()
        .expect("these are addresses");
        let socket = UdpSocket::bind(any)?;
        // Connected: the kernel then refuses whatever does not come from the host.
        socket.connect(config.host)?;
        socket.set_read_timeout(Some(TICK))?;
        size_buffers(&socket, 1 << 16, SOCKET_BYTES)?;

        let shared = Arc::new(Shared::default());
        let (frames_in, frames) = bounded(WAITING_FRAMES);
        let (feedback, feedback_out) = bounded(4 * WAITING_FRAMES);
        let thread = std::thread::Builder::new().name(format!("receive-{}", config.stream)).spawn({
            let shared = Arc::clone(&shared);
            move || {
                let now = Instant::now();
                let receiver = Receiver::new(config.receiver.clone(), config.stream, &config.keys, now);
                let sealer = Sealer::new(config.keys.from_client.clone());
                Loop {
                    config,
                    socket,
                    receiver,
                    sealer,
                    shared,
                    frames: frames_in,
                    feedback: feedback_out,
                    control,
                    called: None,
                }
                .run()
            }
        })?;
        Ok(Self { shared, frames, feedback, thread })
    }

    /// Waits for the next frame. `Ok(None)` after `timeout`.
    ///
    /// # Errors
    /// When the stream is over: [`stop`](Self::stop) says why.
    pub fn next_frame(&self, timeout: Duration) -> Result<Option<ReceivedFrame>, Over> {
        match self.frames.recv_timeout(timeout) {
            Ok(frame) => Ok(Some(frame)),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => Ok(None),
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => Err(Over),
        }
    }

    /// Totals so far.
    pub fn tally(&self) -> Tally {
        *self.shared.tally.lock()
    }

    /// Gives a frame's buffer back, with the time that decoding it took, if it was decoded.
    pub fn done_with(&self, frame: Frame, decode: Option<Duration>) {
        for feedback in decode.map(Feedback::Decoded).into_iter().chain([Feedback::Recycle(frame.data)]) {
            if self.feedback.try_send(feedback).is_err() {
                // The receiving thread is gone or behind by hundreds of frames: a buffer and a sample are all that is lost.
                tracing::trace!("the receiving thread did not take a buffer back");
            }
        }
    }

    /// The decoder cannot go on without an IDR.
    pub fn broke_off(&self) {
        // Relaxed: a wish on its own.
        self.shared.broke_off.store(true, Ordering::Relaxed);
    }

    /// The newest round-trip time, as the control connection measures it; it goes into the reports.
    pub fn set_rtt(&self, rtt: Duration) {
        self.shared.rtt_ns.store(u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Ends the stream, if it is not over, and says what it was. Frames that were not taken are gone.
    pub fn stop(self) -> Summary {
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(self.frames);
        match self.thread.join() {
            Ok(summary) => summary,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// The stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is over")]
pub struct Over;

struct Loop {
    config: ClientStreamConfig,
    socket: UdpSocket,
    receiver: Receiver,
    sealer: Sealer,
    shared: Arc<Shared>,
    frames: Sender<ReceivedFrame>,
    feedback: ChannelReceiver<Feedback>,
    control: Sender<ClientMessage>,
    /// When the host was called on last.
    called: Option<Instant>,
}

impl Loop {
    fn run(mut self) -> Summary {
        let mut batch = BatchReceiver::new();
        let over = loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                break StreamOver::Stopped;
            }
            let receiver = &mut self.receiver;
            let mut now = Instant::now();
            match batch.receive(&self.socket, |datagram| receiver.datagram(now, datagram)) {
                Ok(_) => {}
                // An ICMP answer: the host's port is closed for now. It may be ready in a moment, or silence ends the stream.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::thread::sleep(TICK),
                Err(error) => {
                    tracing::warn!(%error, "the data socket failed");
                    break StreamOver::Failed;
                }
            }
            now = Instant::now();
            self.take_feedback();
            while let Some(event) = self.receiver.poll(now) {
                self.handle(event);
            }
            *self.shared.tally.lock() = self.receiver.tally();
            if let Err(error) = self.call_on_host(now) {
                tracing::warn!(%error, "the stream cannot go on");
                break StreamOver::Failed;
            }
            if now.saturating_duration_since(self.receiver.last_heard()) >= self.config.lost_after {
                break StreamOver::LostContact;
            }
        };
        let now = Instant::now();
        while let Some(event) = self.receiver.finish(now) {
            self.handle(event);
        }
        let tally = self.receiver.tally();
        *self.shared.tally.lock() = tally;
        Summary { over, tally, outcomes: self.receiver.outcomes().clone() }
    }

    fn take_feedback(&mut self) {
        for feedback in self.feedback.try_iter() {
            match feedback {
                Feedback::Recycle(data) => self.receiver.recycle(data),
                Feedback::Decoded(took) => self.receiver.decoded(took),
            }
        }
        if self.shared.broke_off.swap(false, Ordering::Relaxed) {
            self.receiver.broke_off();
        }
        match self.shared.rtt_ns.load(Ordering::Relaxed) {
            0 => {}
            ns => self.receiver.set_rtt(Duration::from_nanos(ns)),
        }
    }

    fn handle(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Frame { frame, decodable } => match self.frames.try_send(ReceivedFrame { frame, decodable }) {
                Ok(()) => {}
                Err(TrySendError::Full(unsent)) => {
                    tracing::debug!(frame = unsent.frame.header.number, "the consumer is too slow; a frame is dropped");
                    self.receiver.broke_off();
                    self.receiver.recycle(unsent.frame.data);
                }
                Err(TrySendError::Disconnected(unsent)) => self.receiver.recycle(unsent.frame.data),
            },
            ClientEvent::Lost { first, count } => tracing::debug!(first, count, "frames lost"),
            ClientEvent::AskIdr => self.tell(ClientMessage::RequestIdr),
            ClientEvent::Report(report) => self.tell(ClientMessage::Report(report)),
        }
    }

    /// A request that does not fit is repeated by the next one, a report superseded by the next window's.
    fn tell(&self, message: ClientMessage) {
        if let Err(error) = self.control.try_send(message) {
            tracing::debug!(%error, "the control connection did not take a message");
        }
    }

    fn call_on_host(&mut self, now: Instant) -> Result<(), KeyExhausted> {
        let every = if self.receiver.has_heard() { self.config.contact_every } else { FIRST_CONTACTS };
        if self.called.is_some_and(|called| now.saturating_duration_since(called) < every) {
            return Ok(());
        }
        self.called = Some(now);
        let (mut datagram, stream) = ([0; CONTACT_BYTES], self.config.stream);
        self.sealer.seal(&mut datagram, HEADER_BYTES, |header, number| {
            Header { kind: Kind::Contact, stream, number }.write(header);
        })?;
        if let Err(error) = self.socket.send(&datagram) {
            // The next one is due soon; a host that stays unreachable ends the stream by its silence.
            tracing::debug!(%error, "a contact could not be sent");
        }
        Ok(())
    }
}
