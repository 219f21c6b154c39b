//! One AEAD per datagram: AES-128-GCM, the nonce made from a packet number that is never reused, the clear header
//! authenticated, replays refused.
//!
//! Each direction of each session has a key of its own. Where keys come from is not this module's business; they must
//! be fresh for each stream, because packet numbers start at zero.

use std::fmt;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes that sealing adds to a datagram.
pub const TAG_BYTES: usize = 16;

/// Packets that one key may seal.
///
/// AES-GCM's advantage bound is about `(packets · blocks)² / 2¹²⁹` (RFC 9001, B.1, with datagrams of under 2⁷ blocks):
/// 2³² packets keep it below 2⁻⁵⁰. At 10,000 packets a second that is five days; a stream that lasts longer starts anew.
pub const MAX_PACKETS: u64 = 1 << 32;

/// Packets behind the newest one that may still arrive: 200 ms at 10,000 packets a second.
pub const REPLAY_WINDOW: u64 = 2048;

/// The secrets of one direction: an AES-128 key and the 96-bit value that each packet number is mixed with.
///
/// `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct DirectionKey {
    key: [u8; 16],
    iv: [u8; 12],
}

impl DirectionKey {
    /// Bytes of secret that make one direction's key.
    pub const BYTES: usize = 28;

    /// Splits secret bytes, as a TLS exporter gives them, into key and initial value.
    pub fn from_secret(secret: &[u8; Self::BYTES]) -> Self {
        let mut this = Self { key: [0; 16], iv: [0; 12] };
        this.key.copy_from_slice(&secret[..16]);
        this.iv.copy_from_slice(&secret[16..]);
        this
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &self.key).expect("an AES-128 key has 16 bytes"))
    }

    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = self.iv;
        for (byte, part) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= part;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for DirectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectionKey(..)")
    }
}

/// The key has sealed [`MAX_PACKETS`] datagrams: the stream needs new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this key has sealed {MAX_PACKETS} datagrams and must not seal another")]
pub struct KeyExhausted;

/// Why a datagram was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its number was opened before.
    #[error("the datagram was received before")]
    Replayed,
    /// Its number lies behind the replay window.
    #[error("the datagram is more than {REPLAY_WINDOW} packets old")]
    TooOld,
    /// It is too short to be sealed, was changed on the way, or was sealed by somebody else.
    #[error("the datagram was not sealed with this session's key")]
    Forged,
}

/// Seals the datagrams of one direction.
pub struct Sealer {
    key: DirectionKey,
    cipher: LessSafeKey,
    next: u64,
}

impl Sealer {
    /// A sealer whose first datagram has the number 0. One key must make one sealer only.
    pub fn new(key: DirectionKey) -> Self {
        let cipher = key.cipher();
        Self { key, cipher, next: 0 }
    }

    /// The number that the next datagram gets.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Seals one datagram in place: `header` is called with the packet number and yields the bytes to authenticate;
    /// `body` is encrypted; the last [`TAG_BYTES`] of `datagram` receive the tag.
    ///
    /// `datagram` is header, body and room for the tag; `header_bytes` says where the body begins. `write_number` puts
    /// the number into the header.
    ///
    /// # Errors
    /// [`KeyExhausted`] after [`MAX_PACKETS`] datagrams. The datagram is untouched then.
    ///
    /// # Panics
    /// When the datagram has no room for header and tag: the caller laid it out.
    pub fn seal(
        &mut self,
        datagram: &mut [u8],
        header_bytes: usize,
        write_number: impl FnOnce(&mut [u8], u64),
    ) -> Result<u64, KeyExhausted> {
        if self.next >= MAX_PACKETS {
            return Err(KeyExhausted);
        }
        let number = self.next;
        self.next += 1;
        let (header, rest) = datagram.split_at_mut(header_bytes);
        write_number(header, number);
        let body_bytes = rest.len() - TAG_BYTES;
        let (body, room) = rest.split_at_mut(body_bytes);
        let tag = self
            .cipher
            .seal_in_place_separate_tag(self.key.nonce(number), Aad::from(&*header), body)
            .expect("a datagram is far below AES-GCM's limit of 64 GiB");
        room.copy_from_slice(tag.as_ref());
        Ok(number)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Opens the datagrams of one direction, each at most once.
pub struct Opener {
    key: DirectionKey,
    cipher: LessSafeKey,
    window: ReplayWindow,
}

impl Opener {
    /// An opener that has seen nothing yet.
    pub fn new(key: DirectionKey) -> Self {
        let cipher = key.cipher();
        Self { key, cipher, window: ReplayWindow::default() }
    }

    /// Opens a datagram in place and returns its body. `number` is what its header (the first `header_bytes`) says.
    ///
    /// # Errors
    /// [`OpenError`]; the window moves only for datagrams that are genuine.
    pub fn open<'a>(
        &mut self,
        number: u64,
        datagram: &'a mut [u8],
        header_bytes: usize,
    ) -> Result<&'a mut [u8], OpenError> {
        self.window.check(number)?;
        if datagram.len() < header_bytes + TAG_BYTES {
            return Err(OpenError::Forged);
        }
        let (header, sealed) = datagram.split_at_mut(header_bytes);
        let body = self
            .cipher
            .open_in_place(self.key.nonce(number), Aad::from(&*header), sealed)
            .map_err(|_unspecified| OpenError::Forged)?;
        self.window.insert(number);
        Ok(body)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("window", &self.window).finish_non_exhaustive()
    }
}

const WORDS: usize = (REPLAY_WINDOW / 64) as usize;

/// Which of the last [`REPLAY_WINDOW`] packet numbers have been seen (RFC 6479: a ring of words, cleared as the newest
/// number enters them).
#[derive(Debug, Clone)]
pub struct ReplayWindow {
    /// One more than the newest number seen; 0 before the first.
    end: u64,
    seen: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { end: 0, seen: [0; WORDS] }
    }
}

impl ReplayWindow {
    /// Whether `number` may still be accepted.
    ///
    /// # Errors
    /// [`OpenError::Replayed`] or [`OpenError::TooOld`].
    pub fn check(&self, number: u64) -> Result<(), OpenError> {
        if number >= self.end {
            return Ok(());
        }
        // One word less than the ring holds: the word that the newest number lies in is only partly filled.
        if self.end - number > REPLAY_WINDOW - 64 {
            return Err(OpenError::TooOld);
        }
        let (word, bit) = Self::place(number);
        if self.seen[word] & bit == 0 { Ok(()) } else { Err(OpenError::Replayed) }
    }

    /// Marks `number`, which [`check`](Self::check) allowed, as seen.
    pub fn insert(&mut self, number: u64) {
        if number >= self.end {
            // Words strictly after the one of the newest number so far, up to the one of `number`.
            let first = if self.end == 0 { 0 } else { (self.end - 1) / 64 + 1 };
            let last = number / 64;
            let fresh = (last + 1).saturating_sub(first).min(WORDS as u64);
            for word in 0..fresh {
                self.seen[((last - word) % WORDS as u64) as usize] = 0;
            }
            self.end = number.saturating_add(1);
        }
        let (word, bit) = Self::place(number);
        self.seen[word] |= bit;
    }

    fn place(number: u64) -> (usize, u64) {
        ((number / 64 % WORDS as u64) as usize, 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const HEADER: usize = 8;

    fn key(fill: u8) -> DirectionKey {
        DirectionKey::from_secret(&[fill; DirectionKey::BYTES])
    }

    fn sealed(sealer: &mut Sealer, body: &[u8]) -> (u64, Vec<u8>) {
        let mut datagram = vec![0; HEADER];
        datagram.extend_from_slice(body);
        datagram.resize(HEADER + body.len() + TAG_BYTES, 0);
        let number =
            sealer.seal(&mut datagram, HEADER, |header, number| header.copy_from_slice(&number.to_be_bytes())).unwrap();
        (number, datagram)
    }

    #[test]
    fn what_is_sealed_opens_once() {
        let (mut sealer, mut opener) = (Sealer::new(key(1)), Opener::new(key(1)));
        let (number, datagram) = sealed(&mut sealer, b"picture");
        assert_eq!(opener.open(number, &mut datagram.clone(), HEADER).unwrap(), b"picture");
        assert_eq!(opener.open(number, &mut datagram.clone(), HEADER), Err(OpenError::Replayed));
    }

    #[test]
    fn another_key_opens_nothing() {
        let (number, mut datagram) = sealed(&mut Sealer::new(key(1)), b"picture");
        assert_eq!(Opener::new(key(2)).open(number, &mut datagram, HEADER), Err(OpenError::Forged));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused_and_moves_no_window() {
        let mut opener = Opener::new(key(1));
        let (number, datagram) = sealed(&mut Sealer::new(key(1)), b"shard");
        for bit in 0..datagram.len() * 8 {
            let mut changed = datagram.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.open(number, &mut changed, HEADER), Err(OpenError::Forged), "bit {bit}");
        }
        for len in 0..datagram.len() {
            assert_eq!(opener.open(number, &mut datagram[..len].to_vec(), HEADER.min(len)), Err(OpenError::Forged));
        }
        assert!(opener.open(number, &mut datagram.clone(), HEADER).is_ok());
    }

    #[test]
    fn a_forged_high_number_does_not_shut_genuine_packets_out() {
        let (mut sealer, mut opener) = (Sealer::new(key(1)), Opener::new(key(1)));
        let (number, mut datagram) = sealed(&mut sealer, b"a");
        assert_eq!(opener.open(u64::MAX, &mut datagram.clone(), HEADER), Err(OpenError::Forged));
        assert!(opener.open(number, &mut datagram, HEADER).is_ok());
    }

    #[test]
    fn an_exhausted_key_seals_nothing_more() {
        let mut sealer = Sealer::new(key(1));
        sealer.next = MAX_PACKETS - 1;
        sealed(&mut sealer, b"last");
        let mut datagram = vec![7; 40];
        assert_eq!(sealer.seal(&mut datagram, HEADER, |_, _| ()), Err(KeyExhausted));
        assert_eq!(datagram, vec![7; 40]);
    }

    proptest! {
        #[test]
        fn the_window_accepts_each_number_at_most_once_and_never_a_stale_one(
            steps in proptest::collection::vec((any::<bool>(), 0u64..5000), 1..400)
        ) {
            let (mut window, mut seen, mut newest) = (ReplayWindow::default(), HashSet::new(), 0u64);
            for (forward, distance) in steps {
                let number = if forward { newest + distance } else { newest.saturating_sub(distance) };
                let allowed = window.check(number);
                if seen.contains(&number) {
                    prop_assert!(allowed.is_err());
                } else if number + REPLAY_WINDOW - 64 > newest {
                    prop_assert_eq!(allowed, Ok(()));
                } else {
                    prop_assert_eq!(allowed, Err(OpenError::TooOld));
                }
                if allowed.is_ok() {
                    window.insert(number);
                    seen.insert(number);
                    newest = newest.max(number);
                }
            }
        }

        #[test]
        fn strangers_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..200), number: u64) {
            let mut bytes = bytes;
            let header = HEADER.min(bytes.len());
            prop_assert!(Opener::new(key(1)).open(number, &mut bytes, header).is_err());
        }
    }
}
