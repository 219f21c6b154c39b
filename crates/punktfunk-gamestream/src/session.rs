//! The one session that a host plays at a time: from a launch over HTTPS, through what RTSP agrees on, to its end.
//!
//! ```text
//!  nothing ──launch──▶ launched ──ANNOUNCE, PLAY──▶ playing ──end──▶ nothing
//!                          └──────── not begun in time, cancelled, revoked ────────┘
//! ```
//!
//! A client that launches again, after a crash for instance, takes the place of its own session; another one is told that
//! the host is busy.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use punktfunk_pairing::clients::Attachment;
use punktfunk_pairing::{ClientStore, Fingerprint};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::watch;

use crate::control::{Play, SessionEnd};
use crate::grant::{SessionLimits, granted};
use crate::hex;
use crate::nvhttp::LaunchRequest;
use crate::ping::PAYLOAD_BYTES;
use crate::rtsp::Announced;
use crate::stream::StreamHost;

/// Keys that are remembered. Clients make a new one for each launch; this is for those that do not.
const REMEMBERED_KEYS: usize = 256;

/// Why there is no launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("the host is busy: another client streams")]
    Busy,
    #[error("the client is not paired")]
    NotPaired,
    /// Streams count their nonces from nothing: a key that served one would seal twice under the same nonce.
    #[error("the key has served a stream already")]
    KeyUsed,
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
    #[error("it plays already, or is over")]
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
    /// Held while a session begins.
    starting: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: u64,
    slot: Option<Slot>,
    /// Keys of streams that were played, the newest last.
    played: VecDeque<[u8; 16]>,
    /// The newest session's thread. The next one begins when it has ended, for they use the same ports.
    thread: Option<JoinHandle<()>>,
}

impl State {
    /// The session that is to begin, and what its client wants.
    fn ready(&self) -> Result<(&Slot, Announced), PlayError> {
        let slot = self.slot.as_ref().ok_or(PlayError::NotLaunched)?;
        let announced = slot.announced.ok_or(PlayError::NotAnnounced)?;
        if *slot.life.borrow() == Life::Launched { Ok((slot, announced)) } else { Err(PlayError::Playing) }
    }

    fn remember(&mut self, key: [u8; 16]) {
        if self.played.len() == REMEMBERED_KEYS {
            self.played.pop_front();
        }
        self.played.push_back(key);
    }
}

impl Sessions {
    pub(crate) fn new(
        clients: ClientStore,
        host: Arc<StreamHost>,
        limits: SessionLimits,
        video: UdpSocket,
        control: UdpSocket,
    ) -> Self {
        Self { clients, host, limits, video, control, starting: Mutex::default(), state: Mutex::default() }
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
        if state.played.contains(&request.key) {
            return Err(LaunchError::KeyUsed);
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

    /// Notes what the client wants. `false` if nothing was launched.
    pub(crate) fn announce(&self, announced: Announced) -> bool {
        let mut state = self.state.lock();
        let Some(slot) = &mut state.slot else { return false };
        slot.announced = Some(announced);
        true
    }

    /// Begins to play. May wait for the end of an older session's thread, a fraction of a second.
    pub(crate) fn play(&self) -> Result<(), PlayError> {
        let _one_at_a_time = self.starting.lock();
        // Its own thread is not to be waited for: a session that plays is left alone.
        let older = {
            let mut state = self.state.lock();
            state.ready()?;
            state.thread.take()
        };
        join(older);
        let mut state = self.state.lock();
        let (slot, announced) = state.ready()?;
        let play = Play {
            host: Arc::clone(&self.host),
            config: granted(&self.limits, &announced, slot.key, &slot.name),
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
        state.remember(play.key);
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
