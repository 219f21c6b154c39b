//! Requests to be paired, and every limit on them, in virtual time. Neither network nor keys.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::fingerprint::Fingerprint;
use crate::name::clean_name;
use crate::pin::{InvalidPin, NoRandomness, Pin};

/// The time over which rates are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Limits of pairing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingConfig {
    /// What the ids of requests begin with; default `r`. Paths whose requests are listed together take different ones.
    pub id_prefix: &'static str,
    /// Requests that may be open at once; default 8.
    pub max_open: usize,
    /// Of these, from one IP address; default 2, so that one neighbour cannot keep the others out.
    pub max_open_per_address: usize,
    /// Life of a request, counted anew when it is approved; default 2 min.
    pub expires_after: Duration,
    /// PINs that may be tried for one request; default 3.
    pub attempts: u32,
    /// New requests a minute; default 30.
    pub requests_per_minute: usize,
    /// Failed attempts a minute over all requests; default 10.
    pub failures_per_minute: usize,
}

impl Default for PairingConfig {
    fn default() -> Self {
        Self {
            id_prefix: "r",
            max_open: 8,
            max_open_per_address: 2,
            expires_after: Duration::from_secs(120),
            attempts: 3,
            requests_per_minute: 30,
            failures_per_minute: 10,
        }
    }
}

/// A client that asks to be paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairRequest {
    /// Id of the request, to approve it by.
    pub id: String,
    /// Where it comes from.
    pub address: SocketAddr,
    /// The certificate that the client proved to have the key of.
    pub fingerprint: Fingerprint,
    /// What it calls itself: a stranger chose it.
    pub name: String,
    /// How long ago it asked.
    pub age: Duration,
    /// Whether it was approved, and its PIN is waited for.
    pub approved: bool,
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There are too many open ones.
    #[error("too many open pairing requests; try again later")]
    TooManyOpen,
    /// They come too fast.
    #[error("too many pairing requests; try again in a minute")]
    TooFast,
}

/// Why a request was not approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    /// There is none of this id, or no longer.
    #[error("there is no pairing request {id}: it was answered, has expired, or the client went away")]
    NotFound {
        /// The id.
        id: String,
    },
    /// It was approved before, and the PIN given then is the one that counts.
    #[error("the pairing request {id} has been approved already")]
    AlreadyApproved {
        /// The id.
        id: String,
    },
    /// The operator's PIN is none.
    #[error(transparent)]
    InvalidPin(#[from] InvalidPin),
    /// A PIN could not be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Why a PIN may not be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The request is no longer there, or was not approved.
    #[error("the pairing request has expired")]
    Expired,
    /// All its attempts are used up.
    #[error("too many wrong PINs; ask to be paired again")]
    NoneLeft,
    /// There were too many failures of late, whoever made them.
    #[error("too many wrong PINs; try again in a minute")]
    TooFast,
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has answered it.
    Open {
        /// Time left.
        expires_in: Duration,
    },
    /// It was approved.
    Approved {
        /// Time left.
        expires_in: Duration,
    },
    /// It has expired, or another one of the same client took its place.
    Gone,
}

#[derive(Debug)]
struct Entry {
    id: String,
    address: SocketAddr,
    fingerprint: Fingerprint,
    name: String,
    since: Instant,
    expires: Instant,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    pin: Pin,
    name: Option<String>,
    attempts_left: u32,
}

/// Moments of the last minute, never more than a limit.
#[derive(Debug, Default)]
struct Recent(VecDeque<Instant>);

impl Recent {
    /// Notes a moment, unless there were `limit` in the last minute.
    fn note(&mut self, now: Instant, limit: usize) -> bool {
        self.0.retain(|&then| now.saturating_duration_since(then) < MINUTE);
        let room = self.0.len() < limit;
        if room {
            self.0.push_back(now);
        }
        room
    }
}

/// All open requests.
#[derive(Debug)]
pub struct Requests {
    config: PairingConfig,
    entries: Vec<Entry>,
    count: u64,
    opened: Recent,
    failures: Recent,
}

impl Requests {
    /// None yet.
    pub fn new(config: PairingConfig) -> Self {
        Self { config, entries: Vec::new(), count: 0, opened: Recent::default(), failures: Recent::default() }
    }

    /// Takes a request and gives its id. It replaces an earlier one of the same client.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        now: Instant,
        address: SocketAddr,
        fingerprint: Fingerprint,
        name: &str,
    ) -> Result<String, OpenError> {
        self.expire(now);
        let others = self.entries.iter().filter(|entry| entry.fingerprint != fingerprint);
        let (mut open, mut of_address) = (0, 0);
        for entry in others {
            open += 1;
            of_address += usize::from(entry.address.ip() == address.ip());
        }
        if open >= self.config.max_open || of_address >= self.config.max_open_per_address {
            return Err(OpenError::TooManyOpen);
        }
        if !self.opened.note(now, self.config.requests_per_minute) {
            return Err(OpenError::TooFast);
        }
        self.entries.retain(|entry| entry.fingerprint != fingerprint);
        self.count += 1;
        let id = format!("{}{}", self.config.id_prefix, self.count);
        self.entries.push(Entry {
            id: id.clone(),
            address,
            fingerprint,
            name: given_name(name).unwrap_or_else(|| format!("unnamed {:.8}", fingerprint.to_string())),
            since: now,
            expires: now + self.config.expires_after,
            answer: None,
        });
        Ok(id)
    }

    /// Open requests, oldest first.
    pub fn list(&mut self, now: Instant) -> Vec<PairRequest> {
        self.expire(now);
        let request = |entry: &Entry| PairRequest {
            id: entry.id.clone(),
            address: entry.address,
            fingerprint: entry.fingerprint,
            name: entry.name.clone(),
            age: now.saturating_duration_since(entry.since),
            approved: entry.answer.is_some(),
        };
        self.entries.iter().map(request).collect()
    }

    /// Approves a request with a PIN of the operator's, or with a random one, which is returned. The client is called
    /// `name`, or else what it calls itself.
    ///
    /// # Errors
    /// [`ApproveError`].
    pub fn approve(
        &mut self,
        now: Instant,
        id: &str,
        pin: Option<&str>,
        name: Option<&str>,
    ) -> Result<Pin, ApproveError> {
        let (lifetime, attempts_left) = (self.config.expires_after, self.config.attempts);
        let entry = self.entry(now, id).ok_or_else(|| ApproveError::NotFound { id: clean_name(id) })?;
        if entry.answer.is_some() {
            return Err(ApproveError::AlreadyApproved { id: entry.id.clone() });
        }
        let pin = match pin {
            Some(pin) => pin.parse()?,
            None => Pin::random()?,
        };
        entry.answer = Some(Answer { pin: pin.clone(), name: name.and_then(given_name), attempts_left });
        entry.expires = now + lifetime;
        Ok(pin)
    }

    /// How a request stands.
    pub fn progress(&mut self, now: Instant, id: &str) -> Progress {
        match self.entry(now, id) {
            None => Progress::Gone,
            Some(entry) => {
                let expires_in = entry.expires.saturating_duration_since(now);
                match entry.answer {
                    None => Progress::Open { expires_in },
                    Some(_) => Progress::Approved { expires_in },
                }
            }
        }
    }

    /// Uses up an attempt and gives the PIN to hold against it, with the attempts left after it. An attempt that is
    /// broken off counts like a wrong one: it may have been a guess.
    ///
    /// # Errors
    /// [`AttemptError`].
    pub fn attempt(&mut self, now: Instant, id: &str) -> Result<(Pin, u32), AttemptError> {
        let limit = self.config.failures_per_minute;
        self.expire(now);
        let answer = self.entries.iter_mut().find(|entry| entry.id == id).and_then(|entry| entry.answer.as_mut());
        let answer = answer.ok_or(AttemptError::Expired)?;
        let left = answer.attempts_left.checked_sub(1).ok_or(AttemptError::NoneLeft)?;
        if !self.failures.note(now, limit) {
            return Err(AttemptError::TooFast);
        }
        answer.attempts_left = left;
        Ok((answer.pin.clone(), left))
    }

    /// The newest attempt was right: closes the request and gives the client's name. `None` if it has expired meanwhile.
    pub fn succeed(&mut self, now: Instant, id: &str) -> Option<String> {
        self.expire(now);
        let at = self.entries.iter().position(|entry| entry.id == id && entry.answer.is_some())?;
        let entry = self.entries.remove(at);
        // It was no failure.
        self.failures.0.pop_back();
        Some(entry.answer.and_then(|answer| answer.name).unwrap_or(entry.name))
    }

    /// Closes a request, if it is open.
    pub fn close(&mut self, id: &str) {
        self.entries.retain(|entry| entry.id != id);
    }

    fn entry(&mut self, now: Instant, id: &str) -> Option<&mut Entry> {
        self.expire(now);
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    fn expire(&mut self, now: Instant) {
        self.entries.retain(|entry| now < entry.expires);
    }
}

/// What is left of a name once it is cleaned, if anything.
fn given_name(name: &str) -> Option<String> {
    Some(clean_name(name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(n: u8) -> Fingerprint {
        format!("{n:02x}").repeat(32).parse().unwrap()
    }

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 5000))
    }

    fn open(requests: &mut Requests, now: Instant, n: u8) -> Result<String, OpenError> {
        requests.open(now, address(n), fingerprint(n), "tv")
    }

    fn requests() -> (Requests, Instant) {
        (Requests::new(PairingConfig::default()), Instant::now())
    }

    #[test]
    fn a_request_is_listed_with_what_an_operator_needs() {
        let (mut requests, now) = requests();
        requests.open(now, address(1), fingerprint(1), "my\ntv").unwrap();
        let later = now + Duration::from_secs(3);
        let expected = PairRequest {
            id: "r1".to_owned(),
            address: address(1),
            fingerprint: fingerprint(1),
            name: "mytv".to_owned(),
            age: Duration::from_secs(3),
            approved: false,
        };
        assert_eq!(requests.list(later), [expected]);
    }

    #[test]
    fn a_client_without_a_name_is_called_by_its_fingerprint() {
        let (mut requests, now) = requests();
        let id = requests.open(now, address(1), fingerprint(1), " \n").unwrap();
        requests.approve(now, &id, None, Some("")).unwrap();
        requests.attempt(now, &id).unwrap();
        assert_eq!(requests.succeed(now, &id).unwrap(), "unnamed 01010101");
    }

    #[test]
    fn a_request_expires_and_approval_gives_it_time_again() {
        let (mut requests, now) = requests();
        let (one, two) = (open(&mut requests, now, 1).unwrap(), open(&mut requests, now, 2).unwrap());
        let soon = now + Duration::from_secs(119);
        requests.approve(soon, &two, None, None).unwrap();
        let later = now + Duration::from_secs(120);
        assert!(matches!(requests.approve(later, &one, None, None), Err(ApproveError::NotFound { .. })));
        assert_eq!(requests.progress(later, &one), Progress::Gone);
        assert_eq!(requests.progress(later, &two), Progress::Approved { expires_in: Duration::from_secs(119) });
        assert_eq!(requests.attempt(soon + Duration::from_secs(120), &two).unwrap_err(), AttemptError::Expired);
    }

    #[test]
    fn a_pin_answers_one_request_once() {
        let (mut requests, now) = requests();
        let (one, two) = (open(&mut requests, now, 1).unwrap(), open(&mut requests, now, 2).unwrap());
        let pin = requests.approve(now, &one, Some("4711"), Some("Den")).unwrap();
        assert!(matches!(requests.approve(now, &one, None, None), Err(ApproveError::AlreadyApproved { .. })));
        assert_eq!(requests.attempt(now, &two).unwrap_err(), AttemptError::Expired, "it was not approved");
        assert_eq!(requests.attempt(now, &one).unwrap(), (pin, 2));
        assert_eq!(requests.succeed(now, &one).unwrap(), "Den");
        assert_eq!(requests.attempt(now, &one).unwrap_err(), AttemptError::Expired);
        assert_eq!(requests.succeed(now, &one), None);
    }

    #[test]
    fn attempts_are_limited_per_request_and_over_all() {
        let (mut requests, now) = requests();
        for n in 1..=3 {
            let id = open(&mut requests, now, n).unwrap();
            requests.approve(now, &id, None, None).unwrap();
            let left: Vec<_> = (0..3).map(|_| requests.attempt(now, &id).unwrap().1).collect();
            assert_eq!(left, [2, 1, 0]);
            assert_eq!(requests.attempt(now, &id).unwrap_err(), AttemptError::NoneLeft);
        }
        let id = open(&mut requests, now, 4).unwrap();
        requests.approve(now, &id, None, None).unwrap();
        requests.attempt(now, &id).unwrap();
        assert_eq!(requests.attempt(now, &id).unwrap_err(), AttemptError::TooFast, "ten failures within a minute");
        assert_eq!(requests.attempt(now + MINUTE, &id).unwrap().1, 1, "what was refused used up no attempt");
    }

    #[test]
    fn a_success_is_no_failure() {
        let (mut requests, mut now) = requests();
        for n in 0..20 {
            let id = open(&mut requests, now, n).unwrap();
            requests.approve(now, &id, None, None).unwrap();
            requests.attempt(now, &id).unwrap();
            requests.succeed(now, &id).unwrap();
            now += Duration::from_millis(1);
        }
    }

    #[test]
    fn open_requests_are_limited_in_all_and_per_address() {
        let (mut requests, now) = requests();
        for n in 1..=2 {
            requests.open(now, address(1), fingerprint(n), "").unwrap();
        }
        assert_eq!(requests.open(now, address(1), fingerprint(3), ""), Err(OpenError::TooManyOpen));
        for n in 3..=8 {
            open(&mut requests, now, n).unwrap();
        }
        assert_eq!(open(&mut requests, now, 9), Err(OpenError::TooManyOpen));
        open(&mut requests, now, 8).expect("a client may replace its own");
        assert_eq!(requests.list(now).len(), 8);
        open(&mut requests, now + Duration::from_secs(120), 9).expect("the others have expired");
    }

    #[test]
    fn requests_that_come_too_fast_are_refused_for_a_while() {
        let (mut requests, now) = requests();
        for _ in 0..30 {
            open(&mut requests, now, 1).unwrap();
        }
        assert_eq!(open(&mut requests, now, 1), Err(OpenError::TooFast));
        open(&mut requests, now + MINUTE, 1).unwrap();
    }

    #[test]
    fn a_pin_of_the_operators_must_be_one() {
        let (mut requests, now) = requests();
        let id = open(&mut requests, now, 1).unwrap();
        for bad in ["", "12", "abcdef", "12345678901234567"] {
            assert!(matches!(requests.approve(now, &id, Some(bad), None), Err(ApproveError::InvalidPin(_))), "{bad}");
        }
        assert_eq!(requests.approve(now, &id, Some("123 456"), None).unwrap().as_str(), "123456");
    }
}
