//! Who is signed in by a browser: one-time links, and the sessions that they open.
//!
//! All of it lives in memory: a restart of the host signs everybody out, and no file holds anything that lets somebody in.
//! What is kept of a secret is its SHA-256, so that comparing it tells nothing of it, and a dump of the memory holds none.
//! Times are given by the caller.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::{digest, hmac};
use tokio::sync::watch;

use crate::tokens::{Role, Token};

/// How long a link can be used: long enough to pick up the phone.
pub const LINK_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How long a session lasts that nobody uses. An open event stream uses it.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a session lasts at most.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Links at a time; the oldest goes.
const MAX_LINKS: usize = 16;

/// Sessions at a time; the one that was not used for longest goes.
const MAX_SESSIONS: usize = 64;

/// Links and sessions of one host. Clones share them.
#[derive(Clone, Default)]
pub struct SignIn(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    links: Vec<Link>,
    sessions: Vec<Session>,
}

type Digest = [u8; digest::SHA256_OUTPUT_LEN];

struct Link {
    digest: Digest,
    made: Instant,
}

struct Session {
    digest: Digest,
    role: Role,
    opened: Instant,
    /// Shared with what goes on after its request was let in.
    used: Arc<Mutex<Instant>>,
    /// Goes with the session, which tells whoever waits for its end.
    lives: watch::Sender<()>,
}

/// The end of a session: signed out, displaced by others, or out of time.
#[derive(Debug, Clone)]
pub(crate) struct End {
    gone: watch::Receiver<()>,
    used: Arc<Mutex<Instant>>,
    latest: Instant,
}

impl End {
    /// Whether it has come, short of being out of time.
    pub(crate) fn has_come(&self) -> bool {
        self.gone.has_changed().is_err()
    }

    /// Returns when it comes. Whoever waits uses the session.
    pub(crate) async fn comes(&mut self) {
        // Nothing is ever sent: the channel ends with the session.
        let gone = async { while self.gone.changed().await.is_ok() {} };
        let use_it = async {
            loop {
                *self.used.lock() = tokio::time::Instant::now().into_std();
                tokio::time::sleep(IDLE / 2).await;
            }
        };
        tokio::select! {
            () = gone => {}
            () = use_it => {}
            () = tokio::time::sleep_until(self.latest.into()) => {}
        }
    }
}

/// A session that a request showed.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    /// What it allows.
    pub(crate) role: Role,
    /// What a change must carry beside the cookie.
    pub(crate) csrf_token: String,
    /// How long it lasts at most.
    pub(crate) remaining: Duration,
    /// When it is over.
    pub(crate) end: End,
}

impl SignIn {
    /// Makes the secret of a one-time link, which lets the operator in.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn link(&self) -> io::Result<Token> {
        self.link_at(Instant::now())
    }

    fn link_at(&self, now: Instant) -> io::Result<Token> {
        let token = Token::random()?;
        let mut state = self.0.lock();
        state.expire(now);
        if state.links.len() == MAX_LINKS {
            state.links.remove(0);
        }
        state.links.push(Link { digest: digest_of(token.reveal().as_bytes()), made: now });
        Ok(token)
    }

    /// Uses a link up. What it allows; `None` if it was used before, has expired, or never was one.
    pub(crate) fn redeem(&self, secret: &[u8], now: Instant) -> Option<Role> {
        let digest = digest_of(secret);
        let mut state = self.0.lock();
        state.expire(now);
        let at = state.links.iter().position(|link| link.digest == digest)?;
        state.links.remove(at);
        Some(Role::Operator)
    }

    /// Opens a session: its secret, for the cookie, and what it is.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn open(&self, role: Role, now: Instant) -> io::Result<(Token, SignedIn)> {
        let secret = Token::random()?;
        let mut state = self.0.lock();
        state.expire(now);
        if state.sessions.len() == MAX_SESSIONS {
            let oldest =
                state.sessions.iter().enumerate().min_by_key(|(_, session)| *session.used.lock()).map(|(at, _)| at);
            oldest.map(|at| state.sessions.remove(at));
        }
        let digest = digest_of(secret.reveal().as_bytes());
        let used = Arc::new(Mutex::new(now));
        let session = Session { digest, role, opened: now, used, lives: watch::Sender::new(()) };
        let signed_in = session.shown_by(secret.reveal().as_bytes(), now);
        state.sessions.push(session);
        Ok((secret, signed_in))
    }

    /// The session of this secret; it counts as used.
    pub(crate) fn find(&self, secret: &[u8], now: Instant) -> Option<SignedIn> {
        let digest = digest_of(secret);
        let mut state = self.0.lock();
        state.expire(now);
        let session = state.sessions.iter().find(|session| session.digest == digest)?;
        *session.used.lock() = now;
        Some(session.shown_by(secret, now))
    }

    /// Ends the session of this secret.
    pub(crate) fn close(&self, secret: &[u8]) {
        let digest = digest_of(secret);
        self.0.lock().sessions.retain(|session| session.digest != digest);
    }
}

impl Session {
    fn shown_by(&self, secret: &[u8], now: Instant) -> SignedIn {
        let latest = self.opened + SESSION_LIFETIME;
        SignedIn {
            role: self.role,
            csrf_token: csrf_token(secret),
            remaining: latest.saturating_duration_since(now),
            end: End { gone: self.lives.subscribe(), used: Arc::clone(&self.used), latest },
        }
    }
}

impl State {
    fn expire(&mut self, now: Instant) {
        self.links.retain(|link| now.saturating_duration_since(link.made) < LINK_LIFETIME);
        self.sessions.retain(|session| {
            now.saturating_duration_since(*session.used.lock()) < IDLE
                && now.saturating_duration_since(session.opened) < SESSION_LIFETIME
        });
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignIn(…)")
    }
}

fn digest_of(secret: &[u8]) -> Digest {
    let mut out = Digest::default();
    out.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    out
}

/// Follows from the session's secret, and tells nothing of it: pages see this one, never the cookie.
fn csrf_token(secret: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"punktfunk csrf");
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lets_in_once_and_not_after_its_time() {
        let (sign_in, start) = (SignIn::default(), Instant::now());
        let link = sign_in.link_at(start).unwrap();
        assert_eq!(sign_in.redeem(b"something else", start), None);
        assert_eq!(sign_in.redeem(link.reveal().as_bytes(), start), Some(Role::Operator));
        assert_eq!(sign_in.redeem(link.reveal().as_bytes(), start), None, "used up");
        let late = sign_in.link_at(start).unwrap();
        assert_eq!(sign_in.redeem(late.reveal().as_bytes(), start + LINK_LIFETIME), None, "expired");
    }

    #[test]
    fn a_session_ends_when_it_is_closed_unused_or_old() {
        let (sign_in, start) = (SignIn::default(), Instant::now());
        let open = || sign_in.open(Role::Operator, start).unwrap().0;
        let find = |secret: &Token, now| sign_in.find(secret.reveal().as_bytes(), now);

        let closed = open();
        assert_eq!(find(&closed, start).unwrap().role, Role::Operator);
        sign_in.close(closed.reveal().as_bytes());
        assert!(find(&closed, start).is_none());

        let unused = open();
        assert!(find(&unused, start + IDLE).is_none());

        let used = open();
        let mut now = start;
        while now + IDLE / 2 < start + SESSION_LIFETIME {
            now += IDLE / 2;
            assert_eq!(find(&used, now).unwrap().remaining, start + SESSION_LIFETIME - now);
        }
        assert!(find(&used, start + SESSION_LIFETIME).is_none());
    }

    #[test]
    fn neither_links_nor_sessions_grow_without_bound() {
        let (sign_in, start) = (SignIn::default(), Instant::now());
        let first_link = sign_in.link_at(start).unwrap();
        let (kept, _) = sign_in.open(Role::Operator, start).unwrap();
        let (forgotten, _) = sign_in.open(Role::Reader, start).unwrap();
        for second in 1..=100 {
            let now = start + Duration::from_secs(second);
            sign_in.link_at(now).unwrap();
            sign_in.open(Role::Operator, now).unwrap();
            assert!(sign_in.find(kept.reveal().as_bytes(), now).is_some(), "what is used stays");
        }
        let now = start + Duration::from_secs(100);
        assert_eq!(sign_in.redeem(first_link.reveal().as_bytes(), now), None);
        assert!(sign_in.find(forgotten.reveal().as_bytes(), now).is_none());
        let state = sign_in.0.lock();
        assert_eq!((state.links.len(), state.sessions.len()), (MAX_LINKS, MAX_SESSIONS));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_hears_of_the_end_of_a_session() {
        let (sign_in, start) = (SignIn::default(), Instant::now());
        let (secret, mut one) = sign_in.open(Role::Operator, start).unwrap();
        let (_, mut other) = sign_in.open(Role::Operator, start).unwrap();
        sign_in.close(secret.reveal().as_bytes());
        assert!(one.end.has_come() && !other.end.has_come());
        one.end.comes().await;

        let began = tokio::time::Instant::now();
        other.end.comes().await;
        let waited = began.elapsed();
        assert!(waited.abs_diff(SESSION_LIFETIME) < Duration::from_secs(60), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_the_end_of_a_session_uses_it() {
        let (sign_in, start) = (SignIn::default(), tokio::time::Instant::now());
        let (secret, mut watched) = sign_in.open(Role::Operator, start.into_std()).unwrap();
        let (left, _) = sign_in.open(Role::Operator, start.into_std()).unwrap();
        let late = IDLE * 2;
        tokio::time::timeout(late, watched.end.comes()).await.unwrap_err();
        let now = (start + late).into_std();
        assert!(sign_in.find(left.reveal().as_bytes(), now).is_none());
        assert!(sign_in.find(secret.reveal().as_bytes(), now).is_some());
    }

    #[test]
    fn the_csrf_token_belongs_to_its_session() {
        let (sign_in, start) = (SignIn::default(), Instant::now());
        let (one, opened) = sign_in.open(Role::Operator, start).unwrap();
        let (_, other) = sign_in.open(Role::Operator, start).unwrap();
        assert_eq!(sign_in.find(one.reveal().as_bytes(), start).unwrap().csrf_token, opened.csrf_token);
        assert_ne!(opened.csrf_token, other.csrf_token);
        assert!(!opened.csrf_token.contains(one.reveal()) && !format!("{sign_in:?}").contains(one.reveal()));
    }
}
