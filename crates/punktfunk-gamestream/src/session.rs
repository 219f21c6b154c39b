//! The one session that a host plays at a time: from a launch over HTTPS, through what RTSP agrees on, to its end.
//!
//! ```text
//!  nothing ──launch──▶ launched ──ANNOUNCE, PLAY──▶ playing ──end──▶ nothing
//!                          └──────── not begun in time, cancelled, revoked ────────┘
//! ```
//!
//! A client that launches again, after a crash for instance, takes the place of its own session; another one is told that
//! the host is busy.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use punktfunk_media::VideoMode;
use punktfunk_pairing::clients::Attachment;
use punktfunk_pairing::{ClientStore, Fingerprint};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::watch;

use crate::control::{Play, SessionEnd};
use crate::hex;
use crate::nvhttp::LaunchRequest;
use crate::ping::PAYLOAD_BYTES;
use crate::rtsp::Announced;
use crate::stream::{StreamConfig, StreamHost};
use crate::video::{PacketSize, VideoKey};

/// Smallest side of a picture that is granted, pixels.
const MIN_SIDE: u32 = 64;

/// Most parity packets a block that a client may require; stock clients require 2.
const MAX_REQUIRED_PARITY: u32 = 16;

/// What sessions may have, and how long they may be silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimits {
    /// Lowest and highest bit rate that is granted, kb/s.
    pub bitrate_kbps: (u32, u32),
    /// Parity in percent of the data; default 20, as the protocol's hosts have it.
    pub fec_percent: u32,
    /// Time from a launch to its start; default 30 s.
    pub begin: Duration,
    /// Silence after which a client is gone; default 10 s. Clients ping twice a second.
    pub silence: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            bitrate_kbps: (500, 50_000),
            fec_percent: 20,
            begin: Duration::from_secs(30),
            silence: Duration::from_secs(10),
        }
    }
}

/// Why there is no launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("the host is busy: another client streams")]
    Busy,
    #[error("the client is not paired")]
    NotPaired,
    #[error("the system gave no randomness")]
    NoRandomness,
}

/// Why a session is not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is another client's")]
pub(crate) struct NotYours;

/// Why a session does not play.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlayError {
    #[error("nothing was launched")]
    NotLaunched,
    #[error("nothing was announced")]
    NotAnnounced,
    #[error("it plays already")]
    Playing,
    #[error("a socket or thread could not be had: {0}")]
    Io(#[from] io::Error),
}

/// What SETUP tells a client of its session: what proves that pings and control connections are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// 16 characters.
    pub(crate) ping_payload: String,
    pub(crate) connect_data: u32,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Launched,
    Playing,
    Ending(SessionEnd),
    Over(SessionEnd),
}

struct Slot {
    number: u64,
    client: Fingerprint,
    name: String,
    address: IpAddr,
    key: [u8; 16],
    handshake: Handshake,
    announced: Option<Announced>,
    life: Arc<watch::Sender<Life>>,
}

impl Slot {
    fn end(&self, reason: SessionEnd) {
        end(&self.life, reason);
    }
}

/// One that plays ends on its own thread; any other is over at once.
fn end(life: &watch::Sender<Life>, reason: SessionEnd) {
    life.send_modify(|life| match *life {
        Life::Launched => *life = Life::Over(reason),
        Life::Playing => *life = Life::Ending(reason),
        Life::Ending(_) | Life::Over(_) => {}
    });
}

/// What sessions are made of, and the one there is.
pub(crate) struct Sessions {
    clients: ClientStore,
    host: Arc<StreamHost>,
    limits: SessionLimits,
    video: UdpSocket,
    control: UdpSocket,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: u64,
    slot: Option<Slot>,
    /// The newest session's thread. The next one begins when it has ended, for they use the same ports.
    thread: Option<JoinHandle<()>>,
}

impl Sessions {
    pub(crate) fn new(
        clients: ClientStore,
        host: Arc<StreamHost>,
        limits: SessionLimits,
        video: UdpSocket,
        control: UdpSocket,
    ) -> Self {
        Self { clients, host, limits, video, control, state: Mutex::default() }
    }

    /// Whether a client has the host.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().slot.is_some()
    }

    /// Whether RTSP from this address is a launched client's.
    pub(crate) fn expects(&self, address: IpAddr) -> bool {
        self.state.lock().slot.as_ref().is_some_and(|slot| slot.address == address)
    }

    /// Takes the host for a client. Needs a Tokio runtime.
    pub(crate) fn launch(
        self: &Arc<Self>,
        client: Fingerprint,
        address: IpAddr,
        request: LaunchRequest,
    ) -> Result<(), LaunchError> {
        let mut state = self.state.lock();
        if state.slot.as_ref().is_some_and(|slot| slot.client != client) {
            return Err(LaunchError::Busy);
        }
        let attachment = self.clients.attach(client).ok_or(LaunchError::NotPaired)?;
        let handshake = Handshake::new().ok_or(LaunchError::NoRandomness)?;
        if let Some(older) = state.slot.take() {
            older.end(SessionEnd::Replaced);
        }
        state.count += 1;
        let number = state.count;
        let name = attachment.client.name.clone();
        tracing::info!(client = %name, %address, "a GameStream client launches a stream");
        let life = Arc::new(watch::Sender::new(Life::Launched));
        state.slot = Some(Slot {
            number,
            client,
            name: name.clone(),
            address,
            key: request.key,
            handshake,
            announced: None,
            life: Arc::clone(&life),
        });
        drop(state);
        let sessions = Arc::clone(self);
        tokio::spawn(async move {
            let reason = watch_over(&life, &attachment, sessions.limits.begin).await;
            tracing::info!(client = %name, %reason, "a GameStream session ended");
            sessions.forget(number);
            // Only now does the client count as gone.
            drop(attachment);
            let clients = sessions.clients.clone();
            if tokio::task::spawn_blocking(move || clients.save_seen()).await.is_err() {
                tracing::error!("when a client was seen last could not be saved");
            }
        });
        Ok(())
    }

    fn forget(&self, number: u64) {
        let mut state = self.state.lock();
        if state.slot.as_ref().is_some_and(|slot| slot.number == number) {
            state.slot = None;
        }
    }

    /// The client wants its session to end. Without one there is nothing to be done.
    pub(crate) fn cancel(&self, client: Fingerprint) -> Result<(), NotYours> {
        match &self.state.lock().slot {
            Some(slot) if slot.client != client => return Err(NotYours),
            Some(slot) => slot.end(SessionEnd::Cancelled),
            None => {}
        }
        Ok(())
    }

    /// Ends what there is and waits for its thread.
    pub(crate) fn shut_down(&self) {
        let thread = {
            let mut state = self.state.lock();
            if let Some(slot) = &state.slot {
                slot.end(SessionEnd::HostStopped);
            }
            state.thread.take()
        };
        join(thread);
    }

    /// What SETUP tells.
    pub(crate) fn handshake(&self) -> Option<Handshake> {
        self.state.lock().slot.as_ref().map(|slot| slot.handshake.clone())
    }

    /// Notes what the client wants. `false` if nothing was launched, or its packets cannot be made.
    pub(crate) fn announce(&self, announced: Announced) -> bool {
        let mut state = self.state.lock();
        let Some(slot) = state.slot.as_mut().filter(|_| PacketSize::new(announced.packet_size).is_ok()) else {
            return false;
        };
        slot.announced = Some(announced);
        true
    }

    /// Begins to play. May wait for the end of an older session's thread, a fraction of a second.
    pub(crate) fn play(&self) -> Result<(), PlayError> {
        let older = self.state.lock().thread.take();
        join(older);
        let mut state = self.state.lock();
        let slot = state.slot.as_ref().ok_or(PlayError::NotLaunched)?;
        let announced = slot.announced.ok_or(PlayError::NotAnnounced)?;
        let play = Play {
            host: Arc::clone(&self.host),
            config: granted(&self.limits, &announced, slot),
            key: slot.key,
            client: slot.address,
            control: self.control.try_clone()?,
            video: self.video.try_clone()?,
            ping_payload: *slot.handshake.ping_payload.as_bytes().first_chunk().expect("it has 16 characters"),
            connect_data: slot.handshake.connect_data,
            patience: self.limits.silence,
        };
        let life = Arc::clone(&slot.life);
        let begun = life.send_if_modified(|life| {
            let launched = *life == Life::Launched;
            if launched {
                *life = Life::Playing;
            }
            launched
        });
        if !begun {
            return Err(PlayError::Playing);
        }
        let playing = Arc::clone(&life);
        let thread = std::thread::Builder::new().name("gs-control".to_owned()).spawn(move || {
            let over = Over(&playing);
            let end = play.run(|| match *playing.borrow() {
                Life::Ending(reason) => Some(reason),
                _ => None,
            });
            over.because(end);
        });
        match thread {
            Ok(thread) => {
                state.thread = Some(thread);
                Ok(())
            }
            Err(error) => {
                life.send_replace(Life::Over(SessionEnd::Failed));
                Err(error.into())
            }
        }
    }
}

/// Marks a session as over, also when its thread panics.
struct Over<'a>(&'a watch::Sender<Life>);

impl Over<'_> {
    fn because(&self, end: SessionEnd) {
        self.0.send_replace(Life::Over(end));
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|life| {
            let unsaid = !matches!(life, Life::Over(_));
            if unsaid {
                *life = Life::Over(SessionEnd::Failed);
            }
            unsaid
        });
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the thread of a GameStream session failed");
    }
}

/// Waits until a session is over; ends it when it does not begin in time, or its client is revoked.
async fn watch_over(life: &watch::Sender<Life>, attachment: &Attachment, begin: Duration) -> SessionEnd {
    let mut changes = life.subscribe();
    let late = tokio::time::sleep(begin);
    let revoked = attachment.revoked();
    tokio::pin!(late, revoked);
    let (mut timed, mut told) = (false, false);
    loop {
        if let Life::Over(reason) = *changes.borrow_and_update() {
            return reason;
        }
        tokio::select! {
            changed = changes.changed() => changed.expect("the sender is borrowed here"),
            () = &mut late, if !timed => {
                timed = true;
                if *life.borrow() == Life::Launched {
                    end(life, SessionEnd::NotBegun);
                }
            }
            () = &mut revoked, if !told => {
                told = true;
                end(life, SessionEnd::Revoked);
            }
        }
    }
}

/// What a client gets of what it wants. The source decides on the mode within these limits.
fn granted(limits: &SessionLimits, announced: &Announced, slot: &Slot) -> StreamConfig {
    // 4:2:0 video has a colour sample for every two pixels.
    let side = |pixels: u32| pixels.clamp(MIN_SIDE, VideoMode::MAX_SIDE) & !1;
    let (least, most) = limits.bitrate_kbps;
    StreamConfig {
        width: side(announced.width),
        height: side(announced.height),
        fps: announced.fps.clamp(1, VideoMode::MAX_FPS),
        bitrate_kbps: announced.bitrate_kbps.clamp(least.min(most), most),
        packet_size: announced.packet_size,
        min_fec_packets: announced.min_fec_packets.min(MAX_REQUIRED_PARITY),
        fec_percent: limits.fec_percent,
        video_key: announced.sealed_video.then(|| VideoKey::new(slot.key)),
        client: slot.name.clone(),
    }
}

impl Handshake {
    /// Random, so that nobody else can send what the client sends. `None` if the system gave no randomness.
    fn new() -> Option<Self> {
        let mut bytes = [0; PAYLOAD_BYTES / 2 + 4];
        SystemRandom::new().fill(&mut bytes).ok()?;
        let (payload, data) = bytes.split_at(PAYLOAD_BYTES / 2);
        Some(Self {
            ping_payload: hex::encode(payload),
            connect_data: u32::from_be_bytes(*data.first_chunk().expect("four bytes are left")),
        })
    }
}
